#include "index/records.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/strings.h"

namespace vade {
namespace {

void AppendKey32(std::string* out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

void AppendStrings(std::string* out, const std::vector<std::string>& strings) {
  AppendVarint(out, strings.size());
  for (const std::string& s : strings) AppendString(out, s);
}

void AppendRanges(std::string* out, const std::vector<PassageRange>& ranges) {
  AppendVarint(out, ranges.size());
  for (const PassageRange& range : ranges) {
    AppendVarint(out, range.first);
    AppendVarint(out, range.count);
  }
}

// Reads what the Append functions write. `ok` turns false at the first thing that does not fit.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : reader_(bytes) {}

  uint64_t Varint() {
    uint64_t value = 0;
    ok_ = ok_ && reader_.ReadVarint(&value);
    return ok_ ? value : 0;
  }
  uint32_t Varint32() {
    const uint64_t value = Varint();
    ok_ = ok_ && value <= UINT32_MAX;
    return ok_ ? static_cast<uint32_t>(value) : 0;
  }
  template <typename T>
  T Fixed() {
    T value{};
    ok_ = ok_ && reader_.Read(&value);
    return value;
  }
  std::string String() {
    std::string_view text;
    ok_ = ok_ && reader_.ReadString(&text);
    return ok_ ? std::string(text) : std::string();
  }
  // A count of things that take at least one byte each.
  uint64_t Count() {
    const uint64_t count = Varint();
    ok_ = ok_ && count <= reader_.remaining();
    return ok_ ? count : 0;
  }
  std::vector<std::string> Strings() {
    std::vector<std::string> strings;
    for (uint64_t n = Count(); n > 0 && ok_; --n) strings.push_back(String());
    return strings;
  }
  std::vector<PassageRange> Ranges() {
    std::vector<PassageRange> ranges;
    for (uint64_t n = Count(); n > 0 && ok_; --n) {
      PassageRange range;
      range.first = Varint();
      range.count = Varint();
      ok_ = ok_ && range.first > 0 && range.count > 0 && range.count <= UINT64_MAX - range.first;
      ranges.push_back(range);
    }
    return ranges;
  }
  void Fail() { ok_ = false; }
  bool ok() const { return ok_; }
  bool Finished() const { return ok_ && reader_.remaining() == 0; }

 private:
  ByteReader reader_;
  bool ok_ = true;
};

enum MetadataType : uint8_t { kText = 0, kNumber = 1, kBool = 2, kList = 3 };

void AppendMetadata(std::string* out, const MetadataValue& value) {
  AppendFixed(out, static_cast<uint8_t>(value.index()));
  if (const auto* text = std::get_if<std::string>(&value)) AppendString(out, *text);
  if (const auto* number = std::get_if<double>(&value)) AppendFixed(out, *number);
  if (const auto* truth = std::get_if<bool>(&value)) AppendFixed<uint8_t>(out, *truth ? 1 : 0);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) AppendStrings(out, *list);
}

MetadataValue ReadMetadata(Fields* in) {
  switch (in->Fixed<uint8_t>()) {
    case kText: return in->String();
    case kNumber: return in->Fixed<double>();
    case kBool: return in->Fixed<uint8_t>() != 0;
    case kList: return in->Strings();
  }
  in->Fail();
  return false;
}

constexpr uint8_t kDocumentRecordVersion = 1;

}  // namespace

Status Damaged(std::string_view what) {
  return DataLoss(StrCat("a ", what,
                         " of the store does not parse: the database is damaged; restore "
                         "the data directory from a copy or ingest the documents into a new one"));
}

std::string CollectionPrefix(CollectionId c) {
  std::string key;
  AppendKey32(&key, c);
  return key;
}

std::string FamilyPrefix(CollectionId c, char kind) { return CollectionPrefix(c) + kind; }

std::string CollectionKey(CollectionId c) { return "c" + CollectionPrefix(c); }

std::string GroupSetKey(CollectionId c, GroupSetId s) {
  std::string key = "g" + CollectionPrefix(c);
  AppendKey32(&key, s);
  return key;
}

std::string DocumentKey(CollectionId c, std::string_view document_id) {
  return FamilyPrefix(c, 'd').append(document_id);
}

std::string HashPrefix(CollectionId c, std::string_view content_hash) {
  std::string key = FamilyPrefix(c, 'h');
  key.push_back(static_cast<char>(content_hash.size()));
  return key.append(content_hash);
}

std::string HashKey(CollectionId c, std::string_view content_hash, std::string_view document_id) {
  return HashPrefix(c, content_hash).append(document_id);
}

std::string RevisionRecordKey(CollectionId c, RevisionKey r) {
  std::string key = FamilyPrefix(c, 'r');
  AppendKey64(&key, r);
  return key;
}

std::string VersionKey(CollectionId c, std::string_view document_id) {
  return FamilyPrefix(c, 'v').append(document_id);
}

std::string NoteKey(CollectionId c, std::string_view key) {
  return FamilyPrefix(c, 'n').append(key);
}

std::string TextKey(CollectionId c, RevisionKey r, uint32_t piece) {
  std::string key = CollectionPrefix(c);
  AppendKey64(&key, r);
  AppendKey32(&key, piece);
  return key;
}

std::string PassageKey(CollectionId c, PassageId p) {
  std::string key = CollectionPrefix(c);
  AppendKey64(&key, p);
  return key;
}

std::string StagedKey(RevisionKey r, PassageId p) {
  std::string key;
  AppendKey64(&key, r);
  AppendKey64(&key, p);
  return key;
}

std::string ChangeKey(uint64_t commit) {
  std::string key;
  AppendKey64(&key, commit);
  return key;
}

std::string PostingsPrefix(CollectionId c, std::string_view term) {
  return CollectionPrefix(c).append(term) + '\0';
}

std::string PostingsKey(CollectionId c, std::string_view term, PassageId first) {
  std::string key = PostingsPrefix(c, term);
  AppendKey64(&key, first);
  return key;
}

Result<PostingsKeyParts> ParsePostingsKey(std::string_view key) {
  constexpr size_t kAround = 4 + 1 + 8;  // collection, the zero byte, first id
  if (key.size() <= kAround || key.size() - kAround > kMaxTermBytes) {
    return Damaged("key of a block of postings");
  }
  const PostingsKeyParts parts{key.substr(4, key.size() - kAround),
                               ParseKey64(key.substr(key.size() - 8))};
  if (parts.term.find('\0') != std::string_view::npos || key[4 + parts.term.size()] != '\0') {
    return Damaged("key of a block of postings");
  }
  return parts;
}

std::string DeadKey(CollectionId c, RevisionKey r) {
  std::string key = CollectionPrefix(c);
  AppendKey64(&key, r);
  return key;
}

std::string GonePrefix() { return "gone"; }
std::string GoneKey(CollectionId c, RevisionKey r) { return GonePrefix() + DeadKey(c, r); }

std::string MergedKey(CollectionId c) { return "merged" + CollectionPrefix(c); }

Result<DeadKeyParts> ParseDeadKey(std::string_view key) {
  if (key.size() != DeadKey(0, 0).size()) return Damaged("key of a record of dead passages");
  return DeadKeyParts{ParseKey32(key), ParseKey64(key.substr(4))};
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

uint32_t ParseKey32(std::string_view four_bytes) {
  uint32_t value = 0;
  for (char c : four_bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string Encode(const CollectionRecord& record) {
  std::string out;
  AppendString(&out, record.name);
  AppendString(&out, record.embedder_id);
  AppendVarint(&out, record.dimension);
  AppendFixed<int64_t>(&out, record.created_unix_micros);
  return out;
}

std::string Encode(const StagedNote& note) {
  std::string value;
  AppendFixed<uint32_t>(&value, note.collection);
  if (note.passages.first != 0)
    AppendFixed<uint32_t>(&value, static_cast<uint32_t>(note.passages.count));
  return value;
}

Result<StagedNote> DecodeStaged(std::string_view key, std::string_view bytes) {
  if (key.size() != StagedKey(0, 0).size()) return Damaged("note of staged passages");
  StagedNote note{.revision = ParseKey64(key.substr(0, 8)),
                  .passages = {.first = ParseKey64(key.substr(8))}};
  ByteReader value(bytes);
  uint32_t count = 0;
  const bool whole =
      value.Read(&note.collection) && (note.passages.first == 0 || value.Read(&count));
  if (!whole) return Damaged("note of staged passages");
  note.passages.count = count;
  return note;
}

Result<CollectionRecord> DecodeCollection(std::string_view bytes) {
  Fields in(bytes);
  CollectionRecord record;
  record.name = in.String();
  record.embedder_id = in.String();
  record.dimension = in.Varint32();
  record.created_unix_micros = in.Fixed<int64_t>();
  if (!in.Finished() || record.dimension == 0 || record.dimension > kMaxDimension) {
    return Damaged("collection record");
  }
  return record;
}

std::string Encode(const DocumentRecord& record) {
  const DocumentInfo& info = record.info;
  std::string out;
  AppendFixed(&out, kDocumentRecordVersion);
  for (uint64_t number : {record.revision_key, static_cast<uint64_t>(record.group_set),
                          info.revision, info.commit, info.passage_count, info.text_bytes}) {
    AppendVarint(&out, number);
  }
  AppendFixed<int64_t>(&out, info.created_unix_micros);
  AppendFixed<int64_t>(&out, info.updated_unix_micros);
  for (const std::string* text : {&info.title, &info.source, &info.mime_type, &info.content_hash,
                                  &info.supersedes, &info.valid_from}) {
    AppendString(&out, *text);
  }
  AppendStrings(&out, info.groups);
  AppendVarint(&out, info.metadata.size());
  for (const auto& [key, value] : info.metadata) {
    AppendString(&out, key);
    AppendMetadata(&out, value);
  }
  AppendRanges(&out, record.ranges);
  return out;
}

Result<DocumentRecord> DecodeDocument(std::string_view document_id, std::string_view bytes) {
  Fields in(bytes);
  DocumentRecord record;
  DocumentInfo& info = record.info;
  if (in.Fixed<uint8_t>() != kDocumentRecordVersion) return Damaged("document record");
  info.id = std::string(document_id);
  record.revision_key = in.Varint();
  record.group_set = in.Varint32();
  for (uint64_t* number : {&info.revision, &info.commit, &info.passage_count, &info.text_bytes}) {
    *number = in.Varint();
  }
  info.created_unix_micros = in.Fixed<int64_t>();
  info.updated_unix_micros = in.Fixed<int64_t>();
  for (std::string* text : {&info.title, &info.source, &info.mime_type, &info.content_hash,
                            &info.supersedes, &info.valid_from}) {
    *text = in.String();
  }
  info.groups = in.Strings();
  for (uint64_t n = in.Count(); n > 0 && in.ok(); --n) {
    std::string key = in.String();
    info.metadata[std::move(key)] = ReadMetadata(&in);
  }
  record.ranges = in.Ranges();
  if (!in.Finished()) return Damaged("document record");
  return record;
}

std::string Encode(const RevisionRecord& record) {
  std::string out;
  AppendVarint(&out, record.group_set);
  AppendString(&out, record.document_id);
  AppendRanges(&out, record.ranges);
  if (record.words) AppendVarint(&out, *record.words);
  return out;
}

Result<RevisionRecord> DecodeRevision(std::string_view bytes) {
  Fields in(bytes);
  RevisionRecord record;
  record.group_set = in.Varint32();
  record.document_id = in.String();
  record.ranges = in.Ranges();
  if (in.ok() && !in.Finished()) record.words = in.Varint();  // records of format 2 end here
  if (!in.Finished()) return Damaged("revision record");
  return record;
}

std::string Encode(const VersionRecord& record) {
  std::string out;
  AppendString(&out, record.supersedes);
  AppendFixed<int64_t>(&out, record.valid_from_micros);
  AppendRanges(&out, record.ranges);
  return out;
}

Result<VersionRecord> DecodeVersion(std::string_view bytes) {
  Fields in(bytes);
  VersionRecord record;
  record.supersedes = in.String();
  record.valid_from_micros = in.Fixed<int64_t>();
  record.ranges = in.Ranges();
  if (!in.Finished()) return Damaged("version record");
  return record;
}

std::string Encode(const PassageRecord& record) {
  std::string out;
  for (uint64_t number : {record.revision_key, static_cast<uint64_t>(record.ordinal), record.begin,
                          record.length, static_cast<uint64_t>(record.page)}) {
    AppendVarint(&out, number);
  }
  AppendString(&out, record.heading_path);
  AppendVarint(&out, record.language);
  return out;
}

Result<PassageRecord> DecodePassage(std::string_view bytes) {
  Fields in(bytes);
  PassageRecord record;
  record.revision_key = in.Varint();
  record.ordinal = in.Varint32();
  record.begin = in.Varint();
  record.length = in.Varint();
  record.page = in.Varint32();
  record.heading_path = in.String();
  if (in.ok() && !in.Finished()) {  // records of format 1 end here
    const uint64_t language = in.Varint();
    if (language > UINT16_MAX) in.Fail();
    record.language = static_cast<LanguageCode>(language);
  }
  if (!in.Finished() || record.length > UINT64_MAX - record.begin) return Damaged("passage record");
  return record;
}

Passage PassageOf(PassageId id, const std::string& document_id, PassageRecord record,
                  std::string text) {
  return Passage{.id = id,
                 .document_id = document_id,
                 .ordinal = record.ordinal,
                 .begin = record.begin,
                 .end = record.begin + record.length,
                 .page = record.page,
                 .heading_path = std::move(record.heading_path),
                 .language = LanguageName(record.language),
                 .text = std::move(text)};
}

std::string Encode(const std::vector<Change>& changes) {
  std::string out;
  AppendVarint(&out, changes.size());
  for (const Change& change : changes) {
    AppendFixed(&out, static_cast<uint8_t>(change.kind));
    AppendFixed<uint32_t>(&out, change.collection);
    AppendVarint(&out, change.revision_key);
    AppendVarint(&out, change.replaced_key);
    AppendString(&out, change.name);
  }
  return out;
}

Result<std::vector<Change>> DecodeChanges(std::string_view bytes) {
  Fields in(bytes);
  std::vector<Change> changes;
  for (uint64_t n = in.Count(); n > 0 && in.ok(); --n) {
    Change change;
    const uint8_t kind = in.Fixed<uint8_t>();
    if (kind < 1 || kind > 4) in.Fail();
    change.kind = static_cast<ChangeKind>(kind);
    change.collection = in.Fixed<uint32_t>();
    change.revision_key = in.Varint();
    change.replaced_key = in.Varint();
    change.name = in.String();
    changes.push_back(std::move(change));
  }
  if (!in.Finished()) return Damaged("change log entry");
  return changes;
}

std::string Encode(const TermList& terms) {
  std::string out;
  AppendVarint(&out, terms.length);
  AppendVarint(&out, terms.terms.size());
  std::string_view previous;
  for (const TermCount& one : terms.terms) {
    const std::string_view term = one.term;
    const auto differs = std::mismatch(term.begin(), term.end(), previous.begin(), previous.end());
    const auto shared = static_cast<size_t>(differs.first - term.begin());
    AppendVarint(&out, shared);
    AppendString(&out, term.substr(shared));
    AppendVarint(&out, one.count);
    previous = term;
  }
  return out;
}

Result<TermList> DecodeTerms(std::string_view bytes) {
  Fields in(bytes);
  TermList list;
  list.length = in.Varint32();
  std::string term;
  for (uint64_t n = in.Count(); n > 0 && in.ok(); --n) {
    const uint64_t shared = in.Varint();
    if (shared > term.size()) in.Fail();
    std::string next = term.substr(0, in.ok() ? shared : 0) + in.String();
    if (next.empty() || next.size() > kMaxTermBytes || next <= term ||
        next.find('\0') != std::string::npos) {
      in.Fail();
    }
    term = std::move(next);
    list.terms.push_back({term, in.Varint32()});
    if (list.terms.back().count == 0) in.Fail();
  }
  if (!in.Finished()) return Damaged("list of a passage's terms");
  return list;
}

std::string EncodeRanges(const std::vector<PassageRange>& ranges) {
  std::string out;
  AppendRanges(&out, ranges);
  return out;
}

Result<std::vector<PassageRange>> DecodeRanges(std::string_view bytes) {
  Fields in(bytes);
  std::vector<PassageRange> ranges = in.Ranges();
  if (!in.Finished()) return Damaged("record of dead passages");
  return ranges;
}

std::string EncodeStrings(const std::vector<std::string>& strings) {
  std::string out;
  AppendStrings(&out, strings);
  return out;
}

Result<std::vector<std::string>> DecodeStrings(std::string_view bytes) {
  Fields in(bytes);
  std::vector<std::string> strings = in.Strings();
  if (!in.Finished()) return Damaged("set of groups");
  return strings;
}

std::vector<std::string> NormalizedGroups(std::vector<std::string> groups) {
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

}  // namespace vade
