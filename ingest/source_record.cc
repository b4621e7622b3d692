#include "ingest/source_record.h"

#include <algorithm>
#include <variant>

#include "base/bytes.h"
#include "base/strings.h"
#include "ingest/formats/ocr_data.h"

namespace vade {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kStale = 1;
// Goes up when parsers make something else of the same bytes: then files are read again.
constexpr uint64_t kReading = 3;
constexpr char kKind = 'f';

void AppendValue(std::string* out, const MetadataValue& value) {
  AppendFixed(out, static_cast<uint8_t>(value.index()));
  if (const auto* text = std::get_if<std::string>(&value)) AppendString(out, *text);
  if (const auto* number = std::get_if<double>(&value)) AppendFixed(out, *number);
  if (const auto* flag = std::get_if<bool>(&value)) AppendFixed<uint8_t>(out, *flag);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    AppendVarint(out, list->size());
    for (const std::string& one : *list) AppendString(out, one);
  }
}

std::optional<MadeDocument> ReadMade(ByteReader* in) {
  MadeDocument made;
  std::string_view id, failure;
  uint8_t flags = 0;
  if (!in->ReadString(&id) || !in->Read(&made.digest) || !in->Read(&flags) ||
      !in->ReadString(&failure)) {
    return std::nullopt;
  }
  made.id = id;
  made.failure = failure;
  made.stale = (flags & kStale) != 0;
  return made;
}

}  // namespace

std::string NoteKeyOf(std::string_view origin, std::string_view document_id) {
  return StrCat(kKind, origin, '\0', document_id);
}

std::string EncodeNote(const SourceRecord& record) {
  std::string out;
  AppendFixed(&out, kVersion);
  AppendString(&out, record.hash);
  AppendFixed(&out, record.device);
  AppendFixed(&out, record.setup);
  AppendVarint(&out, record.documents.size());
  for (const MadeDocument& made : record.documents) {
    AppendString(&out, made.id);
    AppendFixed(&out, made.digest);
    AppendFixed<uint8_t>(&out, made.stale ? kStale : 0);
    AppendString(&out, made.failure);
  }
  return out;
}

std::optional<SourceRecord> DecodeNote(std::string_view key, std::string_view value) {
  const size_t zero = key.find('\0');
  if (zero == std::string_view::npos || key[0] != kKind) return std::nullopt;
  SourceRecord record;
  record.origin = key.substr(1, zero - 1);
  record.document_id = key.substr(zero + 1);
  ByteReader in(value);
  uint8_t version = 0;
  std::string_view hash;
  uint64_t count = 0;
  if (!in.Read(&version) || version != kVersion || !in.ReadString(&hash) ||
      !in.Read(&record.device) || !in.Read(&record.setup) || !in.ReadVarint(&count)) {
    return std::nullopt;
  }
  record.hash = hash;
  for (; count > 0; --count) {
    auto made = ReadMade(&in);
    if (!made) return std::nullopt;
    record.documents.push_back(*std::move(made));
  }
  if (in.remaining() > 0) return std::nullopt;
  return record;
}

uint64_t DigestOf(const DocumentInfo& info) {
  std::string all;
  for (const std::string* text : {&info.content_hash, &info.title, &info.source, &info.mime_type,
                                  &info.supersedes, &info.valid_from}) {
    AppendString(&all, *text);
  }
  std::vector<std::string> groups = info.groups;
  std::sort(groups.begin(), groups.end());
  AppendVarint(&all, groups.size());
  for (const std::string& group : groups) AppendString(&all, group);
  for (const auto& [key, value] : info.metadata) {
    AppendString(&all, key);
    AppendValue(&all, value);
  }
  return Checksum64(all);
}

uint64_t SetupOf(const std::vector<std::string>& groups, const DocumentInfo& given, OcrPart pages) {
  std::vector<std::string> sorted = groups;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::string all;
  AppendVarint(&all, kReading);
  for (const std::string& group : sorted) AppendString(&all, group);
  AppendFixed(&all, DigestOf(given));
  if (pages == OcrPart::kNone) return Checksum64(all);
  AppendString(&all, "ocr");
  for (const std::string& language : OcrAtStart().languages) AppendString(&all, language);
  return Checksum64(all);
}

}  // namespace vade
