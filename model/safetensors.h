// Weight files in the safetensors format, mapped. A file is hostile until proven sane: Open()
// succeeds only when the header parses, and every tensor's shape, type and place agree and lie
// inside of the file without overlap. Immutable afterwards, safe to share between threads.
//
// The format: u64 length of the header, the header as JSON ({name: {"dtype", "shape",
// "data_offsets": [begin, end]}}, "__metadata__" is skipped), the bytes of the tensors.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/status.h"
#include "model/tensor_file.h"

namespace vade {

class SafetensorsFile final : public TensorFile {
 public:
  // NOT_FOUND, INVALID_ARGUMENT (not such a file, a shape that does not fit its bytes), DATA_LOSS
  // (truncated). Each message names the tensor and what is expected.
  static Result<std::unique_ptr<SafetensorsFile>> Open(const std::string& path);
  // The same for bytes that are in memory already; `name` stands for the path in messages.
  static Result<std::unique_ptr<SafetensorsFile>> FromBytes(std::string bytes,
                                                            const std::string& name);

  const std::string& path() const override { return path_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  // Tensors of 32- and 16-bit floats. Others are checked but not found: encoders have integers among
  // theirs that nobody needs.
  const WeightTensor* Find(std::string_view name) const override;
  void DropPages() const override;

 private:
  SafetensorsFile() = default;
  std::span<const uint8_t> bytes() const;
  Status Parse();

  std::string path_, fingerprint_;
  std::unique_ptr<MappedFile> file_;  // null when the bytes are held in `memory_`
  std::string memory_;
  size_t data_begin_ = 0;
  std::map<std::string, WeightTensor, std::less<>> tensors_;
};

}  // namespace vade
