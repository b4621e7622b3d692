#include "model/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 64 << 20;
constexpr size_t kMaxDimensions = 8;
constexpr size_t kMaxNameBytes = 512;

struct ElementType {
  std::string_view name;
  uint64_t bytes;
  std::optional<TensorType> type;  // nothing: not computed with here
};
constexpr ElementType kElementTypes[] = {
    {"F32", 4, TensorType::kF32},
    {"F16", 2, TensorType::kF16},
    {"BF16", 2, TensorType::kBf16},
    {"F64", 8, {}},
    {"I64", 8, {}},
    {"U64", 8, {}},
    {"I32", 4, {}},
    {"U32", 4, {}},
    {"I16", 2, {}},
    {"U16", 2, {}},
    {"I8", 1, {}},
    {"U8", 1, {}},
    {"BOOL", 1, {}},
    {"F8_E4M3", 1, {}},
    {"F8_E5M2", 1, {}},
};

// An array of whole numbers, or nothing.
std::optional<std::vector<uint64_t>> Numbers(const Json& json, size_t most) {
  if (!json.is_array() || json.size() > most) return std::nullopt;
  std::vector<uint64_t> numbers;
  for (const Json& item : json) {
    if (!item.is_number_unsigned()) return std::nullopt;
    numbers.push_back(item.get<uint64_t>());
  }
  return numbers;
}

// The product; nothing when it does not fit.
std::optional<uint64_t> Product(std::span<const uint64_t> factors) {
  uint64_t product = 1;
  for (const uint64_t factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product)) return std::nullopt;
  }
  return product;
}

struct Extent {
  uint64_t begin = 0, end = 0;
};

// Reads entries of the header, with messages that name the file and the tensor.
class EntryReader {
 public:
  EntryReader(const std::string& path, std::span<const uint8_t> data) : path_(path), data_(data) {}

  // The tensor, with an empty name where its elements are of a type that is not computed with.
  Result<WeightTensor> Read(const std::string& name, const Json& entry, Extent* extent) const {
    if (name.empty() || name.size() > kMaxNameBytes || !entry.is_object()) {
      return Problem(name, "is no description of a tensor");
    }
    const Json none;
    const auto get = [&](const char* key) -> const Json& {
      const auto found = entry.find(key);
      return found == entry.end() ? none : *found;
    };
    const ElementType* element = FindElement(get("dtype"));
    if (element == nullptr) return Problem(name, "has a type that is not known (F32, F16, BF16 are)");
    const auto shape = Numbers(get("shape"), kMaxDimensions);
    const auto offsets = Numbers(get("data_offsets"), 2);
    if (!shape || !offsets || offsets->size() != 2) {
      return Problem(name, "has no shape of at most 8 whole numbers or no two data_offsets");
    }
    *extent = {(*offsets)[0], (*offsets)[1]};
    const std::optional<uint64_t> elements = Product(*shape);
    uint64_t size = 0;
    if (!elements || __builtin_mul_overflow(*elements, element->bytes, &size) ||
        extent->begin > extent->end || extent->end - extent->begin != size) {
      return Problem(name, StrCat("has the shape ", ShapeText(*shape), " of ", element->name,
                                  " but the bytes ", extent->begin, " to ", extent->end));
    }
    if (extent->end > data_.size()) {
      return DataLoss(StrCat("weights file ", path_, ": tensor ", name, " ends at byte ",
                             extent->end, " of ", data_.size(), "; fetch the file again"));
    }
    WeightTensor tensor;
    if (!element->type) return tensor;
    tensor.name = name;
    tensor.type = *element->type;
    tensor.shape.assign(shape->rbegin(), shape->rend());  // innermost first
    tensor.elements = *elements;
    tensor.bytes = data_.subspan(extent->begin, size);
    return tensor;
  }

 private:
  static const ElementType* FindElement(const Json& dtype) {
    if (!dtype.is_string()) return nullptr;
    for (const ElementType& element : kElementTypes) {
      if (element.name == dtype.get_ref<const std::string&>()) return &element;
    }
    return nullptr;
  }
  Status Problem(std::string_view name, std::string_view what) const {
    return InvalidArgument(StrCat("weights file ", path_, ": tensor '",
                                  ReplaceInvalidUtf8(name.substr(0, 100)), "' ", what,
                                  "; is it a complete safetensors file?"));
  }

  const std::string& path_;
  std::span<const uint8_t> data_;
};

Status CheckOverlaps(std::vector<Extent> extents, const std::string& path) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  for (size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].begin < extents[i - 1].end) {
      return InvalidArgument(StrCat("weights file ", path, ": two tensors have byte ",
                                    extents[i].begin, " in common; fetch the file again"));
    }
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::string& path) {
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile);
  file->path_ = path;
  ASSIGN_OR_RETURN(file->file_, MappedFile::Open(path));
  RETURN_IF_ERROR(file->Parse());
  return file;
}

Result<std::unique_ptr<SafetensorsFile>> SafetensorsFile::FromBytes(std::string bytes,
                                                                    const std::string& name) {
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile);
  file->path_ = name;
  file->memory_ = std::move(bytes);
  RETURN_IF_ERROR(file->Parse());
  return file;
}

std::span<const uint8_t> SafetensorsFile::bytes() const {
  if (file_) return file_->bytes();
  return {reinterpret_cast<const uint8_t*>(memory_.data()), memory_.size()};
}

Status SafetensorsFile::Parse() {
  const auto all = bytes();
  ByteReader reader(all);
  uint64_t header_bytes = 0;
  if (!reader.Read(&header_bytes) || header_bytes < 2 || header_bytes > kMaxHeaderBytes) {
    return InvalidArgument(StrCat("weights file ", path_, " is no safetensors file: its header has ",
                                  header_bytes, " bytes, expected 2 to ", kMaxHeaderBytes));
  }
  if (header_bytes > all.size() - sizeof(uint64_t)) {
    return DataLoss(StrCat("weights file ", path_, " ends inside of its header (", all.size(),
                           " bytes); fetch it again"));
  }
  data_begin_ = sizeof(uint64_t) + header_bytes;
  const auto text = all.subspan(sizeof(uint64_t), header_bytes);
  const Json header = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) {
    return InvalidArgument(StrCat("weights file ", path_, ": its header is no JSON object"));
  }
  const EntryReader entries(path_, all.subspan(data_begin_));
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    Extent extent;
    ASSIGN_OR_RETURN(WeightTensor tensor, entries.Read(name, entry, &extent));
    if (extent.begin < extent.end) extents.push_back(extent);
    if (!tensor.name.empty()) tensors_.emplace(name, std::move(tensor));
  }
  RETURN_IF_ERROR(CheckOverlaps(std::move(extents), path_));
  fingerprint_ = TensorFingerprint(all, data_begin_);
  return OkStatus();
}

const WeightTensor* SafetensorsFile::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void SafetensorsFile::DropPages() const {
  if (file_) file_->DontNeed(data_begin_, file_->bytes().size() - data_begin_);
}

}  // namespace vade
