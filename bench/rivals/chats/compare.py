#!/usr/bin/env python3
"""Several chats at once: vade's engine and llama.cpp in turn; completion tokens/s, medians and the ratio.

Run by bench/rivals/chats/run. The rival does what its server does with as many slots, without the server: one
context with a sequence a chat, all prompts in batches of up to 2048 tokens (ubatch 512), then one batch of a
token a chat at each step, greedy. vade's keys and values have the type that they have by default, the rival has its
best of float16 with and without flash attention and 8 bits. Each measurement is a process of its own.
"""

import contextlib
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import side_by_side  # noqa: E402

MIB = 1 << 20
ROWS = (("completion_tokens_per_second", "completion tokens/s", 1), ("first_token_seconds", "last first token, s", 1),
        ("load_seconds", "load, s", 1), ("peak_bytes", "greatest memory, MiB", MIB))


def rival(model, a, form):
    return side_by_side.last_json([sys.executable, HERE / "rival.py", model, a.threads, a.chats, a.prompt, a.tokens,
                                   int(form["flash"]), form["kv"]])


def ours(model, a, packed):
    return side_by_side.last_json([side_by_side.program(a.bin, "chats_bench"), model, "--threads", a.threads, "--chats",
                                   a.chats, "--prompt", a.prompt, "--tokens", a.tokens, "--packed", packed])


def run(a, table, model, packed):
    ours(model, a, packed)  # makes the repacked form
    form = max(side_by_side.forms(), key=lambda f: rival(model, a, f)["completion_tokens_per_second"])
    mine, theirs = side_by_side.alternate(lambda: ours(model, a, packed), lambda: rival(model, a, form), a.repeat)
    for name, what, scale in ROWS:
        sides = [[x[name] / scale for x in side] for side in (mine, theirs)]
        table.row(side_by_side.stem(model), what, *(side_by_side.median(side, 2) for side in sides),
                  side_by_side.ratio(*sides))


def main():
    a = side_by_side.arguments(
        __doc__, side_by_side.THREADS, ("--chats", {"type": int, "default": 8}),
        ("--prompt", {"type": int, "default": 250}), ("--tokens", {"type": int, "default": 64}),
        ("--neighbour", {"action": "store_true"}))
    side_by_side.print_system_info()
    with side_by_side.busy_neighbour() if a.neighbour else contextlib.nullcontext():
        table = side_by_side.Table("model", "what", "vade", "llama.cpp", "ratio (min..max)")
        with tempfile.TemporaryDirectory() as packed:
            for model in a.models:
                run(a, table, model, packed)


if __name__ == "__main__":
    main()
