// Conversion of a small E5S1 container that is written here field by field.
#include "model/convert.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "base/trace.h"
#include "model/embedder.h"
#include "model/encoder.h"
#include "model/gguf.h"
#include "model/tokenizer.h"

namespace vade {
namespace {

// A container of one layer, width 32, six pieces and eight rows.
struct Container {
  std::string magic = "E5S1";
  uint32_t version = 1;
  int32_t dim = 32, layers = 1, heads = 2, ff = 64, vocab = 8, positions = 16, types = 2,
          block = 32;
  float epsilon = 1e-12f;
  int32_t bos = 0, eos = 2, pad = 1, unk = 3;
  std::vector<std::string> pieces = {"<s>", "<pad>", "</s>", "<unk>", "\xe2\x96\x81lamp",
                                     "s",   "<mask>"};
  std::vector<float> scores = {0, 0, 0, 0, -2, -3, 0};
  std::string skip_tensor = {};  // left out
  uint64_t shift = 0;            // added to every offset

  struct Tensor {
    std::string name;
    uint8_t type;
    uint32_t values;
  };

  std::vector<Tensor> Tensors() const {
    const auto n = [](int64_t v) { return static_cast<uint32_t>(v); };
    std::vector<Tensor> tensors = {{"emb.word", 1, n(dim * vocab)},
                                   {"emb.pos", 0, n(dim * positions)},
                                   {"emb.type", 0, n(dim * types)},
                                   {"emb.ln.w", 0, n(dim)},
                                   {"emb.ln.b", 0, n(dim)}};
    for (const char* m : {"q", "k", "v", "ao"}) {
      tensors.push_back({StrCat("l0.", m, ".w"), 1, n(dim * dim)});
      tensors.push_back({StrCat("l0.", m, ".b"), 0, n(dim)});
    }
    tensors.push_back({"l0.fi.w", 1, n(dim * ff)});
    tensors.push_back({"l0.fi.b", 0, n(ff)});
    tensors.push_back({"l0.fo.w", 1, n(dim * ff)});
    for (const char* m : {"fo.b", "aln.w", "aln.b", "oln.w", "oln.b"}) {
      tensors.push_back({StrCat("l0.", m), 0, n(dim)});
    }
    return tensors;
  }

  static std::string Data(const Tensor& tensor) {
    std::string data;
    if (tensor.type == 0) {
      for (uint32_t i = 0; i < tensor.values; ++i)
        AppendFixed(&data, 0.01f * static_cast<float>(i % 7) + 0.5f);
      return data;
    }
    for (uint32_t i = 0; i < tensor.values / 32; ++i) {
      AppendFixed<uint16_t>(&data, FloatToHalf(0.0625f * static_cast<float>(1 + i % 3)));
      for (int k = 0; k < 16; ++k)
        data.push_back(static_cast<char>(i * 37 + k * 11 + tensor.name.size()));
    }
    return data;
  }

  std::string Bytes() const {
    std::string out = magic;
    AppendFixed(&out, version);
    for (const int32_t v : {dim, layers, heads, ff, vocab, positions, types}) AppendFixed(&out, v);
    AppendFixed(&out, epsilon);
    AppendFixed(&out, block);
    for (const int32_t v : {static_cast<int32_t>(pieces.size()), bos, eos, pad, unk})
      AppendFixed(&out, v);
    std::string blob, offsets;
    for (const std::string& piece : pieces) {
      AppendFixed<uint32_t>(&offsets, blob.size());
      blob += piece;
    }
    AppendFixed<uint32_t>(&offsets, blob.size());
    AppendFixed<uint64_t>(&out, blob.size());
    out += offsets;
    for (const float score : scores) AppendFixed(&out, score);
    out += blob;
    std::string map;  // newline -> space, U+0001 -> nothing, U+00BD -> 1/2
    AppendFixed<uint32_t>(&map, 1), map.push_back(0);
    AppendFixed<uint32_t>(&map, 10), map.push_back(1), AppendFixed<uint32_t>(&map, 32);
    AppendFixed<uint32_t>(&map, 0xbd), map.push_back(3);
    for (const uint32_t c : {0x31u, 0x2044u, 0x32u}) AppendFixed(&map, c);
    AppendFixed<int32_t>(&out, 3);
    AppendFixed<uint32_t>(&out, map.size());
    out += map;

    std::vector<Tensor> tensors = Tensors();
    std::erase_if(tensors, [&](const Tensor& t) { return t.name == skip_tensor; });
    size_t directory = 4;
    for (const Tensor& t : tensors) directory += 2 + t.name.size() + 1 + 4 + 8 + 8;
    std::string data;
    const size_t data_begin = out.size() + directory;
    AppendFixed<int32_t>(&out, tensors.size());
    for (const Tensor& t : tensors) {
      const std::string bytes = Data(t);
      AppendFixed<uint16_t>(&out, t.name.size());
      out += t.name;
      AppendFixed(&out, t.type);
      AppendFixed(&out, t.values);
      AppendFixed<uint64_t>(&out, data_begin + data.size() + shift);
      AppendFixed<uint64_t>(&out, bytes.size());
      data += bytes;
    }
    return out + data;
  }
};

class Convert : public ::testing::Test {
 protected:
  void SetUp() override {
    in_ = JoinPath(::testing::TempDir(), StrCat("vade_convert_", ::getpid(), ".bin"));
    out_ = JoinPath(::testing::TempDir(), StrCat("vade_convert_", ::getpid(), ".gguf"));
  }
  void TearDown() override {
    EXPECT_TRUE(RemoveFile(in_).ok());
    EXPECT_TRUE(RemoveFile(out_).ok());
  }
  Status Run(const std::string& bytes) {
    std::ofstream(in_, std::ios::binary | std::ios::trunc)
        << bytes;  // many times, so without a flush
    return ConvertE5(in_, out_);
  }
  std::string in_, out_;
};

TEST_F(Convert, NothingIsLost) {
  const Container container;
  const Status status = Run(container.Bytes());
  ASSERT_TRUE(status.ok()) << status.ToString();
  const auto file = GgufFile::Open(out_).value();
  EXPECT_EQ(file->GetString("general.architecture"), "bert");
  EXPECT_EQ(file->GetUint("bert.block_count"), 1u);
  EXPECT_EQ(file->GetString("vade.embedder.query_prefix"), "query: ");
  const std::pair<std::string, std::string> names[] = {
      {"token_embd.weight", "emb.word"},
      {"position_embd.weight", "emb.pos"},
      {"blk.0.attn_q.weight", "l0.q.w"},
      {"blk.0.ffn_down.weight", "l0.fo.w"},
      {"blk.0.layer_output_norm.bias", "l0.oln.b"}};
  for (const auto& [gguf, e5] : names) {
    const GgufTensor* tensor = file->Find(gguf);
    ASSERT_NE(tensor, nullptr) << gguf;
    for (const auto& expected : container.Tensors()) {
      if (expected.name != e5) continue;
      EXPECT_EQ(
          std::string(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size()),
          Container::Data(expected));
    }
  }
  EXPECT_EQ(file->Find("blk.0.ffn_down.weight")->shape, (std::vector<uint64_t>{64, 32}));
  EXPECT_EQ(file->tensors().size(), container.Tensors().size());
}

TEST_F(Convert, TheSameInputGivesTheSameBytes) {
  const std::string bytes = Container().Bytes();
  ASSERT_TRUE(Run(bytes).ok());
  const std::string first = ReadFile(out_, 1 << 20).value();
  ASSERT_TRUE(Run(bytes).ok());
  EXPECT_EQ(first, ReadFile(out_, 1 << 20).value());
}

TEST_F(Convert, TheResultIsAnEmbedder) {
  ASSERT_TRUE(Run(Container().Bytes()).ok());
  const auto file = GgufFile::Open(out_).value();
  const auto tokenizer = Tokenizer::FromGguf(*file).value();
  EXPECT_EQ(tokenizer->vocab_size(), 8);
  EXPECT_EQ(tokenizer->Encode("lamp\n\x01lamps", Special::kText), (std::vector<int32_t>{4, 4, 5}));
  // Characters that no piece holds are one unknown token; control tokens are never found in text.
  EXPECT_EQ(tokenizer->Encode("lamp\xc2\xbd</s>", Special::kText),
            (std::vector<int32_t>{4, 3, 5, 3}));
  EXPECT_EQ(tokenizer->Encode("</s>", Special::kParse), (std::vector<int32_t>{2}));
  auto embedder = LoadEmbedder(out_, {});
  ASSERT_TRUE(embedder.ok()) << embedder.status().ToString();
  EXPECT_EQ((*embedder)->dimension(), 32);
  EXPECT_EQ((*embedder)->max_tokens(), 16);
  const std::string_view texts[] = {"lamp",
                                    "lamps lamps lamps lamps lamps lamps lamps lamps lamps"};
  const auto vectors = (*embedder)->Embed(texts, EmbedRole::kQuery, Context());
  ASSERT_TRUE(vectors.ok()) << vectors.status().ToString();
  double squares = 0;
  for (size_t i = 0; i < 32; ++i) squares += (*vectors)[i] * (*vectors)[i];
  EXPECT_NEAR(squares, 1, 1e-5);
}

TEST_F(Convert, TokensBeyondTheLimitAreCounted) {
  ASSERT_TRUE(Run(Container().Bytes()).ok());
  const auto file = GgufFile::Open(out_).value();
  auto embedder = LoadEmbedder(out_, {}).value();
  const auto counted = [&](const std::string& text) {
    Trace trace("test");
    const std::string_view view = text;
    EXPECT_TRUE(embedder->Embed({&view, 1}, EmbedRole::kQuery, Context().WithTrace(&trace)).ok());
    return trace.counts();
  };
  std::string text;
  for (int i = 0; i < 30; ++i) text += "lamps ";
  const size_t all =
      Tokenizer::FromGguf(*file).value()->Encode("query: " + text, Special::kText).size();
  ASSERT_GT(all, 14u);
  const std::vector<std::pair<std::string, int64_t>> cut = {
      {"tokens_cut", static_cast<int64_t>(all) - 14}};
  EXPECT_EQ(counted(text), cut);
  EXPECT_TRUE(counted("lamp").empty());
}

int64_t MostMemoryUsed() {  // bytes
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

TEST_F(Convert, AHeaderThatClaimsMoreThanThereIsTakesNoMemory) {
  const int64_t before = MostMemoryUsed();
  EXPECT_EQ(Run(Container{.vocab = 1 << 24, .skip_tensor = "emb.word"}.Bytes()).code(),
            StatusCode::kDataLoss);
  EXPECT_LT(MostMemoryUsed() - before, 256 << 20);
}

TEST_F(Convert, EveryTruncationIsAnError) {
  const std::string whole = Container().Bytes();
  for (size_t size = 0; size < whole.size(); size += size < 400 ? 1 : 97) {
    const Status status = Run(whole.substr(0, size));
    EXPECT_FALSE(status.ok()) << size;
    EXPECT_NE(status.message().find(in_), std::string::npos) << status.ToString();
    EXPECT_FALSE(FileExists(out_));
  }
}

TEST_F(Convert, DamagedContainersAreRefused) {
  const auto expect_refused = [&](const Container& container, StatusCode code) {
    EXPECT_EQ(Run(container.Bytes()).code(), code);
  };
  expect_refused({.magic = "E5S2"}, StatusCode::kInvalidArgument);
  expect_refused({.version = 2}, StatusCode::kInvalidArgument);
  expect_refused({.dim = 33}, StatusCode::kDataLoss);
  expect_refused({.heads = 0}, StatusCode::kDataLoss);
  expect_refused({.layers = 1 << 20}, StatusCode::kDataLoss);
  expect_refused({.vocab = 3}, StatusCode::kDataLoss);
  expect_refused({.block = 16}, StatusCode::kDataLoss);
  expect_refused({.unk = 7}, StatusCode::kDataLoss);
  expect_refused({.skip_tensor = "l0.k.b"}, StatusCode::kDataLoss);
  expect_refused({.shift = uint64_t{1} << 40}, StatusCode::kDataLoss);
}

}  // namespace
}  // namespace vade
