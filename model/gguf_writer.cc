// The byte format is described in gguf_parser.cc.
#include "model/gguf_writer.h"

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "model/gguf_parser.h"

namespace vade {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;

uint64_t Aligned(uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

void AppendGgufString(std::string* out, std::string_view text) {
  AppendFixed<uint64_t>(out, text.size());
  out->append(text);
}

template <typename T>
void AppendAll(std::string* out, std::span<const T> values) {
  out->append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

}  // namespace

void GgufWriter::BeginEntry(std::string_view key, uint32_t type) {
  ++entry_count_;
  AppendGgufString(&entries_, key);
  AppendFixed(&entries_, type);
}

void GgufWriter::BeginArray(std::string_view key, uint32_t element_type, size_t count) {
  BeginEntry(key, static_cast<uint32_t>(GgufType::kArray));
  AppendFixed(&entries_, element_type);
  AppendFixed<uint64_t>(&entries_, count);
}

void GgufWriter::SetUint(std::string_view key, uint32_t value) {
  BeginEntry(key, static_cast<uint32_t>(GgufType::kU32));
  AppendFixed(&entries_, value);
}

void GgufWriter::SetFloat(std::string_view key, float value) {
  BeginEntry(key, static_cast<uint32_t>(GgufType::kF32));
  AppendFixed(&entries_, value);
}

void GgufWriter::SetBool(std::string_view key, bool value) {
  BeginEntry(key, static_cast<uint32_t>(GgufType::kBool));
  AppendFixed<uint8_t>(&entries_, value ? 1 : 0);
}

void GgufWriter::SetString(std::string_view key, std::string_view value) {
  BeginEntry(key, static_cast<uint32_t>(GgufType::kString));
  AppendGgufString(&entries_, value);
}

void GgufWriter::SetStrings(std::string_view key, std::span<const std::string_view> values) {
  BeginArray(key, static_cast<uint32_t>(GgufType::kString), values.size());
  for (const std::string_view value : values) AppendGgufString(&entries_, value);
}

void GgufWriter::SetFloats(std::string_view key, std::span<const float> values) {
  BeginArray(key, static_cast<uint32_t>(GgufType::kF32), values.size());
  AppendAll(&entries_, values);
}

void GgufWriter::SetInts(std::string_view key, std::span<const int32_t> values) {
  BeginArray(key, static_cast<uint32_t>(GgufType::kI32), values.size());
  AppendAll(&entries_, values);
}

void GgufWriter::SetUints(std::string_view key, std::span<const uint32_t> values) {
  BeginArray(key, static_cast<uint32_t>(GgufType::kU32), values.size());
  AppendAll(&entries_, values);
}

void GgufWriter::AddTensor(std::string_view name, TensorType type, std::vector<uint64_t> shape,
                           std::span<const uint8_t> bytes) {
  tensors_.push_back({std::string(name), type, std::move(shape), bytes});
}

Result<std::string> GgufWriter::Build() const {
  std::string out = "GGUF";
  AppendFixed(&out, kVersion);
  AppendFixed<uint64_t>(&out, tensors_.size());
  AppendFixed(&out, entry_count_);
  out += entries_;
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    const TensorTypeInfo& info = InfoOf(tensor.type);
    uint64_t elements = 1;
    for (const uint64_t size : tensor.shape) elements *= size;
    if (elements / info.block_elements * info.block_bytes != tensor.bytes.size()) {
      return InvalidArgument(StrCat("tensor ", tensor.name, " of ", elements, " values in ",
                                    info.name, " has ", tensor.bytes.size(), " bytes"));
    }
    AppendGgufString(&out, tensor.name);
    AppendFixed<uint32_t>(&out, tensor.shape.size());
    AppendAll<uint64_t>(&out, tensor.shape);
    AppendFixed(&out, static_cast<uint32_t>(tensor.type));
    AppendFixed(&out, offset);
    offset = Aligned(offset + tensor.bytes.size());
  }
  out.reserve(Aligned(out.size()) + offset);
  for (const Tensor& tensor : tensors_) {
    out.resize(Aligned(out.size()));
    AppendAll(&out, tensor.bytes);
  }
  return out;
}

Status GgufWriter::Write(const std::string& path) const {
  ASSIGN_OR_RETURN(const std::string bytes, Build());
  return WriteFileAtomically(path, bytes);
}

}  // namespace vade
