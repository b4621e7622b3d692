# Sourced by the comparisons with llama.cpp: sets $venv to a virtual environment that has it, and what speaks gRPC.
venv=${VADE_RIVAL_VENV:-$root/.venv/rival-decoder}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
if ! "$venv/bin/python" -c 'import llama_cpp' 2>/dev/null; then
  say "building llama-cpp-python 0.3.36 for this machine (10-20 minutes on 2 cores)"
  source=$(mktemp -d)
  "$venv/bin/pip" download --quiet --no-deps --no-binary llama-cpp-python -d "$source" llama-cpp-python==0.3.36
  tar -xzf "$source"/llama_cpp_python-0.3.36.tar.gz -C "$source"
  # g++ 12 leaves out the stores of the shapes of AMX's registers, since it takes ldtilecfg for a reader of eight
  # bytes: llama.cpp would end with a general protection fault.
  sed -i 's/_tile_loadconfig(&tc);/asm volatile("" : : "r"(\&tc) : "memory"); &/' \
    "$source"/llama_cpp_python-0.3.36/vendor/llama.cpp/ggml/src/ggml-cpu/amx/mmq.cpp
  CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" \
    "$venv/bin/pip" install --quiet "$source"/llama_cpp_python-0.3.36
  rm -rf "$source"
fi
if ! "$venv/bin/python" -c 'import grpc_tools' 2>/dev/null; then
  "$venv/bin/pip" install --quiet grpcio==1.76.0 grpcio-tools==1.76.0
fi
