// CorpusService over a LocalApi: each method converts, calls, converts back.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <vector>

#include "ingest/ledger.h"
#include "service/convert_proto.h"
#include "service/ingest_stream.h"
#include "service/limits.h"
#include "service/local_api.h"
#include "service/model_files.h"
#include "service/patient_stream.h"
#include "service/rpc_host.h"
#include "service/transfer.h"
#include "vade/v1/corpus.grpc.pb.h"

namespace vade {
namespace {

class CorpusService final : public v1::CorpusService::Service {
 public:
  CorpusService(LocalApi* api, RpcHost* host, std::chrono::milliseconds patience)
      : api_(api), host_(host), patience_(patience) {}

  grpc::Status PutDocument(grpc::ServerContext* rpc, const v1::PutDocumentRequest* request,
                           v1::PutDocumentResponse* response) override {
    return host_->Run(rpc, "PutDocument", [&](const Context& ctx) -> Status {
      // The request is this call's own; taking its content spares a copy of a large document.
      auto* owned = const_cast<v1::PutDocumentRequest*>(request);
      const std::string collection = CollectionOrDefault(request->collection());
      ASSIGN_OR_RETURN(const PutRequest put, FromProto(std::move(*owned)));
      ASSIGN_OR_RETURN(const PutResult result, api_->PutDocument(collection, put, ctx));
      ToProto(result, response);
      return OkStatus();
    });
  }

  grpc::Status GetDocument(grpc::ServerContext* rpc, const v1::GetDocumentRequest* request,
                           v1::GetDocumentResponse* response) override {
    return host_->Run(rpc, "GetDocument", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(Document document,
                       api_->GetDocument(CollectionOrDefault(request->collection()),
                                         request->document_id(), ctx));
      ToProto(document.info, response->mutable_info());
      response->set_text(std::move(document.text));
      return OkStatus();
    });
  }

  grpc::Status FindNearDuplicate(grpc::ServerContext* rpc,
                                 const v1::FindNearDuplicateRequest* request,
                                 v1::FindNearDuplicateResponse* response) override {
    return host_->Run(rpc, "FindNearDuplicate", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const auto near,
                       api_->FindNearDuplicate(CollectionOrDefault(request->collection()),
                                               request->document_id(), ctx));
      if (!near) return OkStatus();
      response->set_near_duplicate_of(near->id);
      response->set_likeness(near->likeness);
      return OkStatus();
    });
  }

  grpc::Status GetTables(grpc::ServerContext* rpc, const v1::GetTablesRequest* request,
                         v1::GetTablesResponse* response) override {
    return host_->Run(rpc, "GetTables", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(
          const auto tables,
          api_->GetTables(CollectionOrDefault(request->collection()), request->document_id(), ctx));
      ToProto(tables, response);
      return OkStatus();
    });
  }

  grpc::Status ListDocuments(grpc::ServerContext* rpc, const v1::ListDocumentsRequest* request,
                             v1::ListDocumentsResponse* response) override {
    return host_->Run(rpc, "ListDocuments", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const DocumentPage page,
                       api_->ListDocuments(CollectionOrDefault(request->collection()),
                                           FromProto(*request), ctx));
      for (const DocumentInfo& info : page.documents) ToProto(info, response->add_documents());
      response->set_next(page.next);
      return OkStatus();
    });
  }

  grpc::Status Warm(grpc::ServerContext* rpc, const v1::WarmRequest* request,
                    v1::WarmResponse* response) override {
    return host_->Run(rpc, "Warm", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const WarmReport report,
                       api_->Warm(CollectionOrDefault(request->collection()), ctx));
      response->set_passages(report.passages);
      response->set_read(report.read);
      response->set_complete(report.complete);
      return OkStatus();
    });
  }

  grpc::Status DeleteDocuments(grpc::ServerContext* rpc, const v1::DeleteDocumentsRequest* request,
                               v1::DeleteDocumentsResponse* response) override {
    return host_->Run(rpc, "DeleteDocuments", [&](const Context& ctx) -> Status {
      const std::vector<std::string> ids(request->document_ids().begin(),
                                         request->document_ids().end());
      const std::string collection = CollectionOrDefault(request->collection());
      ASSIGN_OR_RETURN(const uint64_t deleted, request->erase()
                                                   ? api_->EraseDocuments(collection, ids, ctx)
                                                   : api_->DeleteDocuments(collection, ids, ctx));
      response->set_deleted(deleted);
      return OkStatus();
    });
  }

  grpc::Status IngestDocuments(grpc::ServerContext* rpc, IngestServerStream* stream) override {
    return host_->Run(rpc, "IngestDocuments", [&](const Context& ctx) -> Status {
      return ServeIngest(rpc, stream, {api_, patience_, &watch_}, ctx);
    });
  }

  grpc::Status ListSources(grpc::ServerContext* rpc, const v1::ListSourcesRequest* request,
                           grpc::ServerWriter<v1::ListSourcesResponse>* writer) override {
    return host_->Run(rpc, "ListSources", [&](const Context& ctx) -> Status {
      PatientStream patient(writer, patience_, &watch_, [rpc] { rpc->TryCancel(); });
      return SendSources(api_, *request, [&](const v1::ListSourcesResponse& page) {
        return patient.Write(page, ctx);
      });
    });
  }

  // A client that has gone is noticed by the context, as everywhere; progress is only a courtesy.
  grpc::Status Reembed(grpc::ServerContext* rpc, const v1::ReembedRequest* request,
                       grpc::ServerWriter<v1::ReembedResponse>* writer) override {
    return host_->Run(rpc, "Reembed", [&](const Context& ctx) -> Status {
      if (!IsPlainModelName(request->embedder())) {
        return InvalidArgument(
            "the embedder must be a name of the catalog, or of a file in the service's models "
            "folder, and no path; copy the file into that folder");
      }
      v1::ReembedResponse message;
      const auto progress = [&](uint64_t done, uint64_t total) {
        message.mutable_progress()->set_done(done);
        message.mutable_progress()->set_total(total);
        (void)writer->Write(message);
      };
      ASSIGN_OR_RETURN(const ReembedOutcome outcome,
                       api_->Reembed(CollectionOrDefault(request->collection()),
                                     request->embedder(), progress, ctx));
      v1::ReembedOutcome* out = message.mutable_outcome();
      out->set_commit(outcome.report.commit);
      out->set_passages(outcome.report.passages);
      out->set_embedded(outcome.report.embedded);
      out->set_cut(outcome.cut);
      if (writer->Write(message)) return OkStatus();
      RETURN_IF_ERROR(ctx.Check());
      return Cancelled("the client has gone");
    });
  }

  grpc::Status ExportCollection(grpc::ServerContext* rpc,
                                const v1::ExportCollectionRequest* request,
                                grpc::ServerWriter<v1::ExportCollectionResponse>* writer) override {
    return host_->Run(rpc, "ExportCollection", [&](const Context& ctx) -> Status {
      PatientStream patient(writer, patience_, &watch_, [rpc] { rpc->TryCancel(); });
      v1::ExportCollectionResponse message;
      PartSink parts([&](std::string_view part) {
        message.set_data(part.data(), part.size());
        return patient.Write(message, ctx);
      });
      ASSIGN_OR_RETURN(const ExportReport report,
                       api_->ExportTo(CollectionOrDefault(request->collection()), &parts, ctx));
      RETURN_IF_ERROR(parts.Flush());
      message.mutable_counts()->set_documents(report.documents);
      message.mutable_counts()->set_passages(report.passages);
      message.mutable_counts()->set_text_bytes(report.text_bytes);
      return patient.Write(message, ctx);
    });
  }

  grpc::Status ImportCollection(grpc::ServerContext* rpc,
                                grpc::ServerReader<v1::ImportCollectionRequest>* reader,
                                v1::ImportCollectionResponse* response) override {
    return host_->Run(rpc, "ImportCollection", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const auto spool, api_->NewSpool());
      std::string collection;
      v1::ImportCollectionRequest message;
      for (bool first = true; reader->Read(&message); first = false) {
        if (first) collection = message.collection();
        RETURN_IF_ERROR(ctx.Check());
        RETURN_IF_ERROR(spool->Write(message.data()));
      }
      RETURN_IF_ERROR(ctx.Check());
      ASSIGN_OR_RETURN(const ImportReport report,
                       api_->ImportFrom(CollectionOrDefault(collection), spool.get(), ctx));
      response->set_created(report.created);
      response->set_updated(report.updated);
      response->set_unchanged(report.unchanged);
      response->set_passages(report.passages);
      return OkStatus();
    });
  }

  grpc::Status ListCollections(grpc::ServerContext* rpc, const v1::ListCollectionsRequest*,
                               v1::ListCollectionsResponse* response) override {
    return host_->Run(rpc, "ListCollections", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const std::vector<CollectionInfo> all, api_->ListCollections(ctx));
      for (const CollectionInfo& info : all) ToProto(info, response->add_collections());
      return OkStatus();
    });
  }

  grpc::Status CreateCollection(grpc::ServerContext* rpc,
                                const v1::CreateCollectionRequest* request,
                                v1::CreateCollectionResponse* response) override {
    return host_->Run(rpc, "CreateCollection", [&](const Context& ctx) -> Status {
      ASSIGN_OR_RETURN(const CollectionInfo made, api_->CreateCollection(request->name(), ctx));
      ToProto(made, response->mutable_collection());
      return OkStatus();
    });
  }

  grpc::Status DeleteCollection(grpc::ServerContext* rpc,
                                const v1::DeleteCollectionRequest* request,
                                v1::DeleteCollectionResponse*) override {
    return host_->Run(rpc, "DeleteCollection", [&](const Context& ctx) {
      return api_->DeleteCollection(request->name(), ctx);
    });
  }

 private:
  LocalApi* api_;
  RpcHost* host_;
  const std::chrono::milliseconds patience_;  // with clients that take or send nothing
  CallWatch watch_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCorpusService(LocalApi* api, RpcHost* host,
                                                 std::chrono::milliseconds patience) {
  return std::make_unique<CorpusService>(api, host, patience);
}

}  // namespace vade
