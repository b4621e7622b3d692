# Sourced by bench/rivals/*/run: says what the comparison costs, sees to the rival and hands over to the Python
# program beside the script. compare PROGRAM COST ARGUMENTS...
compare() {
  local program=$1 cost=$2 bin=${VADE_RIVAL_BUILD:-$root/build/release}
  shift 2
  say "$cost"
  . "$root/bench/rivals/venv.sh"
  [ -x "$bin/vade" ] ||
    die "vade is not built; run: cmake --preset release -DVADE_BENCH=ON && cmake --build build/release"
  exec "$venv/bin/python" "$program" --vade "$bin/vade" --bin "$bin/bench" --models-dir "$models_dir" "$@"
}
