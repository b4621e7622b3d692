// A safetensors file is hostile until proven sane.
#include "model/safetensors.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "tests/testing/tiny_encoder.h"

namespace vade {
namespace {

using Json = nlohmann::json;

std::string File(const std::string& header, size_t data_bytes) {
  std::string bytes;
  AppendFixed<uint64_t>(&bytes, header.size());
  bytes += header;
  for (size_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

Json Entry(const std::string& type, std::vector<uint64_t> shape, uint64_t begin, uint64_t end) {
  return {{"dtype", type}, {"shape", shape}, {"data_offsets", {begin, end}}};
}

Status Open(const Json& header, size_t data_bytes) {
  return SafetensorsFile::FromBytes(File(header.dump(), data_bytes), "w").status();
}

TEST(Safetensors, TensorsAreFoundWithTheirShapesInnermostFirst) {
  const Json header = {{"__metadata__", {{"format", "pt"}}},
                       {"a", Entry("F32", {2, 3}, 0, 24)},
                       {"b", Entry("F16", {4}, 24, 32)},
                       {"ids", Entry("I64", {1, 2}, 32, 48)},
                       {"scalar", Entry("BF16", {}, 48, 50)}};
  const auto file = SafetensorsFile::FromBytes(File(header.dump(), 50), "w");
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const WeightTensor* a = (*file)->Find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->shape, (std::vector<uint64_t>{3, 2}));
  EXPECT_EQ(a->bytes.size(), 24u);
  EXPECT_EQ(a->bytes[23], 23);
  EXPECT_EQ((*file)->Find("b")->type, TensorType::kF16);
  EXPECT_EQ((*file)->Find("ids"), nullptr);  // whole numbers are no weights
  EXPECT_EQ((*file)->Find("scalar")->elements, 1u);
  EXPECT_EQ((*file)->Find("__metadata__"), nullptr);
}

TEST(Safetensors, FingerprintsTellFilesApart) {
  const testing::TinyEncoder tiny({"a"}), other({"b"}, 1);
  const auto print = [](std::string bytes) {
    return SafetensorsFile::FromBytes(std::move(bytes), "w").value()->fingerprint();
  };
  EXPECT_EQ(print(tiny.Safetensors()), print(tiny.Safetensors()));
  EXPECT_NE(print(tiny.Safetensors()), print(other.Safetensors()));
}

TEST(Safetensors, ShapesThatDoNotFitTheirBytesAreRefusedByName) {
  for (const Json& entry :
       {Entry("F32", {2, 3}, 0, 20), Entry("F32", {2, 3}, 24, 0), Entry("F16", {2, 3}, 0, 24),
        Entry("F32", {uint64_t{1} << 62, 4}, 0, 24), Entry("F32", {uint64_t{1} << 63, 2}, 0, 0)}) {
    const Status status = Open({{"weight", entry}}, 64);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << entry;
    EXPECT_NE(status.message().find("weight"), std::string::npos) << status.ToString();
  }
  EXPECT_EQ(Open({{"a", Entry("F32", {6}, 0, 24)}, {"b", Entry("F32", {6}, 20, 44)}}, 64).code(),
            StatusCode::kInvalidArgument);
}

TEST(Safetensors, WhatLiesBehindTheEndIsDataLoss) {
  const Status status = Open({{"a", Entry("F32", {6}, 40, 64)}}, 63);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("64 of 63"), std::string::npos) << status.ToString();
}

TEST(Safetensors, EveryCutIsRefused) {
  const std::string whole = testing::TinyEncoder({"a"}).Safetensors();
  for (size_t size :
       {size_t{0}, size_t{7}, size_t{8}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    EXPECT_FALSE(SafetensorsFile::FromBytes(whole.substr(0, size), "w").ok()) << size;
  }
}

TEST(Safetensors, HeadersThatAreNoneAreRefused) {
  for (const char* header :
       {"[]", "{", "{\"a\": 1}", "{\"a\": {}}", "{\"a\": {\"dtype\": \"F32\"}}",
        "{\"a\": {\"dtype\": \"Q9\", \"shape\": [1], \"data_offsets\": [0, 4]}}",
        "{\"a\": {\"dtype\": \"F32\", \"shape\": [-1], \"data_offsets\": [0, 4]}}",
        "{\"a\": {\"dtype\": \"F32\", \"shape\": [1.5], \"data_offsets\": [0, 4]}}",
        "{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4, 4]}}",
        "{\"a\": {\"dtype\": \"F32\", \"shape\": [1,1,1,1,1,1,1,1,1], \"data_offsets\": [0, "
        "4]}}"}) {
    EXPECT_EQ(SafetensorsFile::FromBytes(File(header, 64), "w").status().code(),
              StatusCode::kInvalidArgument)
        << header;
  }
  std::string huge;
  AppendFixed<uint64_t>(&huge, ~uint64_t{0});
  EXPECT_EQ(SafetensorsFile::FromBytes(huge + "{}", "w").status().code(),
            StatusCode::kInvalidArgument);
  std::string deep(100000, '[');
  EXPECT_FALSE(SafetensorsFile::FromBytes(File(deep, 0), "w").ok());
}

}  // namespace
}  // namespace vade
