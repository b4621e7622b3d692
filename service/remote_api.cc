#include "service/remote_api.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/strings.h"
#include "base/trace.h"
#include "ingest/sources.h"
#include "service/call_watch.h"
#include "service/convert_proto.h"
#include "service/grpc_log.h"
#include "service/limits.h"
#include "service/remote_ingest.h"
#include "service/transfer.h"
#include "vade/v1/answer.grpc.pb.h"
#include "vade/v1/corpus.grpc.pb.h"
#include "vade/v1/search.grpc.pb.h"

namespace vade {
namespace {

constexpr int kMaxMessageBytes = 64 << 20;
constexpr uint64_t kMaxPutBytes = kMaxMessageBytes - (1 << 20);  // leaves room for the description

// A service that is busy is asked again: that says nothing about what is asked.
constexpr int kBusyRetries = 3;
constexpr std::chrono::seconds kRetryAfter(1);

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// gRPC's own words for "no connection came about".
bool NobodyAnswered(const std::string& message) {
  return Contains(message, "failed to connect") ||
         Contains(message, "connections to all backends failing") ||
         Contains(message, "DNS resolution failed") || Contains(message, "resolver");
}

void CopyTimes(const StageTimes& times, const Context& ctx) {
  if (ctx.trace() == nullptr) return;
  for (const auto& [stage, milliseconds] : times) ctx.trace()->SetTime(stage, milliseconds);
}

// The request of a method that is about one document.
template <typename Request>
Result<Request> AboutDocument(const std::string& collection, const std::string& document_id) {
  RETURN_IF_ERROR(CheckCollectionName(collection));
  RETURN_IF_ERROR(CheckDocumentId(document_id));
  Request message;
  message.set_collection(collection);
  message.set_document_id(document_id);
  return message;
}

class RemoteApi final : public Api {
 public:
  RemoteApi(std::string address, const std::shared_ptr<grpc::Channel>& channel)
      : address_(std::move(address)),
        channel_(channel),
        corpus_(v1::CorpusService::NewStub(channel)),
        search_(v1::SearchService::NewStub(channel)),
        answer_(v1::AnswerService::NewStub(channel)) {}

  Result<PutResult> PutDocument(const std::string& collection, const PutRequest& request,
                                const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckPut(request));
    if (request.bytes.size() > kMaxPutBytes) {
      return OutOfRange(
          StrCat("document '", request.info.id, "' is ", request.bytes.size() >> 20,
                 " MiB; a service takes at most ", kMaxPutBytes >> 20,
                 " MiB at once: split it, or ingest it with --data while the service is stopped"));
    }
    v1::PutDocumentRequest message;
    message.set_collection(collection);
    ToProto(request, &message);
    v1::PutDocumentResponse response;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      return corpus_->PutDocument(rpc, message, &response);
    }));
    return FromProto(response);
  }

  Result<Document> GetDocument(const std::string& collection, const std::string& document_id,
                               const Context& ctx) override {
    ASSIGN_OR_RETURN(const auto message,
                     AboutDocument<v1::GetDocumentRequest>(collection, document_id));
    v1::GetDocumentResponse response;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      return corpus_->GetDocument(rpc, message, &response);
    }));
    Document document;
    ASSIGN_OR_RETURN(document.info, FromProto(response.info()));
    document.text = std::move(*response.mutable_text());
    return document;
  }

  Result<std::optional<NearDocument>> FindNearDuplicate(const std::string& collection,
                                                        const std::string& document_id,
                                                        const Context& ctx) override {
    ASSIGN_OR_RETURN(const auto message,
                     AboutDocument<v1::FindNearDuplicateRequest>(collection, document_id));
    v1::FindNearDuplicateResponse response;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      return corpus_->FindNearDuplicate(rpc, message, &response);
    }));
    if (response.near_duplicate_of().empty()) return std::optional<NearDocument>();
    return std::optional(NearDocument{response.near_duplicate_of(), response.likeness()});
  }

  Result<std::vector<Table>> GetTables(const std::string& collection,
                                       const std::string& document_id,
                                       const Context& ctx) override {
    ASSIGN_OR_RETURN(const auto message,
                     AboutDocument<v1::GetTablesRequest>(collection, document_id));
    v1::GetTablesResponse response;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      return corpus_->GetTables(rpc, message, &response);
    }));
    return FromProto(response);
  }

  Result<DocumentPage> ListDocuments(const std::string& collection, const DocumentQuery& query,
                                     const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckListDocuments(query));
    v1::ListDocumentsRequest message;
    message.set_collection(collection);
    ToProto(query, &message);
    v1::ListDocumentsResponse response;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      return corpus_->ListDocuments(rpc, message, &response);
    }));
    DocumentPage page;
    for (const v1::DocumentInfo& info : response.documents()) {
      ASSIGN_OR_RETURN(page.documents.emplace_back(), FromProto(info));
    }
    page.next = response.next();
    return page;
  }

  Result<uint64_t> DeleteDocuments(const std::string& collection,
                                   const std::vector<std::string>& ids,
                                   const Context& ctx) override {
    v1::DeleteDocumentsRequest message;
    return Delete(collection, ids, &message, ctx);
  }

  Result<uint64_t> EraseDocuments(const std::string& collection,
                                  const std::vector<std::string>& ids,
                                  const Context& ctx) override {
    v1::DeleteDocumentsRequest message;
    message.set_erase(true);
    return Delete(collection, ids, &message, ctx);
  }

  Result<WarmReport> Warm(const std::string& collection, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    v1::WarmRequest message;
    message.set_collection(collection);
    v1::WarmResponse response;
    RETURN_IF_ERROR(Call(
        ctx, [&](grpc::ClientContext* rpc) { return corpus_->Warm(rpc, message, &response); }));
    return WarmReport{response.passages(), response.read(), response.complete()};
  }

  Result<std::vector<CollectionInfo>> ListCollections(const Context& ctx) override {
    v1::ListCollectionsResponse response;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      return corpus_->ListCollections(rpc, {}, &response);
    }));
    std::vector<CollectionInfo> all;
    for (const v1::Collection& one : response.collections()) all.push_back(FromProto(one));
    return all;
  }

  Result<CollectionInfo> CreateCollection(const std::string& name, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(name));
    v1::CreateCollectionRequest message;
    message.set_name(name);
    v1::CreateCollectionResponse response;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      return corpus_->CreateCollection(rpc, message, &response);
    }));
    return FromProto(response.collection());
  }

  Status DeleteCollection(const std::string& name, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(name));
    v1::DeleteCollectionRequest message;
    message.set_name(name);
    v1::DeleteCollectionResponse response;
    return Call(ctx, [&](grpc::ClientContext* rpc) {
      return corpus_->DeleteCollection(rpc, message, &response);
    });
  }

  Result<Retrieved> Search(const Query& query, const Context& ctx) override {
    // Never ignored: the numbers would be taken for what they are not.
    if (query.ranking != RankingOptions{}) {
      return Unimplemented(
          "a service ranks in its own way; stop it, or leave the ranking at its default");
    }
    RETURN_IF_ERROR(CheckQuery(query));
    v1::SearchRequest message;
    ToProto(query, &message);
    v1::SearchResponse response;
    RETURN_IF_ERROR(Call(
        ctx, [&](grpc::ClientContext* rpc) { return search_->Search(rpc, message, &response); }));
    StageTimes times;
    Retrieved found = FromProto(response, &times);
    CopyTimes(times, ctx);
    return found;
  }

  Result<AskReply> Ask(const AskRequest& request, const AskObserver& observer,
                       const Context& ctx) override {
    RETURN_IF_ERROR(CheckAsk(request));
    AskReply reply;
    bool stopped = false, done = false;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      auto stream = Open(request, rpc);
      v1::AskEvent event;
      while (stream->Read(&event)) {
        done = done || event.has_done();
        if (stopped || Take(event, observer, ctx, &reply)) continue;
        stopped = true;
        rpc->TryCancel();
      }
      const grpc::Status status = stream->Finish();
      return stopped ? grpc::Status::OK : status;
    }));
    if (stopped) return Cancelled("the answer was stopped by its reader");
    if (!done)
      return DataLoss(
          StrCat("the service at ", address_, " ended the answer without its last event"));
    return reply;
  }

  Result<IngestReport> Ingest(const std::vector<std::string>& paths, const IngestOptions& options,
                              const ProgressFunction& progress, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(options.collection));
    RETURN_IF_ERROR(CheckRemoteIngest(options));
    const TraceSpan span(ctx, "ingest");
    ASSIGN_OR_RETURN(const SourceList sources, vade::ListSources(paths, options, ctx));
    FileCarrier carrier(sources, options, MachineBefore(address_), progress, ctx);
    if (options.prune) {
      for (const std::string& scope : sources.scopes)
        RETURN_IF_ERROR(FindGone(scope, &carrier, ctx));
    }
    for (int tries = 0;; ++tries) {
      const Status status =
          Call(ctx, [&](grpc::ClientContext* rpc) { return carrier.Carry(channel_, rpc); });
      const bool busy = status.code() == StatusCode::kResourceExhausted && !carrier.begun();
      if (!busy || tries == kBusyRetries) {
        RETURN_IF_ERROR(status);
        return carrier.TakeReport(address_);
      }
      RETURN_IF_ERROR(Pause(ctx));
    }
  }

  Result<ReembedOutcome> Reembed(const std::string& collection, const std::string& embedder,
                                 const ReembedProgress& progress, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckEmbedderName(embedder));
    v1::ReembedRequest request;
    request.set_collection(collection);
    request.set_embedder(embedder);
    std::optional<ReembedOutcome> outcome;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      const auto stream = corpus_->Reembed(rpc, request);
      for (v1::ReembedResponse message; stream->Read(&message);) {
        if (message.has_outcome()) {
          const v1::ReembedOutcome& out = message.outcome();
          outcome = {{out.commit(), out.passages(), out.embedded()}, out.cut()};
        } else if (progress) {
          progress(message.progress().done(), message.progress().total());
        }
      }
      return stream->Finish();
    }));
    if (outcome) return *outcome;
    return DataLoss(StrCat("the service at ", address_, " ended without saying what became of it"));
  }

  Result<ExportReport> Export(const std::string& collection, const std::string& path,
                              const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    return WriteExport(path, [&](ByteSink* file) { return ExportTo(collection, file, ctx); });
  }

  Result<ImportReport> Import(const std::string& collection, const std::string& path,
                              const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    ASSIGN_OR_RETURN(const auto file, FileSource::Open(path));
    RETURN_IF_ERROR(CheckExport(file.get(), ctx).status().WithContext(path));  // before it travels
    v1::ImportCollectionResponse response;
    Status read;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      const auto stream = corpus_->ImportCollection(rpc, &response);
      read = Upload(collection, file.get(), stream.get());
      if (read.ok()) return stream->Finish();
      rpc->TryCancel();
      (void)stream->Finish();
      return grpc::Status::OK;
    }));
    RETURN_IF_ERROR(read);
    return ImportReport{.created = response.created(),
                        .updated = response.updated(),
                        .unchanged = response.unchanged(),
                        .passages = response.passages()};
  }

 private:
  // What the service remembers of files at and below `scope` that are no more.
  Status FindGone(const std::string& scope, FileCarrier* carrier, const Context& ctx) {
    v1::ListSourcesRequest request;
    carrier->Fill(scope, &request);
    Status status = Call(ctx, [&](grpc::ClientContext* rpc) {
      const auto stream = corpus_->ListSources(rpc, request);
      for (v1::ListSourcesResponse page; stream->Read(&page);) carrier->Look(page);
      return stream->Finish();
    });
    // Of a collection that is not there yet, nothing is remembered.
    return status.code() == StatusCode::kNotFound ? OkStatus() : status;
  }

  static Status Pause(const Context& ctx) {
    const auto end = std::chrono::steady_clock::now() + kRetryAfter;
    while (std::chrono::steady_clock::now() < end) {
      RETURN_IF_ERROR(ctx.Check());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return ctx.Check();
  }

  Result<ExportReport> ExportTo(const std::string& collection, ByteSink* sink, const Context& ctx) {
    v1::ExportCollectionRequest request;
    request.set_collection(collection);
    v1::ExportCollectionResponse message;
    std::optional<ExportReport> report;
    Status written;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      const auto stream = corpus_->ExportCollection(rpc, request);
      while (stream->Read(&message)) {
        if (message.has_counts()) {
          const v1::ExportCounts& counts = message.counts();
          report = {counts.documents(), counts.passages(), counts.text_bytes()};
        } else if (written.ok()) {
          written = sink->Write(message.data());
          if (!written.ok()) rpc->TryCancel();
        }
      }
      const grpc::Status status = stream->Finish();
      return written.ok() ? status : grpc::Status::OK;
    }));
    RETURN_IF_ERROR(written);
    if (report) return *report;
    return DataLoss(StrCat("the service at ", address_, " ended the export without its counts"));
  }

  // What stops the service shows when the call ends; an error is the file's.
  static Status Upload(const std::string& collection, ByteSource* file,
                       grpc::ClientWriter<v1::ImportCollectionRequest>* stream) {
    v1::ImportCollectionRequest message;
    message.set_collection(collection);
    bool taken = true;
    RETURN_IF_ERROR(SendAll(file, [&](std::string_view part) {
      message.set_data(part.data(), part.size());
      taken = taken && stream->Write(message);
      message.clear_collection();
      return OkStatus();
    }));
    stream->WritesDone();
    return OkStatus();
  }

  Result<uint64_t> Delete(const std::string& collection, const std::vector<std::string>& ids,
                          v1::DeleteDocumentsRequest* message, const Context& ctx) {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckDeleteIds(ids));
    message->set_collection(collection);
    message->mutable_document_ids()->Add(ids.begin(), ids.end());
    v1::DeleteDocumentsResponse response;
    RETURN_IF_ERROR(Call(ctx, [&](grpc::ClientContext* rpc) {
      return corpus_->DeleteDocuments(rpc, *message, &response);
    }));
    return response.deleted();
  }

  using Stream = std::unique_ptr<grpc::ClientReader<v1::AskEvent>>;

  Stream Open(const AskRequest& request, grpc::ClientContext* rpc) {
    if (request.history.empty()) {
      v1::AskRequest message;
      ToProto(request, &message);
      return answer_->Ask(rpc, message);
    }
    v1::ChatRequest message;
    ToProto(request, &message);
    return answer_->Chat(rpc, message);
  }

  // False when the observer asks to stop.
  static bool Take(const v1::AskEvent& event, const AskObserver& observer, const Context& ctx,
                   AskReply* reply) {
    switch (event.event_case()) {
      case v1::AskEvent::kRetrieved:
        reply->retrieved = FromProto(event.retrieved());
        return !observer.on_retrieved || observer.on_retrieved(reply->retrieved);
      case v1::AskEvent::kToken:
        return !observer.on_event ||
               observer.on_event({GenerateEvent::Kind::kToken, event.token().text(), {}});
      case v1::AskEvent::kCitation:
        return !observer.on_event ||
               observer.on_event({GenerateEvent::Kind::kCitation, "", FromProto(event.citation())});
      case v1::AskEvent::kDone: {
        StageTimes times;
        reply->answer = FromProto(event.done(), &times);
        CopyTimes(times, ctx);
        return true;
      }
      case v1::AskEvent::EVENT_NOT_SET: break;  // of a newer service
    }
    return true;
  }

  // One call: the context's deadline, cancellation and request id travel with it.
  template <typename F>
  Status Call(const Context& ctx, F call) {
    RETURN_IF_ERROR(ctx.Check());
    grpc::ClientContext rpc;
    if (const Trace* trace = ctx.trace(); trace && IsPlainRequestId(trace->request_id())) {
      rpc.AddMetadata("vade-request-id", trace->request_id());
    }
    if (ctx.deadline()) {
      const std::chrono::steady_clock::duration kMost = std::chrono::hours(24 * 365);
      const auto left = std::min(kMost, *ctx.deadline() - std::chrono::steady_clock::now());
      rpc.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
    }
    const CallWatch::Watching watching(&watch_, [&] {
      if (ctx.Check().code() == StatusCode::kCancelled) rpc.TryCancel();
    });
    const grpc::Status status = call(&rpc);
    return status.ok() ? OkStatus() : Explain(FromGrpc(status), ctx);
  }

  Status Explain(const Status& status, const Context& ctx) const {
    const std::string& message = status.message();
    switch (status.code()) {
      case StatusCode::kCancelled:
      case StatusCode::kDeadlineExceeded: RETURN_IF_ERROR(ctx.Check()); return status;
      case StatusCode::kUnavailable:
        if (NobodyAnswered(message)) {
          return Unavailable(
              StrCat("nothing answers at ", address_, "; start it with `vade serve`"));
        }
        return Unavailable(StrCat("the service at ", address_, " broke off the call (", message,
                                  "); look into its log and try again"));
      case StatusCode::kResourceExhausted:
        if (!Contains(message, "larger than max")) return status;
        return OutOfRange(StrCat("the message is larger than the service or its client takes, ",
                                 kMaxMessageBytes >> 20, " MiB by default: ", message));
      default: return status;
    }
  }

  const std::string address_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::CorpusService::Stub> corpus_;
  const std::unique_ptr<v1::SearchService::Stub> search_;
  const std::unique_ptr<v1::AnswerService::Stub> answer_;
  CallWatch watch_;
};

}  // namespace

Result<std::unique_ptr<Api>> ConnectApi(const std::string& address) {
  const size_t colon = address.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : ParseUint(address.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535 || colon == 0 || Contains(address, "/")) {
    return InvalidArgument(
        StrCat("the service's address '", address, "' is not HOST:PORT, as in 127.0.0.1:50051"));
  }
  RouteGrpcLog();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // the address is the service's own
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  auto channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  return std::unique_ptr<Api>(std::make_unique<RemoteApi>(address, channel));
}

}  // namespace vade
