// The gRPC server: CorpusService, SearchService, AnswerService, health and reflection over a
// LocalApi.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/status.h"
#include "service/local_api.h"

namespace vade {

struct ServerOptions {
  std::string grpc_address = "127.0.0.1:50051";  // port 0: any free one
  int max_message_bytes = 64 << 20;              // of a request
  int max_concurrent = 64;                       // calls at work; beyond: RESOURCE_EXHAUSTED
  // A client that takes nothing of its export for so long is let go: an export holds on to the
  // bytes of what is deleted meanwhile.
  std::chrono::milliseconds export_patience{60'000};
  bool serving = true;  // what health says at first
};

class Server {
 public:
  // UNAVAILABLE when the address is taken, naming it. `api` is not owned and outlives the server.
  static Result<std::unique_ptr<Server>> Start(LocalApi* api, const ServerOptions& options);
  virtual ~Server() = default;  // as Shutdown(0)

  virtual const std::string& address() const = 0;  // HOST:PORT that clients use, with the real port
  // What health says: SERVING or NOT_SERVING. Calls are answered either way.
  virtual void SetServing(bool serving) = 0;
  // Health turns NOT_SERVING, new calls are refused, those at work get `grace` to finish and are
  // then cancelled. Returns when all have ended.
  virtual void Shutdown(std::chrono::milliseconds grace) = 0;
};

}  // namespace vade
