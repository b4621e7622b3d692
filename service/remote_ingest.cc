#include "service/remote_ingest.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "ingest/fetch.h"
#include "ingest/progress.h"
#include "ingest/run.h"
#include "service/convert_proto.h"
#include "service/limits.h"
#include "vade/v1/corpus.grpc.pb.h"

namespace vade {
namespace {

// Files that are offered and not finished: enough to keep the service busy.
constexpr size_t kAhead = 64;
constexpr size_t kPartBytes = 256 << 10;
constexpr std::chrono::milliseconds kLookAround(50);

Job JobOf(const SourceFile& file, const v1::DocumentOutcome& outcome) {
  Job job;
  // As the user named the file, and the place in a container behind that.
  const std::string& id = outcome.result().document_id();
  job.source = file.path + id.substr(std::min(id.size(), file.document_id.size()));
  job.ends_file = outcome.ends_file();
  job.source_bytes = outcome.ends_file() ? file.size_bytes : 0;
  return job;
}

}  // namespace

Status CheckRemoteIngest(const IngestOptions& options) {
  const IngestOptions defaults;
  if (options.passage_tokens != defaults.passage_tokens ||
      options.overlap_tokens != defaults.overlap_tokens) {
    return Unimplemented(
        "the size of passages cannot be set through a service; leave it at its default");
  }
  if (!options.parser_path.empty()) {
    return Unimplemented("--parser is the service's own; leave it out, or stop the service");
  }
  return OkStatus();
}

std::string MachineBefore(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  if (host == "localhost" || host.starts_with("127.") || host == "[::1]") return "";
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "//unknown";
  return StrCat("//", name.data());
}

struct FileCarrier::Impl {
  Impl(const SourceList& listed, const IngestOptions& given, std::string host,
       const ProgressFunction& progress, const Context& context);

  using Stream =
      grpc::ClientReaderWriterInterface<v1::IngestDocumentsRequest, v1::IngestDocumentsResponse>;

  // What to do next, as long as there is something.
  struct Step {
    std::optional<size_t> send, offer;  // indices of files; neither: all is done
  };
  Step NextStep();
  bool SendOpening(Stream* stream);
  bool SendFiles(Stream* stream);
  bool Offer(size_t index, Stream* stream);
  bool Send(size_t index, Stream* stream);
  Result<std::string> Read(const SourceFile& file) const {
    return ReadSource(file, std::min(options_.max_file_bytes, kMaxContentBytes));
  }
  // An origin as the service knows it.
  std::string Marked(const std::string& origin) const {
    return IsUrl(origin) ? origin : machine_ + origin;
  }
  void FailHere(size_t index, const Status& why);  // without the service
  void ReadAnswers(Stream* stream);
  void TakeOutcome(const v1::DocumentOutcome& outcome);
  void TakePutOff(size_t number);

  grpc::Status Carry(Stream* stream);

  const SourceList& sources_;
  const IngestOptions& options_;
  const std::string machine_;
  const Context& ctx_;
  VanishedFiles vanished_;
  std::vector<SourceRecord> gone_;
  std::map<size_t, uint64_t> offered_;  // bytes, by file

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<size_t> asked_for_;
  size_t next_ = 0;           // to be offered
  size_t under_way_ = 0;      // offered, without their last outcome, and not put off
  std::set<size_t> put_off_;  // these wait for OCR
  bool stopped_ = false;      // the stream has ended, or the service wants no more
  bool begun_ = false;
  bool ended_well_ = false;
  ProgressMeter meter_;
  IngestReport report_;
};

FileCarrier::Impl::Impl(const SourceList& listed, const IngestOptions& given, std::string host,
                        const ProgressFunction& progress, const Context& context)
    : sources_(listed),
      options_(given),
      machine_(std::move(host)),
      ctx_(context),
      vanished_(listed),
      meter_(progress, listed.files.size(), listed.total_bytes) {}

grpc::Status FileCarrier::Impl::Carry(Stream* stream) {
  {
    const std::lock_guard lock(mutex_);
    asked_for_.clear();
    next_ = under_way_ = 0;
    put_off_.clear();
    stopped_ = ended_well_ = false;
    report_ = {};
    report_.errors = sources_.errors;
    report_.failed = sources_.errors.size();
  }
  std::thread answers([&] { ReadAnswers(stream); });
  if (SendOpening(stream) && SendFiles(stream)) {
    v1::IngestDocumentsRequest end;
    end.mutable_end();
    stream->Write(end);
  }
  stream->WritesDone();
  answers.join();
  return stream->Finish();
}

bool FileCarrier::Impl::SendOpening(Stream* stream) {
  v1::IngestDocumentsRequest message;
  v1::IngestSettings& settings = *message.mutable_settings();
  settings.set_collection(options_.collection);
  settings.mutable_groups()->Add(options_.groups.begin(), options_.groups.end());
  settings.set_password(options_.password);
  settings.set_prune(options_.prune);
  if (!stream->Write(message)) return false;
  for (const SourceRecord& record : gone_) {
    v1::GoneSource& gone = *message.mutable_gone();
    gone.set_origin(Marked(record.origin));
    gone.set_document_id(record.document_id);
    if (!stream->Write(message)) return false;
  }
  return true;
}

// False when the stream has ended before.
bool FileCarrier::Impl::SendFiles(Stream* stream) {
  for (;;) {
    const Step step = NextStep();
    if (step.send) {
      if (!Send(*step.send, stream)) return false;
    } else if (step.offer) {
      if (!Offer(*step.offer, stream)) return false;
    } else {
      const std::lock_guard lock(mutex_);
      return !stopped_ && ctx_.Check().ok();  // a cancelled call has no end
    }
  }
}

FileCarrier::Impl::Step FileCarrier::Impl::NextStep() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopped_ || !ctx_.Check().ok()) return {};
    if (!asked_for_.empty()) {
      const size_t index = asked_for_.front();
      asked_for_.pop_front();
      return {.send = index, .offer = {}};
    }
    const bool more = next_ < sources_.files.size();
    if (more && under_way_ < kAhead) {
      ++under_way_;
      return {.send = {}, .offer = next_++};
    }
    // What is asked for after this would still have been under way.
    if (!more && under_way_ == 0) return {};  // what was put off has been sent
    changed_.wait_for(lock, kLookAround);
  }
}

bool FileCarrier::Impl::Offer(size_t index, Stream* stream) {
  const SourceFile& file = sources_.files[index];
  v1::IngestDocumentsRequest message;
  v1::OfferedFile& offer = *message.mutable_file();
  offer.set_sha256(file.hash);
  offer.set_size_bytes(file.size_bytes);
  if (file.hash.empty()) {
    const auto bytes = Read(file);
    if (!bytes.ok()) {
      FailHere(index, bytes.status());
      return true;
    }
    offer.set_size_bytes(bytes->size());
    offer.set_sha256(Sha256Hex(*bytes));
  }
  offered_[index] = offer.size_bytes();
  offer.set_number(index);
  offer.set_origin(Marked(file.origin));
  offer.set_document_id(file.document_id);
  offer.set_device(file.device);
  offer.set_mime_type(file.mime_type);
  return stream->Write(message);
}

bool FileCarrier::Impl::Send(size_t index, Stream* stream) {
  v1::IngestDocumentsRequest message;
  v1::FileData& data = *message.mutable_data();
  data.set_number(index);
  auto bytes = Read(sources_.files[index]);
  if (bytes.ok() && bytes->size() > offered_[index] + kMaxGrowthBytes) {
    bytes = InvalidArgument("grows while it is read; ingest it again when it has come to rest");
  }
  if (!bytes.ok()) {
    data.set_withdrawn(true);
    FailHere(index, bytes.status());
    return stream->Write(message);
  }
  for (size_t at = 0; at == 0 || at < bytes->size(); at += kPartBytes) {
    const size_t size = std::min(kPartBytes, bytes->size() - at);
    data.set_data(bytes->data() + at, size);
    data.set_last(at + size == bytes->size());
    if (!stream->Write(message)) return false;
  }
  return true;
}

void FileCarrier::Impl::FailHere(size_t index, const Status& why) {
  const std::lock_guard lock(mutex_);
  const SourceFile& file = sources_.files[index];
  --under_way_;
  CountOutcome(why, &report_);
  report_.errors.push_back({file.path, why.message()});
  Job job;
  job.source_bytes = file.size_bytes;
  meter_.DocumentDone(job, why);
}

void FileCarrier::Impl::ReadAnswers(Stream* stream) {
  for (v1::IngestDocumentsResponse message; stream->Read(&message);) {
    const std::lock_guard lock(mutex_);
    switch (message.part_case()) {
      case v1::IngestDocumentsResponse::kWanted:
        if (message.wanted().number() < sources_.files.size()) {
          asked_for_.push_back(message.wanted().number());
        }
        break;
      case v1::IngestDocumentsResponse::kOutcome: TakeOutcome(message.outcome()); break;
      case v1::IngestDocumentsResponse::kPutOff: TakePutOff(message.put_off().number()); break;
      case v1::IngestDocumentsResponse::kSummary:
        report_.deleted = message.summary().deleted();
        ended_well_ = true;
        break;
      case v1::IngestDocumentsResponse::kStop: stopped_ = true; break;
      default: break;  // of a newer service
    }
    changed_.notify_all();
  }
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

void FileCarrier::Impl::TakePutOff(size_t number) {
  if (number < next_ && under_way_ > 0 && put_off_.insert(number).second) --under_way_;
}

void FileCarrier::Impl::TakeOutcome(const v1::DocumentOutcome& outcome) {
  if (outcome.number() >= sources_.files.size()) return;
  begun_ = true;
  const SourceFile& file = sources_.files[outcome.number()];
  const Job job = JobOf(file, outcome);
  if (outcome.ends_file() && put_off_.erase(outcome.number()) == 0) --under_way_;
  const PutResult result = FromProto(outcome.result());
  if (result.outcome == IngestOutcome::kFailed) {
    const Status why = InvalidArgument(outcome.reason());
    report_.errors.push_back({job.source, why.message()});
    CountOutcome(why, &report_);
    meter_.DocumentDone(job, why);
  } else {
    if (!outcome.note().empty()) report_.notes.push_back({job.source, outcome.note()});
    CountOutcome(result, &report_);
    meter_.DocumentDone(job, result);
  }
  meter_.Report(job.source, 0);
}

FileCarrier::FileCarrier(const SourceList& sources, const IngestOptions& options,
                         std::string machine, const ProgressFunction& progress, const Context& ctx)
    : impl_(std::make_unique<Impl>(sources, options, std::move(machine), progress, ctx)) {}
FileCarrier::~FileCarrier() = default;

void FileCarrier::Fill(const std::string& scope, v1::ListSourcesRequest* request) const {
  request->set_collection(impl_->options_.collection);
  request->set_scope(impl_->Marked(scope));
}

void FileCarrier::Look(const v1::ListSourcesResponse& page) {
  const std::string& machine = impl_->machine_;
  for (const v1::Source& source : page.sources()) {
    const bool of_web = IsUrl(source.origin());
    if (!of_web && !source.origin().starts_with(machine)) continue;
    SourceRecord record;
    record.origin = of_web ? source.origin() : source.origin().substr(machine.size());
    record.document_id = source.document_id();
    record.device = source.device();
    if (impl_->vanished_.IsVanished(record)) impl_->gone_.push_back(std::move(record));
  }
}

grpc::Status FileCarrier::Carry(const std::shared_ptr<grpc::Channel>& channel,
                                grpc::ClientContext* rpc) {
  const auto corpus = v1::CorpusService::NewStub(channel);
  return impl_->Carry(corpus->IngestDocuments(rpc).get());
}

bool FileCarrier::begun() const {
  const std::lock_guard lock(impl_->mutex_);
  return impl_->begun_;
}

Result<IngestReport> FileCarrier::TakeReport(const std::string& address) {
  if (!impl_->ended_well_) {
    return DataLoss(
        StrCat("the service at ", address, " ended the ingestion without its last message"));
  }
  impl_->meter_.ReportEnd();
  for (IngestError& note : impl_->vanished_.TakeNotes()) {
    impl_->report_.notes.push_back(std::move(note));
  }
  return std::move(impl_->report_);
}

}  // namespace vade
