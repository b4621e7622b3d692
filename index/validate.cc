// What names, ids and document facts may be. Everything here comes from outside.
#include <cmath>

#include "base/clock.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "index/records.h"

namespace vade {
namespace {

constexpr size_t kMaxDocumentIdBytes = 1024;
constexpr size_t kMaxFieldBytes = 65536;
constexpr size_t kMaxRecordBytes = 1 << 20;
constexpr double kLeastNorm = 0.9, kGreatestNorm = 1.1;

bool HasControl(std::string_view text) {
  for (char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return true;
  }
  return false;
}

Status ValidateField(std::string_view what, std::string_view text) {
  if (text.size() > kMaxFieldBytes) {
    return InvalidArgument(StrCat("the ", what, " has ", text.size(), " bytes; at most ",
                                  kMaxFieldBytes, " are kept"));
  }
  if (!IsValidUtf8(text)) return InvalidArgument(StrCat("the ", what, " is not valid UTF-8"));
  return OkStatus();
}

Status ValidateMetadata(const std::string& key, const MetadataValue& value) {
  RETURN_IF_ERROR(ValidateField("name of a metadata entry", key));
  if (key.empty()) return InvalidArgument("a metadata entry has an empty name");
  const std::string what = StrCat("metadata entry '", key, "'");
  if (const auto* text = std::get_if<std::string>(&value)) return ValidateField(what, *text);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& text : *list) RETURN_IF_ERROR(ValidateField(what, text));
  }
  if (const auto* number = std::get_if<double>(&value); number && !std::isfinite(*number)) {
    return InvalidArgument(StrCat(what, " is not a finite number"));
  }
  return OkStatus();
}

Status ValidateGroups(const std::vector<std::string>& groups) {
  for (const std::string& group : groups) {
    if (group.empty() || HasControl(group)) {
      return InvalidArgument("a group of the document is empty or holds control characters");
    }
    RETURN_IF_ERROR(ValidateField("group", group));
  }
  return OkStatus();
}

}  // namespace

Status ValidateCollection(const CollectionInfo& info) {
  const std::string& name = info.name;
  bool good = !name.empty() && name.size() <= 64 && name[0] != '.';
  for (char c : name) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '.' || c == '-');
  }
  if (!good) {
    return InvalidArgument(
        "a collection's name is 1 to 64 of A-Z a-z 0-9 _ . - and does not begin "
        "with a dot");
  }
  if (info.dimension < 1 || info.dimension > kMaxDimension) {
    return InvalidArgument(StrCat("collection '", name, "': the dimension is ", info.dimension,
                                  "; it must be 1 to ", kMaxDimension));
  }
  if (info.embedder_id.empty()) {
    return InvalidArgument(StrCat("collection '", name, "': the embedder's id is empty"));
  }
  RETURN_IF_ERROR(ValidateField("name or path of the embedder", info.embedder_source));
  return ValidateField("embedder's id", info.embedder_id);
}

Status ValidateVector(std::string_view what, std::span<const float> vector) {
  double squares = 0;
  for (float x : vector) squares += static_cast<double>(x) * x;
  const double norm = std::sqrt(squares);
  if (norm >= kLeastNorm && norm <= kGreatestNorm) return OkStatus();  // false for NaN too
  return InvalidArgument(StrCat(what, " has length ", norm, ", expected 1; check the embedder"));
}

Status ValidateDocumentId(std::string_view id) {
  if (id.empty() || id.size() > kMaxDocumentIdBytes) {
    return InvalidArgument(
        StrCat("a document id has ", id.size(), " bytes; it must have 1 to ", kMaxDocumentIdBytes));
  }
  if (!IsValidUtf8(id)) return InvalidArgument("a document id is not valid UTF-8");
  if (HasControl(id)) return InvalidArgument("a document id holds control characters");
  return OkStatus();
}

Status ValidateDocument(const DocumentInfo& info) {
  RETURN_IF_ERROR(ValidateDocumentId(info.id));
  RETURN_IF_ERROR(ValidateField("title", info.title));
  RETURN_IF_ERROR(ValidateField("source", info.source));
  RETURN_IF_ERROR(ValidateField("MIME type", info.mime_type));
  RETURN_IF_ERROR(ValidateField("content hash", info.content_hash));
  if (info.content_hash.size() > 255) {
    return InvalidArgument(
        "the content hash has more than 255 bytes; expected a SHA-256 in hexadecimal");
  }
  if (!info.supersedes.empty()) {
    RETURN_IF_ERROR(ValidateDocumentId(info.supersedes).WithContext("supersedes"));
    if (info.supersedes == info.id) {
      return InvalidArgument(
          StrCat("document '", info.id, "' supersedes itself; a put replaces its own text"));
    }
  }
  if (!info.valid_from.empty()) {
    const auto time = ParseRfc3339(info.valid_from);
    if (!time.ok()) return time.status().WithContext("valid_from");
  }
  RETURN_IF_ERROR(ValidateGroups(info.groups));
  for (const auto& [key, value] : info.metadata) RETURN_IF_ERROR(ValidateMetadata(key, value));
  DocumentRecord record;
  record.info = info;
  if (Encode(record).size() > kMaxRecordBytes) {
    return InvalidArgument(StrCat("document '", info.id,
                                  "': title, metadata and groups together have "
                                  "more than ",
                                  kMaxRecordBytes, " bytes"));
  }
  return OkStatus();
}

bool SaysTheSame(const DocumentInfo& a, const DocumentInfo& b) {
  return a.content_hash == b.content_hash && a.title == b.title && a.source == b.source &&
         a.mime_type == b.mime_type && a.metadata == b.metadata && a.groups == b.groups &&
         a.supersedes == b.supersedes && a.valid_from == b.valid_from;
}

}  // namespace vade
