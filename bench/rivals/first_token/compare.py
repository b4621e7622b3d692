#!/usr/bin/env python3
"""Time to the first token over retrieved passages: vade serve and llama.cpp in turn.

Run by bench/rivals/first_token/run. Questions of a data set, each with the passages that vade finds for it. The
rival gets the very tokens that vade reads in full prefill over these passages, with prompt caching: the fixed
prefix has been read before, as in a server's slot that answered another question. vade is measured
  cold    nothing of the passages has been read before
  disk    they were read by a service that has ended; their files are dropped from the system's memory
  memory  they were read by this service
  off     its own full prefill: nothing is kept but the prefix
In each state another question was answered before, so that weights and prefix are there. `after search` is from
the found passages to the first character of the answer; `end to end` is what the client sees, for the rival the
same search and its own first token. `prompt tokens` of vade are summed over the passages where each is asked alone.
"""

import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import prompts  # noqa: E402
import side_by_side  # noqa: E402
from vade_service import Service, copy_of, forget_kept, kept_files  # noqa: E402

STATES = ("cold", "disk", "memory", "off")
# Of passages only: a question that is asked again must not find what was read behind them.
KEPT = {"answer.reading": "alone", "answer.kept_bytes": "300M", "answer.kept_disk_bytes": "4G",
        "answer.turns_kept_seconds": 0}
OFF = {"answer.reading": "together", "answer.kept_bytes": 0, "answer.kept_disk_bytes": 0}
ALL_PASSAGES = {"answer.passage_gap": 0, "log.level": "warning"}
WARM = "The lighthouse keeper lights the lamp at nine in the evening."


class Contest:
    """One model: the data directories, the services on them, the rival, the questions with their prompts."""

    def __init__(self, a, model, folder):
        self.a, self.model = a, model
        self.kept_data, self.off_data = folder / "kept", folder / "off"
        with self.service(self.kept_data, OFF) as service:
            prompts.put_all(service, "corpus", prompts.read(a.dataset, "passages", a.variant))
            service.put("warm", "warm", "", WARM)
            self.questions = self.suitable(service)
        copy_of(self.kept_data, self.off_data)

    def service(self, data, settings):
        extra = {"model.kv_type": self.a.kv, **dict(pair.split("=", 1) for pair in self.a.set)}
        return Service(self.a.vade, data, self.model, {**ALL_PASSAGES, **settings, **extra}, self.a.threads)

    def suitable(self, service):
        """Questions whose passages have 150 to 250 tokens in the mean, each with its prompts by number of passages."""
        rows = prompts.sample(prompts.read(self.a.dataset, "qa", self.a.variant), 12 * self.a.questions, self.a.seed)
        asked = [row["question"] for row in rows]
        found = [service.search("corpus", question, max(self.a.passages)) for question in asked]
        program = side_by_side.program(self.a.bin, "prompt_tokens")
        by_count = {}
        for k in self.a.passages:
            requests = [prompts.request(question, hits[:k]) for question, hits in zip(asked, found)]
            by_count[k] = prompts.tokens_of(program, self.model, requests)
        chosen = [i for i in range(len(asked))
                  if all(150 <= sum(p[i]["blocks"]) / len(p[i]["blocks"]) <= 250 for p in by_count.values())]
        return [(asked[i], {k: p[i] for k, p in by_count.items()}) for i in chosen[:self.a.questions]]

    def rounds(self, off, llama, question, prompt, k):
        """Yields (state, ours, the rival's) for one question; the rival is measured anew beside each of ours."""
        def pair(state, service):
            ours = service.ask("corpus", question, k, max_tokens=32)
            return state, ours, llama.first_token(tokens=prompt["tokens"], prefix=prompt["prefix"])

        forget_kept(self.kept_data)
        with self.service(self.kept_data, KEPT) as kept:
            warm_up(kept, question)
            yield pair("cold", kept)
            for _ in range(self.a.repeat):
                yield pair("memory", kept)
                whole = pair("off", off)
                prompts.check_same(whole[1], prompt)
                yield whole
        for path in kept_files(self.kept_data):
            side_by_side.drop_from_memory(path)
        with self.service(self.kept_data, KEPT) as kept:
            warm_up(kept, question)
            yield pair("disk", kept)


def warm_up(service, question):
    """Has the weights and the prefix of the question's language read; the passage is another one."""
    service.ask("warm", question, 1, max_tokens=4)


def report(table, model, k, state, pairs):
    ours, theirs = [p[0] for p in pairs], [p[1] for p in pairs]
    read, rival = [o["read_ms"] for o in ours], [t["ms"] for t in theirs]
    seen = [o["seen_ms"] for o in ours]
    rival_seen = [o["found_ms"] + t["ms"] for o, t in pairs]
    table.row(side_by_side.stem(model), k, state, len(pairs),
              side_by_side.median(read, 0), side_by_side.median(rival, 0), side_by_side.ratio(rival, read),
              side_by_side.median(seen, 0), side_by_side.median(rival_seen, 0), side_by_side.ratio(rival_seen, seen),
              side_by_side.median([o["prompt_tokens"] for o in ours], 0),
              side_by_side.median([o["cached_tokens"] for o in ours], 0),
              side_by_side.median([t["tokens_read"] for t in theirs], 0), sum(o["abstained"] for o in ours))


def announce_cost(a, contest, llama):
    """From the rival's time for one prompt: it reads every prompt as often as vade, and vade reads half of them."""
    prompt = contest.questions[0][1][a.passages[0]]
    start = time.perf_counter()
    read = llama.first_token(tokens=prompt["tokens"], prefix=prompt["prefix"])["tokens_read"]
    each = (time.perf_counter() - start) / read
    tokens = sum(len(prompt["tokens"]) for _, by_count in contest.questions for prompt in by_count.values())
    minutes = tokens * each * (2 + 2 * a.repeat) * 1.5 / 60
    print(f"== {side_by_side.stem(contest.model)}: {len(contest.questions)} questions, about {minutes:.0f} minutes",
          file=sys.stderr, flush=True)


def run(a, table, model, folder):
    contest = Contest(a, model, folder)
    if not contest.questions:
        sys.exit("error: no question of the set has passages of 150 to 250 tokens; take another --dataset")
    longest = max(len(p["tokens"]) for _, by_count in contest.questions for p in by_count.values())
    settings = {"threads": a.threads, "context": longest + 64}
    first = contest.questions[0][1][a.passages[0]]
    values = {"tokens": first["tokens"], "prefix": first["prefix"]}
    form = side_by_side.best_form(model, "first_token", settings, values, lambda result: -result["ms"], a.kv)
    with side_by_side.Llama(model, **form, **settings) as llama, contest.service(contest.off_data, OFF) as off:
        announce_cost(a, contest, llama)
        warm_up(off, contest.questions[0][0])
        for k in a.passages:
            pairs = {state: [] for state in STATES}
            for question, by_count in contest.questions:
                for state, ours, theirs in contest.rounds(off, llama, question, by_count[k], k):
                    pairs[state].append((ours, theirs))
            for state in STATES:
                report(table, model, k, state, pairs[state])


def main():
    a = side_by_side.arguments(
        __doc__, side_by_side.THREADS,
        ("--questions", {"type": int, "default": 5}),
        ("--passages", {"type": side_by_side.listed(int), "default": [1, 3, 5, 10]}),
        ("--dataset", {"default": prompts.DATA / "xquad"}), ("--variant", {"default": "en"}),
        ("--seed", {"type": int, "default": 1}),
        ("--kv", {"choices": ("f16", "q8"), "default": "f16", "help": "type of the keys and values, on both sides"}),
        ("--set", {"action": "append", "default": [], "metavar": "KEY=VALUE",
                   "help": "a line of the configuration of vade's services; may be repeated"}))
    side_by_side.print_system_info()
    table = side_by_side.Table(
        "model", "passages", "state", "pairs", "after search, ms: vade", "llama.cpp", "times sooner (min..max)",
        "end to end, ms: vade", "llama.cpp", "times sooner (min..max)", "prompt tokens: vade", "not read again",
        "llama.cpp read", "abstained")
    for model in a.models:
        with tempfile.TemporaryDirectory() as folder:
            run(a, table, model, pathlib.Path(folder))


if __name__ == "__main__":
    main()
