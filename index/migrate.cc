// From earlier formats of the database to the present one, in batches of bounded size. The version
// is set first, so that the earlier program refuses what it could not read; `migrating` stands in
// the database until all is done, so that a migration that died is begun again.
#include <algorithm>

#include "base/bytes.h"
#include "base/log.h"
#include "base/strings.h"
#include "index/open.h"

namespace vade {
namespace {

constexpr size_t kBatchBytes = 1 << 20;
constexpr uint64_t kSampleBytes = 16384;  // of a document, to tell its language

// Format 1 had no languages.
class LanguageMigration {
 public:
  explicit LanguageMigration(StoreCore* core) : core_(core) {}

  Status Run() {
    const auto scan = core_->kv->Scan(Family::kCatalog, "c", "d", nullptr);
    for (; scan->Valid(); scan->Next()) {
      if (scan->key().size() != CollectionKey(0).size()) return Damaged("collection's key");
      RETURN_IF_ERROR(MigrateCollection(ParseKey32(scan->key().substr(1))));
    }
    RETURN_IF_ERROR(scan->status());
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

}  // namespace

Status MigrateFormat(StoreCore* core) {
  ASSIGN_OR_RETURN(const auto begun, core->kv->Get(Family::kMeta, "migrating", nullptr));
  if (core->format == kFormatVersion && !begun) return OkStatus();
  LogInfo(StrCat("the store at ", core->directory, " is brought to format ", kFormatVersion));
  std::string version;
  AppendFixed(&version, kFormatVersion);
  KvBatch begin;
  begin.Put(Family::kMeta, "format", version);
  begin.Put(Family::kMeta, "migrating", "1");
  RETURN_IF_ERROR(core->kv->Write(begin, Durability::kSynced));
  RETURN_IF_ERROR(LanguageMigration(core).Run());
  KvBatch end;
  end.Delete(Family::kMeta, "migrating");
  RETURN_IF_ERROR(core->kv->Write(end, Durability::kSynced));
  core->format = kFormatVersion;
  return OkStatus();
}

}  // namespace vade
