#include "ingest/job.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/document.h"
#include "ingest/formats/kind.h"

namespace vade {
namespace {

constexpr size_t kMaxIdBytes = 1024;
constexpr size_t kMaxTitleBytes = 500;
constexpr size_t kMaxFactBytes = 4096;
// Between a container and a file in it: "mail.eml!/report.pdf".
constexpr std::string_view kInnerMark = "!/";
// Tokens that an embedder puts around a text: its prefix and its end marks.
constexpr int kFrameTokens = 8;

Status CheckId(const std::string& id) {
  if (id.empty()) return InvalidArgument("has no id; give it one");
  const bool controls =
      std::any_of(id.begin(), id.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (id.size() > kMaxIdBytes || controls || !IsValidUtf8(id)) {
    return InvalidArgument(StrCat("has a bad id; it must be UTF-8 of at most ", kMaxIdBytes,
                                  " bytes without control characters"));
  }
  return OkStatus();
}

Status CheckRequest(const PutRequest& request, const IngestOptions& options) {
  RETURN_IF_ERROR(CheckId(request.info.id));
  if (request.bytes.size() > options.max_file_bytes) {
    return InvalidArgument(StrCat("has ", request.bytes.size(), " bytes, and ",
                                  options.max_file_bytes, " is the limit; split it"));
  }
  return OkStatus();
}

void AddGroups(const std::vector<std::string>& more, std::vector<std::string>* groups) {
  groups->insert(groups->end(), more.begin(), more.end());
  std::sort(groups->begin(), groups->end());
  groups->erase(std::unique(groups->begin(), groups->end()), groups->end());
}

Result<std::vector<ParsedPart>> ParseParts(Jail* jail, const IngestOptions& options,
                                           const PutRequest& request, std::string_view name,
                                           const Context& ctx) {
  std::vector<ParsedPart> parts;
  const KindOfFile kind = TellKind(request.bytes, name, request.info.mime_type);
  RETURN_IF_ERROR(CheckKind(kind));
  if (kind.kind == FileKind::kText) {
    ASSIGN_OR_RETURN(ParsedDocument parsed,
                     ParseDocument(request.bytes, name, request.info.mime_type));
    parts.push_back({std::move(parsed), OkStatus()});
    return parts;
  }
  const auto take = [&](ParsedPart part) {
    parts.push_back(std::move(part));
    return OkStatus();
  };
  RETURN_IF_ERROR(jail->Parse({.name = name,
                               .mime_type = request.info.mime_type,
                               .password = options.password,
                               .bytes = request.bytes},
                              take, ctx));
  if (parts.empty()) return InvalidArgument("holds no files");
  return parts;
}

// What a file says of itself may be of any length: a subject of a megabyte must not keep its
// document out of the store.
void ClipFacts(ParsedDocument* parsed) {
  const auto clip = [](size_t most, std::string* text) {
    if (text->size() > most) text->resize(FloorToCodePoint(*text, most));
  };
  clip(kMaxTitleBytes, &parsed->title);
  for (auto& [key, value] : parsed->metadata) {
    if (auto* text = std::get_if<std::string>(&value)) clip(kMaxFactBytes, text);
  }
}

// The facts of one document of a file: what was given with the file wins over what it says itself.
DocumentInfo InfoOf(const DocumentInfo& given, const std::string& file_hash,
                    ParsedDocument* parsed) {
  DocumentInfo info = given;
  ClipFacts(parsed);
  if (info.source.empty()) info.source = info.id;
  info.content_hash = file_hash;
  if (!parsed->inner.empty()) {
    info.id += StrCat(kInnerMark, parsed->inner);
    info.source += StrCat(kInnerMark, parsed->inner);
    info.title.clear();
    info.content_hash = parsed->content_hash;
  }
  if (info.title.empty()) info.title = std::move(parsed->title);
  info.mime_type = std::move(parsed->mime_type);
  info.metadata.merge(std::move(parsed->metadata));
  return info;
}

Status FillJob(Store* store, const IngestOptions& options, DocumentInfo info,
               ParsedDocument* parsed, Job* job) {
  RETURN_IF_ERROR(CheckId(info.id));
  job->info = std::move(info);
  job->text = std::move(parsed->text);
  job->first_page = parsed->first_page;
  job->language = DetectLanguage(job->text, kUnknownLanguage);
  AddGroups(options.groups, &job->info.groups);
  ASSIGN_OR_RETURN(job->previous, store->FindDocument(options.collection, job->info.id));
  job->unchanged = job->previous && SaysTheSame(*job->previous, job->info);
  return OkStatus();
}

}  // namespace

Result<std::vector<PreparedJob>> PrepareJobs(Store* store, Jail* jail, const IngestOptions& options,
                                             PutRequest request, const Context& ctx) {
  RETURN_IF_ERROR(CheckRequest(request, options));
  const std::string name = request.info.source.empty() ? request.info.id : request.info.source;
  ASSIGN_OR_RETURN(std::vector<ParsedPart> parts, ParseParts(jail, options, request, name, ctx));
  const std::string hash = Sha256Hex(request.bytes);
  const uint64_t source_bytes = request.bytes.size();
  std::string().swap(request.bytes);
  std::vector<PreparedJob> jobs;
  std::set<std::string> ids;
  for (ParsedPart& part : parts) {
    const std::string inner = part.document.inner;
    PreparedJob prepared{std::make_shared<Job>(), std::move(part.status)};
    prepared.job->source = inner.empty() ? name : StrCat(name, kInnerMark, inner);
    prepared.job->source_bytes = jobs.empty() ? source_bytes : 0;
    prepared.job->ends_file = &part == &parts.back();
    if (prepared.status.ok() && !ids.insert(inner).second) {
      prepared.status = InvalidArgument("has the name of another file beside it; rename one");
    }
    if (prepared.status.ok()) {
      prepared.status = FillJob(store, options, InfoOf(request.info, hash, &part.document),
                                &part.document, prepared.job.get());
    }
    // The store's own failures are not the document's.
    if (!prepared.status.ok() && prepared.status.code() != StatusCode::kInvalidArgument) {
      return prepared.status;
    }
    jobs.push_back(std::move(prepared));
  }
  return jobs;
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
