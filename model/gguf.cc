#include "model/gguf.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_map>

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "model/gguf_parser.h"

namespace vade {
namespace {

constexpr size_t kSummaryBytes = 72;
constexpr uint64_t kSummaryElements = 6;

template <typename T>
T Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// Integers of any width; nothing for other kinds and for values that do not fit.
std::optional<int64_t> LoadInt(GgufType type, const uint8_t* p) {
  switch (type) {
    case GgufType::kU8: return Load<uint8_t>(p);
    case GgufType::kI8: return Load<int8_t>(p);
    case GgufType::kU16: return Load<uint16_t>(p);
    case GgufType::kI16: return Load<int16_t>(p);
    case GgufType::kU32: return Load<uint32_t>(p);
    case GgufType::kI32: return Load<int32_t>(p);
    case GgufType::kI64: return Load<int64_t>(p);
    case GgufType::kU64: {
      const auto value = Load<uint64_t>(p);
      if (value > uint64_t{std::numeric_limits<int64_t>::max()}) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default: return std::nullopt;
  }
}

std::optional<double> LoadFloat(GgufType type, const uint8_t* p) {
  if (type == GgufType::kF32) return Load<float>(p);
  if (type == GgufType::kF64) return Load<double>(p);
  return std::nullopt;
}

// The string at p, advancing p; its length was checked when the file was parsed.
std::string_view NextString(const uint8_t** p) {
  const auto size = Load<uint64_t>(*p);
  const std::string_view text(reinterpret_cast<const char*>(*p + 8), size);
  *p += 8 + size;
  return text;
}

// One line, printable, at most kSummaryBytes.
std::string ForDisplay(std::string_view text) {
  const bool cut = text.size() > kSummaryBytes;
  std::string out;
  for (const char c : ReplaceInvalidUtf8(
           text.substr(0, cut ? FloorToCodePoint(text, kSummaryBytes) : text.size()))) {
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
    }
  }
  return cut ? out + "..." : out;
}

std::string ElementForDisplay(GgufType type, const uint8_t** p) {
  if (type == GgufType::kString) return StrCat('"', ForDisplay(NextString(p)), '"');
  const uint8_t* at = *p;
  *p += GgufTypeBytes(type);
  if (type == GgufType::kBool) return *at ? "true" : "false";
  if (type == GgufType::kF32) return StrCat(Load<float>(at));
  if (const auto value = LoadFloat(type, at)) return StrCat(*value);
  if (const auto value = LoadInt(type, at)) return StrCat(*value);
  return StrCat(Load<uint64_t>(at));
}

GgufFile::KeySummary Summarize(const GgufEntry& entry) {
  GgufFile::KeySummary summary{std::string(entry.key), std::string(GgufTypeName(entry.type)), ""};
  const uint8_t* p = entry.payload.data();
  if (!entry.is_array) {
    summary.value = ElementForDisplay(entry.type, &p);
    return summary;
  }
  summary.type = StrCat(summary.type, "[", entry.count, "]");
  std::string& value = summary.value;
  for (uint64_t i = 0; i < std::min(entry.count, kSummaryElements); ++i) {
    if (i > 0) value += ", ";
    value += ElementForDisplay(entry.type, &p);
    if (value.size() > kSummaryBytes) break;
  }
  if (entry.count > kSummaryElements) value += ", ...";
  return summary;
}

}  // namespace

struct GgufFile::Impl {
  std::string path;
  std::unique_ptr<MappedFile> file;  // null when the bytes are held in `memory`
  std::string memory;
  GgufLayout layout;
  std::unordered_map<std::string_view, size_t> tensor_by_name;
  std::string fingerprint;

  std::span<const uint8_t> bytes() const {
    if (file) return file->bytes();
    return {reinterpret_cast<const uint8_t*>(memory.data()), memory.size()};
  }

  Status Parse() {
    ASSIGN_OR_RETURN(layout, ParseGguf(bytes(), path));
    for (size_t i = 0; i < layout.tensors.size(); ++i) {
      tensor_by_name.emplace(layout.tensors[i].name, i);
    }
    fingerprint = TensorFingerprint(bytes(), layout.data_begin);
    return OkStatus();
  }

  const GgufEntry* Entry(std::string_view key, bool is_array) const {
    const auto it = layout.entry_by_key.find(key);
    if (it == layout.entry_by_key.end()) return nullptr;
    const GgufEntry& entry = layout.entries[it->second];
    return entry.is_array == is_array ? &entry : nullptr;
  }
};

GgufFile::GgufFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GgufFile::~GgufFile() = default;

Result<std::unique_ptr<GgufFile>> GgufFile::Open(const std::string& path) {
  if (!FileExists(path)) {
    return NotFound(
        StrCat("weights file ", path, " does not exist; fetch it with scripts/fetch-models"));
  }
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  ASSIGN_OR_RETURN(impl->file, MappedFile::Open(path));
  RETURN_IF_ERROR(impl->Parse());
  return std::unique_ptr<GgufFile>(new GgufFile(std::move(impl)));
}

Result<std::unique_ptr<GgufFile>> GgufFile::FromBytes(std::string bytes, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->path = name;
  impl->memory = std::move(bytes);
  RETURN_IF_ERROR(impl->Parse());
  return std::unique_ptr<GgufFile>(new GgufFile(std::move(impl)));
}

const std::string& GgufFile::path() const { return impl_->path; }
const std::string& GgufFile::fingerprint() const { return impl_->fingerprint; }
const std::vector<GgufTensor>& GgufFile::tensors() const { return impl_->layout.tensors; }

std::optional<int64_t> GgufFile::GetInt(std::string_view key) const {
  const GgufEntry* entry = impl_->Entry(key, /*is_array=*/false);
  if (entry == nullptr) return std::nullopt;
  return LoadInt(entry->type, entry->payload.data());
}

std::optional<uint64_t> GgufFile::GetUint(std::string_view key) const {
  const GgufEntry* entry = impl_->Entry(key, /*is_array=*/false);
  if (entry == nullptr) return std::nullopt;
  if (entry->type == GgufType::kU64) return Load<uint64_t>(entry->payload.data());
  const auto value = LoadInt(entry->type, entry->payload.data());
  if (!value || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<double> GgufFile::GetFloat(std::string_view key) const {
  const GgufEntry* entry = impl_->Entry(key, /*is_array=*/false);
  if (entry == nullptr) return std::nullopt;
  return LoadFloat(entry->type, entry->payload.data());
}

std::optional<bool> GgufFile::GetBool(std::string_view key) const {
  const GgufEntry* entry = impl_->Entry(key, /*is_array=*/false);
  if (entry == nullptr || entry->type != GgufType::kBool) return std::nullopt;
  return entry->payload[0] != 0;
}

std::optional<std::string_view> GgufFile::GetString(std::string_view key) const {
  const GgufEntry* entry = impl_->Entry(key, /*is_array=*/false);
  if (entry == nullptr || entry->type != GgufType::kString) return std::nullopt;
  const uint8_t* p = entry->payload.data();
  return NextString(&p);
}

std::optional<std::vector<std::string_view>> GgufFile::GetStrings(std::string_view key) const {
  const GgufEntry* entry = impl_->Entry(key, /*is_array=*/true);
  if (entry == nullptr || entry->type != GgufType::kString) return std::nullopt;
  std::vector<std::string_view> strings;
  strings.reserve(entry->count);
  const uint8_t* p = entry->payload.data();
  for (uint64_t i = 0; i < entry->count; ++i) strings.push_back(NextString(&p));
  return strings;
}

std::optional<std::vector<float>> GgufFile::GetFloats(std::string_view key) const {
  const GgufEntry* entry = impl_->Entry(key, /*is_array=*/true);
  if (entry == nullptr || (entry->type != GgufType::kF32 && entry->type != GgufType::kF64)) {
    return std::nullopt;
  }
  std::vector<float> values(entry->count);
  const size_t size = GgufTypeBytes(entry->type);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(*LoadFloat(entry->type, entry->payload.data() + i * size));
  }
  return values;
}

std::optional<std::vector<int64_t>> GgufFile::GetInts(std::string_view key) const {
  const GgufEntry* entry = impl_->Entry(key, /*is_array=*/true);
  if (entry == nullptr || entry->type == GgufType::kString) return std::nullopt;
  std::vector<int64_t> values(entry->count);
  const size_t size = GgufTypeBytes(entry->type);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value = LoadInt(entry->type, entry->payload.data() + i * size);
    if (!value) return std::nullopt;
    values[i] = *value;
  }
  return values;
}

Result<uint64_t> GgufFile::RequireUint(std::string_view key) const {
  if (const auto value = GetUint(key)) return *value;
  return InvalidArgument(StrCat("weights file ", path(), ": key ", key,
                                " is missing or not a number; is it a model of a supported kind?"));
}

Result<std::string_view> GgufFile::RequireString(std::string_view key) const {
  if (const auto value = GetString(key)) return *value;
  return InvalidArgument(StrCat("weights file ", path(), ": key ", key,
                                " is missing or not a string; is it a model of a supported kind?"));
}

std::vector<GgufFile::KeySummary> GgufFile::Summary() const {
  std::vector<KeySummary> out;
  out.reserve(impl_->layout.entries.size());
  for (const GgufEntry& entry : impl_->layout.entries) out.push_back(Summarize(entry));
  return out;
}

const GgufTensor* GgufFile::Find(std::string_view name) const {
  const auto it = impl_->tensor_by_name.find(name);
  return it == impl_->tensor_by_name.end() ? nullptr : &impl_->layout.tensors[it->second];
}

void GgufFile::DropPages() const {
  if (!impl_->file) return;
  const size_t begin = impl_->layout.data_begin;
  impl_->file->DontNeed(begin, impl_->file->bytes().size() - begin);
}

}  // namespace vade
