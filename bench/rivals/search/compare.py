"""Nearest vectors beside faiss-cpu and hnswlib, on the same vectors, one thread each.

    compare.py --bin BUILD/bench --real REAL.fbin [--vectors 100000] [--work DIR]

REAL.fbin has embeddings of real passages (vectors_bench dump STORE). Of them 1,000 are held out as queries; the rest is
extended to --vectors rows by a seeded mixture: a real vector and .35 of the difference of two others, so that the new ones vary
as real ones do. Exact answers come from float32 inner products. Prints one line for each way to search, then the queries
a second at recall .95 and .99, interpolated between the two settings around it.
"""
import argparse
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

SEED = 20261126
NEAREST = 10


def write_matrix(path, rows):
    with open(path, "wb") as file:
        np.array(rows.shape, dtype=np.uint32).tofile(file)
        rows.tofile(file)


def read_vectors(path):
    with open(path, "rb") as file:
        rows, columns = np.fromfile(file, dtype=np.uint32, count=2)
        return np.fromfile(file, dtype=np.float32).reshape(rows, columns)


def normalised(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def make_data(real, count):
    random = np.random.default_rng(SEED)
    real = normalised(np.unique(real, axis=0))
    real = real[random.permutation(len(real))]
    queries, base = real[:1000], real[1000:]
    parts = [base]
    left = count - len(base)
    while left > 0:
        size = min(left, 50000)
        at = random.integers(0, len(base), (3, size))
        parts.append(normalised(base[at[0]] + 0.35 * (base[at[1]] - base[at[2]])))
        left -= size
    rows = np.concatenate(parts)[:count]
    return np.ascontiguousarray(rows[random.permutation(len(rows))]), np.ascontiguousarray(queries)


def exact(base, queries):
    nearest = []
    for begin in range(0, len(queries), 100):
        scores = queries[begin : begin + 100] @ base.T
        top = np.argpartition(-scores, NEAREST, axis=1)[:, :NEAREST]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
        nearest.append(np.take_along_axis(top, order, axis=1))
    return np.ascontiguousarray(np.concatenate(nearest).astype(np.uint32))


def bigann(folder):
    """Bytes compared by Euclidean distance, as inner products: |q - x|^2 is least where q x - |x|^2 / 2 is greatest, so a row gets
    (mean - |x|^2) / (2 c) behind it and a query c, as great as its greatest component is."""
    def vecs(name, kind, size):
        raw = np.fromfile(f"{folder}/{name}", dtype=np.uint8)
        columns = int(raw[:4].view(np.int32)[0])
        return np.ascontiguousarray(raw.reshape(-1, 4 + columns * size)[:, 4:]).view(kind)
    rows = vecs("base.bvecs", np.uint8, 1).astype(np.float32)
    queries = vecs("query.fvecs", np.float32, 4)
    norms = (rows ** 2).sum(1, keepdims=True)
    c = np.float32(queries.max())
    base = np.concatenate([rows, (norms.mean() - norms) / (2 * c)], axis=1).astype(np.float32)
    asked = np.concatenate([queries, np.full((len(queries), 1), c, np.float32)], axis=1).astype(np.float32)
    truth = vecs("groundtruth.ivecs", np.int32, 4)[:, :NEAREST].astype(np.uint32)
    return np.ascontiguousarray(base), np.ascontiguousarray(asked), np.ascontiguousarray(truth)


def recall(found, truth):
    hits = sum(len(set(map(int, a)) & set(map(int, b))) for a, b in zip(found, truth))
    return hits / truth.size


def rate(search, queries):
    """Median of three rounds, one query a call, as a service is asked."""
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        for query in queries:
            search(query)
        rates.append(len(queries) / (time.perf_counter() - start))
    return sorted(rates)[1]


def report(name, **figures):
    print(json.dumps({"name": name, **figures}), flush=True)
    return {"name": name, **figures}


def run_faiss(base, queries, truth, kind, efs):
    import faiss

    faiss.omp_set_num_threads(1)
    columns = base.shape[1]
    start = time.perf_counter()
    if kind == "flat":
        index = faiss.IndexFlatIP(columns)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(columns, 16, faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.IndexHNSWSQ(columns, faiss.ScalarQuantizer.QT_8bit, 16, faiss.METRIC_INNER_PRODUCT)
    if kind != "flat":
        index.hnsw.efConstruction = 100
        index.train(base)
    index.add(base)
    build = time.perf_counter() - start
    size = len(faiss.serialize_index(index)) / len(base)
    points = []
    for ef in efs:
        if kind != "flat":
            index.hnsw.efSearch = ef
        found = np.concatenate([index.search(q[None], NEAREST)[1] for q in queries])
        speed = rate(lambda q: index.search(q[None], NEAREST), queries)
        points.append(report(f"faiss {kind}", ef=ef, recall=recall(found, truth), queries_per_second=round(speed, 1),
                             build_seconds=round(build, 2), bytes_per_vector=round(size, 1)))
    return points


def run_hnswlib(base, queries, truth, efs):
    import hnswlib

    index = hnswlib.Index(space="ip", dim=base.shape[1])
    start = time.perf_counter()
    index.init_index(max_elements=len(base), M=16, ef_construction=100, random_seed=1)
    index.set_num_threads(1)
    index.add_items(base, num_threads=1)
    build = time.perf_counter() - start
    points = []
    for ef in efs:
        index.set_ef(ef)
        found = np.concatenate([index.knn_query(q, k=NEAREST, num_threads=1)[0] for q in queries])
        speed = rate(lambda q: index.knn_query(q, k=NEAREST, num_threads=1), queries)
        points.append(report("hnswlib", ef=ef, recall=recall(found, truth), queries_per_second=round(speed, 1),
                             build_seconds=round(build, 2)))
    return points


def run_vade(binary, work, efs):
    def call(*arguments):
        lines = subprocess.run([binary, *arguments], check=True, capture_output=True, text=True).stdout
        return [json.loads(line) for line in lines.splitlines()]

    segment = f"{work}/base.seg"
    (built,) = call("build", f"{work}/base.fbin", segment, "16", "128")
    report("vade build", **built)
    opened, *found = call("search", segment, f"{work}/queries.fbin", f"{work}/truth.ibin", "FLAT", *map(str, efs))
    report("vade open", **opened)
    return [report("vade " + one.pop("kind"), **one) for one in found]


def at_recall(points, wanted):
    """Queries a second where the line between two neighbouring settings crosses the recall."""
    points = sorted(points, key=lambda p: p["recall"])
    for low, high in zip(points, points[1:]):
        if low["recall"] <= wanted <= high["recall"] and high["recall"] > low["recall"]:
            share = (wanted - low["recall"]) / (high["recall"] - low["recall"])
            return low["queries_per_second"] * (high["queries_per_second"] / low["queries_per_second"]) ** share
    if points and points[0]["recall"] >= wanted:
        return points[0]["queries_per_second"]
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--real", required=True)
    parser.add_argument("--vectors", type=int, default=100000)
    parser.add_argument("--work", default="/tmp/vade-search-rivals")
    parser.add_argument("--bigann", help="the folder of ../shared/data/vectors_bigann10k instead of REAL.fbin's vectors")
    parser.add_argument("--rivals", help="these alone: faiss flat,faiss hnsw,faiss hnsw sq8,hnswlib")
    parser.add_argument("--data-only", action="store_true", help="write the vectors and end")
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    if options.bigann:
        base, queries, truth = bigann(options.bigann)
    else:
        base, queries = make_data(read_vectors(options.real), options.vectors)
        truth = exact(base, queries)
    write_matrix(f"{options.work}/base.fbin", base)
    write_matrix(f"{options.work}/queries.fbin", queries)
    write_matrix(f"{options.work}/truth.ibin", truth)
    if options.data_only:
        return
    efs = [10, 16, 24, 32, 48, 64, 96, 128, 200, 300, 400]
    ours = run_vade(f"{options.bin}/vectors_bench", options.work, efs)
    runs = {
        "faiss flat": lambda: run_faiss(base, queries, truth, "flat", [0]),
        "faiss hnsw": lambda: run_faiss(base, queries, truth, "hnsw", efs),
        "faiss hnsw sq8": lambda: run_faiss(base, queries, truth, "sq8", efs),
        "hnswlib": lambda: run_hnswlib(base, queries, truth, efs),
    }
    rivals = {name: run() for name, run in runs.items() if options.rivals is None or name in options.rivals.split(",")}
    graph = [p for p in ours if p["name"] == "vade graph"]
    for wanted in (0.95, 0.99):
        report(f"queries a second at recall {wanted}", vade=at_recall(graph, wanted),
               **{name: at_recall(points, wanted) for name, points in rivals.items() if name != "faiss flat"})
    if "faiss flat" not in rivals:
        return
    flat = next(p for p in ours if p["name"] == "vade flat")
    report("exact scan", vade=flat["queries_per_second"], recall=flat["recall"],
           faiss=rivals["faiss flat"][0]["queries_per_second"])


if __name__ == "__main__":
    sys.exit(main())
