// What the command line can do, whether the store is in this process or behind a service.
//
// Two implementations: LocalApi (service/local_api.h) opens a data directory and models; RemoteApi
// (service/remote_api.h) speaks gRPC. The gRPC server is a thin layer over a LocalApi. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "index/portable.h"
#include "ingest/ingest.h"
#include "ingest/near_documents.h"
#include "ingest/reembed.h"
#include "ingest/tables.h"
#include "service/answer.h"

namespace vade {

// What reading passages ahead has done.
struct WarmReport {
  uint64_t passages = 0;  // of the collection that were looked at
  uint64_t read = 0;      // the others were kept already, or are too long to be read
  bool complete = true;   // false: the budget for kept passages is used up
};

class Api {
 public:
  virtual ~Api() = default;

  virtual Result<PutResult> PutDocument(const std::string& collection, const PutRequest& request,
                                        const Context& ctx) = 0;
  virtual Result<Document> GetDocument(const std::string& collection,
                                       const std::string& document_id, const Context& ctx) = 0;
  // Another document that says nearly the same, with other bytes; nothing when there is none.
  virtual Result<std::optional<NearDocument>> FindNearDuplicate(const std::string& collection,
                                                                const std::string& document_id,
                                                                const Context& ctx) = 0;
  // Its tables with the types of their cells (ingest/tables.h).
  virtual Result<std::vector<Table>> GetTables(const std::string& collection,
                                               const std::string& document_id,
                                               const Context& ctx) = 0;
  virtual Result<DocumentPage> ListDocuments(const std::string& collection,
                                             const DocumentQuery& query, const Context& ctx) = 0;
  virtual Result<uint64_t> DeleteDocuments(const std::string& collection,
                                           const std::vector<std::string>& ids,
                                           const Context& ctx) = 0;
  // The same, and answers once the bytes of all that was deleted or replaced have left the files.
  virtual Result<uint64_t> EraseDocuments(const std::string& collection,
                                          const std::vector<std::string>& ids,
                                          const Context& ctx) = 0;

  virtual Result<std::vector<CollectionInfo>> ListCollections(const Context& ctx) = 0;
  virtual Result<CollectionInfo> CreateCollection(const std::string& name, const Context& ctx) = 0;
  virtual Status DeleteCollection(const std::string& name, const Context& ctx) = 0;

  // The trace of `ctx` receives the stages of the side that did the work.
  virtual Result<Retrieved> Search(const Query& query, const Context& ctx) = 0;
  virtual Result<AskReply> Ask(const AskRequest& request, const AskObserver& observer,
                               const Context& ctx) = 0;

  // Reads the collection's passages ahead of the questions, within the budget for what is kept.
  virtual Result<WarmReport> Warm(const std::string& collection, const Context& ctx) = 0;

  // Makes the collection's vectors by another embedder while it is read and written
  // (docs/reembed.md): a name of the catalog or of a file in the models folder; in this process
  // also a path. The trace gets no stages.
  virtual Result<ReembedOutcome> Reembed(const std::string& collection, const std::string& embedder,
                                         const ReembedProgress& progress, const Context& ctx) = 0;

  // Files under `paths` of this machine, whichever side stores them.
  virtual Result<IngestReport> Ingest(const std::vector<std::string>& paths,
                                      const IngestOptions& options,
                                      const ProgressFunction& progress, const Context& ctx) = 0;

  // The collection as one file, and such a file into a collection (index/portable.h): files of this
  // machine. Of all documents and with their groups; a caller's groups do not enter.
  virtual Result<ExportReport> Export(const std::string& collection, const std::string& path,
                                      const Context& ctx) = 0;
  virtual Result<ImportReport> Import(const std::string& collection, const std::string& path,
                                      const Context& ctx) = 0;
};

}  // namespace vade
