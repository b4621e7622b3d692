"""What the comparisons with llama.cpp share: the rival's process, pairs of measurements and their table.

Both sides measure in turn, so that a machine whose speed drifts hurts both, and ratios are taken pair by pair.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
QWEN = ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf")
INFO = "import llama_cpp; print(llama_cpp.llama_print_system_info().decode())"
BUSY = "n = 0\nwhile True: n = (n + 1) & 65535"


def print_system_info():
    """Prints the rival's build; refuses one without AVX-512 VNNI or AMX where the processor has it."""
    command = [sys.executable, "-c", INFO]
    info = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    print("rival:", info)
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    for flag in ("avx512_vnni", "amx_int8"):
        if flag in flags and f"{flag.upper()} = 1" not in info:
            sys.exit(f"error: this processor has {flag} but the rival was built without it; remove its environment and "
                     "run again")


def arguments(text, *options, repeat=3):
    """Parses the command line: the common options and `options`, pairs of (flag, settings of add_argument)."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL.gguf", help="default: both Qwen models of the cache")
    parser.add_argument("--vade", required=True)
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="folder of the bench programs")
    parser.add_argument("--models-dir", required=True, type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=repeat)
    for flag, settings in options:
        parser.add_argument(flag, **settings)
    parsed = parser.parse_args()
    parsed.models = parsed.models or [str(parsed.models_dir / name) for name in QWEN]
    for path in parsed.models:
        if not os.path.exists(path):
            sys.exit(f"error: there is no {path}; run scripts/fetch-models or name a model")
    return parsed


def listed(kind, among=None):
    """The type of an option that takes several values, with commas between."""
    def values(text):
        parts = [kind(part) for part in text.split(",")]
        unknown = [part for part in parts if among and part not in among]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(map(str, among))}")
        return parts
    return values


THREADS = ("--threads", {"type": int, "default": len(os.sched_getaffinity(0))})


def program(folder, name):
    """The path of a bench program that must have been built."""
    path = folder / name
    if not path.exists():
        sys.exit(f"error: {name} is not built; run: cmake --preset release -DVADE_BENCH=ON && "
                 f"cmake --build build/release --target {name}")
    return str(path)


def last_json(command):
    """Runs a command and reads the last line that it prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {command[0]} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def alternate(mine, theirs, repeat):
    """Calls both in turn and returns the two lists of what they returned."""
    pairs = [(mine(), theirs()) for _ in range(repeat)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


@contextlib.contextmanager
def busy_neighbour():
    """Another process that counts, as fast as one core lets it, for as long as the block runs."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def drop_from_memory(path):
    """Makes the system read a file from the disk again."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


class Llama:
    """llama.cpp in a process of its own (llama_worker.py), which ends with the block."""

    def __init__(self, model, **settings):
        command = [sys.executable, str(HERE / "llama_worker.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.opened = self._call("open", model=model, **settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()

    def __getattr__(self, name):
        return lambda **values: self._call(name, **values)

    def _call(self, name, **values):
        print(json.dumps({"call": name, **values}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"error: llama.cpp ended during '{name}'; its message stands above")
        return json.loads(line)


# With and without flash attention, and the types of its keys and values; q8 needs the former.
FORMS = ({"flash": False, "kv": "f16"}, {"flash": True, "kv": "f16"}, {"flash": True, "kv": "q8"})


def forms(kv=None):
    return [form for form in FORMS if kv in (None, form["kv"])]


def rate(result):
    return result["tokens_per_second"]


def best_form(model, call, settings, values, score=rate, kv=None):
    """The form in which the rival is best at one call: what it is compared in."""
    def measure(form):
        with Llama(model, **form, **settings) as llama:
            return score(getattr(llama, call)(**values))
    among = forms(kv)
    return max(among, key=measure) if len(among) > 1 else among[0]


class Table:
    """A Markdown table, printed row by row as it comes to be."""

    def __init__(self, *columns):
        print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)

    @staticmethod
    def row(*cells):
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def median(values, digits=1):
    """The median as text; a dash where nothing was measured."""
    return f"{statistics.median(values):.{digits}f}" if values else "-"


def ratio(above, below):
    """Ratios pair by pair: their median, least and greatest."""
    quotients = [a / b for a, b in zip(above, below)]
    if not quotients:
        return "-"
    return f"{statistics.median(quotients):.2f} ({min(quotients):.2f}..{max(quotients):.2f})"


def stem(path):
    return pathlib.Path(path).stem
