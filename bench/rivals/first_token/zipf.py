#!/usr/bin/env python3
"""A stream of questions, some passages far more popular than others, and a small budget for what is kept.

Run by bench/rivals/first_token/zipf. The passages of the data sets are ranked at random; each question of the stream
is one of a passage drawn by Zipf's law. The budget is a share of what the keys and values of all passages would
take. Each question goes to a service with that budget and then to one that keeps nothing. `hits` is the share of the
passages that were wanted whose keys and values were in memory, and in files: in the second half of the stream, when
the budget has filled. `not read again` is the share of all prompt tokens, prefixes included, that was at hand: of the
whole stream, and of its second half.
"""

import itertools
import json
import pathlib
import random
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import prompts  # noqa: E402
import side_by_side  # noqa: E402
from compare import KEPT, OFF, WARM, warm_up  # noqa: E402
from vade_service import Service, copy_of  # noqa: E402

ELEMENT_BYTES = {"q8": 34 / 32, "f16": 2}  # of the pages, as docs/formats.md has them
LEAST_PAGES = 512 << 20  # what the answers at work take comes from the same bytes


def kv_bytes_per_token(vade, model, kv):
    """Keys and values of a token in the pages."""
    inspected = side_by_side.last_json([vade, "--json", "models", "inspect", model])
    keys = {key["key"]: key["value"].strip('"') for key in inspected["keys"]}
    number = {name: int(keys[f"{keys['general.architecture']}.{name}"])
              for name in ("block_count", "embedding_length", "attention.head_count", "attention.head_count_kv")}
    width = number["embedding_length"] // number["attention.head_count"] * number["attention.head_count_kv"]
    return int(2 * number["block_count"] * width * ELEMENT_BYTES[kv])


def corpus(a):
    """The passages of all sets, and the answerable questions by passage."""
    passages, questions = [], {}
    for name in a.datasets:
        folder, _, variant = name.partition(":")
        passages += prompts.read(folder, "passages", variant)
        for row in prompts.read(folder, "qa", variant):
            if not row.get("is_impossible"):
                questions.setdefault(row["passage_id"], []).append(row["question"])
    return passages, questions


def stream(a, passages, questions):
    chance = random.Random(a.seed)
    asked = [row["id"] for row in passages if row["id"] in questions]
    chance.shuffle(asked)
    weights = [1 / rank ** a.exponent for rank in range(1, len(asked) + 1)]
    drawn = chance.choices(asked, weights, k=a.questions)
    return [chance.choice(questions[passage]) for passage in drawn]


def block_tokens(a, model, passages):
    program = side_by_side.program(a.bin, "prompt_tokens")
    requests = [{"hits": [{"title": row.get("title", ""), "text": row["text"]}]} for row in passages]
    return sum(itertools.chain.from_iterable(p["blocks"] for p in prompts.tokens_of(program, model, requests)))


def not_read_again(answers):
    return f"{sum(x['cached_tokens'] for x in answers) / sum(x['prompt_tokens'] for x in answers):.3f}"


PLACES = [f'vade_kept_passages_total{{from="{place}"}}' for place in ("memory", "disk", "miss")]


def hits(before, after):
    """In memory / in files, of the passages that were wanted between two looks at the metrics."""
    wanted = [after[place] - before[place] for place in PLACES]
    return " / ".join(f"{count / max(sum(wanted), 1):.3f}" for count in wanted[:2])


def quantile(values, share):
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def run(a, table, model, folder):
    passages, questions = corpus(a)
    budget = int(block_tokens(a, model, passages) * kv_bytes_per_token(a.vade, model, a.kv) * a.budget)
    pages = max(LEAST_PAGES, 2 * budget)
    kept = {**KEPT, "answer.kept_bytes": budget, "answer.kept_disk_bytes": int(budget * a.disk)}

    def service(data, settings):
        common = {"log.level": "warning", "model.kv_type": a.kv, "model.kv_bytes": pages}
        return Service(a.vade, data, model, {**common, **settings}, a.threads)

    with service(folder / "kept", OFF) as first:
        prompts.put_all(first, "corpus", passages)
        first.put("warm", "warm", "", WARM)
    copy_of(folder / "kept", folder / "off")
    with service(folder / "kept", kept) as with_kept, service(folder / "off", OFF) as without:
        pairs = []
        asked = stream(a, passages, questions)
        for each in (with_kept, without):
            warm_up(each, asked[0])
        for number, question in enumerate(asked):
            if number == len(asked) // 2:
                half = with_kept.metrics()
            pairs.append([each.ask("corpus", question, a.k, max_tokens=32) for each in (with_kept, without)])
        hit = hits(half, with_kept.metrics())
    ours = [pair[0] for pair in pairs]
    times = [[x["read_ms"] for x in column] for column in zip(*pairs)]
    table.row(side_by_side.stem(model), len(passages), f"{budget / 2**20:.1f}", len(pairs), hit, not_read_again(ours),
              not_read_again(ours[len(ours) // 2:]),
              *(f"{quantile(column, share):.0f}" for share in (.5, .95) for column in times),
              side_by_side.ratio(times[1], times[0]))


def main():
    a = side_by_side.arguments(
        __doc__, side_by_side.THREADS,
        ("--questions", {"type": int, "default": 200}), ("-k", {"type": int, "default": 5}),
        ("--budget", {"type": float, "default": .05, "help": "share of all passages' keys and values, in memory"}),
        ("--disk", {"type": float, "default": 0, "help": "times that budget, in files"}),
        ("--kv", {"choices": sorted(ELEMENT_BYTES), "default": "q8", "help": "type of the keys and values"}),
        ("--exponent", {"type": float, "default": 1.0}), ("--seed", {"type": int, "default": 1}),
        ("--datasets", {"type": side_by_side.listed(str), "metavar": "FOLDER[:VARIANT],..",
                        "default": [str(prompts.DATA / "squad2"), str(prompts.DATA / "xquad") + ":en"]}))
    table = side_by_side.Table("model", "passages", "budget, MiB", "questions", "hits, memory / disk", "not read again",
                               "second half",
                               "first token p50, ms: kept", "off", "p95: kept", "off", "times sooner (min..max)")
    for model in a.models:
        with tempfile.TemporaryDirectory() as folder:
            run(a, table, model, pathlib.Path(folder))


if __name__ == "__main__":
    main()
