#!/usr/bin/env python3
"""The difference of two ways of answering, question by question.

    vade .. eval answers DATASET --records ONE.jsonl
    vade .. eval answers DATASET --records OTHER.jsonl
    paired.py ONE.jsonl OTHER.jsonl

For the answerable questions that both have: mean F1 of each, the mean of the paired difference ONE - OTHER and its 95%
interval from bootstrap samples of the questions; then how often each abstained, and where F1 differs by half or more.
"""

import argparse
import random
import statistics

import readings

SAMPLES = 10_000


def answerable(path):
    return {row["id"]: row for row in readings.read_lines(path) if not row["impossible"]}


def interval(differences, seed):
    """The 2.5 and 97.5% quantiles of the means of samples with replacement."""
    chance = random.Random(seed)
    size = len(differences)
    means = sorted(sum(chance.choices(differences, k=size)) / size for _ in range(SAMPLES))
    return means[int(.025 * SAMPLES)], means[int(.975 * SAMPLES)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one")
    parser.add_argument("other")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    one, other = answerable(args.one), answerable(args.other)
    ids = [key for key in one if key in other]
    if not ids:
        parser.error("the two have no answerable question in common")
    differences = [one[key]["f1"] - other[key]["f1"] for key in ids]
    low, high = interval(differences, args.seed)
    for name, side in (("one", one), ("other", other)):
        rows = [side[key] for key in ids]
        print(f"{name}: {len(rows)} questions, F1 {statistics.mean(row['f1'] for row in rows):.3f}, "
              f"abstained {statistics.mean(row['abstained'] for row in rows):.3f}, "
              f"first token p50 {statistics.median(row['first_token_ms'] for row in rows):.0f} ms")
    print(f"one - other: {statistics.mean(differences):+.3f} [{low:+.3f}, {high:+.3f}]")
    for key, difference in zip(ids, differences):
        if abs(difference) >= .5:
            print(f"  {key} {difference:+.2f}: {one[key]['answer']!r} | {other[key]['answer']!r}")


if __name__ == "__main__":
    main()
