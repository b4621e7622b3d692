#include "model/tensor_file.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr size_t kSampledBlocks = 64;
constexpr size_t kSampleBytes = 4096;

}  // namespace

std::string ShapeText(std::span<const uint64_t> shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += StrCat(i > 0 ? ", " : "", shape[i]);
  return out + "]";
}

std::string TensorFingerprint(std::span<const uint8_t> bytes, size_t data_begin) {
  std::string sample(1, 'a');
  AppendFixed<uint64_t>(&sample, bytes.size());
  const auto append = [&](std::span<const uint8_t> part) {
    sample.append(reinterpret_cast<const char*>(part.data()), part.size());
  };
  append(bytes.first(data_begin));
  const std::span<const uint8_t> data = bytes.subspan(data_begin);
  if (data.size() <= kSampledBlocks * kSampleBytes) {
    append(data);
  } else {
    const size_t last = data.size() - kSampleBytes;
    for (size_t i = 0; i < kSampledBlocks; ++i) {
      append(data.subspan(last * i / (kSampledBlocks - 1), kSampleBytes));
    }
  }
  std::string digest;
  AppendFixed(&digest, Checksum64(sample));
  sample[0] = 'b';  // a second, independent 64 bits
  AppendFixed(&digest, Checksum64(sample));
  return Hex(digest);
}

Result<const WeightTensor*> TensorFile::Require(std::string_view name,
                                              std::span<const uint64_t> shape) const {
  const WeightTensor* tensor = Find(name);
  if (tensor == nullptr) {
    return InvalidArgument(StrCat("weights file ", path(), ": tensor ", name, " ", ShapeText(shape),
                                  " is missing; is it a complete model of a supported kind?"));
  }
  if (!std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end())) {
    return InvalidArgument(StrCat("weights file ", path(), ": tensor ", name, " is ",
                                  ShapeText(tensor->shape), ", expected ", ShapeText(shape),
                                  "; was it converted with another tool?"));
  }
  return tensor;
}

}  // namespace vade
