#include "ingest/job.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/document.h"

namespace vade {
namespace {

constexpr size_t kMaxIdBytes = 1024;
// Tokens that an embedder puts around a text: its prefix and its end marks.
constexpr int kFrameTokens = 8;

Status CheckRequest(const PutRequest& request, const IngestOptions& options) {
  const std::string& id = request.info.id;
  if (id.empty()) return InvalidArgument("has no id; give it one");
  const bool controls =
      std::any_of(id.begin(), id.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (id.size() > kMaxIdBytes || controls || !IsValidUtf8(id)) {
    return InvalidArgument(StrCat("has a bad id; it must be UTF-8 of at most ", kMaxIdBytes,
                                  " bytes without control characters"));
  }
  if (request.bytes.size() > options.max_file_bytes) {
    return InvalidArgument(StrCat("has ", request.bytes.size(), " bytes, and ",
                                  options.max_file_bytes, " is the limit; split it"));
  }
  return OkStatus();
}

// Whether putting `next` would change nothing that anyone can see.
bool SaysTheSame(const DocumentInfo& current, const DocumentInfo& next) {
  return current.content_hash == next.content_hash && current.title == next.title &&
         current.source == next.source && current.mime_type == next.mime_type &&
         current.metadata == next.metadata && current.groups == next.groups &&
         current.supersedes == next.supersedes && current.valid_from == next.valid_from;
}

void AddGroups(const std::vector<std::string>& more, std::vector<std::string>* groups) {
  groups->insert(groups->end(), more.begin(), more.end());
  std::sort(groups->begin(), groups->end());
  groups->erase(std::unique(groups->begin(), groups->end()), groups->end());
}

}  // namespace

Result<std::shared_ptr<Job>> PrepareJob(Store* store, const IngestOptions& options,
                                        PutRequest request) {
  RETURN_IF_ERROR(CheckRequest(request, options));
  auto job = std::make_shared<Job>();
  job->source_bytes = request.bytes.size();
  job->info = std::move(request.info);
  DocumentInfo& info = job->info;
  const std::string& name = info.source.empty() ? info.id : info.source;
  ASSIGN_OR_RETURN(ParsedDocument parsed, ParseDocument(request.bytes, name, info.mime_type));
  job->text = std::move(parsed.text);
  job->language = DetectLanguage(job->text, kUnknownLanguage);
  if (info.title.empty()) info.title = std::move(parsed.title);
  if (info.source.empty()) info.source = info.id;
  info.mime_type = std::move(parsed.mime_type);
  info.content_hash = Sha256Hex(request.bytes);
  AddGroups(options.groups, &info.groups);
  ASSIGN_OR_RETURN(job->previous, store->FindDocument(options.collection, info.id));
  job->unchanged = job->previous && SaysTheSame(*job->previous, info);
  return job;
}

SplitOptions SplitOptionsOf(const IngestOptions& options, const Embedder& embedder) {
  SplitOptions split;
  const int most =
      std::max(embedder.max_tokens() - kFrameTokens, static_cast<int>(kMinPassageTokens));
  split.passage_tokens = std::min(options.passage_tokens, static_cast<size_t>(most));
  split.overlap_tokens = options.overlap_tokens;
  return split;
}

TokenCounter CounterOf(const Embedder& embedder) {
  return [&embedder](std::string_view text) { return embedder.CountTokens(text); };
}

}  // namespace vade
