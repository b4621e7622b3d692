#!/usr/bin/env python3
"""Checks the example corpus and its questions (examples/corpus, examples/corpus-questions).

Every rule that the questions promise is checked here: the passages are the documents, an answer
stands in its document, the kinds are present in the promised numbers, and a paraphrase shares no
content word with the sentence that holds its answer. All faults are printed; exit 1 if any.

    python3 tests/examples/corpus_check.py [examples folder]
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

MIN_DOCUMENTS = 40
MIN_QUESTIONS = 90
MIN_UNANSWERABLE = 20
MIN_PARAPHRASE = 20
MIN_LANG_SHARE = 0.4
KINDS = ("plain", "paraphrase", "crosslingual", "unanswerable")
ENGLISH_WORDS = (250, 900)
CHINESE_CHARACTERS = (400, 1400)

HAN = "\u3400-\u9fff"
STOP_WORDS = frozenset(
    "about also does from have into long many much must than that their them then there they this "
    "what when where which will with your".split())
STOP_BIGRAMS = frozenset("可以 不得 多少 什么 以后 应当 必须 一个 没有".split())


def load_jsonl(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def documents_in(corpus):
    paths = (p for p in corpus.rglob("*") if p.suffix in (".md", ".txt"))
    return {p.relative_to(corpus).as_posix(): p.read_bytes().decode("utf-8") for p in paths}


def repeated(values):
    return sorted(value for value, count in Counter(values).items() if count > 1)


# Reading a document: paragraphs, then sentences.

def join_lines(text):
    """Undoes line breaks inside a paragraph; between Han characters no blank is put."""
    text = re.sub(rf"(?<=[{HAN}，、；。：])\s*\n\s*(?=[{HAN}])", "", text)
    return re.sub(r"\s+", " ", text).strip()


def blocks(text):
    """Paragraphs, list items, headings and table rows."""
    parts = re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\. ))", text)
    return [joined for joined in map(join_lines, parts) if joined]


def sentences(text):
    ends = r"(?<=[.!?])\s+(?=[^a-z])|(?<=[。！？])"
    return [s for block in blocks(text) for s in re.split(ends, block) if s.strip()]


def stands_in(answer, text):
    """Literally, and not as a part of a longer word or number."""
    pattern = re.escape(answer)
    if re.match(r"[A-Za-z0-9]", answer):
        pattern = r"(?<![A-Za-z0-9])(?<!\d[.,:])" + pattern
    if re.search(r"[A-Za-z0-9]$", answer):
        pattern += r"(?![A-Za-z0-9])(?![.,:]\d)"
    return re.search(pattern, text) is not None


# Content words: English words by a rough stem, Chinese by pairs of characters.

def stem(word):
    return re.sub(r"(?:ing|ed|es|s|ly)$", "", word) if len(word) > 5 else word.rstrip("s")


def content_words(text):
    words = (w for w in re.findall(r"[a-z]+", text.lower()) if len(w) >= 4)
    found = {stem(w) for w in words if w not in STOP_WORDS}
    for run in re.findall(rf"[{HAN}]+", text):
        found.update(run[i:i + 2] for i in range(len(run) - 1))
    return found - STOP_BIGRAMS


def check_documents(documents):
    if len(documents) < MIN_DOCUMENTS:
        yield f"corpus: {len(documents)} documents, at least {MIN_DOCUMENTS} are needed"
    for name, text in sorted(documents.items()):
        chinese = name.startswith("zh/")
        size = len(re.findall(f"[{HAN}]", text)) if chinese else len(text.split())
        low, high = CHINESE_CHARACTERS if chinese else ENGLISH_WORDS
        if not low <= size <= high:
            unit = "Chinese characters" if chinese else "words"
            yield f"{name}: {size} {unit}, expected {low} to {high}"


def check_passages(passages, documents):
    for name in repeated(p["id"] for p in passages):
        yield f"passages.jsonl: id {name} occurs twice"
    texts = {p["id"]: p["text"] for p in passages}
    stale = sorted(name for name in texts.keys() | documents.keys()
                   if texts.get(name) != documents.get(name))
    for name in stale:
        yield f"passages.jsonl: {name} differs from the corpus; run build_passages.py"
    for p in passages:
        if not p["title"] or p["lang"] != ("zh" if p["id"].startswith("zh/") else "en"):
            yield f"passages.jsonl: {p['id']} has no title or the wrong language"


def check_counts(questions):
    kinds = Counter(q["kind"] for q in questions)
    langs = Counter(q["lang"] for q in questions)
    if len(questions) < MIN_QUESTIONS:
        yield f"qa.jsonl: {len(questions)} questions, at least {MIN_QUESTIONS} are needed"
    for kind, least in (("unanswerable", MIN_UNANSWERABLE), ("paraphrase", MIN_PARAPHRASE)):
        if kinds[kind] < least:
            yield f"qa.jsonl: {kinds[kind]} of kind {kind}, at least {least} are needed"
    if kinds["crosslingual"] * 3 < len(questions):
        yield f"qa.jsonl: {kinds['crosslingual']} crosslingual, a third of {len(questions)} is needed"
    for lang in ("en", "zh"):
        if langs[lang] < MIN_LANG_SHARE * len(questions):
            yield f"qa.jsonl: only {langs[lang]} questions in {lang}"


def check_paraphrase(question, text):
    answer = question["answers"][0]
    asked = content_words(question["question"])
    for sentence in sentences(text):
        shared = asked & content_words(sentence)
        if stands_in(answer, sentence) and shared:
            yield f"{question['id']}: shares {sorted(shared)} with the sentence {sentence!r}"


def check_question(question, documents):
    name, kind = question["id"], question["kind"]
    if kind not in KINDS:
        yield f"{name}: unknown kind {kind}"
    text = documents.get(question["passage_id"])
    if text is None:
        yield f"{name}: unknown passage_id {question['passage_id']}"
        return
    across = question["passage_id"].startswith("zh/") != (question["lang"] == "zh")
    if across != (kind == "crosslingual"):
        yield f"{name}: kind {kind} does not fit the languages of question and document"
    if question["is_impossible"] != (kind == "unanswerable"):
        yield f"{name}: is_impossible does not fit the kind {kind}"
    if question["is_impossible"]:
        if question["answers"]:
            yield f"{name}: unanswerable, but it has answers"
        return
    if not any(stands_in(a, join_lines(text)) for a in question["answers"]):
        yield f"{name}: none of {question['answers']} stands in {question['passage_id']}"
    elif kind == "paraphrase":
        if not any(stands_in(question["answers"][0], s) for s in sentences(text)):
            yield f"{name}: no sentence holds the first answer {question['answers'][0]!r}"
        yield from check_paraphrase(question, text)


def check_questions(questions, documents):
    for name in repeated(q["id"] for q in questions):
        yield f"qa.jsonl: id {name} occurs twice"
    for wording in repeated(q["question"] for q in questions):
        yield f"qa.jsonl: the question {wording!r} occurs twice"
    yield from check_counts(questions)
    for question in questions:
        yield from check_question(question, documents)


def main():
    default = Path(__file__).resolve().parents[2] / "examples"
    examples = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    documents = documents_in(examples / "corpus")
    passages = load_jsonl(examples / "corpus-questions" / "passages.jsonl")
    questions = load_jsonl(examples / "corpus-questions" / "qa.jsonl")
    faults = [*check_documents(documents), *check_passages(passages, documents),
              *check_questions(questions, documents)]
    for fault in faults:
        print(f"corpus_check: {fault}", file=sys.stderr)
    if faults:
        return 1
    kinds = Counter(q["kind"] for q in questions)
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS)
    print(f"corpus_check: {len(documents)} documents, {len(questions)} questions ({counts}): good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
