#!/usr/bin/env python3
"""Reads what ptxas said of each kernel and holds it against the budget that stands beside the kernel.

  cuda_resources.py KERNELS_DIR OBJECTS_DIR
  cuda_resources.py --self-test

A line "// budget: registers N" stands above each __global__ function. For every instance and architecture:
at most N registers, no stack frame and no spills: all of a thread's values live in registers.
"""

import pathlib
import re
import sys

BUDGET = re.compile(r"// budget: registers (\d+)[^\n]*\n(?:template <[^>]*>\n)?__global__ void[^(]*(?:\([^)]*\))?[^(]*?\b(\w+)\(")
KERNEL = re.compile(r"__global__\s+void")
ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")


def budgets_of(name, source):
    """Budgets by kernel, and what is wrong with the file."""
    found = {kernel: int(registers) for registers, kernel in BUDGET.findall(source)}
    count = len(KERNEL.findall(source))
    problems = [] if count == len(found) else [f"{name}: {count} kernels, {len(found)} budgets beside them"]
    return found, problems


def check_log(name, log, budgets):
    problems, instances = [], 0
    entry = architecture = None
    for line in log.splitlines():
        if match := ENTRY.search(line):
            entry, architecture = match.groups()
        elif match := FRAME.search(line):
            if any(int(n) > 0 for n in match.groups()):
                problems.append(f"{name}: {entry} for {architecture}: {match.group(0)}")
        elif match := USED.search(line):
            instances += 1
            kernel = next((k for k in budgets if f"{len(k)}{k}" in entry), None)
            if kernel is None:
                problems.append(f"{name}: {entry} has no budget")
            elif int(match.group(1)) > budgets[kernel]:
                problems.append(f"{name}: {entry} for {architecture}: {match.group(1)} registers, "
                                f"the budget is {budgets[kernel]}")
    return instances, problems


def check_tree(kernels, objects):
    problems, instances = [], 0
    for source in sorted(kernels.glob("*.cu")):
        budgets, wrong = budgets_of(source.name, source.read_text(encoding="utf-8"))
        problems += wrong
        log = objects / (source.stem + ".o.ptxas")
        if not log.is_file():
            problems.append(f"{source.name}: no {log}")
            continue
        count, wrong = check_log(source.name, log.read_text(encoding="utf-8"), budgets)
        problems += wrong
        instances += count
        if count < len(budgets):
            problems.append(f"{source.name}: ptxas speaks of {count} kernels, the source has {len(budgets)}")
    return instances, problems


def self_test():
    source = ("// budget: registers 40\ntemplate <int kN>\n__global__ void __launch_bounds__(128) GoodKernel(int x) {}\n"
              "// budget: registers 32\n__global__ void __launch_bounds__(kThreads)\n    OtherKernel(int x) {}\n")
    log = ("ptxas info : Compiling entry function '_Z10GoodKernelILi1EEvi' for 'sm_80'\n"
           "    {frame} bytes stack frame, {spill} bytes spill stores, 0 bytes spill loads\n"
           "ptxas info : Used {registers} registers, used 0 barriers\n")
    budgets, wrong = budgets_of("x.cu", source)
    failures = []
    if wrong or budgets != {"GoodKernel": 40, "OtherKernel": 32}:
        failures.append(f"budgets: {budgets}, {wrong}")
    cases = [(dict(frame=0, spill=0, registers=40), 0), (dict(frame=8, spill=0, registers=40), 1),
             (dict(frame=0, spill=4, registers=40), 1), (dict(frame=0, spill=0, registers=41), 1)]
    for values, expected in cases:
        _, problems = check_log("x.cu", log.format(**values), budgets)
        if len(problems) != expected:
            failures.append(f"{values}: {problems}")
    if not check_log("x.cu", log.format(frame=0, spill=0, registers=1), {"OtherKernel": 32})[1]:
        failures.append("a kernel without a budget passes")
    if not budgets_of("x.cu", source + "__global__ void Bare(int x) {}\n")[1]:
        failures.append("a source without a budget passes")
    for failure in failures:
        print(failure)
    print(f"cuda_resources: {len(failures)} kinds of violation missed")
    return 1 if failures else 0


def main():
    if "--self-test" in sys.argv:
        return self_test()
    instances, problems = check_tree(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    for problem in problems:
        print(problem)
    print(f"cuda_resources: {instances} kernels, {len(problems)} problems")
    return 1 if problems or instances == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
