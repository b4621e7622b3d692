// The client's side of CorpusService.IngestDocuments: files of this machine into a store that is
// elsewhere.
//
// Private to service/. Files are offered a few ahead of what has been told of them, so that those
// that the service knows cost one message, and sent when they are asked for.
#pragma once

#include <memory>
#include <string>

#include "base/context.h"
#include "base/status.h"
#include "ingest/ingest.h"
#include "ingest/sources.h"

namespace grpc {
class Channel;
class ClientContext;
class Status;
}  // namespace grpc
namespace vade::v1 {
class ListSourcesRequest;
class ListSourcesResponse;
}  // namespace vade::v1

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
  ~FileCarrier();

  // With options.prune, before Carry(): the question for what is remembered below a path, and its
  // answers.
  void Fill(const std::string& scope, v1::ListSourcesRequest* request) const;
  void Look(const v1::ListSourcesResponse& page);

  // The whole call. Again only while !begun().
  grpc::Status Carry(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* rpc);
  bool begun() const;  // an outcome has come

  // After a good end. DATA_LOSS: the service ended without its last message.
  Result<IngestReport> TakeReport(const std::string& address);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vade
