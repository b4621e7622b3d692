"""Texts and questions of the words of real passages, for bench/rivals/search/terms and store_bench.

    make_texts.py DATA OUT COUNT

Writes COUNT lines of 40 to 100 words to OUT/texts.txt, drawn (seeded) from the words of the English passages under DATA with the
frequencies that they have there, so that they are distributed as those of real texts are, and 1,000 questions of 2 to 5 words to
OUT/queries.txt: a question's words stand in one of the texts together.
"""
import glob
import json
import os
import re
import sys

import numpy as np

SEED = 20261126
SETS = ("squad2", "hotpotqa", "cranfield", "cacm", "docs_rustbook")


def count_words(data):
    counts = {}
    for name in SETS:
        for path in sorted(glob.glob(f"{data}/{name}/**/*", recursive=True)):
            if not path.endswith((".jsonl", ".md", ".txt")):
                continue
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    text = json.loads(line).get("text", "") if path.endswith(".jsonl") else line
                    for word in re.findall(r"[a-z]+", str(text).lower()):
                        counts[word] = counts.get(word, 0) + 1
    return counts


def main():
    data, out, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    counts = count_words(data)
    words = np.array(sorted(counts))
    shares = np.array([counts[word] for word in words], dtype=np.float64)
    cumulated = np.cumsum(shares / shares.sum())
    random = np.random.default_rng(SEED)
    os.makedirs(out, exist_ok=True)
    asked = set(random.choice(count, 1000, replace=False).tolist())
    questions = []
    with open(f"{out}/texts.txt", "w", encoding="utf-8") as texts:
        for number in range(count):
            drawn = words[np.minimum(np.searchsorted(cumulated, random.random(random.integers(40, 101))), len(words) - 1)]
            texts.write(" ".join(drawn) + ".\n")
            if number in asked:
                questions.append(" ".join(random.choice(np.unique(drawn), random.integers(2, 6), replace=False)))
    with open(f"{out}/queries.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(questions) + "\n")
    print(json.dumps({"texts": count, "different_words": len(words)}))


if __name__ == "__main__":
    main()
