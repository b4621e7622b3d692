// An Api that answers as a test wrote down, over documents in memory. Nothing is searched or
// generated.
//
//   ScriptedApi api;
//   api.OnSearch("q?", {MakeHit("d1", ...)});
//   api.OnAsk("q?", reply, {{"first_token", 12}});
//
// A question without a script finds nothing and is abstained from. Used on one thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/trace.h"
#include "service/api.h"

namespace vade::testing {

class ScriptedApi : public Api {
 public:
  using Times = std::vector<std::pair<std::string, double>>;

  void OnSearch(const std::string& question, std::vector<Hit> hits) {
    hits_[question] = std::move(hits);
  }
  void OnAsk(const std::string& question, AskReply reply, Times times = {}) {
    replies_[question] = {std::move(reply), std::move(times)};
  }
  void AddDocument(const std::string& id, const std::string& text) { documents_[id].text = text; }

  // What was asked for, in order.
  std::vector<PutRequest> puts;
  std::vector<AskRequest> asks;
  std::vector<Query> queries;
  std::vector<std::string> collections;  // of the puts

  Result<PutResult> PutDocument(const std::string& collection, const PutRequest& request,
                                const Context& ctx) override {
    RETURN_IF_ERROR(ctx.Check());
    if (request.bytes.empty()) return InvalidArgument("the document is empty");
    puts.push_back(request);
    collections.push_back(collection);
    documents_[request.info.id] = {request.info, request.bytes};
    PutResult result;
    result.outcome = IngestOutcome::kCreated;
    result.document_id = request.info.id;
    return result;
  }

  Result<Document> GetDocument(const std::string&, const std::string& id, const Context&) override {
    const auto found = documents_.find(id);
    if (found == documents_.end()) return NotFound(StrCat("no document '", id, "'"));
    return found->second;
  }

  Result<std::vector<Table>> GetTables(const std::string&, const std::string&,
                                       const Context&) override {
    return Unimplemented("not scripted");
  }
  Result<std::optional<NearDocument>> FindNearDuplicate(const std::string&, const std::string&,
                                                        const Context&) override {
    return std::optional<NearDocument>();
  }

  Result<DocumentPage> ListDocuments(const std::string&, const DocumentQuery&,
                                     const Context&) override {
    DocumentPage page;
    for (const auto& [id, document] : documents_) page.documents.push_back(document.info);
    return page;
  }

  Result<uint64_t> EraseDocuments(const std::string& collection,
                                  const std::vector<std::string>& ids,
                                  const Context& ctx) override {
    return DeleteDocuments(collection, ids, ctx);
  }
  Result<uint64_t> DeleteDocuments(const std::string&, const std::vector<std::string>& ids,
                                   const Context&) override {
    uint64_t deleted = 0;
    for (const std::string& id : ids) deleted += documents_.erase(id);
    return deleted;
  }

  Result<WarmReport> Warm(const std::string&, const Context&) override { return WarmReport{}; }

  Result<std::vector<CollectionInfo>> ListCollections(const Context&) override {
    return std::vector<CollectionInfo>();
  }
  Result<CollectionInfo> CreateCollection(const std::string& name, const Context&) override {
    CollectionInfo info;
    info.name = name;
    return info;
  }
  Status DeleteCollection(const std::string&, const Context&) override { return OkStatus(); }

  Result<Retrieved> Search(const Query& query, const Context& ctx) override {
    RETURN_IF_ERROR(ctx.Check());
    queries.push_back(query);
    Retrieved found;
    found.hits = hits_[query.question];
    return found;
  }

  Result<AskReply> Ask(const AskRequest& request, const AskObserver&, const Context& ctx) override {
    RETURN_IF_ERROR(ctx.Check());
    asks.push_back(request);
    const auto scripted = replies_.find(request.query.question);
    if (scripted == replies_.end()) {
      AskReply nothing;
      nothing.answer.abstained = true;
      nothing.answer.reason = "no_passages";
      return nothing;
    }
    for (const auto& [stage, ms] : scripted->second.second) {
      if (ctx.trace() != nullptr) ctx.trace()->SetTime(stage, ms);
    }
    return scripted->second.first;
  }

  Result<IngestReport> Ingest(const std::vector<std::string>&, const IngestOptions&,
                              const ProgressFunction&, const Context&) override {
    return Unimplemented("a scripted api ingests nothing");
  }

  Result<ReembedOutcome> Reembed(const std::string&, const std::string&, const ReembedProgress&,
                                 const Context&) override {
    return Unimplemented("a scripted api embeds nothing");
  }
  Result<ExportReport> Export(const std::string&, const std::string&, const Context&) override {
    return Unimplemented("a scripted api exports nothing");
  }
  Result<ImportReport> Import(const std::string&, const std::string&, const Context&) override {
    return Unimplemented("a scripted api imports nothing");
  }

 private:
  std::map<std::string, Document> documents_;
  std::map<std::string, std::vector<Hit>> hits_;
  std::map<std::string, std::pair<AskReply, Times>> replies_;
};

inline Hit MakeHit(std::string document_id, PassageId passage = 1) {
  Hit hit;
  hit.passage.id = passage;
  hit.passage.document_id = std::move(document_id);
  return hit;
}

}  // namespace vade::testing
