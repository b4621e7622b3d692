// From earlier formats of the database to the present one, in batches of bounded size. The version
// is set first, so that the earlier program refuses what it could not read; `migrating` stands in
// the database until all is done and names the format that it began with, so that a migration that
// died is gone on with.
#include <algorithm>

#include "base/bytes.h"
#include "base/log.h"
#include "base/strings.h"
#include "index/open.h"
#include "index/term_entries.h"

namespace vade {
namespace {

constexpr size_t kBatchBytes = 1 << 20;
constexpr uint64_t kSampleBytes = 16384;  // of a document, to tell its language

// Format 1 had no languages.
class LanguageMigration {
 public:
  explicit LanguageMigration(StoreCore* core) : core_(core) {}

  Status Run() {
    RETURN_IF_ERROR(ForEachCollection(
        *core_->kv, [&](CollectionId c, std::string_view) { return MigrateCollection(c); }));
    return Flush();
  }

 private:
  Status MigrateCollection(CollectionId c) {
    const std::string prefix = FamilyPrefix(c, 'd');
    const auto scan = core_->kv->Scan(Family::kDocuments, prefix, PrefixEnd(prefix), nullptr);
    for (; scan->Valid(); scan->Next()) {
      ASSIGN_OR_RETURN(const DocumentRecord record,
                       DecodeDocument(scan->key().substr(prefix.size()), scan->value()));
      // What is damaged stays as it is, for verify to name.
      if (const Status told = TellLanguages(c, record); told.code() == StatusCode::kDataLoss) {
        LogWarning(StrCat("document '", record.info.id, "': ", told.message()));
      } else {
        RETURN_IF_ERROR(told);
      }
    }
    return scan->status();
  }

  Status TellLanguages(CollectionId c, const DocumentRecord& document) {
    TextReader text(*core_->kv, nullptr, c, document.revision_key);
    ASSIGN_OR_RETURN(const std::string sample,
                     text.Read(0, std::min(document.info.text_bytes, kSampleBytes)));
    const LanguageCode language = DetectLanguage(sample, kUnknownLanguage);
    for (const PassageRange& range : document.ranges) {
      const auto scan = core_->kv->Scan(Family::kPassages, PassageKey(c, range.first),
                                        PassageKey(c, range.first + range.count), nullptr);
      for (; scan->Valid(); scan->Next()) {
        ASSIGN_OR_RETURN(PassageRecord record, DecodePassage(scan->value()));
        ASSIGN_OR_RETURN(const std::string words, text.Read(record.begin, record.length));
        record.language = DetectLanguage(words, language);
        batch_.Put(Family::kPassages, scan->key(), Encode(record));
        if (batch_.bytes() >= kBatchBytes) RETURN_IF_ERROR(Flush());
      }
      RETURN_IF_ERROR(scan->status());
    }
    return OkStatus();
  }

  Status Flush() {
    if (batch_.empty()) return OkStatus();
    RETURN_IF_ERROR(core_->kv->Write(batch_, Durability::kBuffered));
    batch_.Clear();
    return OkStatus();
  }

  StoreCore* const core_;
  KvBatch batch_;
};

// Formats 1 and 2 had no terms. A revision is done when its record counts its words, which is
// written last; what was written of one before a death is written again, the same.
class TermMigration {
 public:
  explicit TermMigration(StoreCore* core) : core_(core) {}

  Status Run() {
    return ForEachCollection(
        *core_->kv, [&](CollectionId c, std::string_view) { return MigrateCollection(c); });
  }

 private:
  Status MigrateCollection(CollectionId c) {
    const std::string prefix = FamilyPrefix(c, 'r');
    const auto scan = core_->kv->Scan(Family::kDocuments, prefix, PrefixEnd(prefix), nullptr);
    for (; scan->Valid(); scan->Next()) {
      if (scan->key().size() != RevisionRecordKey(c, 0).size()) return Damaged("revision's key");
      ASSIGN_OR_RETURN(RevisionRecord record, DecodeRevision(scan->value()));
      if (record.words) continue;
      const RevisionKey revision = ParseKey64(scan->key().substr(prefix.size()));
      // What is damaged stays as it is, for verify to name.
      const Status made = AddTerms(c, revision, &record);
      if (!made.ok() && made.code() != StatusCode::kDataLoss) return made;
      if (!made.ok()) LogWarning(StrCat("document '", record.document_id, "': ", made.message()));
      batch_.Clear();
    }
    return scan->status();
  }

  Status AddTerms(CollectionId c, RevisionKey revision, RevisionRecord* record) {
    ASSIGN_OR_RETURN(const auto document,
                     ReadDocument(*core_->kv, nullptr, c, record->document_id));
    if (!document) return Damaged("document record");
    record->words = 0;
    TextReader text(*core_->kv, nullptr, c, revision);
    PostingsGatherer gatherer(c);
    for (const PassageRange& range : record->ranges) {
      const auto scan = core_->kv->Scan(Family::kPassages, PassageKey(c, range.first),
                                        PassageKey(c, range.first + range.count), nullptr);
      size_t gathered = 0;
      for (; scan->Valid(); scan->Next()) {
        if (scan->key().size() != kPassageKeyBytes) return Damaged("passage's key");
        ASSIGN_OR_RETURN(const PassageRecord passage, DecodePassage(scan->value()));
        ASSIGN_OR_RETURN(const std::string words, text.Read(passage.begin, passage.length));
        const TermList terms = TermsOfPassage({.title = document->info.title,
                                               .heading_path = passage.heading_path,
                                               .text = words,
                                               .language = passage.language});
        *record->words += terms.length;
        gatherer.Add(ParseKey64(scan->key().substr(4)), terms, &batch_);
        if (++gathered % kPassagesGathered == 0) RETURN_IF_ERROR(Write(&gatherer));
      }
      RETURN_IF_ERROR(scan->status());
      RETURN_IF_ERROR(Write(&gatherer));
    }
    batch_.Put(Family::kDocuments, RevisionRecordKey(c, revision), Encode(*record));
    return Write(&gatherer);
  }

  // Forward entries and blocks of the same passages in one batch.
  Status Write(PostingsGatherer* gatherer) {
    gatherer->WriteBlocks(&batch_);
    if (batch_.empty()) return OkStatus();
    RETURN_IF_ERROR(core_->kv->Write(batch_, Durability::kBuffered));
    batch_.Clear();
    return OkStatus();
  }

  StoreCore* const core_;
  KvBatch batch_;
};

// Formats 1 to 3 had no directory of versions. Written anew, whatever is there already.
Status MakeVersions(StoreCore* core, CollectionId c) {
  KvBatch batch;
  const std::string prefix = FamilyPrefix(c, 'd');
  const auto scan = core->kv->Scan(Family::kDocuments, prefix, PrefixEnd(prefix), nullptr);
  for (; scan->Valid(); scan->Next()) {
    const auto record = DecodeDocument(scan->key().substr(prefix.size()), scan->value());
    if (!record.ok()) continue;  // for verify to name
    const auto version = VersionOf(*record);
    if (!version) continue;
    batch.Put(Family::kDocuments, VersionKey(c, record->info.id), Encode(*version));
    if (batch.bytes() < kBatchBytes) continue;
    RETURN_IF_ERROR(core->kv->Write(batch, Durability::kBuffered));
    batch.Clear();
  }
  RETURN_IF_ERROR(scan->status());
  return batch.empty() ? OkStatus() : core->kv->Write(batch, Durability::kBuffered);
}

}  // namespace

Status MigrateFormat(StoreCore* core) {
  ASSIGN_OR_RETURN(const auto begun, core->kv->Get(Family::kMeta, "migrating", nullptr));
  if (core->format == kFormatVersion && !begun) return OkStatus();
  LogInfo(StrCat("the store at ", core->directory, " is brought to format ", kFormatVersion));
  const uint64_t from = begun ? ParseUint(*begun).value_or(1) : core->format;
  std::string version;
  AppendFixed(&version, kFormatVersion);
  KvBatch begin;
  begin.Put(Family::kMeta, "format", version);
  begin.Put(Family::kMeta, "migrating", StrCat(from));
  RETURN_IF_ERROR(core->kv->Write(begin, Durability::kSynced));
  if (from < 2) RETURN_IF_ERROR(LanguageMigration(core).Run());
  if (from < 3) RETURN_IF_ERROR(TermMigration(core).Run());
  if (from < 4) {
    RETURN_IF_ERROR(ForEachCollection(
        *core->kv, [&](CollectionId c, std::string_view) { return MakeVersions(core, c); }));
  }
  // What format 5 added (spaces of vectors) means in a store of format 4 what it meant there.
  KvBatch end;
  end.Delete(Family::kMeta, "migrating");
  RETURN_IF_ERROR(core->kv->Write(end, Durability::kSynced));
  core->format = kFormatVersion;
  return OkStatus();
}

}  // namespace vade
