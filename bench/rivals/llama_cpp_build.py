"""What every comparison with llama.cpp says first: how the rival was built, and that it may use what the processor has."""

import pathlib
import subprocess
import sys

INFO = "import llama_cpp; print(llama_cpp.llama_print_system_info().decode())"


def print_system_info():
    """Prints the rival's build; refuses one without AVX-512 VNNI where the processor has it."""
    info = subprocess.run([sys.executable, "-c", INFO], check=True, capture_output=True, text=True).stdout.strip()
    print("rival:", info)
    if "avx512_vnni" in pathlib.Path("/proc/cpuinfo").read_text() and "AVX512_VNNI = 1" not in info:
        sys.exit("error: this processor has AVX-512 VNNI but the rival was built without it; remove its environment and run again")
