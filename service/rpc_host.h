// What every call of the server goes through: admission, a request id and a trace, a Context that
// ends with the call (deadline, cancellation, a client that is gone), and one line of the log.
//
//   return host->Run(rpc, "Search", [&](const Context& ctx) -> Status { ... });
//
// Thread-safe. Private to service/.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string_view>

#include "base/context.h"
#include "base/status.h"
#include "service/call_watch.h"

namespace grpc {
class ServerContext;
class Service;
class Status;
}  // namespace grpc

namespace vade {

class LocalApi;

class RpcHost {
 public:
  explicit RpcHost(int max_concurrent) : max_concurrent_(max_concurrent) {}

  // RESOURCE_EXHAUSTED, without calling `work`, when max_concurrent calls are at work. The request
  // id is the client's (metadata "vade-request-id") when that is a plain one, else a new one; it is
  // sent back under the same name, and is the id of the context's trace.
  grpc::Status Run(grpc::ServerContext* rpc, std::string_view method,
                   const std::function<Status(const Context&)>& work);

  // From now on calls are refused with UNAVAILABLE. Returns when those at work have ended and their
  // last words are on their way, or when `grace` is over.
  void Drain(std::chrono::milliseconds grace);

 private:
  const int max_concurrent_;
  std::atomic<bool> draining_{false};
  std::atomic<int> at_work_{0};
  CallWatch watch_;
};

// The services. `api` and `host` are not owned and outlive them.
// `export_patience`: ServerOptions.
std::unique_ptr<grpc::Service> MakeCorpusService(LocalApi* api, RpcHost* host,
                                                 std::chrono::milliseconds export_patience);
std::unique_ptr<grpc::Service> MakeSearchService(LocalApi* api, RpcHost* host);
std::unique_ptr<grpc::Service> MakeAnswerService(LocalApi* api, RpcHost* host);

}  // namespace vade
