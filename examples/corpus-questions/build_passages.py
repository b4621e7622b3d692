#!/usr/bin/env python3
"""Writes passages.jsonl: one line for each document of examples/corpus.

The id is the path below examples/corpus, the text is the whole file, unchanged.
The output depends on nothing but the files, so a second run changes no byte.

    python3 examples/corpus-questions/build_passages.py
"""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent / "corpus"
SUFFIXES = (".md", ".txt")


def title_of(text):
    """The first line that is not empty, without its heading mark."""
    for line in text.splitlines():
        if line.strip():
            return line.lstrip("# ").strip()
    raise SystemExit("a document of the corpus is empty")


def passage(path):
    document_id = path.relative_to(CORPUS).as_posix()
    text = path.read_bytes().decode("utf-8")
    lang = "zh" if document_id.startswith("zh/") else "en"
    return {"id": document_id, "title": title_of(text), "text": text, "lang": lang}


def main():
    paths = [path for path in CORPUS.rglob("*") if path.suffix in SUFFIXES]
    passages = sorted((passage(path) for path in paths), key=lambda p: p["id"])
    lines = [json.dumps(p, ensure_ascii=False) + "\n" for p in passages]
    (HERE / "passages.jsonl").write_bytes("".join(lines).encode("utf-8"))
    print(f"passages.jsonl: {len(lines)} documents")


if __name__ == "__main__":
    main()
