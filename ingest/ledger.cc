#include "ingest/ledger.h"

#include <utility>

#include "base/strings.h"

namespace vade {
namespace {

constexpr int kPage = 500;

}  // namespace

StoreNote NoteOf(const SourceRecord& record) {
  return {NoteKeyOf(record.origin, record.document_id), EncodeNote(record)};
}

StoreNote RemovalOf(const SourceRecord& record) {
  return {NoteKeyOf(record.origin, record.document_id), ""};
}

Result<std::optional<SourceRecord>> Ledger::Find(std::string_view origin,
                                                 std::string_view document_id) const {
  const std::string key = NoteKeyOf(origin, document_id);
  ASSIGN_OR_RETURN(const auto value, store_->GetNote(collection_, key));
  return value ? DecodeNote(key, *value) : std::optional<SourceRecord>();
}

Status Ledger::Visit(std::string_view scope,
                     const std::function<Status(SourceRecord)>& visit) const {
  const std::string all = NoteKeyOf(scope, "");
  const std::string file_key = all.substr(0, all.size() - 1);
  if (scope.empty() || scope.ends_with('/')) return VisitPrefix(file_key, visit);
  RETURN_IF_ERROR(VisitPrefix(all, visit));
  return VisitPrefix(StrCat(file_key, '/'), visit);
}

Status Ledger::VisitPrefix(const std::string& prefix,
                           const std::function<Status(SourceRecord)>& visit) const {
  for (std::string after;;) {
    ASSIGN_OR_RETURN(const std::vector<StoreNote> page,
                     store_->ListNotes(collection_, prefix, after, kPage));
    for (const StoreNote& note : page) {
      if (auto record = DecodeNote(note.key, note.value)) {
        RETURN_IF_ERROR(visit(*std::move(record)));
      }
    }
    if (page.size() < kPage) return OkStatus();
    after = page.back().key;
  }
}

Status Ledger::ForgetPuts(std::span<const std::string> document_ids) {
  std::vector<StoreNote> notes;
  for (const std::string& id : document_ids) notes.push_back({NoteKeyOf(kPutOrigin, id), ""});
  return store_->PutNotes(collection_, notes);
}

Result<bool> Ledger::StillHolds(const SourceRecord& record,
                                std::vector<std::optional<DocumentInfo>>* documents) const {
  documents->clear();
  for (const MadeDocument& made : record.documents) {
    if (made.stale) continue;
    if (!made.failure.empty()) {
      documents->emplace_back();
      continue;
    }
    ASSIGN_OR_RETURN(auto info, store_->FindDocument(collection_, made.id));
    if (!info || DigestOf(*info) != made.digest) return false;
    documents->push_back(std::move(info));
  }
  return !documents->empty();
}

}  // namespace vade
