// Notes of collections: keys C 'n' of `documents`, beside what views are made of. Those that come
// by themselves are written without waiting for the disk: the log keeps their order, so that a
// later commit takes them along.
#include "base/strings.h"
#include "index/core.h"

namespace vade {
namespace {

constexpr size_t kMaxNoteKeyBytes = 16384;
constexpr size_t kMaxNoteBytes = 64 << 20;

}  // namespace

std::string TablesNoteKey(std::string_view document_id) {
  constexpr char kTables = 't';  // the kind of note (docs/formats.md)
  return StrCat(kTables, document_id);
}

Status CheckNote(const StoreNote& note) {
  if (!note.key.empty() && note.key.size() <= kMaxNoteKeyBytes &&
      note.value.size() <= kMaxNoteBytes) {
    return OkStatus();
  }
  return InvalidArgument(StrCat("a note has a key of ", note.key.size(), " and a value of ",
                                note.value.size(), " bytes; a key has 1 to ", kMaxNoteKeyBytes,
                                ", a value at most ", kMaxNoteBytes));
}

void AddNote(CollectionId c, const StoreNote& note, KvBatch* batch) {
  const std::string key = NoteKey(c, note.key);
  if (note.value.empty()) {
    batch->Delete(Family::kDocuments, key);
  } else {
    batch->Put(Family::kDocuments, key, note.value);
  }
}

Status PutNotesIn(StoreCore* core, std::string_view collection, std::span<const StoreNote> notes) {
  ASSIGN_OR_RETURN(const auto state, FindCollection(*core->committer->Current(), collection));
  KvBatch batch;
  for (const StoreNote& note : notes) {
    RETURN_IF_ERROR(CheckNote(note));
    AddNote(state->id, note, &batch);
  }
  if (batch.empty()) return OkStatus();
  ASSIGN_OR_RETURN(const bool there, core->committer->Rearrange(state->id, batch));
  return there ? OkStatus() : NoCollection(collection);
}

Status RemoveNotesIn(StoreCore* core, std::string_view collection, std::string_view document_id,
                     std::span<const std::string> keys) {
  const auto remove = [&](View* view, KvBatch* batch) -> Status {
    ASSIGN_OR_RETURN(const auto state, FindCollection(*view, collection));
    ASSIGN_OR_RETURN(const auto current,
                     ReadDocument(*core->kv, nullptr, state->id, std::string(document_id)));
    if (current) return OkStatus();
    for (const std::string& key : keys) AddNote(state->id, {key, ""}, batch);
    return OkStatus();
  };
  return core->committer->Amend(remove, Durability::kBuffered);
}

Result<std::optional<std::string>> GetNoteOf(const StoreCore& core, std::string_view collection,
                                             std::string_view key) {
  ASSIGN_OR_RETURN(const auto state, FindCollection(*core.committer->Current(), collection));
  return core.kv->Get(Family::kDocuments, NoteKey(state->id, key), nullptr);
}

Result<std::vector<StoreNote>> ListNotesOf(const StoreCore& core, std::string_view collection,
                                           std::string_view prefix, std::string_view after,
                                           int limit) {
  if (limit < 1) return InvalidArgument(StrCat("a list of ", limit, " notes; ask for at least 1"));
  ASSIGN_OR_RETURN(const auto state, FindCollection(*core.committer->Current(), collection));
  const std::string first = NoteKey(state->id, prefix), own = NoteKey(state->id, "");
  const std::string behind = after.empty() ? first : NoteKey(state->id, after) + '\0';
  const auto scan =
      core.kv->Scan(Family::kDocuments, std::max(first, behind), PrefixEnd(first), nullptr);
  std::vector<StoreNote> notes;
  for (; scan->Valid() && notes.size() < static_cast<size_t>(limit); scan->Next()) {
    notes.push_back({std::string(scan->key().substr(own.size())), std::string(scan->value())});
  }
  RETURN_IF_ERROR(scan->status());
  return notes;
}

}  // namespace vade
