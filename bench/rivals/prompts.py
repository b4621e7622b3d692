"""Questions, passages and prompts of a data set, and the tokens that vade's own prompts consist of."""

import json
import pathlib
import random
import subprocess
import sys

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"


def read(folder, kind, variant=""):
    """The rows of passages.jsonl or qa.jsonl, of a variant where one is named."""
    path = pathlib.Path(folder) / ".".join(filter(None, (kind, variant, "jsonl")))
    if not path.exists():
        sys.exit(f"error: there is no {path}; name the folder of a data set with --dataset")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def sample(rows, count, seed):
    """`count` of the rows, all when there are fewer, in an order that the seed decides."""
    return random.Random(seed).sample(rows, min(count, len(rows)))


def put_all(service, collection, passages):
    """Each passage becomes a document of its id."""
    for row in passages:
        service.put(collection, row["id"], row.get("title", ""), row["text"])


def request(question, hits, system=""):
    """What a prompt is made of; `hits` as the service found them."""
    return {"question": question, "system": system,
            "hits": [{"title": hit.title, "heading_path": hit.heading_path, "text": hit.text,
                      "valid_from": hit.valid_from} for hit in hits]}


def check_same(answer, prompt):
    """The rival must have been given as many tokens as vade says that it read in full prefill."""
    if answer["prompt_tokens"] != len(prompt["tokens"]):
        sys.exit(f"error: vade read {answer['prompt_tokens']} tokens where the rival got {len(prompt['tokens'])}; "
                 "build vade and prompt_tokens from the same tree")


def tokens_of(program, model, requests):
    """For each request {"tokens", "prefix", "blocks"}: the ids that vade reads in full prefill, how many of them are
    the fixed prefix, and the length of each passage's block."""
    text = "".join(json.dumps(each) + "\n" for each in requests)
    done = subprocess.run([program, model], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {program} failed: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]
