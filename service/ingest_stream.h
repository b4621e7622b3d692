// The server's side of CorpusService.IngestDocuments: files as a client offers and sends them.
//
// Private to service/. The pipeline's feeding thread reads the stream, so a pipeline that is full
// makes the client wait.
#pragma once

#include <chrono>
#include <functional>

#include "base/context.h"
#include "base/status.h"
#include "service/call_watch.h"
#include "service/local_api.h"

namespace grpc {
class ServerContext;
template <class W, class R>
class ServerReaderWriter;
}  // namespace grpc
namespace vade::v1 {
class IngestDocumentsRequest;
class IngestDocumentsResponse;
class ListSourcesRequest;
class ListSourcesResponse;
}  // namespace vade::v1

namespace vade {

using IngestServerStream =
    grpc::ServerReaderWriter<v1::IngestDocumentsResponse, v1::IngestDocumentsRequest>;

struct IngestService {
  LocalApi* api;
  std::chrono::milliseconds patience;  // with a client that takes or sends nothing
  CallWatch* watch;
};

// The whole call.
Status ServeIngest(grpc::ServerContext* rpc, IngestServerStream* stream,
                   const IngestService& service, const Context& ctx);

// Pages of what is remembered of files at and below request.scope.
Status SendSources(LocalApi* api, const v1::ListSourcesRequest& request,
                   const std::function<Status(const v1::ListSourcesResponse&)>& send);

}  // namespace vade
