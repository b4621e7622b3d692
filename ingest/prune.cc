#include "ingest/prune.h"

#include <algorithm>
#include <span>

namespace vade {
namespace {

constexpr size_t kDeleteAtOnce = 256, kNotesAtOnce = 1024;

}  // namespace

void Pruner::FileHasGone(const SourceRecord& record) {
  for (const MadeDocument& made : record.documents) {
    if (made.digest != 0) Doom(made);
  }
  gone_.emplace(NoteKeyOf(record.origin, record.document_id), record);
}

void Pruner::FileIsThere(const SourceRecord& record) {
  bool any = false;
  for (const MadeDocument& made : record.documents) {
    if (!made.stale) continue;
    Doom(made);
    any = true;
  }
  if (any) there_.emplace(NoteKeyOf(record.origin, record.document_id), record);
}

Result<uint64_t> Pruner::Run(const Context& ctx) {
  if (gone_.empty() && there_.empty()) return uint64_t{0};
  RETURN_IF_ERROR(SpareWhatOthersHave());
  ASSIGN_OR_RETURN(const uint64_t deleted, Delete(ctx));
  RETURN_IF_ERROR(Forget());
  return deleted;
}

Status Pruner::SpareWhatOthersHave() {
  return ledger_.Visit("", [&](const SourceRecord& record) {
    // What was put is told by its digest, below.
    if (record.origin == kPutOrigin) return OkStatus();
    if (gone_.count(NoteKeyOf(record.origin, record.document_id)) > 0) return OkStatus();
    for (const MadeDocument& made : record.documents) {
      if (!made.stale && made.digest != 0) digests_.erase(made.id);
    }
    return OkStatus();
  });
}

Result<uint64_t> Pruner::Delete(const Context& ctx) {
  std::vector<std::string> ids;
  for (const auto& [id, digests] : digests_) {
    ASSIGN_OR_RETURN(const auto info, store_->FindDocument(collection_, id));
    if (info && digests.count(DigestOf(*info)) > 0) ids.push_back(id);
  }
  uint64_t deleted = 0;
  for (size_t at = 0; at < ids.size(); at += kDeleteAtOnce) {
    const auto some = std::span(ids).subspan(at, std::min(kDeleteAtOnce, ids.size() - at));
    ASSIGN_OR_RETURN(const uint64_t count, store_->DeleteDocuments(collection_, some, ctx));
    deleted += count;
  }
  return deleted;
}

Status Pruner::Forget() {
  std::vector<StoreNote> notes;
  for (const auto& [key, record] : gone_) notes.push_back(RemovalOf(record));
  for (auto& [key, record] : there_) {
    std::erase_if(record.documents, [](const MadeDocument& made) { return made.stale; });
    notes.push_back(NoteOf(record));
  }
  for (size_t at = 0; at < notes.size(); at += kNotesAtOnce) {
    const auto some = std::span(notes).subspan(at, std::min(kNotesAtOnce, notes.size() - at));
    RETURN_IF_ERROR(store_->PutNotes(collection_, some));
  }
  return OkStatus();
}

}  // namespace vade
