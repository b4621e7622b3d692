#include "model/gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "base/files.h"
#include "model/gguf_writer.h"
#include "model/inspect.h"

namespace vade {
namespace {

std::string String(std::string_view text) {
  std::string out;
  AppendFixed<uint64_t>(&out, text.size());
  return out + std::string(text);
}

template <typename T>
std::string Fixed(T value) {
  std::string out;
  AppendFixed(&out, value);
  return out;
}

// A file put together by hand, so that each field can be wrong.
struct RawGguf {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<std::string> entries;
  std::vector<std::string> tensors;
  std::optional<uint64_t> entry_count, tensor_count;
  std::string data;

  static std::string Entry(std::string_view key, uint32_t type, const std::string& value) {
    return String(key) + Fixed(type) + value;
  }
  static std::string Tensor(std::string_view name, std::vector<uint64_t> shape, uint32_t type,
                            uint64_t offset) {
    std::string out = String(name) + Fixed<uint32_t>(shape.size());
    for (const uint64_t size : shape) out += Fixed(size);
    return out + Fixed(type) + Fixed(offset);
  }
  std::string Bytes() const {
    std::string out = magic + Fixed(version) +
                      Fixed<uint64_t>(tensor_count.value_or(tensors.size())) +
                      Fixed<uint64_t>(entry_count.value_or(entries.size()));
    for (const auto& entry : entries) out += entry;
    for (const auto& tensor : tensors) out += tensor;
    out.resize((out.size() + 31) / 32 * 32);
    return out + data;
  }
  Result<std::unique_ptr<GgufFile>> Open() const {
    return GgufFile::FromBytes(Bytes(), "test.gguf");
  }
  Status Error() const { return Open().status(); }
};

void ExpectError(const RawGguf& raw, StatusCode code, std::string_view part) {
  const auto file = raw.Open();
  ASSERT_FALSE(file.ok()) << "expected an error with: " << part;
  EXPECT_EQ(file.status().code(), code) << file.status().ToString();
  EXPECT_NE(file.status().message().find(part), std::string::npos) << file.status().ToString();
  EXPECT_NE(file.status().message().find("test.gguf"), std::string::npos);
}

TEST(Gguf, EveryKindOfValueIsRead) {
  RawGguf raw;
  raw.entries = {
      RawGguf::Entry("u8", 0, Fixed<uint8_t>(200)),
      RawGguf::Entry("i8", 1, Fixed<int8_t>(-3)),
      RawGguf::Entry("u64", 10, Fixed<uint64_t>(~0ull)),
      RawGguf::Entry("f32", 6, Fixed(0.5f)),
      RawGguf::Entry("f64", 12, Fixed(0.25)),
      RawGguf::Entry("bool", 7, Fixed<uint8_t>(1)),
      RawGguf::Entry("text", 8, String("hello")),
      RawGguf::Entry("words", 9,
                     Fixed<uint32_t>(8) + Fixed<uint64_t>(2) + String("a") + String("")),
      RawGguf::Entry("floats", 9,
                     Fixed<uint32_t>(6) + Fixed<uint64_t>(2) + Fixed(1.f) + Fixed(2.f)),
      RawGguf::Entry("ints", 9, Fixed<uint32_t>(3) + Fixed<uint64_t>(1) + Fixed<int16_t>(-7)),
  };
  const auto file = raw.Open();
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const GgufFile& f = **file;
  EXPECT_EQ(f.GetUint("u8"), 200u);
  EXPECT_EQ(f.GetInt("i8"), -3);
  EXPECT_EQ(f.GetUint("i8"), std::nullopt);
  EXPECT_EQ(f.GetUint("u64"), ~0ull);
  EXPECT_EQ(f.GetInt("u64"), std::nullopt);
  EXPECT_EQ(f.GetFloat("f32"), 0.5);
  EXPECT_EQ(f.GetFloat("f64"), 0.25);
  EXPECT_EQ(f.GetBool("bool"), true);
  EXPECT_EQ(f.GetString("text"), "hello");
  EXPECT_EQ(f.GetStrings("words"), (std::vector<std::string_view>{"a", ""}));
  EXPECT_EQ(f.GetFloats("floats"), (std::vector<float>{1, 2}));
  EXPECT_EQ(f.GetInts("ints"), (std::vector<int64_t>{-7}));
  EXPECT_EQ(f.GetString("u8"), std::nullopt);
  EXPECT_EQ(f.GetUint("ints"), std::nullopt);
  EXPECT_EQ(f.GetUint("absent"), std::nullopt);
  EXPECT_EQ(f.RequireUint("absent").status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(f.RequireString("absent").status().message().find("absent"), std::string::npos);
}

TEST(Gguf, TensorsLieAlignedBehindTheHeader) {
  std::vector<float> a = {1, 2, 3, 4, 5, 6};
  std::vector<float> b = {7};
  GgufWriter writer;
  writer.SetString("general.architecture", "test");
  const auto bytes_of = [](const std::vector<float>& v) {
    return std::span(reinterpret_cast<const uint8_t*>(v.data()), v.size() * 4);
  };
  writer.AddTensor("a", TensorType::kF32, {3, 2}, bytes_of(a));
  writer.AddTensor("b", TensorType::kF32, {1}, bytes_of(b));
  auto bytes = writer.Build();
  ASSERT_TRUE(bytes.ok());
  const auto file = GgufFile::FromBytes(*bytes, "x");
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const GgufTensor* tensor = (*file)->Find("a");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->cols(), 3u);
  EXPECT_EQ(tensor->rows(), 2u);
  EXPECT_EQ(std::memcmp(tensor->bytes.data(), a.data(), 24), 0);
  EXPECT_EQ(std::memcmp((*file)->Find("b")->bytes.data(), b.data(), 4), 0);
  EXPECT_EQ((*file)->Find("c"), nullptr);
  const std::vector<uint64_t> right = {3, 2}, wrong = {2, 3};
  EXPECT_TRUE((*file)->Require("a", right).ok());
  const Status status = (*file)->Require("a", wrong).status();
  EXPECT_NE(status.message().find("[3, 2], expected [2, 3]"), std::string::npos)
      << status.ToString();
  EXPECT_FALSE((*file)->Require("c", right).ok());
}

TEST(Gguf, AFileOfAnotherKindIsRefused) {
  RawGguf raw;
  raw.magic = "GGML";
  ExpectError(raw, StatusCode::kInvalidArgument, "not a GGUF file");
  for (const uint32_t version : {0u, 1u, 4u, 0x03000000u}) {
    RawGguf other;
    other.version = version;
    ExpectError(other, StatusCode::kInvalidArgument, "version");
  }
  EXPECT_EQ(GgufFile::FromBytes("", "x").status().code(), StatusCode::kInvalidArgument);
}

TEST(Gguf, CountsBeyondTheFileAreRefused) {
  RawGguf raw;
  raw.entry_count = 1ull << 60;
  ExpectError(raw, StatusCode::kDataLoss, "do not fit");
  raw.entry_count.reset();
  raw.tensor_count = ~0ull;
  ExpectError(raw, StatusCode::kDataLoss, "do not fit");
}

TEST(Gguf, StringsAndArraysBeyondTheFileAreRefused) {
  RawGguf raw;
  raw.entries = {RawGguf::Entry("k", 8, Fixed<uint64_t>(~0ull) + "abc")};
  ExpectError(raw, StatusCode::kDataLoss, "'k'");
  raw.entries = {RawGguf::Entry("k", 9, Fixed<uint32_t>(6) + Fixed<uint64_t>(1ull << 62))};
  ExpectError(raw, StatusCode::kDataLoss, "'k'");
  raw.entries = {RawGguf::Entry("k", 9, Fixed<uint32_t>(8) + Fixed<uint64_t>(1ull << 62))};
  ExpectError(raw, StatusCode::kDataLoss, "'k'");
}

TEST(Gguf, UnknownAndNestedValuesAreRefused) {
  RawGguf raw;
  raw.entries = {RawGguf::Entry("k", 13, "")};
  ExpectError(raw, StatusCode::kInvalidArgument, "value type 13");
  raw.entries = {RawGguf::Entry("k", 9, Fixed<uint32_t>(9) + Fixed<uint64_t>(1))};
  ExpectError(raw, StatusCode::kInvalidArgument, "inside an array");
}

TEST(Gguf, DuplicateNamesAreRefused) {
  RawGguf raw;
  raw.entries = {RawGguf::Entry("k", 0, "a"), RawGguf::Entry("k", 0, "b")};
  ExpectError(raw, StatusCode::kInvalidArgument, "occurs twice");
  raw.entries.clear();
  raw.tensors = {RawGguf::Tensor("t", {1}, 0, 0), RawGguf::Tensor("t", {1}, 0, 0)};
  raw.data.assign(64, '\0');
  ExpectError(raw, StatusCode::kInvalidArgument, "occurs twice");
}

TEST(Gguf, AnAlignmentThatIsNoPowerOfTwoIsRefused) {
  for (const uint32_t alignment : {0u, 3u, 48u, 1u << 31}) {
    RawGguf raw;
    raw.entries = {RawGguf::Entry("general.alignment", 4, Fixed(alignment))};
    ExpectError(raw, StatusCode::kInvalidArgument, "general.alignment");
  }
  RawGguf raw;
  raw.entries = {RawGguf::Entry("general.alignment", 8, String("32"))};
  ExpectError(raw, StatusCode::kInvalidArgument, "general.alignment");
}

TEST(Gguf, BadTensorsAreRefusedByName) {
  RawGguf raw;
  raw.data.assign(64, '\0');
  raw.tensors = {RawGguf::Tensor("odd", {32}, 23, 0)};
  ExpectError(raw, StatusCode::kInvalidArgument, "tensor 'odd' has type 23");
  raw.tensors = {RawGguf::Tensor("odd", {1, 1, 1, 1, 1}, 0, 0)};
  ExpectError(raw, StatusCode::kInvalidArgument, "5 dimensions");
  raw.tensors = {RawGguf::Tensor("odd", {0}, 0, 0)};
  ExpectError(raw, StatusCode::kDataLoss, "dimension of 0");
  raw.tensors = {RawGguf::Tensor("odd", {1ull << 33, 1ull << 33}, 0, 0)};
  ExpectError(raw, StatusCode::kDataLoss, "'odd'");
  raw.tensors = {RawGguf::Tensor("odd", {31}, 2, 0)};
  ExpectError(raw, StatusCode::kInvalidArgument, "multiple of 32");
  raw.tensors = {RawGguf::Tensor("odd", {1}, 0, 4)};
  ExpectError(raw, StatusCode::kInvalidArgument, "alignment");
  raw.tensors = {RawGguf::Tensor("odd", {17}, 0, 0)};
  ExpectError(raw, StatusCode::kDataLoss, "ends beyond");
  raw.tensors = {RawGguf::Tensor("odd", {1}, 0, 1ull << 63)};
  ExpectError(raw, StatusCode::kDataLoss, "ends beyond");
}

TEST(Gguf, EveryTruncationIsAnError) {
  const float value[32] = {};
  GgufWriter writer;
  writer.SetString("general.name", "n");
  const std::string_view words[] = {"x", "yz"};
  writer.SetStrings("words", words);
  writer.AddTensor("t", TensorType::kF32, {32}, {reinterpret_cast<const uint8_t*>(value), 128});
  const std::string whole = writer.Build().value();
  ASSERT_TRUE(GgufFile::FromBytes(whole, "x").ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(GgufFile::FromBytes(whole.substr(0, size), "x").ok()) << size;
  }
}

TEST(Gguf, AMissingFileSaysHowToGetIt) {
  const Status status = GgufFile::Open("/nonexistent/model.gguf").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(status.message().find("scripts/fetch-models"), std::string::npos);
}

TEST(Gguf, AFileOnDiskIsMapped) {
  const std::string path = testing::TempDir() + "/gguf_test_mapped.gguf";
  GgufWriter writer;
  writer.SetUint("answer", 42);
  ASSERT_TRUE(writer.Write(path).ok());
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ((*file)->GetUint("answer"), 42u);
  EXPECT_EQ((*file)->path(), path);
  (*file)->DropPages();
  EXPECT_TRUE(RemoveFile(path).ok());
}

TEST(Gguf, TheFingerprintFollowsHeaderAndData) {
  std::vector<uint8_t> data(4 << 20, 1);
  const auto fingerprint = [&](uint32_t key) {
    GgufWriter writer;
    writer.SetUint("key", key);
    writer.AddTensor("t", TensorType::kF32, {data.size() / 4}, data);
    return (*GgufFile::FromBytes(writer.Build().value(), "x"))->fingerprint();
  };
  const std::string first = fingerprint(1);
  EXPECT_EQ(first.size(), 32u);
  EXPECT_EQ(first, fingerprint(1));
  EXPECT_NE(first, fingerprint(2));
  EXPECT_NE(first.substr(0, 16), first.substr(16));
  data.back() = 2;
  EXPECT_NE(first, fingerprint(1));
}

TEST(Gguf, TheWriterRefusesBytesThatDoNotFitTheShape) {
  const uint8_t bytes[4] = {};
  GgufWriter writer;
  writer.AddTensor("t", TensorType::kF32, {2}, bytes);
  EXPECT_EQ(writer.Build().status().code(), StatusCode::kInvalidArgument);
}

TEST(Gguf, TheDescriptionIsPrintableWhateverTheFileSays) {
  RawGguf raw;
  raw.entries = {
      RawGguf::Entry("na\x1bme", 8, String("va\x1b[31m\xff\nlue")),
      RawGguf::Entry("n", 9, Fixed<uint32_t>(4) + Fixed<uint64_t>(1) + Fixed<uint32_t>(5))};
  raw.tensors = {RawGguf::Tensor("t\x07", {1}, 0, 0)};
  raw.data.assign(4, '\0');
  const auto file = raw.Open();
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const std::string text = DescribeGguf(**file);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_NE(text.find("va?[31m"), std::string::npos) << text;
  EXPECT_NE(text.find("u32[1]"), std::string::npos) << text;
  EXPECT_NE(text.find("1 tensors: F32 x 1 (4 bytes)"), std::string::npos) << text;
}

}  // namespace
}  // namespace vade
