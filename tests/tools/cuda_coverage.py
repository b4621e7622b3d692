#!/usr/bin/env python3
"""Runs the emulated suites in one process and fails with the name of every kernel that none of them ran.

  cuda_coverage.py KERNELS_DIR TEST_BINARY [OBJECTS_DIR]
  cuda_coverage.py --self-test TEST_BINARY

Held against one another: the __global__ functions of the sources; the instances that some Launch<...> of the
binary can start (tests/testing/cuda/kernels_run.h), and which of them ran from beginning to end and wrote
something; with OBJECTS_DIR, the instances that ptxas speaks of. A kernel that nothing launches, an instance that
no suite runs, and one that nvcc compiles and the emulation does not know, are each a failure.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections import Counter

# Those that hold what a kernel computes against the processor's specification, kernel by kernel: together they run
# all. ctest runs each test in a process of its own, so what they run is gathered here, in one. A kernel that is only
# run within whole models counts as not run: who adds one adds such a test, and its suite to this list.
SUITES = ["Types/DeviceProduct.*", "Forms/DevicePrepare.*", "Kinds/DeviceAttention.Stored*", "Kinds/DeviceAttention.IsThat*",
          "Kinds/DeviceAttention.Many*", "Kinds/DeviceAttention.Tokens*", "DeviceRows.*", "EncoderKernels.*", "CudaScan.FindsWhat*",
          "CudaBest.OnlyTheNamed*", "CudaBest.WhatIsSetApart*", "CudaBest.Weights*"]

KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^()]*(?:\([^()]*\)[^()]*)*\)\s+)?(\w+)\s*\(")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")


def kernels_of(source):
    """The names of the kernels, and how many there are that have no name that can be read."""
    code = COMMENT.sub("", source)
    names = KERNEL.findall(code)
    return names, len(re.findall(r"\b__global__\b", code)) - len(names)


def base_of(instance):
    return instance.split("<")[0]


def problems_of(defined, instances):
    """`defined`: kernels of the sources; `instances`: name to whether it ran."""
    launched = {base_of(name) for name in instances}
    problems = [f"{name}: defined in kernels/cuda, but no Launch<{name}> is in the emulated tests" for name in sorted(defined - launched)]
    problems += [f"{name}: launched, but not defined in kernels/cuda" for name in sorted(launched - defined)]
    problems += [f"{name}: no test runs it" for name, ran in sorted(instances.items()) if not ran]
    return problems


def compiled_problems(log, instances):
    """What ptxas compiled, by kernel, against what the emulation can start."""
    by_architecture = {}
    for entry, architecture in ENTRY.findall(log):
        # a mangled name has its own name behind the length of it, once
        names = [name for name in {base_of(i) for i in instances} if f"{len(name)}{name}" in entry]
        by_architecture.setdefault(architecture, Counter())[names[0] if len(names) == 1 else entry] += 1
    known = Counter(base_of(name) for name in instances)
    problems = []
    for architecture, compiled in sorted(by_architecture.items()):
        for name in sorted(set(compiled) | set(known)):
            if compiled[name] != known[name]:
                problems.append(f"{name}: nvcc compiles {compiled[name]} instances for {architecture}, the emulated tests have {known[name]}")
    return problems


def run(binary, suites):
    """Runs them; the binary's exit status, its output, and its instances with whether each ran."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "kernels"
        environment = dict(os.environ, VADE_KERNELS_RUN=str(report))
        done = subprocess.run([binary, "--gtest_brief=1", "--gtest_filter=" + ":".join(suites)], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        lines = report.read_text(encoding="utf-8").splitlines() if report.is_file() else []
    instances = {}
    for line in lines:
        state, name = line.split(" ", 1)
        instances[name] = instances.get(name, False) or state == "ran"
    return done.returncode, done.stdout, instances


def check(kernels, binary, objects):
    defined, problems = set(), []
    for source in sorted(kernels.glob("*.cu*")):
        names, unread = kernels_of(source.read_text(encoding="utf-8"))
        if unread:
            problems.append(f"{source.name}: {unread} kernels whose names cannot be read")
        problems += [f"{source.name}: a second kernel with the name {name}" for name in names if name in defined]
        defined.update(names)
    status, output, instances = run(binary, SUITES)
    if status != 0:
        problems.append(f"the suites fail:\n{output}")
    problems += problems_of(defined, instances)
    if objects:
        logs = [log.read_text(encoding="utf-8") for log in sorted(objects.glob("*.ptxas"))]
        problems += compiled_problems("".join(logs), instances) if logs else [f"no *.ptxas in {objects}"]
    for problem in problems:
        print(problem)
    print(f"cuda_coverage: {len(defined)} kernels, {len(instances)} instances, {len(problems)} problems")
    return 1 if problems or not defined else 0


def self_test(binary):
    failures = []
    source = ("// a __global__ void in a comment\n__global__ void __launch_bounds__(kThreads, kBlocks) OneKernel(int x) {}\n"
              "template <Format kF>\n__global__ void __launch_bounds__(32 * Pairs(4))\n    TwoKernel(int x) {}\n")
    if kernels_of(source) != (["OneKernel", "TwoKernel"], 0):
        failures.append(f"names: {kernels_of(source)}")
    if kernels_of(source + "__global__ auto Odd(int) -> void {}")[1] != 1:
        failures.append("a kernel that cannot be read passes")
    defined = {"OneKernel", "TwoKernel"}
    cases = [({"OneKernel": True, "TwoKernel<A>": True, "TwoKernel<B>": True}, ""),
             ({"OneKernel": True, "TwoKernel<A>": True, "TwoKernel<B>": False}, "TwoKernel<B>: no test runs it"),
             ({"TwoKernel<A>": True}, "OneKernel: defined"),
             ({"OneKernel": True, "TwoKernel<A>": True, "OtherKernel": True}, "OtherKernel: launched, but")]
    for instances, expected in cases:
        problems = problems_of(defined, instances)
        if len(problems) != (1 if expected else 0) or not all(p.startswith(expected) for p in problems):
            failures.append(f"{instances}: {problems}")
    log = "Compiling entry function '_Z9OneKerneli' for 'sm_80'\nCompiling entry function '_Z9TwoKernelIA' for 'sm_80'\n"
    if compiled_problems(log, {"OneKernel": True, "TwoKernel<A>": True}):
        failures.append("what is compiled and known is a problem")
    for missing in ({"OneKernel": True}, {"OneKernel": True, "TwoKernel<A>": True, "TwoKernel<B>": True}):
        if len(compiled_problems(log, missing)) == 0:
            failures.append(f"{missing} passes for what ptxas speaks of")
    # The real binary, but one test of it: what that runs has run, and every other instance is named.
    _, _, few = run(binary, ["Types/DeviceProduct.Dots*/Q8_0"])
    wanted = {name for name in few if name.startswith("DotsKernel<Format::kQ8Block32,")}
    named = {problem.rsplit(": ", 1)[0] for problem in problems_of({base_of(name) for name in few}, few)}
    if not wanted or named != set(few) - wanted:
        failures.append(f"of one test of products: {len(wanted)} instances should have run, {len(named)} of {len(few)} were missed")
    for failure in failures:
        print(failure)
    print(f"cuda_coverage: {len(failures)} kinds of gap missed")
    return 1 if failures else 0


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--self-test"]
    if "--self-test" in sys.argv:
        return self_test(arguments[0])
    return check(pathlib.Path(arguments[0]), arguments[1], pathlib.Path(arguments[2]) if len(arguments) > 2 else None)


if __name__ == "__main__":
    sys.exit(main())
