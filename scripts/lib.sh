# Shared by the scripts: where things lie, how they speak. Sourced, not run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Services and containers may run without HOME; then it is the account's.
home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6 || true)}
[ -n "$home" ] || home=/
models_dir=${VADE_MODELS:-${XDG_CACHE_HOME:-$home/.cache}/vade/models}

# What is compiled is kept beside what is built, not under the home directory.
export CCACHE_DIR=${CCACHE_DIR:-$root/build/.ccache}

say() { printf '%s\n' "== $*" >&2; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }

# The built command, newest preset first in this order; empty when there is none.
find_vade() {
  local preset
  for preset in release dev; do
    if [ -x "$root/build/$preset/vade" ]; then
      printf '%s\n' "$root/build/$preset/vade"
      return
    fi
  done
  command -v vade || true
}

jobs_count() { nproc; }

# build PRESET [TARGET...]: configures once, builds with all cores.
build() {
  local preset=$1
  shift
  if [ ! -f "$root/build/$preset/build.ninja" ]; then
    (cd "$root" && cmake --preset "$preset" >&2) || die "configuring failed; run scripts/setup first"
  fi
  cmake --build "$root/build/$preset" -j "$(jobs_count)" ${1:+--target "$@"} >&2
}
