// AnswerService over a LocalApi: the events of an answer, written to the client's stream as they
// come.
//
// A client that is gone shows as a Write() that fails: the observer answers false and the work
// stops. One that reads slowly delays its own answer only, since events come on the thread of its
// call.
#include <grpcpp/grpcpp.h>

#include "base/trace.h"
#include "service/convert_proto.h"
#include "service/local_api.h"
#include "service/rpc_host.h"
#include "vade/v1/answer.grpc.pb.h"

namespace vade {
namespace {

using Writer = grpc::ServerWriter<v1::AskEvent>;

bool SendRetrieved(const Retrieved& found, const std::string& request_id, Writer* writer) {
  v1::AskEvent event;
  ToProto(found, request_id, event.mutable_retrieved());
  return writer->Write(event);
}

bool SendPart(const GenerateEvent& part, Writer* writer) {
  v1::AskEvent event;
  if (part.kind == GenerateEvent::Kind::kToken) {
    event.mutable_token()->set_text(part.text);
  } else {
    ToProto(part.citation, event.mutable_citation());
  }
  return writer->Write(event);
}

class AnswerService final : public v1::AnswerService::Service {
 public:
  AnswerService(LocalApi* api, RpcHost* host) : api_(api), host_(host) {}

  grpc::Status Ask(grpc::ServerContext* rpc, const v1::AskRequest* request,
                   Writer* writer) override {
    return host_->Run(rpc, "Ask", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const AskRequest ask, FromProto(*request));
      return Stream(ask, writer, ctx);
    });
  }

  grpc::Status Chat(grpc::ServerContext* rpc, const v1::ChatRequest* request,
                    Writer* writer) override {
    return host_->Run(rpc, "Chat", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const AskRequest ask, FromProto(*request));
      return Stream(ask, writer, ctx);
    });
  }

 private:
  Status Stream(const AskRequest& request, Writer* writer, const Context& ctx) {
    AskObserver observer;
    observer.on_retrieved = [&](const Retrieved& found) {
      return SendRetrieved(found, ctx.trace()->request_id(), writer);
    };
    observer.on_event = [&](const GenerateEvent& part) { return SendPart(part, writer); };
    ASSIGN_OR_RETURN(const AskReply reply, api_->Ask(request, observer, ctx));

    v1::AskEvent event;
    ToProto(reply.answer, ctx.trace()->times_ms(), event.mutable_done());
    return writer->Write(event) ? OkStatus()
                                : Cancelled("the client went away before the answer ended");
  }

  LocalApi* api_;
  RpcHost* host_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAnswerService(LocalApi* api, RpcHost* host) {
  return std::make_unique<AnswerService>(api, host);
}

}  // namespace vade
