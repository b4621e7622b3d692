// Split documents -> vectors. Batches for the embedder span documents, so that a folder of short
// notes is embedded as fast as one long text.
//
//   EmbedStage stage(store, embedder, options, sink);
//   RETURN_IF_ERROR(stage.Add(std::move(batch), ctx));  // any number, a job's batches in order
//   RETURN_IF_ERROR(stage.Flush(ctx));                  // what waits for more is embedded now
//
// A vector is computed once for one text: passages of a duplicate, those that a new revision shares
// with the one before it, and those that a new document shares with the one that says nearly the
// same take theirs from the store. Everything leaves in the order in
// which it came, what needs no vectors too. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "ingest/job.h"
#include "ingest/near_documents.h"
#include "model/embedder.h"

namespace vade {

struct EmbeddedBatch {
  Batch batch;
  std::vector<float> vectors;  // [batch.passages, dimension]
  std::string duplicate_of;    // of the job: id of a document with the same bytes
};

class EmbedStage {
 public:
  // Where batches go: `take` gets them in order; `settle` returns when all that `take` was given is
  // in the store or has failed.
  struct Sink {
    std::function<Status(EmbeddedBatch)> take;
    std::function<Status()> settle;
  };

  EmbedStage(Store* store, Embedder* embedder, const IngestOptions& options, Sink sink);

  Status Add(Batch batch, const Context& ctx);
  Status Flush(const Context& ctx);

 private:
  // Vectors that the store has already, by what was embedded. Without the texts themselves: a
  // document's old text is as long as its new one.
  struct KnownPassage {
    size_t row = 0;  // of vectors
    bool first = false;
  };
  struct KnownVectors {
    std::vector<float> vectors;  // [passages, dimension]
    std::map<Sha256Digest, KnownPassage> by_text;
  };
  struct OpenDocument {
    std::string duplicate_of;
    KnownVectors known;
  };
  struct Waiting {
    std::shared_ptr<OpenDocument> document;
    Batch batch;
    std::vector<const float*> known;  // one a passage; null: to be embedded
  };

  Status Open(const Job& job, const Context& ctx);
  Status FindKnown(const Job& job);
  Status LoadKnown(const DocumentInfo& stored, const Job& job);
  static Status EmbedAnew(const Job& job, const Status& why);
  const float* FindVector(const KnownVectors& known, const Passage& passage) const;
  Result<std::vector<float>> EmbedWaiting(const Context& ctx);
  void AppendVectors(const std::vector<const float*>& known, const float** fresh,
                     std::vector<float>* out) const;

  Store* store_;
  Embedder* embedder_;
  const IngestOptions& options_;
  const Sink sink_;
  const NearDocuments near_;
  const size_t dimension_;
  std::shared_ptr<OpenDocument> current_;  // of the last batch
  std::set<std::string> under_way_;        // content hashes since the store was last settled
  std::deque<Waiting> waiting_;
  size_t to_embed_ = 0;  // passages of waiting_
  size_t in_wait_ = 0;   // passages of waiting_, those with known vectors included
};

}  // namespace vade
