// GGUF, little-endian:
//   "GGUF"  u32 version (2 or 3)  u64 tensor count  u64 key count
//   keys:    string key, u32 type, value; an array is u32 element type, u64 count, elements
//   tensors: string name, u32 dimensions, u64 size each (innermost first), u32 type, u64 offset
//   padding to general.alignment (32 unless said otherwise)
//   tensor data; offsets count from here
// A string is a u64 length and that many bytes.
#include "model/gguf_parser.h"

#include <limits>

#include "base/bytes.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint64_t kMaxTensorNameBytes = 1024;
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;
// The least that one key (length, type, one byte) and one tensor (length, dimensions, type, offset)
// take.
constexpr uint64_t kMinEntryBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;
constexpr std::string_view kRemedy = "; fetch it again with scripts/fetch-models";

// A name from the file, fit for a message.
std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 80)) out.push_back(c >= 0x20 && c < 0x7f ? c : '?');
  return out + (text.size() > 80 ? "...'" : "'");
}

class Parser {
 public:
  Parser(std::span<const uint8_t> bytes, const std::string& name)
      : bytes_(bytes), reader_(bytes), name_(name) {}

  Result<GgufLayout> Parse() {
    RETURN_IF_ERROR(ParseHeader());
    layout_.entries.reserve(entry_count_);
    for (uint64_t i = 0; i < entry_count_; ++i) RETURN_IF_ERROR(ParseEntry());
    RETURN_IF_ERROR(ReadAlignment());
    layout_.tensors.reserve(tensor_count_);
    for (uint64_t i = 0; i < tensor_count_; ++i) RETURN_IF_ERROR(ParseTensor());
    RETURN_IF_ERROR(PlaceTensors());
    return std::move(layout_);
  }

 private:
  Status Invalid(std::string_view what) const {
    return InvalidArgument(StrCat("weights file ", name_, ": ", what));
  }
  Status Truncated(std::string_view what) const {
    return DataLoss(StrCat("weights file ", name_, " is truncated or damaged: ", what, kRemedy));
  }

  Status ParseHeader() {
    std::string_view magic;
    if (!reader_.ReadBytes(4, &magic) || magic != "GGUF") {
      return Invalid("not a GGUF file (it does not begin with \"GGUF\")");
    }
    if (!reader_.Read(&layout_.version)) return Truncated("the header ends early");
    if (layout_.version != 2 && layout_.version != 3) {
      return Invalid(StrCat("GGUF version ", layout_.version,
                            " is not supported (versions 2 and 3 are, little-endian)"));
    }
    if (!reader_.Read(&tensor_count_) || !reader_.Read(&entry_count_)) {
      return Truncated("the header ends early");
    }
    if (entry_count_ > reader_.remaining() / kMinEntryBytes ||
        tensor_count_ > reader_.remaining() / kMinTensorBytes) {
      return Truncated(StrCat(entry_count_, " keys and ", tensor_count_,
                              " tensors do not fit into a file of this size"));
    }
    return OkStatus();
  }

  bool ReadString(uint64_t limit_bytes, std::string_view* out) {
    uint64_t size = 0;
    return reader_.Read(&size) && size <= limit_bytes && size <= reader_.remaining() &&
           reader_.ReadBytes(size, out);
  }

  Status ParseEntry() {
    GgufEntry entry;
    if (!ReadString(kMaxKeyBytes, &entry.key)) {
      return Truncated(StrCat("metadata key ", layout_.entries.size(), " does not fit"));
    }
    uint32_t type = 0;
    if (!reader_.Read(&type)) return Truncated(StrCat("key ", Quoted(entry.key), " has no value"));
    if (static_cast<GgufType>(type) == GgufType::kArray) {
      entry.is_array = true;
      if (!reader_.Read(&type) || !reader_.Read(&entry.count)) {
        return Truncated(StrCat("array ", Quoted(entry.key), " ends early"));
      }
    }
    entry.type = static_cast<GgufType>(type);
    RETURN_IF_ERROR(TakePayload(&entry));
    if (!layout_.entry_by_key.emplace(entry.key, layout_.entries.size()).second) {
      return Invalid(StrCat("key ", Quoted(entry.key), " occurs twice"));
    }
    layout_.entries.push_back(entry);
    return OkStatus();
  }

  Status TakePayload(GgufEntry* entry) {
    const size_t begin = reader_.position();
    if (entry->type == GgufType::kString) {
      // A string takes 8 bytes at least, which bounds the count before the walk.
      if (entry->count > reader_.remaining() / 8) {
        return Truncated(StrCat("array ", Quoted(entry->key), " of ", entry->count, " strings"));
      }
      std::string_view ignored;
      for (uint64_t i = 0; i < entry->count; ++i) {
        if (!ReadString(std::numeric_limits<uint64_t>::max(), &ignored)) {
          return Truncated(StrCat("string ", i, " of key ", Quoted(entry->key), " does not fit"));
        }
      }
    } else {
      const size_t size = GgufTypeBytes(entry->type);
      if (size == 0) {
        return Invalid(StrCat(
            "key ", Quoted(entry->key), " has value type ", static_cast<uint32_t>(entry->type),
            entry->is_array ? " inside an array" : "", ", which is not supported"));
      }
      if (entry->count > reader_.remaining() / size || !reader_.Skip(entry->count * size)) {
        return Truncated(StrCat("key ", Quoted(entry->key), " has ", entry->count, " values"));
      }
    }
    entry->payload = bytes_.subspan(begin, reader_.position() - begin);
    return OkStatus();
  }

  Status ReadAlignment() {
    const auto it = layout_.entry_by_key.find("general.alignment");
    if (it == layout_.entry_by_key.end()) return OkStatus();
    const GgufEntry& entry = layout_.entries[it->second];
    if (entry.is_array || entry.type != GgufType::kU32) {
      return Invalid("general.alignment is not a 32-bit unsigned number");
    }
    uint32_t value = 0;
    std::memcpy(&value, entry.payload.data(), sizeof(value));
    if (value == 0 || (value & (value - 1)) != 0 || value > kMaxAlignment) {
      return Invalid(StrCat("general.alignment is ", value, ", expected a power of two up to ",
                            kMaxAlignment));
    }
    alignment_ = value;
    return OkStatus();
  }

  Status ParseTensor() {
    GgufTensor tensor;
    std::string_view tensor_name;
    if (!ReadString(kMaxTensorNameBytes, &tensor_name)) {
      return Truncated(StrCat("the name of tensor ", layout_.tensors.size(), " does not fit"));
    }
    tensor.name = std::string(tensor_name);
    uint32_t dimensions = 0;
    if (!reader_.Read(&dimensions)) return Truncated("the list of tensors ends early");
    if (dimensions > kMaxDimensions) {
      return Invalid(StrCat("tensor ", Quoted(tensor.name), " has ", dimensions,
                            " dimensions, at most ", kMaxDimensions, " are supported"));
    }
    tensor.shape.resize(dimensions);
    for (uint64_t& size : tensor.shape) {
      if (!reader_.Read(&size)) return Truncated("the list of tensors ends early");
    }
    uint32_t type = 0;
    uint64_t offset = 0;
    if (!reader_.Read(&type) || !reader_.Read(&offset)) {
      return Truncated("the list of tensors ends early");
    }
    const TensorTypeInfo* info = FindTensorType(type);
    if (info == nullptr) {
      return Invalid(
          StrCat("tensor ", Quoted(tensor.name), " has type ", type,
                 ", which is not supported; use a file in one of Q4_0, Q4_1, Q5_0, Q5_1, "
                 "Q8_0, Q2_K to Q6_K, F16, BF16, F32"));
    }
    tensor.type = info->type;
    RETURN_IF_ERROR(CheckShape(*info, &tensor));
    if (offset % alignment_ != 0) {
      return Invalid(StrCat("tensor ", Quoted(tensor.name), " is at offset ", offset,
                            ", which is not a multiple of the alignment ", alignment_));
    }
    layout_.tensors.push_back(std::move(tensor));
    offsets_.push_back(offset);
    return OkStatus();
  }

  // Counts the elements and checks that they can lie in a file of this size.
  Status CheckShape(const TensorTypeInfo& info, GgufTensor* tensor) const {
    uint64_t elements = 1;
    // No element takes less than 1/4 byte, so this bound also keeps every product below 2^64.
    const uint64_t limit = bytes_.size() * uint64_t{8};
    for (const uint64_t size : tensor->shape) {
      if (size == 0 || elements > limit / size) {
        return Truncated(StrCat("tensor ", Quoted(tensor->name), " has a dimension of ", size));
      }
      elements *= size;
    }
    if (tensor->cols() % info.block_elements != 0) {
      return Invalid(StrCat("tensor ", Quoted(tensor->name), " has rows of ", tensor->cols(),
                            " values, expected a multiple of ", info.block_elements, " for ",
                            info.name));
    }
    tensor->elements = elements;
    return OkStatus();
  }

  // Gives each tensor its bytes, now that it is known where the data begins.
  Status PlaceTensors() {
    const uint64_t header = reader_.position();
    const uint64_t begin = (header + alignment_ - 1) / alignment_ * alignment_;
    if (!layout_.tensors.empty() && begin > bytes_.size())
      return Truncated("it has no tensor data");
    layout_.data_begin = std::min<uint64_t>(begin, bytes_.size());
    const uint64_t room = bytes_.size() - layout_.data_begin;
    std::unordered_map<std::string_view, size_t> seen;
    for (size_t i = 0; i < layout_.tensors.size(); ++i) {
      GgufTensor& tensor = layout_.tensors[i];
      const TensorTypeInfo& info = InfoOf(tensor.type);
      const uint64_t size = tensor.elements / info.block_elements * info.block_bytes;
      if (size > room || offsets_[i] > room - size) {
        return Truncated(StrCat("tensor ", Quoted(tensor.name), " ends beyond the file's ",
                                bytes_.size(), " bytes"));
      }
      tensor.bytes = bytes_.subspan(layout_.data_begin + offsets_[i], size);
      if (!seen.emplace(tensor.name, i).second) {
        return Invalid(StrCat("tensor ", Quoted(tensor.name), " occurs twice"));
      }
    }
    return OkStatus();
  }

  std::span<const uint8_t> bytes_;
  ByteReader reader_;
  const std::string& name_;
  uint64_t tensor_count_ = 0;
  uint64_t entry_count_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  std::vector<uint64_t> offsets_;  // of the tensors, from data_begin
  GgufLayout layout_;
};

}  // namespace

size_t GgufTypeBytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool: return 1;
    case GgufType::kU16:
    case GgufType::kI16: return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32: return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64: return 8;
    case GgufType::kString:
    case GgufType::kArray: break;
  }
  return 0;
}

std::string_view GgufTypeName(GgufType type) {
  static constexpr std::string_view kNames[] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                "i32", "f32", "bool", "string", "array",
                                                "u64", "i64", "f64"};
  const auto number = static_cast<uint32_t>(type);
  return number < std::size(kNames) ? kNames[number] : "unknown";
}

Result<GgufLayout> ParseGguf(std::span<const uint8_t> bytes, const std::string& name) {
  return Parser(bytes, name).Parse();
}

}  // namespace vade
