// The client's side of CorpusService.IngestDocuments: files of this machine into a store that is
// elsewhere.
//
// Private to service/; sees .pb.h. Files are offered a few ahead of what has been told of them, so
// that those that the service knows cost one message, and sent when they are asked for.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "ingest/ingest.h"
#include "ingest/progress.h"
#include "ingest/sources.h"
#include "vade/v1/corpus.grpc.pb.h"

namespace vade {

// UNIMPLEMENTED: what is the service's own: the size of passages, the place of the parsers.
Status CheckRemoteIngest(const IngestOptions& options);

// What stands before the paths of this machine for the service at HOST:PORT: nothing when that is
// this machine.
std::string MachineBefore(const std::string& address);

class FileCarrier {
 public:
  // All outlive it.
  FileCarrier(const SourceList& sources, const IngestOptions& options, std::string machine,
              const ProgressFunction& progress, const Context& ctx);

  // With options.prune, before Carry(): the question for what is remembered below a path, and its
  // answers.
  void Fill(const std::string& scope, v1::ListSourcesRequest* request) const;
  void Look(const v1::ListSourcesResponse& page);

  // The whole call. Again only while !begun().
  grpc::Status Carry(v1::CorpusService::StubInterface* corpus, grpc::ClientContext* rpc);
  bool begun() const { return begun_; }  // an outcome has come

  // After a good end. DATA_LOSS: the service ended without its last message.
  Result<IngestReport> TakeReport(const std::string& address);

 private:
  using Stream =
      grpc::ClientReaderWriterInterface<v1::IngestDocumentsRequest, v1::IngestDocumentsResponse>;

  // What to do next, as long as there is something.
  struct Step {
    std::optional<size_t> send, offer;  // indices of files; neither: all is done
  };
  Step NextStep();
  bool SendOpening(Stream* stream);
  bool SendFiles(Stream* stream);
  bool Offer(size_t index, Stream* stream);
  bool Send(size_t index, Stream* stream);
  void FailHere(size_t index, const Status& why);  // without the service
  void ReadAnswers(Stream* stream);
  void TakeOutcome(const v1::DocumentOutcome& outcome);

  const SourceList& sources_;
  const IngestOptions& options_;
  const std::string machine_;
  const Context& ctx_;
  VanishedFiles vanished_;
  std::vector<SourceRecord> gone_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<size_t> asked_for_;
  size_t next_ = 0;       // to be offered
  size_t under_way_ = 0;  // offered, without their last outcome
  bool stopped_ = false;  // the stream has ended, or the service wants no more
  bool begun_ = false;
  bool ended_well_ = false;
  ProgressMeter meter_;
  IngestReport report_;
};

}  // namespace vade
