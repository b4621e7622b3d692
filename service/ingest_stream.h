// The server's side of CorpusService.IngestDocuments: files as a client offers and sends them.
//
// Private to service/; sees .pb.h. The pipeline's feeding thread reads the stream, so a pipeline
// that is full makes the client wait.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/context.h"
#include "base/status.h"
#include "ingest/file_exchange.h"
#include "service/local_api.h"
#include "service/patient_stream.h"
#include "vade/v1/corpus.grpc.pb.h"

namespace vade {

class IngestStream final : public FileExchange {
 public:
  using Stream = grpc::ServerReaderWriter<v1::IngestDocumentsResponse, v1::IngestDocumentsRequest>;
  struct Service {
    LocalApi* api;
    std::chrono::milliseconds patience;  // with a client that takes or sends nothing
    CallWatch* watch;
  };

  IngestStream(grpc::ServerContext* rpc, Stream* stream, const Service& service,
               const Context& ctx);

  // The whole call.
  Status Run();

  Status Plan(IngestRun* run) override;
  Result<std::optional<IncomingFile>> Next(const IngestRun& run) override;
  void Done(const Job& job, const Result<PutResult>& result) override;
  void Stored(const Job&, double) override {}
  void Failed() override;

 private:
  bool Read();  // into message_
  Status ReadSettings();
  Result<std::optional<IncomingFile>> TakeOffer(const IngestRun& run);
  Result<std::optional<IncomingFile>> TakeData();
  Status Write(const v1::IngestDocumentsResponse& message);

  PatientStream<Stream> stream_;
  LocalApi* const api_;
  const Context& ctx_;
  IngestOptions options_;
  v1::IngestDocumentsRequest message_;
  bool held_ = false;                          // message_ is still to be looked at
  std::map<uint64_t, IncomingFile> wanted_;    // files that were asked for
  std::optional<uint64_t> receiving_;          // whose data is coming
  std::mutex writing_;
  Status write_failure_;
};

// Pages of what is remembered of files at and below request.scope.
Status SendSources(LocalApi* api, const v1::ListSourcesRequest& request,
                   const std::function<Status(const v1::ListSourcesResponse&)>& send);

}  // namespace vade
