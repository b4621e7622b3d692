#!/usr/bin/env python3
"""The decoder on this machine's GPU: tokens a second, bytes of weights a second, time to the first token.

Run by bench/rivals/decoder/run --gpu. Every figure is one that `vade bench --device cuda` has just measured; without a
GPU that computes it says "no GPU: ..." and ends with status 1. The share of the memory's bandwidth needs the bandwidth,
which is not measured here: it is printed where --bandwidth names it (GB/s, from the data sheet), else left out.
"""

import argparse
import json
import subprocess
import sys

PREFILLS = (32, 128, 512, 1024)
DEPTHS = (0, 1024)


def bench(arguments, model, kind, *options):
    command = [arguments.vade, "--json", "--device", "cuda"] + (["--model", model] if model else [])
    command += ["bench", kind, "--repeat", str(arguments.repeat), *(str(option) for option in options)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip().splitlines()[-1].removeprefix("vade: "))
    return json.loads(done.stdout)


def decode_line(arguments, model, depth):
    found = bench(arguments, model, "decode", "--tokens", arguments.tokens, "--depth", depth)
    rate = found["tokens_per_second"]
    gigabytes = rate * found["weight_mb_per_token"] / 1000
    share = ""
    if arguments.bandwidth:
        share = f", {100 * gigabytes / arguments.bandwidth:.0f}% of {arguments.bandwidth:g} GB/s"
    return found, f"| decode at depth {depth} | {rate:.1f} tokens/s | {gigabytes:.1f} GB/s of weights{share} |"


def prefill_line(arguments, model, tokens):
    rate = bench(arguments, model, "prefill", "--tokens", tokens)["tokens_per_second"]
    return f"| prefill of {tokens} | {rate:.0f} tokens/s | first token after {1000 * tokens / rate:.1f} ms |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vade", required=True)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--bandwidth", type=float, help="of the GPU's memory, GB/s")
    parser.add_argument("models", nargs="*", default=[""], help="GGUF files; without: vade's own")
    arguments = parser.parse_args()
    for model in arguments.models:
        found, line = decode_line(arguments, model, DEPTHS[0])
        print(f"{found['model']} on {found['device']}, median of {arguments.repeat}\n")
        print("| what | rate | |\n| --- | --- | --- |")
        print(line)
        for depth in DEPTHS[1:]:
            print(decode_line(arguments, model, depth)[1])
        for tokens in PREFILLS:
            print(prefill_line(arguments, model, tokens), flush=True)
        print()


if __name__ == "__main__":
    main()
