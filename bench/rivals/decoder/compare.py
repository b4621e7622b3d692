#!/usr/bin/env python3
"""Alternates vade and llama.cpp on the same GGUF file and prints tokens/s, medians and the ratio.

Run by bench/rivals/decoder/run. Both get the same number of threads, float16 keys and values, and prompts
of the same length; each measurement is a process of its own, in turn, so that a machine whose speed drifts
hurts both. Refuses to compare when the processor has AVX-512 VNNI and the rival was built without it.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from llama_cpp_build import print_system_info  # noqa: E402

RIVAL = r"""
import ctypes, json, sys, time
import llama_cpp
path, threads, tokens, depth, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
flash = sys.argv[6] == "1"
llama = llama_cpp.Llama(path, n_ctx=tokens + depth + 8, n_batch=512, n_ubatch=512, n_threads=threads,
                        n_threads_batch=threads, flash_attn=flash, verbose=False)
ids = [(i * 7919) % 20000 + 100 for i in range(tokens + depth)]
llama.eval(ids[:16]); llama.reset()
if kind == "prefill":
    start = time.perf_counter(); llama.eval(ids[:tokens]); seconds = time.perf_counter() - start
else:
    if depth: llama.eval(ids[:depth])
    start = time.perf_counter()
    for i in range(tokens): llama.eval([ids[depth + i]])
    seconds = time.perf_counter() - start
print(json.dumps({"tokens_per_second": tokens / seconds}))
"""


def rival(path, threads, tokens, depth, kind, flash):
    command = [sys.executable, "-c", RIVAL, path, str(threads), str(tokens), str(depth), kind, "1" if flash else "0"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])["tokens_per_second"]


def ours(vade, path, threads, tokens, depth, kind):
    command = [vade, "--json", "--model", path, "--threads", str(threads), "bench", kind,
               "--tokens", str(tokens), "--repeat", "1"]
    if kind == "decode":
        command += ["--depth", str(depth)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)["tokens_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--vade", required=True)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()

    print_system_info()

    print(f"| model | what | vade | llama.cpp | ratio (min..max of {arguments.repeat}) |")
    print("| --- | --- | --- | --- | --- |")
    cases = [("prefill", 512, 0), ("prefill", 128, 0), ("decode", 64, 0), ("decode", 64, 1024)]
    for path in arguments.models:
        for kind, tokens, depth in cases:
            a, b, ratios = [], [], []
            flash = max((False, True), key=lambda f: rival(path, arguments.threads, tokens, depth, kind, f))
            for _ in range(arguments.repeat):
                a.append(ours(arguments.vade, path, arguments.threads, tokens, depth, kind))
                b.append(rival(path, arguments.threads, tokens, depth, kind, flash))
                ratios.append(a[-1] / b[-1])
            label = f"{kind} {tokens}" + (f" at depth {depth}" if depth else "")
            print(f"| {pathlib.Path(path).stem} | {label} | {statistics.median(a):.1f} | {statistics.median(b):.1f} | "
                  f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f}) |", flush=True)


if __name__ == "__main__":
    main()
