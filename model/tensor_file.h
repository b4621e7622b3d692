// What a weight file is to those who only want its tensors: GgufFile and SafetensorsFile.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernels/tensor_type.h"

namespace vade {

struct WeightTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> shape;  // innermost first: {cols, rows, ...}
  uint64_t elements = 0;
  std::span<const uint8_t> bytes;  // inside the mapping

  uint64_t cols() const { return shape.empty() ? 1 : shape[0]; }
  uint64_t rows() const { return cols() == 0 ? 0 : elements / cols(); }
};

class TensorFile {
 public:
  virtual ~TensorFile() = default;

  virtual const std::string& path() const = 0;

  // Tells this file's weights from any other's: a hash of the size, the header and samples of the
  // data. 32 hexadecimal digits. Not proof against forgery.
  virtual const std::string& fingerprint() const = 0;

  virtual const WeightTensor* Find(std::string_view name) const = 0;  // null when absent

  // Releases this process's page-cache pages of the tensor data (after it has been repacked).
  virtual void DropPages() const = 0;

  // With an error that tells expected from actual shape; `shape` innermost first.
  Result<const WeightTensor*> Require(std::string_view name, std::span<const uint64_t> shape) const;
};

std::string ShapeText(std::span<const uint64_t> shape);  // "[384, 1536]"

// Hash of the size, the header (up to data_begin) and pieces of the data, evenly spread, first and
// last included.
std::string TensorFingerprint(std::span<const uint8_t> bytes, size_t data_begin);

}  // namespace vade
