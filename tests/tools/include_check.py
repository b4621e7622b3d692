#!/usr/bin/env python3
"""Reads every #include of the tree and fails on an arrow that the map does not have.

The map (docs/ARCHITECTURE.md) says which module may include which. Two further rules are checked: vendor
headers appear in .cc files only, and .pb.h files in service/ only.

  include_check.py ROOT              checks the tree
  include_check.py ROOT --self-test  proves on made-up trees that each kind of violation is found
"""

import pathlib
import re
import sys
import tempfile

MODULES = ["base", "kernels", "model", "index", "ingest", "retriever", "generator", "service"]

# module -> what it may include besides itself; "index/passage.h" is a single header.
ARROWS = {
    "base": [],
    "kernels": ["base"],
    "model": ["kernels", "base"],
    "index": ["kernels", "base"],
    "ingest": ["index", "model", "base"],
    "retriever": ["index", "model", "base"],
    "generator": ["index/passage.h", "model", "base"],
    "service": ["ingest", "retriever", "generator", "index", "model", "kernels", "base", "proto"],
}

# Headers that interfaces of a lower layer carry with them: model/embedder.h and model/decoder.h are made of
# kernel types, so whoever includes them sees kernels/ without naming it.
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)

VENDOR = re.compile(
    r"^(faiss|rocksdb|grpc|grpcpp|google/protobuf|unicode|spdlog|fmt|nlohmann|CLI|sodium|xxhash|boost|"
    r"openssl|omp|zstd|md4c|cuda|cld2|libstemmer|poppler|libxml|pugixml|zip\.h|archive|seccomp|curl|prometheus)|\.pb\.h$")


def target_module(path):
    top = path.split("/", 1)[0]
    return "proto" if path.endswith(".pb.h") else (top if top in MODULES else None)


def check_file(root, path):
    relative = path.relative_to(root).as_posix()
    module = relative.split("/", 1)[0]
    problems = []
    for bracket, name in INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
        if bracket == "<" or name.endswith(".pb.h"):
            if relative.endswith(".h") and VENDOR.search(name):
                problems.append(f"{relative}: vendor header {name} in a header; move it into the .cc file")
            if name.endswith(".pb.h") and module != "service":
                problems.append(f"{relative}: {name} outside service/")
            continue
        target = target_module(name)
        if target is None:
            problems.append(f'{relative}: "{name}" is in no module; use <...> for libraries')
            continue
        if not name.endswith(".pb.h") and not (root / name).is_file():
            problems.append(f'{relative}: "{name}" does not exist')
        if target != module and target not in ARROWS[module] and name not in ARROWS[module]:
            problems.append(f'{relative}: {module} may not include "{name}"')
    return problems


def check_tree(root):
    problems, files = [], 0
    for module in MODULES:
        for path in sorted((root / module).rglob("*")):
            if path.suffix in (".h", ".cc", ".cu", ".cuh"):
                files += 1
                problems += check_file(root, path)
    return files, problems


def self_test():
    cases = {
        "ingest/a.cc": '#include "retriever/retriever.h"\n',
        "base/a.h": '#include "model/decoder.h"\n',
        "generator/a.cc": '#include "index/index.h"\n',
        "index/a.h": "#include <rocksdb/db.h>\n",
        "model/a.cc": '#include "vade/v1/answer.pb.h"\n',
        "kernels/a.cc": '#include "kernels/missing.h"\n',
        "retriever/a.cc": '#include "elsewhere/x.h"\n',
        "ingest/formats/a.h": "#include <pugixml.hpp>\n",
        "ingest/formats/a.cc": '#include "service/api.h"\n',
    }
    targets = ["retriever/retriever.h", "model/decoder.h", "index/index.h", "index/passage.h",
               "service/api.h"]
    failures = 0
    for name, text in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for target in targets:
                (root / target).parent.mkdir(parents=True, exist_ok=True)
                (root / target).write_text("#pragma once\n")
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
            _, problems = check_tree(root)
            if len(problems) != 1 or not problems[0].startswith(name + ":"):
                failures += 1
                print(f"{name}: expected one problem, got {problems}")
            (root / name).write_text('#include <string>\n')
            _, problems = check_tree(root)
            if problems:
                failures += 1
                print(f"clean tree: {problems}")
    print(f"include_check: {len(cases)} kinds of violation, {failures} missed")
    return 1 if failures else 0


def main():
    if "--self-test" in sys.argv:
        return self_test()
    root = pathlib.Path(sys.argv[1]).resolve()
    files, problems = check_tree(root)
    for problem in problems:
        print(problem)
    print(f"include_check: {files} files, {len(problems)} violations")
    return 1 if problems or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
