#!/usr/bin/env python3
"""Weights of a reading (generator/reading.h), fitted on what a running service says of its readings.

    vade --data DIR --model MODEL serve --grpc 127.0.0.1:50077
    calibrate.py ask  VADE 127.0.0.1:50077 COLLECTION DATASET_DIR OUT.jsonl [--variant V] [--limit N] [--passages K] [--withhold]
    calibrate.py fit  OUT.jsonl .. [--threshold T]

COLLECTION is one that `vade --server .. eval retrieval DATASET_DIR` has made. With --withhold each question is asked
again with the document of its answer deleted, which is put back afterwards. `fit` prints weights of all the data, then,
for each file and kind, what weights of the other half of the questions make of this half: how many are below the
threshold, how often the right passage is the likeliest, and what is rejected at 1, 3 and 5% wrong abstentions.
A question counts for the fit when its right passage was read, or when there is none.
"""

import argparse
import json
import pathlib
import random
from dataclasses import dataclass

import readings

FEATURES = ["read", "gain", "gap", "lead"]  # answered, question_gain, score_gap, lead; then the constant
MOST_GAIN = 8  # as generator/reading.cc


def dataset(folder, variant):
    suffix = f".{variant}" if variant else ""
    folder = pathlib.Path(folder)
    passages = {p["id"]: p for p in readings.read_lines(folder / f"passages{suffix}.jsonl")}
    return readings.read_lines(folder / f"qa{suffix}.jsonl"), passages


def ask(args):
    questions, passages = dataset(args.dataset, args.variant)
    random.Random(args.seed).shuffle(questions)
    client = readings.Client(args.vade, args.address)
    call = lambda *arguments, text=None: client.call("--collection", args.collection, *arguments, text=text)

    def asked(kind, right, question):
        answer = call("ask", "-k", str(args.passages), "--", question)
        return {"kind": kind, "right": right} | {key: answer[key] for key in
                                                 ("readings", "abstained", "reason", "answer")}

    with open(args.out, "w", encoding="utf-8") as out:
        for q in questions[: args.limit or None]:
            right = None if q.get("is_impossible") else q["passage_id"]
            rows = [asked(q.get("kind") or ("answerable" if right else "impossible"), right, q["question"])]
            if args.withhold and right:
                call("docs", "delete", right)
                rows.append(asked("withheld", None, q["question"]))
                p = passages[right]
                call("docs", "put", right, "-", "--title", p.get("title", ""), text=p["text"])
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            out.flush()


@dataclass
class Case:
    """A question with its readings, best first. `gold`: index of the passage that answers, or None."""
    name: str
    half: int
    answerable: bool
    readings: list
    gold: object

    def usable(self):
        return self.gold is not None or not self.answerable


def features_of(reading):
    return {"read": readings.logit(1 - reading["decline_probability"]),
            "gain": min(max(reading["question_gain"], -MOST_GAIN), MOST_GAIN),
            "gap": -reading["score_gap"], "lead": reading["lead"]}


def cases_of(path):
    questions = 0
    for row in readings.read_lines(path):
        questions += row["kind"] != "withheld"
        documents = [r["document_id"] for r in row["readings"]]
        if documents:
            yield Case(f"{pathlib.Path(path).stem} {row['kind']}", questions % 2, row["right"] is not None,
                       [features_of(r) for r in row["readings"]],
                       documents.index(row["right"]) if row["right"] in documents else None)


def fit(args):
    cases = [case for path in args.files for case in cases_of(path)]
    chooser = lambda part: readings.fit([c for c in part if c.usable()], FEATURES, readings.RIDGE)
    print("weights", {n: round(w, 2) for n, w in zip(FEATURES + ["constant"], chooser(cases).weights)})
    halves = [chooser([c for c in cases if c.half != half]) for half in (0, 1)]
    answers = lambda part: [halves[c.half].any_answers(c) for c in part]
    for name in sorted({c.name for c in cases}):
        rows = [c for c in cases if c.name == name]
        likely = answers(rows)
        line = f"{name}: {len(rows)}, below {args.threshold}: {readings.mean(p < args.threshold for p in likely):.2f}"
        if rows[0].answerable:
            hit = readings.mean(halves[c.half].order(c)[0] == c.gold for c in rows)
            line += f", right passage likeliest: {hit:.3f}"
            withheld = answers(c for c in cases if c.name == name.rsplit(" ", 1)[0] + " withheld")
            for wrong in (0.01, 0.03, 0.05) if withheld else ():
                line += f", rejected at {wrong:.0%}: {readings.rejection_at(likely, withheld, wrong):.2f}"
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
    asking.add_argument("--passages", type=int, default=10, help="read at once")
    asking.add_argument("--withhold", action="store_true")
    asking.set_defaults(run=ask)
    fitting = commands.add_parser("fit")
    fitting.add_argument("files", nargs="+")
    fitting.add_argument("--threshold", type=float, default=0.3)
    fitting.set_defaults(run=fit)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
