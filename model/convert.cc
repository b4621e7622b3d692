// E5S1, little-endian, no alignment before the tensors:
//   "E5S1"  u32 version (1)
//   i32 dim, layers, heads, ff, vocabulary rows, positions, token types; f32 epsilon;
//       i32 block (32)
//   i32 pieces, bos, eos, pad, unk; u64 blob size; u32 offsets[pieces + 1]; f32 scores[pieces];
//       blob
//   i32 mappings, u32 bytes; each mapping: u32 code point, u8 n, u32 replacement[n]; ascending
//   i32 tensors; each: u16 length and name, u8 type (0 F32, 1 Q4_0), u32 values, u64 offset,
//       u64 bytes
//   tensor data at the offsets, which count from the file's beginning
#include "model/convert.h"

#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "model/gguf_writer.h"

namespace vade {
namespace {

constexpr uint32_t kVersion = 1;
constexpr int32_t kBlock = 32;
constexpr int32_t kMaxSize = 1 << 24;  // of any count in the header: keeps every product below 2^63

// tokenizer.ggml.token_type
enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUnused = 5 };

struct E5Numbers {
  int32_t dim, layers, heads, ff, vocab, positions, token_types;
  float epsilon;
  int32_t block;
};
struct E5Ids {
  int32_t pieces, bos, eos, pad, unk;
};
static_assert(sizeof(E5Numbers) == 36 && sizeof(E5Ids) == 20, "read from the file in one piece");

struct E5Tensor {
  TensorType type = TensorType::kF32;
  uint64_t values = 0;
  std::span<const uint8_t> bytes;
};

struct E5Model {
  E5Numbers numbers{};
  E5Ids ids{};
  std::vector<std::string_view> pieces;
  std::vector<float> scores;
  std::vector<uint32_t> map_from, map_end, map_to;  // mapping i: map_to[map_end[i-1] .. map_end[i])
  std::map<std::string, E5Tensor, std::less<>> tensors;
};

class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, const std::string& path)
      : bytes_(bytes), reader_(bytes), path_(path) {}

  Result<E5Model> Read() {
    std::string_view magic;
    if (!reader_.ReadBytes(4, &magic) || magic != "E5S1") {
      return InvalidArgument(StrCat("file ", path_,
                                    " is not an E5S1 container (it does not begin with ",
                                    "\"E5S1\"); only that container can be converted"));
    }
    uint32_t version = 0;
    if (!reader_.Read(&version)) return Damaged("the header ends early");
    if (version != kVersion) {
      return InvalidArgument(
          StrCat("file ", path_, " has E5S1 version ", version, ", expected ", kVersion));
    }
    RETURN_IF_ERROR(ReadNumbers());
    RETURN_IF_ERROR(ReadPieces());
    RETURN_IF_ERROR(ReadMappings());
    RETURN_IF_ERROR(ReadTensors());
    return std::move(model_);
  }

 private:
  Status Damaged(std::string_view what) const {
    return DataLoss(StrCat("file ", path_, " is truncated or damaged: ", what,
                           "; fetch it again with scripts/fetch-models"));
  }

  Status ReadNumbers() {
    E5Numbers& n = model_.numbers;
    if (!reader_.Read(&n)) return Damaged("the header ends early");
    for (const int32_t size :
         {n.dim, n.layers, n.heads, n.ff, n.vocab, n.positions, n.token_types}) {
      if (size < 1 || size > kMaxSize) return Damaged(StrCat("a size of ", size, " in the header"));
    }
    if (n.block != kBlock || n.dim % kBlock != 0 || n.ff % kBlock != 0 || n.dim % n.heads != 0 ||
        !(n.epsilon >= 0 && n.epsilon < 1)) {
      return Damaged(StrCat("width ", n.dim, " and ", n.ff, " with ", n.heads,
                            " heads and blocks of ", n.block));
    }
    return OkStatus();
  }

  Status ReadPieces() {
    E5Ids& ids = model_.ids;
    uint64_t blob_size = 0;
    if (!reader_.Read(&ids) || !reader_.Read(&blob_size))
      return Damaged("the vocabulary ends early");
    if (ids.pieces < 1 || ids.pieces > model_.numbers.vocab) {
      return Damaged(StrCat(ids.pieces, " pieces for ", model_.numbers.vocab, " rows"));
    }
    for (const int32_t id : {ids.bos, ids.eos, ids.pad, ids.unk}) {
      if (id < 0 || id >= ids.pieces) return Damaged(StrCat("special piece ", id));
    }
    std::string_view offsets, scores, blob;
    const size_t count = ids.pieces;
    if (!reader_.ReadBytes((count + 1) * 4, &offsets) || !reader_.ReadBytes(count * 4, &scores) ||
        blob_size > reader_.remaining() || !reader_.ReadBytes(blob_size, &blob)) {
      return Damaged("the vocabulary ends early");
    }
    model_.scores.resize(count);
    std::memcpy(model_.scores.data(), scores.data(), count * 4);
    std::vector<uint32_t> ends(count + 1);
    std::memcpy(ends.data(), offsets.data(), (count + 1) * 4);
    for (size_t i = 0; i < count; ++i) {
      if (ends[i] > ends[i + 1] || ends[i + 1] > blob.size() || !std::isfinite(model_.scores[i])) {
        return Damaged(StrCat("piece ", i, " of the vocabulary"));
      }
      model_.pieces.push_back(blob.substr(ends[i], ends[i + 1] - ends[i]));
    }
    return OkStatus();
  }

  Status ReadMappings() {
    int32_t count = 0;
    uint32_t size = 0;
    std::string_view bytes;
    if (!reader_.Read(&count) || !reader_.Read(&size) || count < 0 ||
        !reader_.ReadBytes(size, &bytes)) {
      return Damaged("the normalisation ends early");
    }
    ByteReader mappings(bytes);
    for (int32_t i = 0; i < count; ++i) {
      uint32_t from = 0, to = 0;
      uint8_t length = 0;
      if (!mappings.Read(&from) || !mappings.Read(&length))
        return Damaged("the normalisation ends early");
      if (!model_.map_from.empty() && from <= model_.map_from.back()) {
        return Damaged(StrCat("mapping ", i, " of the normalisation is out of order"));
      }
      for (int k = 0; k < length; ++k) {
        if (!mappings.Read(&to)) return Damaged("the normalisation ends early");
        model_.map_to.push_back(to);
      }
      model_.map_from.push_back(from);
      model_.map_end.push_back(model_.map_to.size());
    }
    return OkStatus();
  }

  Status ReadTensors() {
    int32_t count = 0;
    if (!reader_.Read(&count) || count < 0) return Damaged("the list of tensors ends early");
    for (int32_t i = 0; i < count; ++i) {
      uint16_t length = 0;
      std::string_view name;
      uint8_t type = 0;
      uint32_t values = 0;
      uint64_t offset = 0, size = 0;
      if (!reader_.Read(&length) || !reader_.ReadBytes(length, &name) || !reader_.Read(&type) ||
          !reader_.Read(&values) || !reader_.Read(&offset) || !reader_.Read(&size)) {
        return Damaged("the list of tensors ends early");
      }
      E5Tensor tensor{type == 0 ? TensorType::kF32 : TensorType::kQ4_0, values, {}};
      const TensorTypeInfo& info = InfoOf(tensor.type);
      if (type > 1 || values % info.block_elements != 0 ||
          size != uint64_t{values} / info.block_elements * info.block_bytes ||
          size > bytes_.size() || offset > bytes_.size() - size) {
        return Damaged(StrCat("tensor ", i, " of ", values, " values at ", offset));
      }
      tensor.bytes = bytes_.subspan(offset, size);
      model_.tensors.emplace(name, tensor);
    }
    return OkStatus();
  }

  std::span<const uint8_t> bytes_;
  ByteReader reader_;
  const std::string& path_;
  E5Model model_;
};

void WriteNumbers(const E5Model& model, GgufWriter* writer) {
  const E5Numbers& n = model.numbers;
  writer->SetString("general.architecture", "bert");
  writer->SetString("general.type", "model");
  writer->SetString("general.name", "multilingual-e5-small");
  writer->SetString("general.license", "mit");
  writer->SetUint("general.file_type", 2);  // mostly Q4_0
  writer->SetUint("general.quantization_version", 2);
  writer->SetUint("bert.block_count", n.layers);
  writer->SetUint("bert.context_length", n.positions);
  writer->SetUint("bert.embedding_length", n.dim);
  writer->SetUint("bert.feed_forward_length", n.ff);
  writer->SetUint("bert.attention.head_count", n.heads);
  writer->SetFloat("bert.attention.layer_norm_epsilon", n.epsilon);
  writer->SetBool("bert.attention.causal", false);
  writer->SetUint("bert.pooling_type", 1);  // mean
  writer->SetUint("bert.vocab_size", n.vocab);
  writer->SetString("vade.embedder.query_prefix", "query: ");
  writer->SetString("vade.embedder.passage_prefix", "passage: ");
  writer->SetBool("vade.embedder.normalized", true);
}

void WriteVocabulary(const E5Model& model, GgufWriter* writer) {
  const E5Ids& ids = model.ids;
  std::vector<std::string_view> tokens = model.pieces;
  std::vector<float> scores = model.scores;
  std::vector<int32_t> types(tokens.size(), kNormal);
  int32_t mask = -1;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] == "<mask>") mask = static_cast<int32_t>(i);
  }
  for (const int32_t id : {ids.bos, ids.eos, ids.pad, mask}) {
    if (id >= 0) types[id] = kControl;
  }
  types[ids.unk] = kUnknown;
  // The table has more rows than there are pieces: a token of no use for each of the others.
  const size_t vocab = model.numbers.vocab;
  std::vector<std::string> padding;
  padding.reserve(vocab - tokens.size());
  for (size_t i = tokens.size(); i < vocab; ++i) padding.push_back(StrCat("[PAD", i, "]"));
  tokens.insert(tokens.end(), padding.begin(), padding.end());
  scores.resize(vocab, 0.0f);
  types.resize(vocab, kUnused);

  writer->SetString("tokenizer.ggml.model", "t5");  // Unigram
  writer->SetString("tokenizer.ggml.pre", "default");
  writer->SetStrings("tokenizer.ggml.tokens", tokens);
  writer->SetFloats("tokenizer.ggml.scores", scores);
  writer->SetInts("tokenizer.ggml.token_type", types);
  writer->SetUint("tokenizer.ggml.token_type_count", model.numbers.token_types);
  writer->SetUint("tokenizer.ggml.bos_token_id", ids.bos);
  writer->SetUint("tokenizer.ggml.eos_token_id", ids.eos);
  writer->SetUint("tokenizer.ggml.padding_token_id", ids.pad);
  writer->SetUint("tokenizer.ggml.unknown_token_id", ids.unk);
  if (mask >= 0) writer->SetUint("tokenizer.ggml.mask_token_id", mask);
  writer->SetBool("tokenizer.ggml.add_space_prefix", true);
  writer->SetBool("tokenizer.ggml.remove_extra_whitespaces", true);
  writer->SetUints("vade.normalizer.code_points", model.map_from);
  writer->SetUints("vade.normalizer.ends", model.map_end);
  writer->SetUints("vade.normalizer.replacements", model.map_to);
}

// One tensor of the result: its name there, its name in the container, and its shape.
struct TensorName {
  std::string gguf, e5;
  std::vector<uint64_t> shape;
};

std::vector<TensorName> TensorNames(const E5Numbers& n) {
  const uint64_t dim = n.dim, ff = n.ff;
  std::vector<TensorName> names = {
      {"token_embd.weight", "emb.word", {dim, static_cast<uint64_t>(n.vocab)}},
      {"position_embd.weight", "emb.pos", {dim, static_cast<uint64_t>(n.positions)}},
      {"token_types.weight", "emb.type", {dim, static_cast<uint64_t>(n.token_types)}},
      {"token_embd_norm.weight", "emb.ln.w", {dim}},
      {"token_embd_norm.bias", "emb.ln.b", {dim}},
  };
  for (int32_t layer = 0; layer < n.layers; ++layer) {
    const auto add = [&](std::string_view gguf, std::string_view e5, std::vector<uint64_t> shape) {
      names.push_back(
          {StrCat("blk.", layer, ".", gguf), StrCat("l", layer, ".", e5), std::move(shape)});
    };
    add("attn_q.weight", "q.w", {dim, dim});
    add("attn_q.bias", "q.b", {dim});
    add("attn_k.weight", "k.w", {dim, dim});
    add("attn_k.bias", "k.b", {dim});
    add("attn_v.weight", "v.w", {dim, dim});
    add("attn_v.bias", "v.b", {dim});
    add("attn_output.weight", "ao.w", {dim, dim});
    add("attn_output.bias", "ao.b", {dim});
    add("attn_output_norm.weight", "aln.w", {dim});
    add("attn_output_norm.bias", "aln.b", {dim});
    add("ffn_up.weight", "fi.w", {dim, ff});
    add("ffn_up.bias", "fi.b", {ff});
    add("ffn_down.weight", "fo.w", {ff, dim});
    add("ffn_down.bias", "fo.b", {dim});
    add("layer_output_norm.weight", "oln.w", {dim});
    add("layer_output_norm.bias", "oln.b", {dim});
  }
  return names;
}

Status AddTensors(const E5Model& model, const std::string& path, GgufWriter* writer) {
  // Checked before a name is made for every layer that a hostile header claims.
  if (static_cast<size_t>(model.numbers.layers) > model.tensors.size()) {
    return DataLoss(StrCat("file ", path, " has ", model.tensors.size(), " tensors for ",
                           model.numbers.layers,
                           " layers; fetch it again with scripts/fetch-models"));
  }
  for (TensorName& name : TensorNames(model.numbers)) {
    const auto it = model.tensors.find(name.e5);
    uint64_t values = 1;
    for (const uint64_t size : name.shape) values *= size;
    if (it == model.tensors.end() || it->second.values != values) {
      return DataLoss(StrCat("file ", path, ": tensor ", name.e5, " of ", values,
                             " values is missing; fetch it again with scripts/fetch-models"));
    }
    writer->AddTensor(name.gguf, it->second.type, std::move(name.shape), it->second.bytes);
  }
  return OkStatus();
}

}  // namespace

Status ConvertE5(const std::string& in, const std::string& out) {
  ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(in));
  ASSIGN_OR_RETURN(const E5Model model, Reader(file->bytes(), in).Read());
  GgufWriter writer;
  WriteNumbers(model, &writer);
  // First, since it finds the tables that a header claims: the vocabulary is padded to one token a
  // row.
  RETURN_IF_ERROR(AddTensors(model, in, &writer));
  WriteVocabulary(model, &writer);
  return writer.Write(out);
}

}  // namespace vade
