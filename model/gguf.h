// GGUF v2/v3 weight files, mapped. A file is hostile until every offset, count and size has been
// checked: Open() succeeds only when all metadata parses and every tensor's bytes lie inside the
// file, aligned and without overlap into the header. Immutable afterwards and safe to share between
// threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/tensor_file.h"

namespace vade {

using GgufTensor = WeightTensor;

class GgufFile final : public TensorFile {
 public:
  // NOT_FOUND, INVALID_ARGUMENT (not a GGUF file, wrong version, unknown tensor type, by name),
  // DATA_LOSS (truncated or inconsistent).
  static Result<std::unique_ptr<GgufFile>> Open(const std::string& path);
  // The same for bytes that are in memory already; `name` stands for the path in messages.
  static Result<std::unique_ptr<GgufFile>> FromBytes(std::string bytes, const std::string& name);
  ~GgufFile() override;
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  const std::string& path() const override;
  const std::string& fingerprint() const override;

  // Metadata. Integer keys of any width are widened; a missing key or one of another kind is
  // nothing.
  std::optional<uint64_t> GetUint(std::string_view key) const;
  std::optional<int64_t> GetInt(std::string_view key) const;
  std::optional<double> GetFloat(std::string_view key) const;
  std::optional<bool> GetBool(std::string_view key) const;
  std::optional<std::string_view> GetString(std::string_view key) const;
  std::optional<std::vector<std::string_view>> GetStrings(std::string_view key) const;
  std::optional<std::vector<float>> GetFloats(std::string_view key) const;
  std::optional<std::vector<int64_t>> GetInts(std::string_view key) const;

  // The same, with an error that names the file and the key.
  Result<uint64_t> RequireUint(std::string_view key) const;
  Result<std::string_view> RequireString(std::string_view key) const;

  struct KeySummary {
    std::string key, type, value;  // value shortened for display
  };
  std::vector<KeySummary> Summary() const;

  const std::vector<GgufTensor>& tensors() const;
  const GgufTensor* Find(std::string_view name) const override;
  void DropPages() const override;

 private:
  struct Impl;
  explicit GgufFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vade
