#!/usr/bin/env python3
"""Decode, prefill, load and memory of vade and llama.cpp on the same GGUF file, in turn.

Run by bench/rivals/decoder/run. Both get the same number of threads and prompts of the same length; vade's keys and
values have the type that they have by default, the rival has its best of float16 with and without flash attention and
8 bits. Each measurement is a process of its own. Parts (--parts):
  prefill  32, 128, 512 and 1024 tokens
  decode   64 tokens at depth 0 and 1024
  busy     64 tokens, undisturbed and beside a process that counts; the share of the speed that is left
  load     seconds from a file in the system's memory, and from one that it was made to drop; greatest memory of a
           process that reads 512 tokens and writes 8. Not of the process: starting, and what it loads besides
"""

import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import side_by_side  # noqa: E402

PREFILLS = (32, 128, 512, 1024)
DEPTHS = (0, 1024)
DECODED = 64
PARTS = ("prefill", "decode", "busy", "load")
MIB = 1 << 20


class Pair:
    """One model at one number of threads, measured on both sides."""

    def __init__(self, a, model, threads, packed):
        self.a, self.model, self.threads, self.packed = a, model, threads, packed

    def ours(self, kind, tokens, depth=0):
        command = [self.a.vade, "--json", "--model", self.model, "--threads", self.threads, "bench", kind,
                   "--tokens", tokens, "--repeat", 1]
        return side_by_side.rate(side_by_side.last_json(command + (["--depth", depth] if kind == "decode" else [])))

    def settings(self, tokens, depth=0):
        return {"threads": self.threads, "context": tokens + depth + 8}

    def form(self, kind, **values):
        return side_by_side.best_form(self.model, kind, self.settings(**values), values)

    def theirs(self, form, kind, **values):
        with side_by_side.Llama(self.model, **form, **self.settings(**values)) as llama:
            return side_by_side.rate(getattr(llama, kind)(**values))

    def both(self, kind, **values):
        form = self.form(kind, **values)
        return side_by_side.alternate(lambda: self.ours(kind, **values), lambda: self.theirs(form, kind, **values),
                                      self.a.repeat)

    def loaded(self):
        command = [side_by_side.program(self.a.bin, "chats_bench"), self.model, "--threads", self.threads,
                   "--packed", self.packed, "--chats", 1, "--prompt", 512, "--tokens", 8]
        return side_by_side.last_json(command)

    def rival_loaded(self):
        with side_by_side.Llama(self.model, threads=self.threads, context=528) as llama:
            llama.prefill(tokens=512)
            llama.decode(tokens=8, depth=500)
            return {"load_seconds": llama.opened["load_ms"] / 1000, "peak_bytes": llama.peak()["bytes"]}

    def cold(self, measure):
        """Has the weights read from the disk: the file itself and its repacked form."""
        for path in [pathlib.Path(self.model), *pathlib.Path(self.packed).iterdir()]:
            side_by_side.drop_from_memory(path)
        return measure()


def row(table, pair, what, mine, theirs, digits=1):
    table.row(side_by_side.stem(pair.model), pair.threads, what, side_by_side.median(mine, digits),
              side_by_side.median(theirs, digits), side_by_side.ratio(mine, theirs))


def prefill(table, pair):
    for tokens in PREFILLS:
        row(table, pair, f"prefill {tokens}, tokens/s", *pair.both("prefill", tokens=tokens))


def decode(table, pair):
    for depth in DEPTHS:
        what = f"decode {DECODED}" + (f" at depth {depth}" if depth else "")
        row(table, pair, f"{what}, tokens/s", *pair.both("decode", tokens=DECODED, depth=depth))


def busy(table, pair):
    """Undisturbed and disturbed measurements in turn, so that each share is of the same minute."""
    values = {"tokens": DECODED, "depth": 0}
    form = pair.form("decode", **values)
    alone, beside = [], []
    for _ in range(pair.a.repeat):
        alone.append((pair.ours("decode", **values), pair.theirs(form, "decode", **values)))
        with side_by_side.busy_neighbour():
            beside.append((pair.ours("decode", **values), pair.theirs(form, "decode", **values)))
    what = f"decode {DECODED} beside a busy process"
    row(table, pair, f"{what}, tokens/s", *zip(*beside))
    shares = [[b[side] / a[side] for a, b in zip(alone, beside)] for side in (0, 1)]
    row(table, pair, f"{what}, share of the undisturbed speed", *shares, digits=3)


def load(table, pair):
    pair.loaded()  # makes the repacked form
    warm = side_by_side.alternate(pair.loaded, pair.rival_loaded, pair.a.repeat)
    cold = side_by_side.alternate(lambda: pair.cold(pair.loaded), lambda: pair.cold(pair.rival_loaded), pair.a.repeat)
    for name, sides in (("load, from memory, s", warm), ("load, from disk, s", cold)):
        row(table, pair, name, *([x["load_seconds"] for x in side] for side in sides), digits=2)
    row(table, pair, "greatest memory, MiB", *([x["peak_bytes"] / MIB for x in side] for side in warm), digits=0)


def main():
    a = side_by_side.arguments(
        __doc__,
        ("--threads", {"type": side_by_side.listed(int), "default": [len(os.sched_getaffinity(0))]}),
        ("--parts", {"type": side_by_side.listed(str, PARTS), "default": ["prefill", "decode"]}),
        ("--busy", {"action": "store_true", "help": "the part busy alone"}), repeat=5)
    parts = ["busy"] if a.busy else a.parts
    side_by_side.print_system_info()
    table = side_by_side.Table("model", "threads", "what", "vade", "llama.cpp", "ratio (min..max)")
    with tempfile.TemporaryDirectory() as packed:
        for model in a.models:
            for threads in a.threads:
                for part in parts:
                    globals()[part](table, Pair(a, model, threads, packed))


if __name__ == "__main__":
    main()
