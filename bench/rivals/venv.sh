# Sourced by the comparisons with llama.cpp: sets $venv to a virtual environment that has it, and what speaks gRPC.
venv=${VADE_RIVAL_VENV:-$root/.venv/rival-decoder}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
if ! "$venv/bin/python" -c 'import llama_cpp' 2>/dev/null; then
  say "building llama-cpp-python 0.3.36 for this machine (10-20 minutes on 2 cores)"
  CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" \
    "$venv/bin/pip" install --quiet llama-cpp-python==0.3.36
fi
if ! "$venv/bin/python" -c 'import grpc_tools' 2>/dev/null; then
  "$venv/bin/pip" install --quiet grpcio==1.76.0 grpcio-tools==1.76.0
fi
