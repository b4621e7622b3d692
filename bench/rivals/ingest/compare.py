"""A folder of mixed files taken in from end to end by vade and by LangChain with FAISS, in turn; see run."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import e5_onnx
import folder

HERE = pathlib.Path(__file__).resolve().parent
PASSAGE_TOKENS, OVERLAP_TOKENS = 256, 32  # what `vade ingest` takes


def family(root):
    """The process and all below it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(name))
            except OSError:
                pass
    found, left = [], [root]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def memory(process):
    """Bytes that it has in memory; pages that several share are divided between them."""
    try:
        with open(f"/proc/{process}/smaps_rollup") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def timed(command, **settings):
    """Runs a command; returns its output, seconds and the greatest memory of all its processes."""
    begin = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)
    peak, over = 0, threading.Event()

    def watch():
        nonlocal peak
        while not over.wait(.1):
            peak = max(peak, sum(map(memory, family(process.pid))))
    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    seconds = time.perf_counter() - begin
    over.set()
    watcher.join()
    return out, err, process.returncode, seconds, peak


def run_vade(options, source, scratch):
    data = scratch / "vade"
    shutil.rmtree(data, ignore_errors=True)
    command = [options.vade, "--json", "--data", data, "--threads", options.threads]
    out, err, _, seconds, peak = timed([*command, "ingest", source])
    try:
        report = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        sys.exit(f"error: vade failed: {err[-500:]}")
    told = subprocess.run([*map(str, command), "export", scratch / "export"], capture_output=True, text=True, check=True).stdout
    return {"seconds": seconds, "peak": peak, "passages": report["passages"], "failed": report["failed"],
            "failures": [f"{error['source']}: {error['reason']}" for error in report["errors"]], "text_bytes": json.loads(told)["text_bytes"]}


def run_langchain(options, source, scratch):
    out_dir = scratch / "faiss"
    shutil.rmtree(out_dir, ignore_errors=True)
    out, err, status, seconds, peak = timed([sys.executable, HERE / "langchain_ingest.py", source, out_dir, options.graphs, options.kind,
                                             options.threads, PASSAGE_TOKENS, OVERLAP_TOKENS])
    if status != 0:
        sys.exit(f"error: LangChain failed: {err[-800:]}")
    report = json.loads(out.splitlines()[-1])
    return report | {"stages": report["seconds"], "seconds": seconds, "peak": peak}


def row(name, results, files, size):
    times = [result["seconds"] for result in results]
    last = results[-1]
    middle = statistics.median(times)
    print(f"| {name} | {middle:.1f} ({min(times):.1f}..{max(times):.1f}) | {files / middle:.1f} | {size / middle / 1e6:.2f} | "
          f"{max(result['peak'] for result in results) / 1e6:.0f} | {last['passages']} | {last['text_bytes'] / 1e6:.2f} | {last['failed']} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vade", required=True)
    parser.add_argument("--model", required=True, type=pathlib.Path, help="multilingual-e5-small as GGUF")
    parser.add_argument("--book", required=True, type=pathlib.Path)
    parser.add_argument("--real", required=True, type=pathlib.Path)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--kind", choices=("fp32", "int8"), default="int8", help="form of the rival's graph")
    parser.add_argument("--graphs", required=True, type=pathlib.Path, help="where the rival's graphs are kept for the next run")
    options = parser.parse_args()
    e5_onnx.export(options.model, options.graphs)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        source = scratch / "folder"
        size = folder.make(source, options.book, options.real, options.files, options.seed)
        print(f"{options.files} files, {size / 1e6:.1f} MB, {options.threads} threads; the rival's encoder: ONNX Runtime, {options.kind}")
        pairs = [(run_vade(options, source, scratch), run_langchain(options, source, scratch)) for _ in range(options.repeat)]
    mine, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
    print("| | s | files/s | MB/s | peak MB | passages | MB of text | failed |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    row("vade", mine, options.files, size)
    row("LangChain + FAISS", theirs, options.files, size)
    ratios = sorted(rival["seconds"] / ours["seconds"] for ours, rival in pairs)
    print(f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f}..{ratios[-1]:.2f}); LangChain's seconds by stage: {theirs[-1]['stages']}")
    for name, results in (("vade", mine), ("LangChain", theirs)):
        print(f"failed, {name}:", "; ".join(results[-1]["failures"]) or "none")


if __name__ == "__main__":
    main()
