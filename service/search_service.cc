// SearchService over a LocalApi.
#include <grpcpp/grpcpp.h>

#include "base/trace.h"
#include "service/convert_proto.h"
#include "service/local_api.h"
#include "service/rpc_host.h"
#include "vade/v1/search.grpc.pb.h"

namespace vade {
namespace {

class SearchService final : public v1::SearchService::Service {
 public:
  SearchService(LocalApi* api, RpcHost* host) : api_(api), host_(host) {}

  grpc::Status Search(grpc::ServerContext* rpc, const v1::SearchRequest* request,
                      v1::SearchResponse* response) override {
    return host_->Run(rpc, "Search", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const Query query, FromProto(*request));
      ASSIGN_OR_RETURN(const Retrieved found, api_->Search(query, ctx));
      ToProto(found, ctx.trace()->request_id(), ctx.trace()->times_ms(), response);
      return OkStatus();
    });
  }

 private:
  LocalApi* api_;
  RpcHost* host_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSearchService(LocalApi* api, RpcHost* host) {
  return std::make_unique<SearchService>(api, host);
}

}  // namespace vade
