#!/usr/bin/env python3
"""Are the passages of follow-up questions found? The conversations of ../shared/data/conversations.

    follow_ups.py VADE DATA [--sets cast2021,mtrag_human,kdconv_travel] [--every N]

DATA: a directory for the store, which is kept. Each question that has turns before it and a reference passage is
searched for as it was asked, together with the questions before it, as a chat does, and, where the set has that, as a
person worded it to stand alone. Prints recall@1, recall@5 and MRR@10 over documents, and how long a search took.
"""

import argparse
import pathlib
import statistics

import readings

CONVERSATIONS = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "conversations"
LOOKED_AT = 10


def earlier(row):
    return [argument for turn in row["history"] if turn["role"] == "user" for argument in ("--earlier", turn["text"])]


WAYS = {
    "as asked": lambda row: [row["question"]],
    "with the questions before": lambda row: [row["question"], *earlier(row)],
    "as a person worded it": lambda row: [row.get("rewritten") or row["question"]],
}


def put_passages(client, name):
    """Unless all of them are there; one that is costs nothing but a call."""
    passages = readings.read_lines(CONVERSATIONS / f"{name}_passages.jsonl")
    documents = {c["name"]: c["documents"] for c in client.call("collections", "list")["collections"]}
    if documents.get(name) == len(passages):
        return
    for p in passages:
        client.call("--collection", name, "docs", "put", p["id"], "-", "--title", p.get("title", ""), text=p["text"])


def reciprocal_rank(row, found):
    """Of the first reference among the documents that were found; 0 where none is."""
    references = {row["passage_id"], *row.get("passage_ids", [])}
    documents = list(dict.fromkeys(hit["document_id"] for hit in found["hits"]))[:LOOKED_AT]
    return next((1 / rank for rank, document in enumerate(documents, 1) if document in references), 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vade")
    parser.add_argument("data")
    parser.add_argument("--sets", default="cast2021,mtrag_human,kdconv_travel")
    parser.add_argument("--every", type=int, default=1)
    a = parser.parse_args()
    print(f"{'':44} {'n':>5} r@1   r@5   mrr@10  ms")
    with readings.Service(a.vade, a.data) as service:
        for name in a.sets.split(","):
            put_passages(service, name)
            rows = [row for row in readings.read_lines(CONVERSATIONS / f"{name}.jsonl")
                    if row["history"] and row.get("passage_id")][::a.every]
            for way, arguments in WAYS.items():
                if "person" in way and not any(row.get("rewritten") for row in rows):
                    continue
                found = [service.call("--collection", name, "search", "-k", str(2 * LOOKED_AT), *arguments(row))
                         for row in rows]
                ranks = [reciprocal_rank(row, one) for row, one in zip(rows, found)]
                share = lambda least: sum(rank >= least for rank in ranks) / len(ranks)
                took = statistics.median(one["timings_ms"]["embed"] + one["timings_ms"]["search"] for one in found)
                print(f"{name + ', ' + way:44} {len(ranks):5} {share(1):.3f} {share(1 / 5):.3f} "
                      f"{statistics.mean(ranks):.3f}  {took:.1f}", flush=True)


if __name__ == "__main__":
    main()
