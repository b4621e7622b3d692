#include "index/portable.h"

#include <memory>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "index/export_format.h"

namespace vade {
namespace {

constexpr size_t kStagedPassages = 256;
// Committed together: one wait for the disk, and no more than a few megabytes of vectors held.
constexpr size_t kDocumentsTogether = 64, kPassagesTogether = 4096;
constexpr size_t kTablesBytesTogether = 16 << 20;

Status ExportDocument(CollectionReader* reader, const DocumentInfo& info, ExportWriter* writer,
                      const Context& ctx) {
  if (info.text_bytes > kMaxExportTextBytes) {
    return OutOfRange(StrCat("document '", info.id, "' has ", info.text_bytes >> 20,
                             " MiB of text, and an export takes at most ",
                             kMaxExportTextBytes >> 20, " of one; split it"));
  }
  RETURN_IF_ERROR(writer->AddDocument(info));
  ASSIGN_OR_RETURN(const std::string tables, reader->Tables());
  // Longer ones are not ingestion's, and without text there are none.
  if (tables.size() <= kMaxExportTablesBytes && info.text_bytes > 0) {
    RETURN_IF_ERROR(writer->AddTables(tables));
  }
  for (;;) {
    RETURN_IF_ERROR(ctx.Check());
    ASSIGN_OR_RETURN(const std::string piece, reader->NextText());
    if (piece.empty()) break;
    RETURN_IF_ERROR(writer->AddText(piece));
  }
  const auto dimension = static_cast<size_t>(reader->info().dimension);
  for (std::vector<float> vectors;;) {
    RETURN_IF_ERROR(ctx.Check());
    ASSIGN_OR_RETURN(const std::vector<Passage> passages, reader->NextPassages(&vectors));
    if (passages.empty()) return OkStatus();
    for (size_t i = 0; i < passages.size(); ++i) {
      RETURN_IF_ERROR(writer->AddPassage(passages[i], {vectors.data() + i * dimension, dimension}));
    }
  }
}

ExportReport ReportOf(const ExportCounts& counts) {
  return {counts.documents, counts.passages, counts.text_bytes};
}

// Whether putting it would change nothing that anyone can see.
bool ChangesNothing(const DocumentInfo& current, const DocumentInfo& next) {
  return SaysTheSame(current, next) && current.text_bytes == next.text_bytes &&
         current.passage_count == next.passage_count;
}

Status CheckEmbedder(const CollectionInfo& there, const ExportHeader& file) {
  if (there.embedder_id == file.embedder_id &&
      static_cast<uint32_t>(there.dimension) == file.dimension) {
    return OkStatus();
  }
  return FailedPrecondition(StrCat(
      "the export's vectors are of embedder '", file.embedder_id, "' (", file.dimension,
      " dimensions), and collection '", there.name, "' was made with '", there.embedder_id, "' (",
      there.dimension, "); import it into another --collection, or ingest the sources again"));
}

// The collection, made when there is none.
Status EnsureCollection(Store* store, const std::string& name, const ExportHeader& file) {
  ASSIGN_OR_RETURN(const CollectionInfo collection,
                   FindOrCreateCollection(store, {.name = name,
                                                  .embedder_id = file.embedder_id,
                                                  .dimension = static_cast<int>(file.dimension)}));
  return CheckEmbedder(collection, file);
}

// Takes what a reader comes upon into a collection.
class Importer {
 public:
  Importer(Store* store, const std::string& collection) : store_(store), collection_(collection) {}

  Status Take(ExportEvent event, const Context& ctx) {
    switch (event.kind) {
      case ExportEvent::Kind::kDocument: return Open(event.info, ctx);
      case ExportEvent::Kind::kTables: tables_.append(event.text); return OkStatus();
      case ExportEvent::Kind::kText: return writer_ ? writer_->AddText(event.text) : OkStatus();
      case ExportEvent::Kind::kPassage: return Add(std::move(event));
      case ExportEvent::Kind::kDocumentEnd: return Close(ctx);
      case ExportEvent::Kind::kEnd: return CommitWaiting(ctx);
    }
    return OkStatus();
  }
  const ImportReport& report() const { return report_; }

 private:
  Status Open(const DocumentInfo& info, const Context& ctx) {
    RETURN_IF_ERROR(ctx.Check());
    id_ = info.id;
    ASSIGN_OR_RETURN(const auto current, store_->FindDocument(collection_, info.id));
    if (current && ChangesNothing(*current, info)) {
      ++report_.unchanged;
      return OkStatus();
    }
    ASSIGN_OR_RETURN(writer_, store_->BeginDocument(collection_, info));
    writer_->KeepTimes(info.created_unix_micros, info.updated_unix_micros);
    return OkStatus();
  }

  Status Add(ExportEvent event) {
    if (!writer_) return OkStatus();
    passages_.push_back(std::move(event.passage));
    vectors_.insert(vectors_.end(), event.vector.begin(), event.vector.end());
    return passages_.size() < kStagedPassages ? OkStatus() : Stage();
  }

  Status Stage() {
    if (passages_.empty()) return OkStatus();
    RETURN_IF_ERROR(writer_->AddPassages(passages_, vectors_));
    staged_ += passages_.size();
    passages_.clear();
    vectors_.clear();
    return OkStatus();
  }

  // Those of a document that is there already too: an import may have left them behind.
  Status KeepTables() {
    StoreNote note{TablesNoteKey(id_), std::exchange(tables_, {})};
    waiting_tables_bytes_ += note.value.size();
    if (writer_ && !note.value.empty()) return writer_->PutNote(std::move(note));
    ASSIGN_OR_RETURN(const auto kept, store_->GetNote(collection_, note.key));
    if (kept.value_or("") == note.value) return OkStatus();
    if (writer_) return writer_->PutNote(std::move(note));  // of the revision that goes
    return note.value.empty() ? OkStatus() : store_->PutNotes(collection_, {&note, 1});
  }

  Status Close(const Context& ctx) {
    RETURN_IF_ERROR(KeepTables());
    if (!writer_) return OkStatus();
    RETURN_IF_ERROR(Stage());
    waiting_passages_ += staged_;
    waiting_.push_back({std::move(writer_), std::exchange(staged_, 0)});
    const bool enough = waiting_.size() >= kDocumentsTogether ||
                        waiting_passages_ >= kPassagesTogether ||
                        waiting_tables_bytes_ >= kTablesBytesTogether;
    return enough ? CommitWaiting(ctx) : OkStatus();
  }

  // What stops one of them ends the import; those of its group that were stored are counted.
  Status CommitWaiting(const Context& ctx) {
    std::vector<DocumentWriter*> writers;
    for (const Waiting& one : waiting_) writers.push_back(one.writer.get());
    const auto outcomes = store_->CommitTogether(writers, ctx);
    Status first;
    for (size_t i = 0; i < outcomes.size(); ++i) {
      if (!outcomes[i].ok()) {
        if (first.ok()) first = outcomes[i].status();
        continue;
      }
      ++(outcomes[i]->created ? report_.created : report_.updated);
      report_.passages += waiting_[i].passages;
    }
    waiting_.clear();
    waiting_passages_ = 0;
    waiting_tables_bytes_ = 0;
    return first;
  }

  struct Waiting {
    std::unique_ptr<DocumentWriter> writer;
    uint64_t passages = 0;
  };

  Store* const store_;
  const std::string& collection_;
  std::vector<Waiting> waiting_;  // staged whole, not committed yet
  uint64_t waiting_passages_ = 0;
  size_t waiting_tables_bytes_ = 0;
  std::string id_;                          // of the document at hand
  std::string tables_;                      // of it
  std::unique_ptr<DocumentWriter> writer_;  // null: the document at hand is there already
  std::vector<Passage> passages_;           // not staged yet
  std::vector<float> vectors_;
  uint64_t staged_ = 0;
  ImportReport report_;
};

}  // namespace

Result<ExportReport> ExportCollection(CollectionReader* reader, int64_t now, ByteSink* sink,
                                      const Context& ctx) {
  ExportWriter writer(sink);
  RETURN_IF_ERROR(writer.Begin({.collection = reader->info().name,
                                .embedder_id = reader->info().embedder_id,
                                .dimension = static_cast<uint32_t>(reader->info().dimension),
                                .commit = reader->commit(),
                                .exported_unix_micros = now}));
  for (;;) {
    ASSIGN_OR_RETURN(const auto info, reader->NextDocument());
    if (!info) break;
    RETURN_IF_ERROR(ExportDocument(reader, *info, &writer, ctx));
  }
  ASSIGN_OR_RETURN(const ExportCounts counts, writer.Finish());
  return ReportOf(counts);
}

Result<ExportReport> CheckExport(ByteSource* source, const Context& ctx) {
  RETURN_IF_ERROR(source->Rewind());
  ExportReader reader(source);
  RETURN_IF_ERROR(reader.Begin().status());
  for (;;) {
    ASSIGN_OR_RETURN(const ExportEvent event, reader.Next());
    if (event.kind == ExportEvent::Kind::kEnd) return ReportOf(reader.counts());
    if (event.kind != ExportEvent::Kind::kPassage) RETURN_IF_ERROR(ctx.Check());
  }
}

Result<ImportReport> ImportCollection(Store* store, const std::string& collection,
                                      ByteSource* source, const Context& ctx) {
  RETURN_IF_ERROR(CheckExport(source, ctx).status());
  RETURN_IF_ERROR(source->Rewind());
  ExportReader reader(source);
  ASSIGN_OR_RETURN(const ExportHeader header, reader.Begin());
  RETURN_IF_ERROR(EnsureCollection(store, collection, header));
  Importer importer(store, collection);
  for (;;) {
    ASSIGN_OR_RETURN(ExportEvent event, reader.Next());
    const bool last = event.kind == ExportEvent::Kind::kEnd;
    RETURN_IF_ERROR(importer.Take(std::move(event), ctx));
    if (last) return importer.report();
  }
}

}  // namespace vade
