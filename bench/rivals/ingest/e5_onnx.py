"""multilingual-e5-small for ONNX Runtime, from the GGUF file that vade uses: the same weights, so the same vectors.

The graph is written with ONNX Runtime's own fused operators (attention, layer norm with its residual, GELU with its bias),
the form that its tools make of an exported model; so PyTorch is not needed. int8 is its dynamic quantisation of that graph.
"""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mean_vectors import mean_vectors  # noqa: E402

FIELDS = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "out": "attn_output", "up": "ffn_up", "down": "ffn_down"}
POSITIONS = 512
PADDING = 1


def read(path):
    """The file's tensors as float32 in the orientation x @ W, and its reader."""
    import gguf

    reader = gguf.GGUFReader(path)
    tensors = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        rows_out = any(f"{name}.weight" in tensor.name for name in FIELDS.values())
        tensors[tensor.name] = np.ascontiguousarray(values.T) if rows_out else values
    return tensors, reader


def field(reader, name):
    return reader.fields[name].contents()


class Graph:
    """Nodes and initialisers in the making."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, values):
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind, inputs, output, domain="com.microsoft", more=(), **attributes):
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output, *more], domain=domain, name=output, **attributes))
        return output


def layer(graph, tensors, number, hidden, mask, reader):
    """One layer of the encoder; returns the name of what comes out of it."""
    of, name = f"blk.{number}", f"l{number}"
    def weight(part):
        return graph.constant(f"{name}.{part}.w", tensors[f"{of}.{FIELDS[part]}.weight"])
    def bias(part):
        return graph.constant(f"{name}.{part}.b", tensors[f"{of}.{FIELDS[part]}.bias"])
    def norm(values, residual, part, before):
        of_norm = [graph.constant(f"{name}.{part}.{end}", tensors[f"{of}.{part}.{end}"]) for end in ("weight", "bias")]
        return graph.node("SkipLayerNormalization", [values, residual, *of_norm, bias(before)], f"{name}.{part}",
                          epsilon=float(field(reader, "bert.attention.layer_norm_epsilon")))
    qkv = {end: np.concatenate([tensors[f"{of}.attn_{part}.{end}"] for part in "qkv"], axis=-1) for end in ("weight", "bias")}
    attended = graph.node("Attention", [hidden, graph.constant(f"{name}.qkv.w", qkv["weight"]),
                                        graph.constant(f"{name}.qkv.b", qkv["bias"]), mask], f"{name}.attention",
                          num_heads=int(field(reader, "bert.attention.head_count")))
    joined = norm(graph.node("MatMul", [attended, weight("out")], f"{name}.out", domain=""), hidden, "attn_output_norm", "out")
    wide = graph.node("MatMul", [joined, weight("up")], f"{name}.up", domain="")
    wide = graph.node("BiasGelu", [wide, bias("up")], f"{name}.gelu")
    return norm(graph.node("MatMul", [wide, weight("down")], f"{name}.down", domain=""), joined, "layer_output_norm", "down")


def write_graph(tensors, reader, path):
    import onnx
    from onnx import TensorProto, helper

    graph = Graph()
    table = {name: graph.constant(name, tensors[f"{name}.weight"]) for name in ("token_embd", "position_embd", "token_types")}
    ends = [graph.constant(f"norm.{end}", tensors[f"token_embd_norm.{end}"]) for end in ("weight", "bias")]
    mask = graph.node("Cast", ["attention_mask"], "mask", domain="", to=TensorProto.INT32)
    ids = graph.node("Cast", ["input_ids"], "ids", domain="", to=TensorProto.INT32)
    zeros = graph.node("Sub", [ids, ids], "types", domain="")
    hidden = graph.node("EmbedLayerNormalization", [ids, zeros, *table.values(), *ends, mask], "embedded", more=["lengths"],
                        epsilon=float(field(reader, "bert.attention.layer_norm_epsilon")))
    for number in range(int(field(reader, "bert.block_count"))):
        hidden = layer(graph, tensors, number, hidden, mask, reader)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
              for name in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info(hidden, TensorProto.FLOAT, ["batch", "length", None])]
    made = helper.make_graph(graph.nodes, "e5", inputs, outputs, graph.constants)
    onnx.save(helper.make_model(made, ir_version=9, opset_imports=[helper.make_opsetid("", 17),
                                                                   helper.make_opsetid("com.microsoft", 1)]), str(path))


def write_tokenizer(reader, path):
    """Unigram as SentencePiece has it; the normaliser is NFKC, of which the model's own differs in rare characters."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pieces, scores = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.scores")
    unknown = int(field(reader, "tokenizer.ggml.unknown_token_id"))
    tokenizer = Tokenizer(models.Unigram(list(zip(pieces, map(float, scores))), unknown))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    ends = [(pieces[int(field(reader, f"tokenizer.ggml.{name}_token_id"))],
             int(field(reader, f"tokenizer.ggml.{name}_token_id"))) for name in ("bos", "eos")]
    tokenizer.post_processor = processors.TemplateProcessing(f"{ends[0][0]} $A {ends[1][0]}", special_tokens=ends)
    tokenizer.save(str(path))


def export(gguf_path, folder):
    """fp32.onnx, int8.onnx and tokenizer.json in `folder`, unless they are there."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    folder = pathlib.Path(folder)
    if (folder / "int8.onnx").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    tensors, reader = read(gguf_path)
    write_tokenizer(reader, folder / "tokenizer.json")
    write_graph(tensors, reader, folder / "fp32.onnx")
    # The types of fused nodes' results are not known to shape inference.
    quantize_dynamic(str(folder / "fp32.onnx"), str(folder / "int8.onnx"), weight_type=QuantType.QInt8,
                     op_types_to_quantize=["MatMul", "Attention"], extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})


class Encoder:
    """Vectors of texts."""

    def __init__(self, folder, kind, threads, batch=16):
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(pathlib.Path(folder) / f"{kind}.onnx"), options,
                                                    providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
        self.tokenizer.enable_truncation(POSITIONS)
        self.batch = batch

    def count(self, text):
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def embed(self, texts):
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        return mean_vectors(ids, self.batch, PADDING, self.hidden)

    def hidden(self, tokens, mask):
        return self.session.run(None, {"input_ids": tokens, "attention_mask": mask})[0]
