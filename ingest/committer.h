// Split documents -> vectors -> commits. Batches for the embedder span documents, so that a folder
// of short notes is embedded as fast as one long text; documents are committed whole, those that
// are complete together.
//
//   Committer committer(store, embedder, options, [&](const Job& job, const Result<PutResult>&
//   result) {...}); RETURN_IF_ERROR(committer.Add(batch, ctx));    // any number, batches of one
//   job in order RETURN_IF_ERROR(committer.Finish(ctx));
//
// A vector is computed once for one text: passages of a duplicate, and those that a new revision
// shares with the one before it, take theirs from the store. Destroying a Committer drops what is
// not committed. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "ingest/job.h"
#include "model/embedder.h"

namespace vade {

class Committer {
 public:
  using Done = std::function<void(const Job& job, const Result<PutResult>& result)>;

  Committer(Store* store, Embedder* embedder, const IngestOptions& options, Done done);

  // An error is about more than one document: the run is over. Others go to `done`.
  Status Add(Batch batch, const Context& ctx);
  Status Finish(const Context& ctx);

  // Source bytes of unfinished documents whose passages are stored already: for progress.
  double bytes_under_way() const;

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
    std::shared_ptr<Job> job;
    std::unique_ptr<DocumentWriter> writer;
    KnownVectors known;
    std::string duplicate_of;
    uint64_t passages = 0;      // stored so far
    uint64_t stored_until = 0;  // byte of the text
    bool complete = false;      // all its passages have been added
    Status failure;
  };
  struct Waiting {
    OpenDocument* document;
    Passage passage;
    const float* known = nullptr;  // null: to be embedded
  };

  Status Open(const std::shared_ptr<Job>& job, const Context& ctx);
  Status Begin(OpenDocument* document);
  Status FindKnown(OpenDocument* document);
  Status LoadKnown(const DocumentInfo& stored, OpenDocument* document);
  Status EmbedAnew(const OpenDocument& document, const Status& why) const;
  const float* FindVector(const OpenDocument& document, const Passage& passage) const;
  Status Flush(const Context& ctx);
  Result<std::vector<float>> VectorsOfWaiting(const Context& ctx);
  Status StoreWaiting(const std::vector<float>& vectors);
  Status CommitComplete(const Context& ctx);
  static Result<PutResult> ResultOf(const OpenDocument& document,
                                    const Result<CommitResult>& commit);

  Store* store_;
  Embedder* embedder_;
  const IngestOptions& options_;
  const Done done_;
  const size_t dimension_;
  std::list<OpenDocument> open_;  // in order; a list, so that pointers stay valid
  std::vector<Waiting> waiting_;
  size_t to_embed_ = 0;      // of waiting_
  uint64_t open_bytes_ = 0;  // of the texts of open_
};

}  // namespace vade
