#include "service/rpc_host.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "base/trace.h"
#include "service/convert_proto.h"
#include "service/limits.h"
#include "service/printable.h"

namespace vade {
namespace {

constexpr char kRequestId[] = "vade-request-id";

std::string RequestIdOf(const grpc::ServerContext& rpc) {
  const auto& metadata = rpc.client_metadata();
  const auto at = metadata.find(kRequestId);
  if (at == metadata.end()) return NewRequestId();
  const std::string id(at->second.data(), at->second.size());
  return IsPlainRequestId(id) ? id : NewRequestId();
}

// The call's deadline on the steady clock; nothing when the client set none.
std::optional<Context::SteadyTime> DeadlineOf(const grpc::ServerContext& rpc) {
  constexpr auto kNever = std::chrono::hours(24 * 365);
  const auto left = rpc.deadline() - std::chrono::system_clock::now();
  if (rpc.deadline() == std::chrono::system_clock::time_point::max() || left > kNever)
    return std::nullopt;
  return std::chrono::steady_clock::now() +
         std::max(left, std::chrono::system_clock::duration::zero());
}

// gRPC cancels a call whose deadline passes, so either may be noticed first: the deadline is the
// reason.
Status NameTheReason(const Status& status, const Context& ctx) {
  const bool late = ctx.deadline() && std::chrono::steady_clock::now() >= *ctx.deadline();
  if (status.code() != StatusCode::kCancelled || !late) return status;
  return DeadlineExceeded("the call's deadline passed; give it more time");
}

void LogCall(std::string_view method, const Trace& trace, const Status& status) {
  const std::string line =
      StrCat(method, " ", trace.request_id(), ": ", StatusCodeName(status.code()), " in ",
             static_cast<int64_t>(trace.ElapsedMs()), " ms");
  const bool ours =
      status.code() == StatusCode::kInternal || status.code() == StatusCode::kDataLoss;
  if (ours) {
    LogError(StrCat(line, ": ", PrintableLine(status.message())));
  } else if (status.ok()) {
    LogDebug(line);
  } else {
    LogInfo(StrCat(line, ": ", PrintableLine(status.message())));
  }
}

struct Seat {
  std::atomic<int>* at_work;
  ~Seat() { at_work->fetch_sub(1); }
};

}  // namespace

grpc::Status RpcHost::Run(grpc::ServerContext* rpc, std::string_view method,
                          const std::function<Status(const Context&)>& work) {
  const Seat seat{&at_work_};
  if (at_work_.fetch_add(1) >= max_concurrent_) {
    return ToGrpc(ResourceExhausted(StrCat("the service is at its limit of ", max_concurrent_,
                                           " calls at once; try again in a second")));
  }
  if (draining_) return ToGrpc(Unavailable("the service is shutting down; try again later"));
  Trace trace(RequestIdOf(*rpc));
  rpc->AddInitialMetadata(kRequestId, trace.request_id());
  CancelSource cancel;
  Context ctx = Context().WithCancel(cancel.token()).WithTrace(&trace);
  if (const auto deadline = DeadlineOf(*rpc)) ctx = ctx.WithDeadline(*deadline);

  Status status;
  {
    const CallWatch::Watching watching(&watch_, [rpc, &cancel] {
      if (rpc->IsCancelled()) cancel.Cancel();
    });
    status = work(ctx);
  }
  status = NameTheReason(status, ctx);
  LogCall(method, trace, status);
  return ToGrpc(status);
}

// gRPC's own shutdown closes a connection as soon as its last call has ended, and what the client
// had not read by then may be lost with it. So the calls end first, and their connections are left
// open a moment longer.
void RpcHost::Drain(std::chrono::milliseconds grace) {
  constexpr std::chrono::milliseconds kLook(5), kLastWords(100);
  const auto end = std::chrono::steady_clock::now() + grace;
  draining_ = true;
  if (at_work_ == 0 && grace.count() == 0) return;
  while (at_work_ > 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(kLook);
  std::this_thread::sleep_for(kLastWords);
}

}  // namespace vade
