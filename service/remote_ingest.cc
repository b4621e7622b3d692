#include "service/remote_ingest.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "ingest/run.h"
#include "service/convert_proto.h"
#include "service/limits.h"

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

FileCarrier::FileCarrier(const SourceList& sources, const IngestOptions& options,
                         std::string machine, const ProgressFunction& progress, const Context& ctx)
    : sources_(sources),
      options_(options),
      machine_(std::move(machine)),
      ctx_(ctx),
      vanished_(sources),
      meter_(progress, sources.files.size(), sources.total_bytes) {
  report_.errors = sources.errors;
  report_.failed = sources.errors.size();
}

void FileCarrier::Fill(const std::string& scope, v1::ListSourcesRequest* request) const {
  request->set_collection(options_.collection);
  request->set_scope(machine_ + scope);
}

void FileCarrier::Look(const v1::ListSourcesResponse& page) {
  for (const v1::Source& source : page.sources()) {
    if (!source.origin().starts_with(machine_)) continue;
    SourceRecord record;
    record.origin = source.origin().substr(machine_.size());
    record.document_id = source.document_id();
    record.device = source.device();
    if (vanished_.IsVanished(record)) gone_.push_back(std::move(record));
  }
}

grpc::Status FileCarrier::Carry(v1::CorpusService::StubInterface* corpus,
                                grpc::ClientContext* rpc) {
  {
    const std::lock_guard lock(mutex_);
    asked_for_.clear();
    next_ = under_way_ = 0;
    stopped_ = false;
  }
  const auto stream = corpus->IngestDocuments(rpc);
  std::thread answers([&] { ReadAnswers(stream.get()); });
  if (SendOpening(stream.get()) && SendFiles(stream.get())) {
    v1::IngestDocumentsRequest end;
    end.mutable_end();
    stream->Write(end);
  }
  stream->WritesDone();
  answers.join();
  return stream->Finish();
}

bool FileCarrier::SendOpening(Stream* stream) {
  v1::IngestDocumentsRequest message;
  v1::IngestSettings& settings = *message.mutable_settings();
  settings.set_collection(options_.collection);
  settings.mutable_groups()->Add(options_.groups.begin(), options_.groups.end());
  settings.set_password(options_.password);
  settings.set_prune(options_.prune);
  if (!stream->Write(message)) return false;
  for (const SourceRecord& record : gone_) {
    v1::GoneSource& gone = *message.mutable_gone();
    gone.set_origin(machine_ + record.origin);
    gone.set_document_id(record.document_id);
    if (!stream->Write(message)) return false;
  }
  return true;
}

// False when the stream has ended before.
bool FileCarrier::SendFiles(Stream* stream) {
  for (;;) {
    const Step step = NextStep();
    if (step.send) {
      if (!Send(*step.send, stream)) return false;
    } else if (step.offer) {
      if (!Offer(*step.offer, stream)) return false;
    } else {
      const std::lock_guard lock(mutex_);
      return !stopped_;
    }
  }
}

FileCarrier::Step FileCarrier::NextStep() {
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
    if (!more && under_way_ == 0) return {};
    changed_.wait_for(lock, kLookAround);
  }
}

bool FileCarrier::Offer(size_t index, Stream* stream) {
  const SourceFile& file = sources_.files[index];
  const auto bytes = ReadSource(file, std::min(options_.max_file_bytes, kMaxContentBytes));
  if (!bytes.ok()) {
    FailHere(index, bytes.status());
    return true;
  }
  v1::IngestDocumentsRequest message;
  v1::OfferedFile& offer = *message.mutable_file();
  offer.set_number(index);
  offer.set_origin(machine_ + file.origin);
  offer.set_document_id(file.document_id);
  offer.set_size_bytes(bytes->size());
  offer.set_sha256(Sha256Hex(*bytes));
  offer.set_device(file.device);
  return stream->Write(message);
}

bool FileCarrier::Send(size_t index, Stream* stream) {
  v1::IngestDocumentsRequest message;
  v1::FileData& data = *message.mutable_data();
  data.set_number(index);
  const auto bytes =
      ReadSource(sources_.files[index], std::min(options_.max_file_bytes, kMaxContentBytes));
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

void FileCarrier::FailHere(size_t index, const Status& why) {
  const std::lock_guard lock(mutex_);
  const SourceFile& file = sources_.files[index];
  --under_way_;
  ++report_.failed;
  report_.errors.push_back({file.path, why.message()});
  Job job;
  job.source_bytes = file.size_bytes;
  meter_.DocumentDone(job, why);
}

void FileCarrier::ReadAnswers(Stream* stream) {
  for (v1::IngestDocumentsResponse message; stream->Read(&message);) {
    const std::lock_guard lock(mutex_);
    switch (message.part_case()) {
      case v1::IngestDocumentsResponse::kWanted:
        if (message.wanted().number() < sources_.files.size()) {
          asked_for_.push_back(message.wanted().number());
        }
        break;
      case v1::IngestDocumentsResponse::kOutcome: TakeOutcome(message.outcome()); break;
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

void FileCarrier::TakeOutcome(const v1::DocumentOutcome& outcome) {
  if (outcome.number() >= sources_.files.size()) return;
  begun_ = true;
  const SourceFile& file = sources_.files[outcome.number()];
  const Job job = JobOf(file, outcome);
  if (outcome.ends_file()) --under_way_;
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

Result<IngestReport> FileCarrier::TakeReport(const std::string& address) {
  if (!ended_well_) {
    return DataLoss(
        StrCat("the service at ", address, " ended the ingestion without its last message"));
  }
  meter_.ReportEnd();
  return std::move(report_);
}

}  // namespace vade
