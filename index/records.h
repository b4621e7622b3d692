// Keys and values of the store as bytes, and back: docs/formats.md in code. Pure functions.
// Every Decode checks all lengths; a value that does not parse is DATA_LOSS and names its kind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/language.h"
#include "base/status.h"
#include "index/index.h"
#include "index/passage.h"
#include "index/terms.h"

namespace vade {

inline constexpr uint32_t kFormatVersion = 4;
inline constexpr uint64_t kTextPieceBytes = 16384;

using CollectionId = uint32_t;
using RevisionKey = uint64_t;
using GroupSetId = uint32_t;  // 0: everyone

// Passage ids [first, first + count).
struct PassageRange {
  PassageId first = 0;
  uint64_t count = 0;
  friend bool operator==(const PassageRange&, const PassageRange&) = default;
};

struct CollectionRecord {
  std::string name;
  std::string embedder_id;
  uint32_t dimension = 0;
  int64_t created_unix_micros = 0;
};

struct DocumentRecord {
  DocumentInfo info;
  RevisionKey revision_key = 0;
  GroupSetId group_set = 0;
  std::vector<PassageRange> ranges;
};

struct RevisionRecord {
  GroupSetId group_set = 0;
  std::string document_id;
  std::vector<PassageRange> ranges;
  std::optional<uint64_t> words = {};  // lengths of its passages in terms; none: has no terms yet
};

// Of a document that supersedes another one or holds only from some time on.
struct VersionRecord {
  std::string supersedes = {};            // document id, or ""
  int64_t valid_from_micros = INT64_MIN;  // Unix time; always
  std::vector<PassageRange> ranges = {};
  friend bool operator==(const VersionRecord&, const VersionRecord&) = default;
};

struct PassageRecord {
  RevisionKey revision_key = 0;
  uint32_t ordinal = 0;
  uint64_t begin = 0;
  uint64_t length = 0;
  uint32_t page = 0;
  std::string heading_path;
  LanguageCode language = kUnknownLanguage;
};

using ChangeKind = StoreChange::Kind;

struct Change {
  ChangeKind kind = ChangeKind::kPut;
  CollectionId collection = 0;
  RevisionKey revision_key = 0;
  RevisionKey replaced_key = 0;
  std::string name;  // document id or collection name
};

// --- keys ----------------------------------------------------------------------------------------
std::string CollectionKey(CollectionId c);
std::string GroupSetKey(CollectionId c, GroupSetId s);
std::string DocumentKey(CollectionId c, std::string_view document_id);
std::string HashPrefix(CollectionId c, std::string_view content_hash);
std::string HashKey(CollectionId c, std::string_view content_hash, std::string_view document_id);
std::string RevisionRecordKey(CollectionId c, RevisionKey r);
std::string VersionKey(CollectionId c, std::string_view document_id);
std::string NoteKey(CollectionId c, std::string_view key);
std::string TextKey(CollectionId c, RevisionKey r, uint32_t piece);
// Of `passages`, of `vectors` and of `forward`.
std::string PassageKey(CollectionId c, PassageId p);
std::string StagedKey(RevisionKey r, PassageId p);
std::string ChangeKey(uint64_t commit);
std::string PostingsPrefix(CollectionId c,
                           std::string_view term);  // of the keys of a term's blocks
std::string PostingsKey(CollectionId c, std::string_view term, PassageId first);
std::string DeadKey(CollectionId c, RevisionKey r);
// What went, until its bytes have left the files: passage ranges of revision R of C; R 0: all of C.
std::string GonePrefix();
std::string GoneKey(CollectionId c, RevisionKey r);
std::string MergedKey(CollectionId c);  // of `default`: up to where blocks of postings are merged
inline constexpr size_t kTextKeyBytes = 16, kPassageKeyBytes = 12, kChangeKeyBytes = 8;
std::string FamilyPrefix(CollectionId c, char kind);  // C 'd', C 'h', C 'r'
std::string CollectionPrefix(CollectionId c);         // C alone
// The least key that is greater than every key with this prefix; "" when there is none.
std::string PrefixEnd(std::string_view prefix);
uint32_t ParseKey32(std::string_view four_bytes);

// DATA_LOSS: `what` of the database is not as docs/formats.md has it.
Status Damaged(std::string_view what);

struct PostingsKeyParts {
  std::string_view term;  // of the key's bytes
  PassageId first = 0;
};
Result<PostingsKeyParts> ParsePostingsKey(std::string_view key);
struct DeadKeyParts {
  CollectionId collection = 0;
  RevisionKey revision = 0;
};
Result<DeadKeyParts> ParseDeadKey(std::string_view key);

// A key and value of `staged`: what of a revision is being written.
struct StagedNote {
  RevisionKey revision = 0;
  CollectionId collection = 0;
  PassageRange passages;  // {0, 0}: the revision's text, however long
};

// --- values --------------------------------------------------------------------------------------
std::string Encode(const CollectionRecord& record);
std::string Encode(const DocumentRecord& record);
std::string Encode(const RevisionRecord& record);
std::string Encode(const VersionRecord& record);
std::string Encode(const PassageRecord& record);
std::string Encode(const std::vector<Change>& changes);
std::string Encode(const StagedNote& note);
std::string Encode(const TermList& terms);  // a value of `forward`
std::string EncodeRanges(const std::vector<PassageRange>& ranges);
std::string EncodeStrings(const std::vector<std::string>& strings);
Result<CollectionRecord> DecodeCollection(std::string_view bytes);
// The document's id is in its key, not in the value.
Result<DocumentRecord> DecodeDocument(std::string_view document_id, std::string_view bytes);
Result<RevisionRecord> DecodeRevision(std::string_view bytes);
Result<VersionRecord> DecodeVersion(std::string_view bytes);
Result<PassageRecord> DecodePassage(std::string_view bytes);
Passage PassageOf(PassageId id, const std::string& document_id, PassageRecord record,
                  std::string text);
Result<std::vector<Change>> DecodeChanges(std::string_view bytes);
Result<StagedNote> DecodeStaged(std::string_view key, std::string_view bytes);
Result<TermList> DecodeTerms(std::string_view bytes);
Result<std::vector<PassageRange>> DecodeRanges(std::string_view bytes);
Result<std::vector<std::string>> DecodeStrings(std::string_view bytes);

// --- what names and values may be ----------------------------------------------------------------
inline constexpr int kMaxDimension = 16384;
Status ValidateCollection(const CollectionInfo& info);
Status ValidateDocumentId(std::string_view id);
Status ValidateDocument(const DocumentInfo& info);
// Ascending, without duplicates: the form in which group sets are kept.
std::vector<std::string> NormalizedGroups(std::vector<std::string> groups);

}  // namespace vade
