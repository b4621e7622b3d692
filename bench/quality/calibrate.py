#!/usr/bin/env python3
"""Weights of a reading (generator/reading.h), fitted on what a running service says of its readings.

    vade --data DIR --model MODEL serve --grpc 127.0.0.1:50077
    calibrate.py ask  VADE 127.0.0.1:50077 COLLECTION DATASET_DIR OUT.jsonl [--variant V] [--limit N] [--withhold]
    calibrate.py fit  OUT.jsonl .. [--start C,A,G,S,L] [--threshold T]

COLLECTION is one that `vade --server .. eval retrieval DATASET_DIR` has made. With --withhold each question is asked
again with the document of its answer deleted, which is put back afterwards. `fit` prints weights of all the data, then,
for each file and kind, what weights of the other half of the questions make of this half: how many are below the
threshold, how often the right passage is the likeliest, and what is rejected at 1, 3 and 5% wrong abstentions.
A question counts for the fit when its right passage was read, or when there is none.
"""

import argparse
import json
import math
import pathlib
import random
import subprocess
import sys

NAMES = ("constant", "answered", "question_gain", "score_gap", "lead")
MOST_GAIN = 8  # as generator/reading.cc


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def dataset(folder, variant):
    suffix = f".{variant}" if variant else ""
    folder = pathlib.Path(folder)
    passages = {p["id"]: p for p in lines(folder / f"passages{suffix}.jsonl")}
    return lines(folder / f"qa{suffix}.jsonl"), passages


class Service:
    def __init__(self, vade, address, collection):
        self.command = [vade, "--server", address, "--collection", collection]

    def run(self, *arguments, text=None):
        done = subprocess.run([*self.command, *arguments], input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def ask(self, question):
        answer = json.loads(self.run("--json", "ask", question))
        return {key: answer[key] for key in ("readings", "abstained", "reason", "answer")}


def ask(args):
    questions, passages = dataset(args.dataset, args.variant)
    random.Random(args.seed).shuffle(questions)
    service = Service(args.vade, args.address, args.collection)
    with open(args.out, "w", encoding="utf-8") as out:
        for q in questions[: args.limit or None]:
            right = None if q.get("is_impossible") else q["passage_id"]
            kind = q.get("kind") or ("answerable" if right else "impossible")
            rows = [{"kind": kind, "right": right, **service.ask(q["question"])}]
            if args.withhold and right:
                service.run("docs", "delete", right)
                rows.append({"kind": "withheld", "right": None, **service.ask(q["question"])})
                p = passages[right]
                service.run("docs", "put", right, "-", "--title", p.get("title", ""), text=p["text"])
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            out.flush()


def features(reading):
    p = min(max(1 - reading["decline_probability"], 1e-6), 1 - 1e-6)
    gain = min(max(reading["question_gain"], -MOST_GAIN), MOST_GAIN)
    return (1.0, math.log(p / (1 - p)), gain, -reading["score_gap"], reading["lead"])


def examples(path):
    found = []
    for number, row in enumerate(lines(path)):
        if not row["readings"]:
            continue
        documents = [r["document_id"] for r in row["readings"]]
        read = row["right"] in documents
        found.append({"set": f"{pathlib.Path(path).stem} {row['kind']}", "half": number // 2 % 2,
                      "x": [features(r) for r in row["readings"]], "answerable": row["right"] is not None,
                      "right": documents.index(row["right"]) if read else None, "reason": row["reason"],
                      "usable": read or row["right"] is None})
    return found


def probabilities(weights, x):
    utilities = [min(max(sum(w * f for w, f in zip(weights, row)), -50), 50) for row in x]
    exps = [math.exp(u) for u in utilities]
    return [e / (1 + sum(exps)) for e in exps]


# Adam on the likelihood of the multinomial logit, drawn lightly towards where it starts.
def fitted(data, start, steps=800, pull=0.05, rate=0.05):
    w, m, v = list(start), [0.0] * 5, [0.0] * 5
    for step in range(1, steps + 1):
        gradient = [2 * pull * (a - b) for a, b in zip(w, start)]
        for e in data:
            for i, (p, row) in enumerate(zip(probabilities(w, e["x"]), e["x"])):
                error = p - (1 if i == e["right"] else 0)
                for k in range(5):
                    gradient[k] += error * row[k]
        for k in range(5):
            m[k] = 0.9 * m[k] + 0.1 * gradient[k]
            v[k] = 0.99 * v[k] + 0.01 * gradient[k] ** 2
            w[k] -= rate * (m[k] / (1 - 0.9**step)) / (math.sqrt(v[k] / (1 - 0.99**step)) + 1e-8)
    return w


def quantile(values, share):
    return sorted(values)[int(share * len(values))]


def fit(args):
    start = [float(value) for value in args.start.split(",")]
    data = [e for path in args.files for e in examples(path)]
    usable = [e for e in data if e["usable"]]
    print("all:", ", ".join(f"{n} {w:.2f}" for n, w in zip(NAMES, fitted(usable, start))))
    halves = [fitted([e for e in usable if e["half"] != half], start) for half in (0, 1)]
    for e in data:
        e["p"] = probabilities(halves[e["half"]], e["x"])
    for name in sorted({e["set"] for e in data}):
        rows = [e for e in data if e["set"] == name]
        answerable = [sum(e["p"]) for e in rows]
        line = f"{name}: {len(rows)}, below {args.threshold}: {sum(p < args.threshold for p in answerable) / len(rows):.2f}"
        if rows[0]["answerable"]:
            hit = sum(e["right"] is not None and e["p"][e["right"]] == max(e["p"]) for e in rows)
            line += f", right passage likeliest: {hit / len(rows):.3f}"
            withheld = [sum(e["p"]) for e in data if e["set"] == name.rsplit(" ", 1)[0] + " withheld"]
            for wrong in (0.01, 0.03, 0.05) if withheld else ():
                limit = quantile(answerable, wrong)
                line += f", rejected at {wrong:.0%}: {sum(p < limit for p in withheld) / len(withheld):.2f}"
        print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    asking = commands.add_parser("ask")
    for name in ("vade", "address", "collection", "dataset", "out"):
        asking.add_argument(name)
    asking.add_argument("--variant")
    asking.add_argument("--limit", type=int, default=0)
    asking.add_argument("--seed", type=int, default=5)
    asking.add_argument("--withhold", action="store_true")
    asking.set_defaults(run=ask)
    fitting = commands.add_parser("fit")
    fitting.add_argument("files", nargs="+")
    fitting.add_argument("--start", default="-3.8,0.47,1.2,11.6,3")
    fitting.add_argument("--threshold", type=float, default=0.3)
    fitting.set_defaults(run=fit)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
