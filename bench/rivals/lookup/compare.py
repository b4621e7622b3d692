#!/usr/bin/env python3
"""Decoding of cited answers with and without guessing from the prompt: vade and llama.cpp, all four in turn.

Run by bench/rivals/lookup/run. Questions of a data set over the passages that vade finds, answered in one or two
sentences that quote them; the rival gets the very tokens that vade reads and guesses with its own prompt lookup
(llama_cpp.llama_speculative.LlamaPromptLookupDecoding), in its best form of float16 or 8-bit keys and values.
Greedy. Tokens a second of decoding alone: from the first token of an answer to its end. Answers shorter than --least
tokens in one of the four are left out of all.
"""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import prompts  # noqa: E402
import side_by_side  # noqa: E402
from vade_service import Service, copy_of  # noqa: E402

SYSTEM = {"en": "Answer in one or two full sentences that quote the documents.",
          "zh": "请用一两个完整的句子回答，并引用文档中的原文。"}
# Every passage in one prompt, as the rival has it; no answer is withheld.
SETTINGS = {"answer.passage_gap": 0, "answer.min_confidence": 0, "answer.reading": "together", "log.level": "warning"}
ARMS = ("vade", "vade guessing", "llama.cpp", "llama.cpp lookup")


def rate(answers):
    """Tokens a second; the first token of an answer belongs to the reading of its prompt."""
    return sum(x["tokens"] - 1 for x in answers) / (sum(x["ms"] for x in answers) / 1000)


def ours(service, question, prompt, a):
    answer = service.ask("corpus", question, a.k, a.max_tokens, SYSTEM[a.variant])
    prompts.check_same(answer, prompt)
    return {"tokens": answer["completion_tokens"], "ms": answer["decode_ms"], "text": answer["text"]}


def round_of(a, arms, questions):
    """The answers of each arm to each question, those left out that are short in one."""
    plain, guessing, rival, lookup = arms
    rows = []
    for question, prompt in questions:
        row = [ours(service, question, prompt, a) for service in (plain, guessing)]
        row += [llama.answer(tokens=prompt["tokens"], max_tokens=a.max_tokens) for llama in (rival, lookup)]
        if row[0]["text"] != row[1]["text"]:
            sys.exit(f"error: guessing changed vade's answer to '{question}': {row[0]['text']!r}, {row[1]['text']!r}")
        rows.append(row)
    return list(zip(*[row for row in rows if min(x["tokens"] for x in row) >= a.least]))


def report(table, model, a, rounds):
    rates = [[rate(answers) for answers in each] for each in rounds]
    columns = list(zip(*rates))
    tokens = [[sum(x["tokens"] for x in answers) / len(answers) for answers in each] for each in rounds]
    table.row(side_by_side.stem(model), a.variant, len(rounds[0][0]),
              *(side_by_side.median(column) for column in columns),
              side_by_side.ratio(columns[1], columns[0]), side_by_side.ratio(columns[3], columns[2]),
              side_by_side.ratio(columns[1], [max(pair) for pair in zip(columns[2], columns[3])]),
              " / ".join(side_by_side.median(column, 0) for column in zip(*tokens)))


def run(a, table, model, folder):
    def service(data, guessed):
        return Service(a.vade, data, model, {**SETTINGS, "answer.guessed_tokens": guessed}, a.threads)

    with service(folder / "plain", 0) as first:
        prompts.put_all(first, "corpus", prompts.read(a.dataset, "passages", a.variant))
        rows = prompts.sample(prompts.read(a.dataset, "qa", a.variant), a.questions, a.seed)
        requests = [prompts.request(row["question"], first.search("corpus", row["question"], a.k), SYSTEM[a.variant])
                    for row in rows]
    copy_of(folder / "plain", folder / "guessing")
    made = prompts.tokens_of(side_by_side.program(a.bin, "prompt_tokens"), model, requests)
    questions = [(request["question"], prompt) for request, prompt in zip(requests, made)]
    settings = {"threads": a.threads, "context": max(len(p["tokens"]) for p in made) + a.max_tokens + 16}
    values = {"tokens": 32, "depth": len(made[0]["tokens"])}
    form = side_by_side.best_form(model, "decode", settings, values)
    with service(folder / "plain", 0) as plain, service(folder / "guessing", a.guessed) as guessing, \
            side_by_side.Llama(model, **form, **settings) as rival, \
            side_by_side.Llama(model, lookup=a.lookup, **form, **settings) as lookup:
        rounds = [round_of(a, (plain, guessing, rival, lookup), questions) for _ in range(a.repeat)]
    if not rounds[0]:
        sys.exit(f"error: every answer is shorter than {a.least} tokens; ask more --questions or lower --least")
    report(table, model, a, rounds)


def main():
    a = side_by_side.arguments(
        __doc__, side_by_side.THREADS,
        ("--questions", {"type": int, "default": 20}), ("-k", {"type": int, "default": 3}),
        ("--dataset", {"default": prompts.DATA / "xquad"}), ("--variant", {"choices": ("en", "zh"), "default": "en"}),
        ("--seed", {"type": int, "default": 1}), ("--max-tokens", {"type": int, "default": 96}),
        ("--least", {"type": int, "default": 8}),
        ("--guessed", {"type": int, "default": 7, "help": "answer.guessed_tokens"}),
        ("--lookup", {"type": int, "default": 10, "help": "num_pred_tokens; the rival's own default"}))
    side_by_side.print_system_info()
    table = side_by_side.Table("model", "language", "answers", *(f"{arm}, tokens/s" for arm in ARMS),
                               "vade: guessing/off (min..max)", "llama.cpp: lookup/off (min..max)",
                               "vade guessing / llama.cpp's better (min..max)", "tokens an answer")
    for model in a.models:
        with tempfile.TemporaryDirectory() as folder:
            run(a, table, model, pathlib.Path(folder))


if __name__ == "__main__":
    main()
