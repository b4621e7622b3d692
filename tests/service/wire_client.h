// A client of the wire, as another language would write it: stubs and nothing of ours between. For
// the tests of service/ (the only ones that may see .pb.h).
#pragma once

#include <arpa/inet.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/strings.h"
#include "vade/v1/answer.grpc.pb.h"
#include "vade/v1/corpus.grpc.pb.h"
#include "vade/v1/search.grpc.pb.h"

namespace vade::testing {

class WireClient {
 public:
  explicit WireClient(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    corpus_ = v1::CorpusService::NewStub(channel_);
    search_ = v1::SearchService::NewStub(channel_);
    answer_ = v1::AnswerService::NewStub(channel_);
  }

  struct Streamed {
    grpc::Status status;
    std::string kinds;  // 'r'etrieved, 't'oken, 'c'itation, 'd'one
    std::string text, request_id;
    v1::Retrieved retrieved;
    v1::Done done;
  };

  // `seen` is called with each event as it comes.
  Streamed Ask(const v1::AskRequest& request,
               std::chrono::milliseconds timeout = std::chrono::minutes(5),
               const std::function<void(const v1::AskEvent&)>& seen = nullptr) {
    grpc::ClientContext rpc;
    rpc.set_deadline(std::chrono::system_clock::now() + timeout);
    return Collect(answer_->Ask(&rpc, request).get(), seen);
  }
  Streamed Chat(const v1::ChatRequest& request) {
    grpc::ClientContext rpc;
    return Collect(answer_->Chat(&rpc, request).get());
  }
  // Cancels after `events` events.
  grpc::Status AskAndHangUp(const v1::AskRequest& request, int events) {
    grpc::ClientContext rpc;
    const auto stream = answer_->Ask(&rpc, request);
    v1::AskEvent event;
    while (events-- > 0 && stream->Read(&event)) continue;
    rpc.TryCancel();
    return stream->Finish();
  }

  grpc::Status Search(const v1::SearchRequest& request, v1::SearchResponse* response = nullptr) {
    grpc::ClientContext rpc;
    v1::SearchResponse unused;
    return search_->Search(&rpc, request, response != nullptr ? response : &unused);
  }
  // The request id that comes back, which header and message must agree on.
  std::string SearchWithId(const v1::SearchRequest& request, const std::string& id) {
    grpc::ClientContext rpc;
    if (!id.empty()) rpc.AddMetadata("vade-request-id", id);
    v1::SearchResponse response;
    const grpc::Status status = search_->Search(&rpc, request, &response);
    if (!status.ok()) return status.error_message();
    const auto& headers = rpc.GetServerInitialMetadata();
    const auto at = headers.find("vade-request-id");
    if (at == headers.end()) return "no header";
    const std::string header(at->second.data(), at->second.size());
    return header == response.request_id() ? header : "header and message differ";
  }

  grpc::Status Put(const v1::PutDocumentRequest& request) {
    grpc::ClientContext rpc;
    v1::PutDocumentResponse response;
    return corpus_->PutDocument(&rpc, request, &response);
  }
  grpc::Status Put(const std::string& id, const std::string& text) {
    v1::PutDocumentRequest request;
    request.mutable_info()->set_document_id(id);
    request.set_content(text);
    return Put(request);
  }
  grpc::Status List(const v1::ListDocumentsRequest& request) {
    grpc::ClientContext rpc;
    v1::ListDocumentsResponse response;
    return corpus_->ListDocuments(&rpc, request, &response);
  }
  grpc::Status Delete(const v1::DeleteDocumentsRequest& request, uint64_t* deleted = nullptr) {
    grpc::ClientContext rpc;
    v1::DeleteDocumentsResponse response;
    const grpc::Status status = corpus_->DeleteDocuments(&rpc, request, &response);
    if (deleted != nullptr) *deleted = response.deleted();
    return status;
  }

  // Health and reflection have no generated code here: their messages are put together by hand.
  bool IsServing(const std::string& service) {
    const std::string reply = CallRaw("/grpc.health.v1.Health/Check", Field(1, service));
    return reply == std::string("\x08\x01", 2);  // status = SERVING (1)
  }
  std::vector<std::string> ListServices() {
    const std::string reply =
        CallRaw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Field(7, "*"));
    std::vector<std::string> names;
    for (const std::string& list : FieldsOf(reply, 6)) {
      for (const std::string& service : FieldsOf(list, 1)) {
        for (const std::string& name : FieldsOf(service, 1)) names.push_back(name);
      }
    }
    return names;
  }

 private:
  // One request, one response, any method; "" when the call failed.
  std::string CallRaw(const std::string& method, const std::string& request) {
    grpc::GenericStub stub(channel_);
    grpc::ClientContext rpc;
    rpc.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    grpc::CompletionQueue queue;
    const auto await = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    const auto call = stub.PrepareCall(&rpc, method, &queue);
    call->StartCall(nullptr);
    if (!await()) return "";
    const grpc::Slice slice(request);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    if (!await()) return "";
    call->WritesDone(nullptr);
    if (!await()) return "";
    grpc::ByteBuffer reply;
    call->Read(&reply, nullptr);
    const bool read = await();
    grpc::Status status;
    call->Finish(&status, nullptr);
    await();
    grpc::Slice whole;
    if (!read || !status.ok() || !reply.DumpToSingleSlice(&whole).ok()) return "";
    return std::string(reinterpret_cast<const char*>(whole.begin()), whole.size());
  }

  // A length-delimited field of a message; what is short enough for one byte of length.
  static std::string Field(int number, const std::string& value) {
    return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(value.size())} + value;
  }
  static std::vector<std::string> FieldsOf(const std::string& message, uint64_t number) {
    std::vector<std::string> found;
    ByteReader reader(message);
    uint64_t key = 0, scalar = 0;
    while (reader.remaining() > 0 && reader.ReadVarint(&key)) {
      std::string_view value;
      if ((key & 7) == 0 ? !reader.ReadVarint(&scalar) : !reader.ReadString(&value)) break;
      if (key >> 3 == number) found.emplace_back(value);
    }
    return found;
  }

  static Streamed Collect(grpc::ClientReader<v1::AskEvent>* stream,
                          const std::function<void(const v1::AskEvent&)>& seen = nullptr) {
    Streamed out;
    v1::AskEvent event;
    while (stream->Read(&event)) {
      if (seen) seen(event);
      if (event.has_retrieved()) {
        out.kinds += 'r';
        out.retrieved = event.retrieved();
        out.request_id = event.retrieved().request_id();
      } else if (event.has_token()) {
        out.kinds += 't';
        out.text += event.token().text();
      } else if (event.has_citation()) {
        out.kinds += 'c';
      } else if (event.has_done()) {
        out.kinds += 'd';
        out.done = event.done();
      }
    }
    out.status = stream->Finish();
    return out;
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::CorpusService::Stub> corpus_;
  std::unique_ptr<v1::SearchService::Stub> search_;
  std::unique_ptr<v1::AnswerService::Stub> answer_;
};

// Bytes to HOST:PORT of this machine's IPv4 loopback, and the connection closed.
inline void SendRaw(const std::string& address, const std::string& bytes) {
  const int port = static_cast<int>(*ParseUint(address.substr(address.rfind(':') + 1)));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0) {
    [[maybe_unused]] const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    usleep(20'000);
  }
  close(fd);
}

}  // namespace vade::testing
