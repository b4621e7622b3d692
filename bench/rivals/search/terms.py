"""Term search of tantivy over the lines of a text, beside which `store_bench search DIR ... terms 1` stands.

    terms.py WORK        with WORK/texts.txt and WORK/queries.txt of make_texts.py

English stems, as ours has them; the text is stored, as ours is; one thread writes and one asks, ten hits with their text. Prints
JSON: seconds to index, bytes, questions a second (median of three rounds) and latencies.
"""
import json
import os
import shutil
import sys
import time

import tantivy


def index_texts(work, directory):
    schema = tantivy.SchemaBuilder()
    schema.add_text_field("body", stored=True, tokenizer_name="en_stem")
    index = tantivy.Index(schema.build(), path=directory)
    writer = index.writer(heap_size=512 << 20, num_threads=1)
    start = time.perf_counter()
    with open(f"{work}/texts.txt", encoding="utf-8") as texts:
        for line in texts:
            writer.add_document(tantivy.Document(body=line.rstrip("\n")))
    writer.commit()
    writer.wait_merging_threads()
    return index, time.perf_counter() - start


def main():
    work = sys.argv[1]
    directory = f"{work}/tantivy"
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    index, seconds = index_texts(work, directory)
    index.reload()
    searcher = index.searcher()
    with open(f"{work}/queries.txt", encoding="utf-8") as file:
        questions = file.read().split("\n")[:-1]
    rates, taken = [], []
    for _ in range(3):
        start = time.perf_counter()
        for question in questions:
            one = time.perf_counter()
            found = searcher.search(index.parse_query(question, ["body"]), 10)
            for _, address in found.hits:
                searcher.doc(address)["body"]
            taken.append(time.perf_counter() - one)
        rates.append(len(questions) / (time.perf_counter() - start))
    taken.sort()
    size = sum(os.path.getsize(f"{directory}/{name}") for name in os.listdir(directory))
    print(json.dumps({
        "name": "tantivy", "index_seconds": round(seconds, 1), "bytes": size, "texts": searcher.num_docs,
        "questions_per_second": round(sorted(rates)[1], 1), "p50_ms": round(taken[len(taken) // 2] * 1000, 2),
        "p99_ms": round(taken[len(taken) * 99 // 100] * 1000, 2),
    }))


if __name__ == "__main__":
    main()
