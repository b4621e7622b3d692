// Writes GGUF v3 files: keys and tensors in the order in which they were added, the same bytes
// every time.
//
//   GgufWriter writer;
//   writer.SetString("general.architecture", "bert");
//   writer.AddTensor("token_embd.weight", TensorType::kQ4_0, {384, 250037}, bytes);
//   RETURN_IF_ERROR(writer.Write(path));
//
// Tensor bytes are not copied: they must stay valid until Build() or Write() has returned.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernels/tensor_type.h"

namespace vade {

class GgufWriter {
 public:
  void SetUint(std::string_view key, uint32_t value);
  void SetFloat(std::string_view key, float value);
  void SetBool(std::string_view key, bool value);
  void SetString(std::string_view key, std::string_view value);
  void SetStrings(std::string_view key, std::span<const std::string_view> values);
  void SetFloats(std::string_view key, std::span<const float> values);
  void SetInts(std::string_view key, std::span<const int32_t> values);
  void SetUints(std::string_view key, std::span<const uint32_t> values);

  // `shape` innermost first; `bytes` holds the tensor in the block format of `type`.
  void AddTensor(std::string_view name, TensorType type, std::vector<uint64_t> shape,
                 std::span<const uint8_t> bytes);

  // The whole file. INVALID_ARGUMENT when a tensor's bytes do not fit its shape.
  Result<std::string> Build() const;
  // Readers of `path` see the old file or the new one.
  Status Write(const std::string& path) const;

 private:
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<uint64_t> shape;
    std::span<const uint8_t> bytes;
  };
  void BeginEntry(std::string_view key, uint32_t type);
  void BeginArray(std::string_view key, uint32_t element_type, size_t count);

  uint64_t entry_count_ = 0;
  std::string entries_;  // encoded as they were set
  std::vector<Tensor> tensors_;
};

}  // namespace vade
