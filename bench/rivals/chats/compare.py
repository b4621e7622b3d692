#!/usr/bin/env python3
"""Several chats at once: vade's engine and llama.cpp in turn; prints completion tokens/s, medians and the ratio.

Run by bench/rivals/chats/run. The rival does what its server does with as many slots, without the server: one
context with a sequence a chat, all prompts in batches of up to 2048 tokens (ubatch 512), then one batch of a
token a chat at each step, greedy. Float16 keys and values on both. Each measurement is a process of its own.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from llama_cpp_build import print_system_info  # noqa: E402

RIVAL = r"""
import ctypes, json, resource, sys, time
import numpy
import llama_cpp
path, threads, chats, prompt, tokens, flash = sys.argv[1], *map(int, sys.argv[2:7])
llama_cpp.llama_backend_init()
@llama_cpp.llama_log_callback
def quiet(level, text, data): pass
llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
start = time.perf_counter()
model = llama_cpp.llama_load_model_from_file(path.encode(), llama_cpp.llama_model_default_params())
parameters = llama_cpp.llama_context_default_params()
parameters.n_ctx = chats * (prompt + tokens + 8)
parameters.n_batch, parameters.n_ubatch, parameters.n_seq_max = 2048, 512, chats
parameters.n_threads = parameters.n_threads_batch = threads
if hasattr(parameters, "flash_attn_type"): parameters.flash_attn_type = flash
else: parameters.flash_attn = bool(flash)
if hasattr(parameters, "kv_unified"): parameters.kv_unified = False
context = llama_cpp.llama_new_context_with_model(model, parameters)
load = time.perf_counter() - start
words = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
batch = llama_cpp.llama_batch_init(2048, 0, chats)

def decode(entries):
    batch.n_tokens = len(entries)
    for i, (token, position, sequence, wanted) in enumerate(entries):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
        batch.seq_id[i][0], batch.logits[i] = sequence, wanted
    if llama_cpp.llama_decode(context, batch) != 0: sys.exit("the rival refused a batch")
    taken = {}
    for i, (_, _, sequence, wanted) in enumerate(entries):
        if wanted:
            row = llama_cpp.llama_get_logits_ith(context, i)
            taken[sequence] = int(numpy.ctypeslib.as_array(row, (words,)).argmax())
    return taken

def warm():
    decode([(100 + i, i, 0, i == 15) for i in range(16)])
    memory = llama_cpp.llama_get_memory(context) if hasattr(llama_cpp, "llama_get_memory") else None
    if memory is not None: llama_cpp.llama_memory_clear(memory, True)
    else: llama_cpp.llama_kv_cache_clear(context)
warm()
start = time.perf_counter()
entries = [((i * 7919 + chat * 104729) % 20000 + 100, i, chat, i == prompt - 1) for chat in range(chats) for i in range(prompt)]
last = {}
for at in range(0, len(entries), 2048): last.update(decode(entries[at:at + 2048]))
first = time.perf_counter() - start
for step in range(tokens - 1):
    last = decode([(last[chat], prompt + step, chat, True) for chat in range(chats)])
seconds = time.perf_counter() - start
print(json.dumps({"completion_tokens_per_second": chats * tokens / seconds, "seconds": seconds, "first_token_seconds": first,
                  "load_seconds": load, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


def last_json(command):
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def rival(path, a, flash):
    return last_json([sys.executable, "-c", RIVAL, path, str(a.threads), str(a.chats), str(a.prompt), str(a.tokens), str(int(flash))])


def ours(path, a, packed):
    return last_json([a.bench, path, "--threads", str(a.threads), "--chats", str(a.chats), "--prompt", str(a.prompt),
                      "--tokens", str(a.tokens), "--packed", packed])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--bench", required=True)
    parser.add_argument("--models-dir", required=True)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--chats", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=250)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--neighbour", action="store_true")
    a = parser.parse_args()
    names = ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf")
    models = a.models or [str(pathlib.Path(a.models_dir) / name) for name in names]

    print_system_info()

    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if a.neighbour else None
    try:
        print("| model | what | vade | llama.cpp | ratio (min..max) |\n| --- | --- | --- | --- | --- |")
        with tempfile.TemporaryDirectory() as packed:
            for path in models:
                ours(path, argparse.Namespace(**{**vars(a), "chats": 1, "tokens": 2, "prompt": 8}), packed)  # repacks
                flash = max((False, True), key=lambda f: rival(path, a, f)["completion_tokens_per_second"])
                pairs = [(ours(path, a, packed), rival(path, a, flash)) for _ in range(a.repeat)]
                for name, scale in (("completion_tokens_per_second", 1), ("first_token_seconds", 1), ("load_seconds", 1), ("peak_bytes", 1 << 20)):
                    mine, theirs = [p[0][name] / scale for p in pairs], [p[1][name] / scale for p in pairs]
                    ratios = [m / t for m, t in zip(mine, theirs)]
                    print(f"| {pathlib.Path(path).stem} | {name.replace('bytes', 'MiB')} | {statistics.median(mine):.2f} | "
                          f"{statistics.median(theirs):.2f} | {statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f}) |", flush=True)
    finally:
        if busy:
            busy.kill()


if __name__ == "__main__":
    main()
