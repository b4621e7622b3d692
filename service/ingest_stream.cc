#include "service/ingest_stream.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "ingest/fetch.h"
#include "ingest/file_exchange.h"
#include "service/convert_proto.h"
#include "service/limits.h"
#include "service/patient_stream.h"
#include "vade/v1/corpus.grpc.pb.h"

namespace vade {
namespace {

constexpr size_t kMaxWanted = 1024;
constexpr size_t kMaxOriginBytes = 8192;
constexpr size_t kMaxPasswordBytes = 1024;
constexpr size_t kMaxMimeTypeBytes = 256;
constexpr int kSourcesAtOnce = 500;

Status CheckOrigin(const std::string& origin) {
  if ((origin.starts_with('/') || IsUrl(origin)) && origin.size() <= kMaxOriginBytes &&
      origin.find('\0') == std::string::npos) {
    return OkStatus();
  }
  return InvalidArgument(StrCat("an origin of ", origin.size(),
                                " bytes is neither a URL nor an absolute path of at most ",
                                kMaxOriginBytes, " bytes without zero bytes"));
}

Status CheckOffer(const v1::OfferedFile& offer) {
  RETURN_IF_ERROR(CheckOrigin(offer.origin()));
  RETURN_IF_ERROR(CheckDocumentId(offer.document_id()));
  if (offer.mime_type().size() > kMaxMimeTypeBytes) return InvalidArgument("mime_type is too long");
  const std::string& hash = offer.sha256();
  const bool hexadecimal =
      AsciiLower(hash) == hash &&
      std::all_of(hash.begin(), hash.end(), [](char c) { return HexDigit(c) >= 0; });
  if (hash.size() != 64 || !hexadecimal) {
    return InvalidArgument("sha256 is not 64 lower-case hexadecimal digits");
  }
  if (offer.size_bytes() > kMaxContentBytes) {
    return InvalidArgument(StrCat("document '", offer.document_id(), "' is ",
                                  offer.size_bytes() >> 20,
                                  " MiB; at most 256 MiB are allowed: split it"));
  }
  return OkStatus();
}

class IngestStream final : public FileExchange {
 public:
  IngestStream(grpc::ServerContext* rpc, IngestServerStream* stream, const IngestService& service,
               const Context& ctx);

  // The whole call.
  Status Run();

  Status Plan(IngestRun* run) override;
  Result<std::optional<IncomingFile>> Next(const IngestRun& run) override;
  void Done(const Job& job, const Result<PutResult>& result) override;
  void Stored(const Job&, double) override {}
  void PutOff(const IncomingFile& file) override;
  void Failed() override;

 private:
  bool Read();  // into message_
  Status ReadSettings();
  Result<std::optional<IncomingFile>> NextFile(const IngestRun& run);
  Result<std::optional<IncomingFile>> TakeOffer(const IngestRun& run);
  Result<std::optional<IncomingFile>> TakeData();
  Status Write(const v1::IngestDocumentsResponse& message);

  // A client that owes nothing and waits for outcomes may be silent.
  std::atomic<bool> owes_data_{false};
  std::atomic<int64_t> under_way_{0};  // files whose last outcome has not been told
  PatientStream<IngestServerStream> stream_;
  LocalApi* const api_;
  const Context& ctx_;
  IngestOptions options_;
  v1::IngestDocumentsRequest message_;
  bool held_ = false;                        // message_ is still to be looked at
  std::map<uint64_t, IncomingFile> wanted_;  // files that were asked for
  std::optional<uint64_t> receiving_;        // whose data is coming
  std::mutex writing_;
  Status write_failure_;
};

IngestStream::IngestStream(grpc::ServerContext* rpc, IngestServerStream* stream,
                           const IngestService& service, const Context& ctx)
    : stream_(
          stream, service.patience, service.watch, [rpc] { rpc->TryCancel(); },
          [this] { return !owes_data_ && under_way_ > 0; }),
      api_(service.api),
      ctx_(ctx) {}

Status IngestStream::Run() {
  RETURN_IF_ERROR(ReadSettings());
  const auto report = api_->IngestFrom(this, options_, ctx_);
  if (!report.ok()) return write_failure_.ok() ? report.status() : write_failure_;
  v1::IngestDocumentsResponse last;
  last.mutable_summary()->set_deleted(report->deleted);
  return Write(last);
}

Status IngestStream::ReadSettings() {
  if (!Read()) return stream_.WhyEnded(ctx_);
  if (!message_.has_settings()) return InvalidArgument("the first message is not the settings");
  const v1::IngestSettings& settings = message_.settings();
  options_.collection = CollectionOrDefault(settings.collection());
  options_.groups = {settings.groups().begin(), settings.groups().end()};
  options_.password = settings.password();
  options_.prune = settings.prune();
  if (options_.password.size() > kMaxPasswordBytes) {
    return InvalidArgument(StrCat("the password has more than ", kMaxPasswordBytes, " bytes"));
  }
  return CheckGroups(options_.groups);
}

bool IngestStream::Read() { return stream_.Read(&message_); }

Status IngestStream::Plan(IngestRun* run) {
  for (;;) {
    held_ = Read();
    if (!held_) return stream_.WhyEnded(ctx_);
    if (!message_.has_gone()) return OkStatus();
    const v1::GoneSource& gone = message_.gone();
    RETURN_IF_ERROR(CheckOrigin(gone.origin()));
    ASSIGN_OR_RETURN(const auto record, run->ledger().Find(gone.origin(), gone.document_id()));
    if (record) run->pruner().FileHasGone(*record);
  }
}

Result<std::optional<IncomingFile>> IngestStream::Next(const IngestRun& run) {
  auto file = NextFile(run);
  if (file.ok() && *file) ++under_way_;
  return file;
}

Result<std::optional<IncomingFile>> IngestStream::NextFile(const IngestRun& run) {
  for (;;) {
    owes_data_ = !wanted_.empty();
    if (!std::exchange(held_, false) && !Read()) return stream_.WhyEnded(ctx_);
    std::optional<IncomingFile> file;
    switch (message_.part_case()) {
      case v1::IngestDocumentsRequest::kFile: {
        ASSIGN_OR_RETURN(file, TakeOffer(run));
        break;
      }
      case v1::IngestDocumentsRequest::kData: {
        ASSIGN_OR_RETURN(file, TakeData());
        break;
      }
      case v1::IngestDocumentsRequest::kEnd:
        if (wanted_.empty()) return file;
        return InvalidArgument(
            StrCat("the end came before ", wanted_.size(), " files that were asked for"));
      default: return InvalidArgument("a message is out of order or of a kind that is not known");
    }
    if (file) return file;
  }
}

// The file when it is as it was; nothing when it is asked for.
Result<std::optional<IncomingFile>> IngestStream::TakeOffer(const IngestRun& run) {
  const v1::OfferedFile& offer = message_.file();
  RETURN_IF_ERROR(CheckOffer(offer));
  if (receiving_) return InvalidArgument("a file was offered in the middle of another one's data");
  IncomingFile file;
  file.number = offer.number();
  file.shown = file.request.info.id = file.request.info.source = offer.document_id();
  file.request.info.mime_type = offer.mime_type();
  file.origin = offer.origin();
  file.device = offer.device();
  file.size_bytes = offer.size_bytes();
  file.hash = offer.sha256();
  RETURN_IF_ERROR(run.Recall(&file));
  if (file.unchanged) return std::optional(std::move(file));
  if (wanted_.size() >= kMaxWanted) {
    return InvalidArgument(StrCat("more than ", kMaxWanted, " files were offered and not sent"));
  }
  file.hash.clear();  // of the bytes that come, when they have come
  if (!wanted_.emplace(offer.number(), std::move(file)).second) {
    return InvalidArgument(StrCat("the number ", offer.number(), " was used twice"));
  }
  v1::IngestDocumentsResponse answer;
  answer.mutable_wanted()->set_number(offer.number());
  RETURN_IF_ERROR(Write(answer));
  return std::optional<IncomingFile>();
}

// The file when it is whole.
Result<std::optional<IncomingFile>> IngestStream::TakeData() {
  const v1::FileData& data = message_.data();
  const auto at = wanted_.find(data.number());
  if (at == wanted_.end() || (receiving_ && *receiving_ != data.number())) {
    return InvalidArgument(StrCat("data of file ", data.number(), " were not asked for now"));
  }
  IncomingFile& file = at->second;
  std::string& bytes = file.request.bytes;
  if (data.withdrawn()) {
    receiving_.reset();
    wanted_.erase(at);
    return std::optional<IncomingFile>();
  }
  const uint64_t most = std::min(file.size_bytes + kMaxGrowthBytes, kMaxContentBytes);
  if (bytes.size() + data.data().size() > most) {
    return InvalidArgument(StrCat("document '", file.request.info.id,
                                  "' has more bytes than were offered; offer it again"));
  }
  bytes.append(data.data());
  receiving_ = data.number();
  if (!data.last()) return std::optional<IncomingFile>();
  receiving_.reset();
  IncomingFile whole = std::move(file);
  wanted_.erase(at);
  return std::optional(std::move(whole));
}

void IngestStream::Done(const Job& job, const Result<PutResult>& result) {
  v1::IngestDocumentsResponse message;
  v1::DocumentOutcome& outcome = *message.mutable_outcome();
  outcome.set_number(job.file->number);
  outcome.set_ends_file(job.ends_file);
  if (result.ok()) {
    ToProto(*result, outcome.mutable_result());
    outcome.set_note(result->note);
    // Before the client hears of it, nothing is kept of what it replaced.
    const Status forgotten = api_->ForgetWhatWent();
    if (!forgotten.ok()) LogWarning(forgotten.message());
  } else {
    outcome.mutable_result()->set_outcome(v1::PutDocumentResponse::OUTCOME_FAILED);
    outcome.mutable_result()->set_document_id(job.source);
    outcome.set_reason(result.status().message());
  }
  (void)Write(message);  // that it fails ends the reading of the stream too
  if (job.ends_file) --under_way_;
}

void IngestStream::PutOff(const IncomingFile& file) {
  v1::IngestDocumentsResponse message;
  message.mutable_put_off()->set_number(file.number);
  (void)Write(message);
}

void IngestStream::Failed() {
  v1::IngestDocumentsResponse message;
  message.mutable_stop();
  (void)Write(message);
}

Status IngestStream::Write(const v1::IngestDocumentsResponse& message) {
  const std::lock_guard lock(writing_);
  if (!write_failure_.ok()) return write_failure_;
  return write_failure_ = stream_.Write(message, ctx_);
}

}  // namespace

Status ServeIngest(grpc::ServerContext* rpc, IngestServerStream* stream,
                   const IngestService& service, const Context& ctx) {
  return IngestStream(rpc, stream, service, ctx).Run();
}

Status SendSources(LocalApi* api, const v1::ListSourcesRequest& request,
                   const std::function<Status(const v1::ListSourcesResponse&)>& send) {
  const std::string collection = CollectionOrDefault(request.collection());
  RETURN_IF_ERROR(CheckCollectionName(collection));
  RETURN_IF_ERROR(CheckOrigin(request.scope()));
  v1::ListSourcesResponse page;
  const Ledger ledger(&api->store(), collection);
  RETURN_IF_ERROR(ledger.Visit(request.scope(), [&](const SourceRecord& record) {
    v1::Source& source = *page.add_sources();
    source.set_origin(record.origin);
    source.set_document_id(record.document_id);
    source.set_device(record.device);
    if (page.sources_size() < kSourcesAtOnce) return OkStatus();
    const Status sent = send(page);
    page.Clear();
    return sent;
  }));
  return page.sources_size() > 0 ? send(page) : OkStatus();
}

}  // namespace vade
