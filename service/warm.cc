#include "service/warm.h"

#include <utility>
#include <vector>

namespace vade {
namespace {

constexpr int kDocumentsAtOnce = 100;

// Beyond this share of the budget a new passage would displace another one.
constexpr double kFull = 0.97;

bool IsFull(const BlockFiles& files) {
  return static_cast<double>(files.bytes()) >= kFull * static_cast<double>(files.budget_bytes());
}

// As a search gives them.
std::vector<Hit> HitsOf(const DocumentInfo& document, std::vector<Passage> passages) {
  std::vector<Hit> hits;
  for (Passage& passage : passages) {
    Hit hit;
    hit.passage = std::move(passage);
    hit.title = document.title;
    hit.source = document.source;
    hit.valid_from = document.valid_from;
    hits.push_back(std::move(hit));
  }
  return hits;
}

}  // namespace

Result<WarmReport> WarmCollection(Store* store, const std::string& collection,
                                  const BlockFiles& files, Generator* generator,
                                  const Context& ctx) {
  if (!files.writes() || files.budget_bytes() == 0) {
    return FailedPrecondition(
        "passages are not kept in files; give answer.kept_bytes and answer.kept_disk_bytes room");
  }
  WarmReport report;
  WarmRequest request;
  std::string after;
  do {
    // A document that changes meanwhile has a later commit: then nothing of it is kept.
    request.commit = store->commit_number();
    ASSIGN_OR_RETURN(const CollectionInfo info, store->GetCollection(collection));
    request.collection = info.id;
    ASSIGN_OR_RETURN(DocumentPage page,
                     store->ListDocuments(collection, {.after = after, .limit = kDocumentsAtOnce}));
    for (const DocumentInfo& document : page.documents) {
      RETURN_IF_ERROR(ctx.Check());
      if (IsFull(files)) {
        report.complete = false;
        return report;
      }
      auto passages = store->GetPassages(collection, document.id, nullptr);
      if (passages.status().code() == StatusCode::kNotFound) continue;  // deleted meanwhile
      RETURN_IF_ERROR(passages.status());
      request.hits = HitsOf(document, *std::move(passages));
      ASSIGN_OR_RETURN(const uint64_t read, generator->Warm(request, ctx));
      report.passages += request.hits.size();
      report.read += read;
    }
    after = page.next;
  } while (!after.empty());
  return report;
}

}  // namespace vade
