#include "ingest/job.h"

#include <algorithm>
#include <map>
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

const std::string& NameOf(const PutRequest& request) {
  return request.info.source.empty() ? request.info.id : request.info.source;
}

struct FileReading {
  std::vector<ParsedPart> parts;
  OcrPart pages = OcrPart::kNone;
};

Result<FileReading> ReadParts(Jail* jail, const IngestOptions& options, const PutRequest& request,
                              const Context& ctx) {
  const std::string& name = NameOf(request);
  FileReading reading;
  const KindOfFile kind = TellKind(request.bytes, name, request.info.mime_type);
  RETURN_IF_ERROR(CheckKind(kind));
  if (kind.kind == FileKind::kText) {
    ASSIGN_OR_RETURN(ParsedDocument parsed,
                     ParseDocument(request.bytes, name, request.info.mime_type));
    reading.parts.push_back({std::move(parsed), OkStatus()});
    return reading;
  }
  const auto take = [&](ParsedPart part) {
    reading.parts.push_back(std::move(part));
    return OkStatus();
  };
  ASSIGN_OR_RETURN(reading.pages, jail->Parse({.name = name,
                                               .mime_type = request.info.mime_type,
                                               .password = options.password,
                                               .bytes = request.bytes},
                                              take, ctx));
  if (reading.pages != OcrPart::kWanted && reading.parts.empty()) {
    return InvalidArgument("holds no files");
  }
  return reading;
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
    info.id = InnerPath(info.id, parsed->inner);
    info.source = InnerPath(info.source, parsed->inner);
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
  job->cells = std::move(parsed->cells);
  job->language = DetectLanguage(job->text, kUnknownLanguage);
  AddGroups(options.groups, &job->info.groups);
  ASSIGN_OR_RETURN(job->previous, store->FindDocument(options.collection, job->info.id));
  // Parsers that have learnt something may make another text of the same bytes.
  job->unchanged = job->previous && SaysTheSame(*job->previous, job->info) &&
                   job->previous->text_bytes == job->text.size();
  return OkStatus();
}

// A job's place in messages: as the user named the file, and the place in a container behind that.
std::string ShownName(const IncomingFile& file, std::string_view inner) {
  const std::string& source = file.request.info.source;
  const std::string& name = !file.shown.empty() ? file.shown
                            : source.empty()    ? file.request.info.id
                                                : source;
  return InnerPath(name, inner);
}

std::shared_ptr<FileTrail> TrailOf(const IncomingFile& file) {
  auto trail = std::make_shared<FileTrail>();
  trail->number = file.number;
  trail->before = file.before;
  trail->record.origin = file.origin;
  trail->record.document_id = file.request.info.id;
  trail->record.hash = file.hash;
  trail->record.device = file.device;
  return trail;
}

PreparedJob Failed(const IncomingFile& file, const std::shared_ptr<FileTrail>& trail,
                   const Status& why) {
  PreparedJob failed{std::make_shared<Job>(), why};
  failed.job->source = ShownName(file, "");
  failed.job->source_bytes = file.size_bytes;
  trail->whole = false;
  failed.job->file = trail;
  return failed;
}

// What of an earlier version of the file is not in this one.
void KeepStale(FileTrail* trail) {
  if (!trail->before) return;
  std::map<std::string_view, const MadeDocument*> before;
  for (const MadeDocument& made : trail->before->documents) {
    if (made.digest != 0) before.emplace(made.id, &made);
  }
  for (MadeDocument& made : trail->record.documents) {
    const auto at = before.find(made.id);
    if (at == before.end()) continue;
    // What cannot be read any more keeps what was stored of it, as a whole file does.
    if (!made.failure.empty()) made.digest = at->second->digest;
    before.erase(at);
  }
  for (const auto& [id, made] : before) {
    trail->record.documents.push_back({std::string(id), made->digest, "", /*stale=*/true});
  }
}

// The documents of a file that is as it was, without its bytes.
std::vector<PreparedJob> UnchangedJobs(IncomingFile file, std::shared_ptr<FileTrail> trail) {
  trail->record = *file.before;
  trail->record.device = file.device;
  std::vector<PreparedJob> jobs;
  size_t next = 0;
  for (const MadeDocument& made : file.before->documents) {
    if (made.stale) continue;
    PreparedJob& one = jobs.emplace_back();
    one.job = std::make_shared<Job>();
    one.job->file = trail;
    const size_t outer = file.request.info.id.size() + kInnerMark.size();
    one.job->source =
        ShownName(file, std::string_view(made.id).substr(std::min(made.id.size(), outer)));
    one.job->source_bytes = jobs.size() == 1 ? file.size_bytes : 0;
    one.job->ends_file = next + 1 == file.documents.size();
    one.job->unchanged = made.failure.empty();
    one.job->previous = std::move(file.documents[next++]);
    if (one.job->previous) one.job->info = *one.job->previous;
    if (!made.failure.empty()) one.status = InvalidArgument(made.failure);
  }
  return jobs;
}

// Parts of a file -> its jobs. An error is the store's.
Result<std::vector<PreparedJob>> JobsOf(Store* store, const IngestOptions& options,
                                        const IncomingFile& file, std::vector<ParsedPart> parts,
                                        const std::shared_ptr<FileTrail>& trail) {
  std::vector<PreparedJob> jobs;
  std::set<std::string> ids;
  for (ParsedPart& part : parts) {
    const std::string inner = part.document.inner;
    PreparedJob prepared{std::make_shared<Job>(), std::move(part.status)};
    Job& job = *prepared.job;
    job.file = trail;
    job.source = ShownName(file, inner);
    job.source_bytes = jobs.empty() ? file.size_bytes : 0;
    job.ends_file = &part == &parts.back();
    if (prepared.status.ok() && !ids.insert(inner).second) {
      prepared.status = InvalidArgument("has the name of another file beside it; rename one");
    }
    if (prepared.status.ok()) {
      prepared.status =
          FillJob(store, options, InfoOf(file.request.info, file.hash, &part.document),
                  &part.document, &job);
    }
    // The store's own failures are not the document's.
    if (!prepared.status.ok() && prepared.status.code() != StatusCode::kInvalidArgument) {
      return prepared.status;
    }
    const bool good = prepared.status.ok();
    trail->record.documents.push_back({.id = InnerPath(file.request.info.id, inner),
                                       .digest = good ? DigestOf(job.info) : 0,
                                       .failure = good ? "" : prepared.status.message()});
    jobs.push_back(std::move(prepared));
  }
  KeepStale(trail.get());
  return jobs;
}

}  // namespace

Result<std::optional<std::vector<PreparedJob>>> PrepareJobs(Store* store, Jail* jail,
                                                            const IngestOptions& options,
                                                            IncomingFile* file,
                                                            const Context& ctx) {
  if (file->hash.empty() && !file->unchanged) file->hash = Sha256Hex(file->request.bytes);
  const auto trail = TrailOf(*file);
  if (file->unchanged) return std::optional(UnchangedJobs(std::move(*file), trail));
  Status status = file->failure;
  if (status.ok()) status = CheckRequest(file->request, options);
  FileReading reading;
  if (status.ok()) {
    auto read = ReadParts(jail, options, file->request, ctx);
    status = read.status();
    if (read.ok()) reading = std::move(*read);
  }
  if (!status.ok() && status.code() != StatusCode::kInvalidArgument) return status;
  if (reading.pages == OcrPart::kWanted) return std::optional<std::vector<PreparedJob>>();
  std::string().swap(file->request.bytes);
  if (!status.ok()) return std::optional(std::vector{Failed(*file, trail, status)});
  trail->record.setup = SetupOf(options.groups, file->request.info, reading.pages);
  ASSIGN_OR_RETURN(std::vector<PreparedJob> jobs,
                   JobsOf(store, options, *file, std::move(reading.parts), trail));
  return std::optional(std::move(jobs));
}

bool NeedsParser(const PutRequest& request) {
  return TellKind(request.bytes, NameOf(request), request.info.mime_type).kind != FileKind::kText;
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
