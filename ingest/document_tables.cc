#include "ingest/document_tables.h"

namespace vade {

Status DocumentTables::AddNote(const std::string& document_id, std::string encoded,
                               std::vector<StoreNote>* notes) const {
  if (encoded.empty()) {
    ASSIGN_OR_RETURN(const auto before, store_->GetNote(collection_, TablesNoteKey(document_id)));
    if (!before) return OkStatus();
  }
  notes->push_back({TablesNoteKey(document_id), std::move(encoded)});
  return OkStatus();
}

Status DocumentTables::Forget(std::span<const std::string> document_ids) {
  for (const std::string& id : document_ids) {
    const std::string key = TablesNoteKey(id);
    RETURN_IF_ERROR(store_->RemoveNotesOf(collection_, id, {&key, 1}));
  }
  return OkStatus();
}

Result<std::vector<Table>> DocumentTables::Of(const std::string& document_id) const {
  ASSIGN_OR_RETURN(const Document document, store_->GetDocument(collection_, document_id));
  ASSIGN_OR_RETURN(const auto kept, store_->GetNote(collection_, TablesNoteKey(document_id)));
  if (kept) {
    auto tables = DecodeTables(*kept, document.info.content_hash, document.text);
    if (tables) return std::move(*tables);
  }
  return FindTables(document.text, document.info.mime_type, {});
}

}  // namespace vade
