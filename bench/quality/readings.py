#!/usr/bin/env python3
"""What is the best use of passages that were each read alone? Makes the questions and judges the readings.

  readings.py hits VADE DATASET OUT.jsonl [--variant V] [--questions N] [--passage-questions N] [--data DIR]
      Puts the data set into a service of its own and writes each question with its ten hits. Articles are
      taken whole, in an order that depends on their names alone, so that one sample holds the other.
  readings.py report HITS.jsonl READINGS.jsonl [HITS.jsonl READINGS.jsonl]..
      [--wording NAME] [--features read,gain,gap] [--wrong .03]
      Fits the weights of generator/reading.h and says what they reach. Every figure of a question comes from weights
      that were fitted on other articles; the weights printed are those of all. read: logit(1 - P(decline)); gain:
      question_gain; gap: score below the best; sure: mean log probability of the answer; verified: logit.
"""
import argparse
import hashlib
import json
import math
import os
import re
import string
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


# ---- questions and hits -------------------------------------------------------------------------

def article_of(passage_id):
    """The text that a passage is a part of: its neighbours there are the hard ones."""
    return re.sub(r"-\d+$", "", passage_id)


def half_of(passage_id):
    """Development or test, never both for one article."""
    digest = hashlib.sha256(article_of(passage_id).encode()).digest()
    return "test" if digest[1] % 2 else "dev"


def sample(questions, count, passage_questions):
    """Whole articles until `count` questions are there, at most `passage_questions` of a passage and answerability."""
    order = lambda q: hashlib.sha256(article_of(q["passage_id"]).encode()).hexdigest()
    seen, kept = {}, {"dev": [], "test": []}
    for q in sorted(questions, key=lambda q: (order(q), q["passage_id"])):
        key = (q["passage_id"], q.get("is_impossible", False))
        seen[key] = seen.get(key, 0) + 1
        half = kept[half_of(q["passage_id"])]
        if seen[key] <= passage_questions and len(half) < count / 2:
            half.append(q)
    return kept["dev"] + kept["test"]


class Client:
    """Of a service that runs."""

    def __init__(self, vade, address):
        self.vade, self.address = vade, address

    def call(self, *arguments, text=None):
        done = subprocess.run([self.vade, "--server", self.address, "--json", *arguments], input=text,
                              stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)


class Service(Client):
    """Runs one."""

    def __init__(self, vade, data):
        self.vade, self.data = vade, data

    def __enter__(self):
        self.process = subprocess.Popen(
            [self.vade, "--data", self.data, "--json", "serve", "--grpc", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True)
        self.address = json.loads(self.process.stdout.readline())["listening"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def hits(options):
    variant = "." + options.variant if options.variant else ""
    questions = read_lines(os.path.join(options.dataset, f"qa{variant}.jsonl"))
    questions = sample(questions, options.questions, options.passage_questions)
    command = [options.vade, "--data", options.data, "--json", "eval", "retrieval", options.dataset, "--limit", "1"]
    if options.variant:
        command += ["--variant", options.variant]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    name = os.path.basename(os.path.abspath(options.dataset)) + (f"-{options.variant}" if options.variant else "")
    with Service(options.vade, options.data) as service, open(options.out, "w", encoding="utf-8") as out:
        collection = collection_of(service, name)
        for q in questions:
            found = service.call("--collection", collection, "search", "-k", "10", "--", q["question"])
            row = {key: q.get(key) for key in ("id", "question", "answers", "passage_id", "lang", "kind")}
            row |= {"set": name, "is_impossible": bool(q.get("is_impossible")), "half": half_of(q["passage_id"])}
            row["hits"] = [{"passage_id": h["passage_id"], "document_id": h["document_id"], "title": h["title"],
                            "heading": h["heading_path"], "text": h["text"], "score": h["score"],
                            "dense_score": h["dense_score"], "term_score": h["term_score"]} for h in found["hits"]]
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def collection_of(service, name):
    listed = service.call("collections", "list")
    names = [c if isinstance(c, str) else c["name"] for c in listed["collections"]]
    return next(n for n in names if n.startswith(f"eval-{name}-"))



# ---- scoring, by the rules of the data sets -----------------------------------------------------

STAND_ALONE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"


def tokens_of(text, lang):
    if lang.split("-")[0] in ("zh", "ja"):
        text = unicodedata.normalize("NFKC", text).lower()
        text = "".join(c for c in text if not c.isspace() and unicodedata.category(c)[0] not in "PS")
        return re.findall(f"[{STAND_ALONE}]|[^{STAND_ALONE}]+", text)
    text = text.lower().translate({ord(c): None for c in string.punctuation})
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def f1_of(answer, answers, lang):
    got, best = tokens_of(answer, lang), 0.0
    for wanted in (tokens_of(a, lang) for a in answers):
        common = sum((Counter(got) & Counter(wanted)).values())
        if common:
            best = max(best, 2 * common / (len(got) + len(wanted)))
    return best


def em_of(answer, answers, lang):
    return float(any(tokens_of(answer, lang) == tokens_of(a, lang) for a in answers))


# ---- readings -----------------------------------------------------------------------------------

@dataclass
class Asked:
    """A question with its readings in the order of the hits. `gold`: index of the passage that answers, or None."""
    row: dict
    readings: list
    gold: object

    def withheld(self):
        """The same as if the passages that answer were not in the store: the rest, with the scores that search gives
        to a list without them."""
        rest = [dict(r) for r in self.readings if r["document_id"] != self.row["passage_id"]]
        if rest:
            rescore(self.readings, rest)
        return Asked(self.row, rest, None)

    def first(self, k):
        gold = self.gold if self.gold is not None and self.gold < k else None
        return Asked(self.row, self.readings[:k], gold)


TERM_WEIGHT, LEAST_SPAN = 0.3, 0.08  # index/passage.h (RankingOptions), index/fusion.h


def rescore(before, after):
    """Each part of a score is scaled within its list: what search would have said of `after` alone. The least cosine,
    of a candidate that is not among the hits, is found from the scores."""
    best, best_left = (max(r["term_score"] for r in hits) for hits in (before, after))
    high, high_left = (max(r["dense_score"] for r in hits) for hits in (before, after))
    farthest = min(before, key=lambda r: r["dense_score"])
    scaled = (farthest["score"] - (TERM_WEIGHT * farthest["term_score"] / best if best else 0)) / (1 - TERM_WEIGHT)
    span = (high - farthest["dense_score"]) / (1 - scaled) if scaled < 1 - 1e-9 else LEAST_SPAN
    span_left = max(span - (high - high_left), LEAST_SPAN)
    for r in after:
        r["score"] = (1 - TERM_WEIGHT) * (1 - (high_left - r["dense_score"]) / span_left)
        r["score"] += TERM_WEIGHT * r["term_score"] / best_left if best_left else 0
    after.sort(key=lambda r: -r["score"])
    set_gaps(after)


def set_gaps(readings):
    for r in readings:
        r["gap"] = r["score"] - max(other["score"] for other in readings)


def logit(p):
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def holds_answer(hit, row):
    if hit["document_id"] != row["passage_id"]:
        return False
    squeeze = lambda t: "".join(unicodedata.normalize("NFKC", t).lower().split())
    return any(squeeze(a) in squeeze(hit["text"]) for a in row["answers"])


def load(hits_path, readings_path, wording=None):
    """The questions that were read with that wording (None: the file's only one)."""
    rows = {row["id"]: row for row in read_lines(hits_path)}
    read = defaultdict(list)
    for r in read_lines(readings_path):
        if wording in (None, r["wording"]):
            read[r["id"]].append(r)
    asked = []
    for id, readings in read.items():
        row = rows[id]
        for r in readings:
            hit = row["hits"][r["rank"]]
            r |= {key: hit[key] for key in ("document_id", "text", "score", "dense_score", "term_score")}
            r["read"] = logit(1 - r["decline"])
            logs = r["log_probabilities"]
            r["sure"] = sum(logs) / len(logs) if logs else 0.0
            r["verified"] = logit(r.get("verified", 0.5))
            r["gain"] = (sum(r["question"]) - sum(r["alone"])) / max(len(r["question"]), 1)
        gold = None
        if not row["is_impossible"]:
            gold = next((i for i, r in enumerate(readings) if holds_answer(r, row)), None)
        set_gaps(readings)
        asked.append(Asked(row, sorted(readings, key=lambda r: r["rank"]), gold))
    return asked


# ---- the choice: each passage has a utility, so has saying nothing ------------------------------

class Chooser:
    """Multinomial logit with an outside option of utility 0: passage i has the utility w.x_i + b."""

    def __init__(self, features, weights):
        self.features, self.weights = features, weights  # the last weight is b

    def utility(self, reading):
        return sum(w * reading[f] for w, f in zip(self.weights, self.features)) + self.weights[-1]

    def order(self, asked):
        return sorted(range(len(asked.readings)), key=lambda i: (-self.utility(asked.readings[i]), i))

    def any_answers(self, asked):
        total = sum(math.exp(min(self.utility(r), 50)) for r in asked.readings)
        return total / (1 + total)


def solve(matrix, vector):
    n = len(vector)
    rows = [list(r) + [v] for r, v in zip(matrix, vector)]
    for c in range(n):
        pivot = max(range(c, n), key=lambda r: abs(rows[r][c]))
        rows[c], rows[pivot] = rows[pivot], rows[c]
        for r in range(n):
            if r != c and rows[r][c]:
                factor = rows[r][c] / rows[c][c]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[c])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def fit(cases, features, ridge=1e-2):
    """Newton's method on the likelihood of the right choice; a case without gold chooses the outside option."""
    d = len(features) + 1
    data = []
    for case in cases:
        options = [[r[f] for f in features] + [1.0] for r in case.readings]
        data.append((options + [[0.0] * d], len(options) if case.gold is None else case.gold))
    w = [0.0] * d
    for _ in range(40):
        g, h = [-ridge * x for x in w], [[ridge * (i == j) for j in range(d)] for i in range(d)]
        for options, right in data:
            u = [sum(a * b for a, b in zip(w, x)) for x in options]
            top = max(u)
            e = [math.exp(x - top) for x in u]
            p = [x / sum(e) for x in e]
            mean = [sum(p[k] * options[k][i] for k in range(len(p))) for i in range(d)]
            for i in range(d):
                g[i] += options[right][i] - mean[i]
                for j in range(d):
                    h[i][j] += sum(p[k] * options[k][i] * options[k][j] for k in range(len(p))) - mean[i] * mean[j]
        step = solve(h, g)
        w = [a + max(-3.0, min(3.0, b)) for a, b in zip(w, step)]
        if max(map(abs, step)) < 1e-7:
            break
    return Chooser(features, w)


# ---- measures -----------------------------------------------------------------------------------

def auc(positive, negative):
    if not positive or not negative:
        return float("nan")
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def rejection_at(positive, negative, wrong):
    """The share of `negative` below the threshold that withholds at most `wrong` of `positive`."""
    threshold = sorted(positive)[int(wrong * len(positive))]
    return sum(n < threshold for n in negative) / max(len(negative), 1)


FOLDS, RIDGE = 4, 0.05


def cases_of(asked):
    """Each answerable question also as if the passages that answer were not there."""
    for a in asked:
        if a.row["is_impossible"]:
            yield a, "impossible"
        elif a.gold is not None:
            yield a, "answerable"
            if a.withheld().readings:
                yield a.withheld(), "withheld"


def cross_fitted(cases, features):
    """(case, kind, chooser that has not seen its article) of each case."""
    articles = sorted({article_of(case.row["passage_id"]) for case, _ in cases})
    fold = {article: i % FOLDS for i, article in enumerate(articles)}
    own = lambda case: fold[article_of(case.row["passage_id"])]
    choosers = [fit([c for c, _ in cases if own(c) != f], features, RIDGE) for f in range(FOLDS)]
    return [(case, kind, choosers[own(case)]) for case, kind in cases]


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def print_set(name, rows, threshold):
    answerable = [(c, m) for c, kind, m in rows if kind == "answerable"]
    lang = answerable[0][0].row["lang"]
    score = lambda measure, pick: mean(measure(c.readings[pick(c, m)]["answer"], c.row["answers"], lang)
                                       for c, m in answerable)
    picks = {"first hit": lambda c, m: 0, "chosen": lambda c, m: m.order(c)[0], "right": lambda c, m: c.gold}
    print(f"{name}: {len(answerable)} answerable; recall@1 of search {mean(c.gold == 0 for c, _ in answerable):.3f}, "
          f"after reading {mean(m.order(c)[0] == c.gold for c, m in answerable):.3f}")
    for pick, index in picks.items():
        print(f"  answer of the {pick} passage: F1 {score(f1_of, index):.3f} EM {score(em_of, index):.3f}")
    sure = [m.any_answers(c) for c, m in answerable]
    print(f"  wrong abstentions at {threshold:.3f}: {mean(p < threshold for p in sure):.3f}")
    for kind in ("withheld", "impossible"):
        unsure = [m.any_answers(c) for c, k, m in rows if k == kind]
        if unsure:
            at = " ".join(f"{rejection_at(sure, unsure, wrong):.2f}" for wrong in (0.01, 0.03, 0.05))
            print(f"  {kind} ({len(unsure)}): area {auc(sure, unsure):.3f}, rejected at 1/3/5% wrong {at}, "
                  f"at {threshold:.3f} {mean(p < threshold for p in unsure):.2f}")


def report(options):
    asked = []
    for hits_path, readings_path in zip(options.files[::2], options.files[1::2]):
        asked += load(hits_path, readings_path, options.wording)
    features = options.features.split(",")
    cases = list(cases_of(asked))
    rows = cross_fitted(cases, features)
    sure = sorted(m.any_answers(c) for c, kind, m in rows if kind == "answerable")
    threshold = sure[int(options.wrong * len(sure))]
    weights = fit([c for c, _ in cases], features, RIDGE).weights
    print("weights", dict(zip(features + ["constant"], (round(w, 3) for w in weights))), f"threshold {threshold:.3f}")
    for name in sorted({c.row["set"] for c, kind, _ in rows if kind == "answerable"}):
        print_set(name, [row for row in rows if row[0].row["set"] == name], threshold)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("hits")
    make.add_argument("vade")
    make.add_argument("dataset")
    make.add_argument("out")
    make.add_argument("--variant")
    make.add_argument("--questions", type=int, default=200)
    make.add_argument("--passage-questions", type=int, default=4)
    make.add_argument("--data", default=os.path.join(tempfile.gettempdir(), "vade-readings"))
    judge = commands.add_parser("report")
    judge.add_argument("files", nargs="+")
    judge.add_argument("--wording")
    judge.add_argument("--features", default="read,gain,gap")
    judge.add_argument("--wrong", type=float, default=0.03)
    options = parser.parse_args()
    return {"hits": hits, "report": report}[options.command](options)


if __name__ == "__main__":
    sys.exit(main())
