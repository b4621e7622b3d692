#include "service/convert_proto.h"

#include <grpcpp/support/status.h>

#include <algorithm>
#include <limits>

#include "base/strings.h"
#include "base/unicode.h"
#include "service/limits.h"
#include "vade/v1/answer.pb.h"
#include "vade/v1/common.pb.h"
#include "vade/v1/corpus.pb.h"
#include "vade/v1/search.pb.h"

namespace vade {
namespace {

// gRPC refuses headers beyond 8 KiB; a message travels percent-encoded, three bytes for one at
// worst.
constexpr size_t kMaxMessageBytes = 2000;

void SetTimestamp(int64_t unix_micros, google::protobuf::Timestamp* out) {
  int64_t seconds = unix_micros / 1'000'000, micros = unix_micros % 1'000'000;
  if (micros < 0) {
    --seconds;
    micros += 1'000'000;
  }
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(micros) * 1000);
}

int64_t Micros(const google::protobuf::Timestamp& in) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 1'000'000 - 4;
  return std::clamp(in.seconds(), -kMost, kMost) * 1'000'000 + in.nanos() / 1000;
}

void ToProto(const MetadataValue& value, v1::MetadataValue* out) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    out->set_string_value(Utf8(*text));
  } else if (const auto* number = std::get_if<double>(&value)) {
    out->set_number_value(*number);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    out->set_bool_value(*flag);
  } else {
    v1::StringList* list = out->mutable_list_value();
    for (const std::string& one : std::get<std::vector<std::string>>(value))
      list->add_values(Utf8(one));
  }
}

Result<MetadataValue> FromProto(const std::string& key, const v1::MetadataValue& in) {
  switch (in.kind_case()) {
    case v1::MetadataValue::kStringValue: return MetadataValue(in.string_value());
    case v1::MetadataValue::kNumberValue: return MetadataValue(in.number_value());
    case v1::MetadataValue::kBoolValue: return MetadataValue(in.bool_value());
    case v1::MetadataValue::kListValue: {
      const auto& values = in.list_value().values();
      return MetadataValue(std::vector<std::string>(values.begin(), values.end()));
    }
    case v1::MetadataValue::KIND_NOT_SET: break;
  }
  return InvalidArgument(
      StrCat("metadata '", key.substr(0, 64), "' has no value; set one or leave it out"));
}

template <typename Repeated>
void ToProto(const StageTimes& times, Repeated* out) {
  for (const auto& [stage, milliseconds] : times) {
    v1::StageTime* line = out->Add();
    line->set_stage(stage);
    line->set_milliseconds(milliseconds);
  }
}

template <typename Repeated>
StageTimes FromTimes(const Repeated& in) {
  StageTimes times;
  for (const v1::StageTime& line : in) times.emplace_back(line.stage(), line.milliseconds());
  return times;
}

void ToForm(const AnswerForm& form, v1::AskOptions* out) {
  switch (form.kind) {
    case AnswerForm::Kind::kFree: break;
    case AnswerForm::Kind::kJson: out->set_json(true); break;
    case AnswerForm::Kind::kJsonSchema: out->set_json_schema(form.definition); break;
    case AnswerForm::Kind::kGrammar: out->set_grammar(form.definition); break;
  }
}

AnswerForm FromForm(const v1::AskOptions& in) {
  if (in.has_json_schema()) return {AnswerForm::Kind::kJsonSchema, in.json_schema()};
  if (in.has_grammar()) return {AnswerForm::Kind::kGrammar, in.grammar()};
  return {in.json() ? AnswerForm::Kind::kJson : AnswerForm::Kind::kFree};
}

void ToOptions(const AskRequest& request, v1::AskOptions* out) {
  out->set_collection(request.query.collection);
  out->set_k(static_cast<uint32_t>(request.query.k));
  out->set_filter(request.query.filter);
  out->set_as_of(request.query.as_of);
  out->mutable_groups()->Add(request.query.groups.begin(), request.query.groups.end());
  out->set_mode(static_cast<v1::Mode>(static_cast<int>(request.mode) + 1));
  if (request.joining)
    out->set_joining(static_cast<v1::Joining>(static_cast<int>(*request.joining) + 1));
  out->set_strict(request.strict);
  out->set_temperature(request.sampling.temperature);
  out->set_top_p(request.sampling.top_p);
  out->set_top_k(static_cast<uint32_t>(request.sampling.top_k));
  out->set_seed(request.sampling.seed);
  out->set_max_tokens(static_cast<uint32_t>(request.sampling.max_tokens));
  out->mutable_stop()->Add(request.sampling.stop.begin(), request.sampling.stop.end());
  out->set_system(request.system);
  out->set_search_as_asked(request.search_as_asked);
  out->set_min_p(request.sampling.min_p);
  out->set_typical_p(request.sampling.typical_p);
  out->set_repetition_penalty(request.sampling.repetition_penalty);
  out->set_presence_penalty(request.sampling.presence_penalty);
  out->set_frequency_penalty(request.sampling.frequency_penalty);
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    (*out->mutable_logit_bias())[id] = bias;
  }
  out->set_top_logprobs(static_cast<uint32_t>(request.sampling.top_logprobs));
  out->set_answers(static_cast<uint32_t>(request.sampling.answers));
  out->set_beams(static_cast<uint32_t>(request.sampling.beams));
  ToForm(request.form, out);
}

Result<AnswerMode> FromMode(v1::Mode mode) {
  switch (mode) {
    case v1::MODE_UNSPECIFIED:
    case v1::MODE_DIRECT: return AnswerMode::kDirect;
    case v1::MODE_COT: return AnswerMode::kCot;
    case v1::MODE_VOTE: return AnswerMode::kVote;
    case v1::MODE_DECOMPOSE: return AnswerMode::kDecompose;
    default: break;
  }
  return InvalidArgument(
      StrCat("mode ", static_cast<int>(mode), " is not known; give MODE_DIRECT"));
}

Result<std::optional<Joining>> FromJoining(v1::Joining joining) {
  switch (joining) {
    case v1::JOINING_UNSPECIFIED: return std::optional<Joining>();
    case v1::JOINING_NEVER: return std::optional(Joining::kNever);
    case v1::JOINING_DETECTED: return std::optional(Joining::kDetected);
    case v1::JOINING_ALWAYS: return std::optional(Joining::kAlways);
    default: break;
  }
  return InvalidArgument(StrCat("joining ", static_cast<int>(joining),
                                " is not known; give JOINING_NEVER, JOINING_DETECTED or "
                                "JOINING_ALWAYS, or leave it unset"));
}

Result<AskRequest> FromOptions(const v1::AskOptions& in) {
  AskRequest request;
  request.query.collection = CollectionOrDefault(in.collection());
  request.query.k = OrDefault(in.k(), kDefaultHits);
  request.query.filter = in.filter();
  request.query.as_of = in.as_of();
  request.query.groups.assign(in.groups().begin(), in.groups().end());
  ASSIGN_OR_RETURN(request.mode, FromMode(in.mode()));
  ASSIGN_OR_RETURN(request.joining, FromJoining(in.joining()));
  request.strict = in.strict();
  request.form = FromForm(in);
  request.sampling.temperature = in.temperature();
  request.sampling.top_p = in.top_p() == 0 ? 1 : in.top_p();
  request.sampling.top_k = OrDefault(in.top_k(), 0);
  request.sampling.seed = in.seed();
  request.sampling.max_tokens = OrDefault(in.max_tokens(), kDefaultAnswerTokens);
  request.sampling.stop.assign(in.stop().begin(), in.stop().end());
  request.sampling.min_p = in.min_p();
  request.sampling.typical_p = in.typical_p() == 0 ? 1 : in.typical_p();
  request.sampling.repetition_penalty = in.repetition_penalty() == 0 ? 1 : in.repetition_penalty();
  request.sampling.presence_penalty = in.presence_penalty();
  request.sampling.frequency_penalty = in.frequency_penalty();
  request.sampling.logit_bias.assign(in.logit_bias().begin(), in.logit_bias().end());
  // A map has no order of its own; equal requests are to be equal here too.
  std::sort(request.sampling.logit_bias.begin(), request.sampling.logit_bias.end());
  request.sampling.top_logprobs = OrDefault(in.top_logprobs(), 0);
  request.sampling.answers = OrDefault(in.answers(), 1);
  request.sampling.beams = OrDefault(in.beams(), 1);
  request.system = in.system();
  request.search_as_asked = in.search_as_asked();
  return request;
}

Result<ChatTemplate::Turn> FromTurn(const v1::Turn& in, size_t number) {
  if (in.role() == v1::Turn::ROLE_USER) {
    if (in.content().empty())
      return InvalidArgument(StrCat("turn ", number, " of the user is empty"));
    return ChatTemplate::Turn{Role::kUser, in.content()};
  }
  if (in.role() == v1::Turn::ROLE_ASSISTANT)
    return ChatTemplate::Turn{Role::kAssistant, in.content()};
  return InvalidArgument(StrCat("turn ", number, " has no role; give ROLE_USER or ROLE_ASSISTANT"));
}

}  // namespace

std::string Utf8(const std::string& text) {
  return IsValidUtf8(text) ? text : ReplaceInvalidUtf8(text);
}

int OrDefault(uint32_t value, int fallback) {
  constexpr uint32_t kMost = std::numeric_limits<int>::max();
  return value == 0 ? fallback : static_cast<int>(std::min(value, kMost));
}

grpc::Status ToGrpc(const Status& status) {
  std::string message = Utf8(status.message());
  if (message.size() > kMaxMessageBytes) {
    message.resize(FloorToCodePoint(message, kMaxMessageBytes));
    message += "...";
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message);
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return OkStatus();
  const int code = status.error_code();
  const bool known = code > 0 && code <= static_cast<int>(StatusCode::kUnauthenticated);
  return Status(known ? static_cast<StatusCode>(code) : StatusCode::kUnknown,
                status.error_message());
}

void ToProto(const DocumentInfo& info, v1::DocumentInfo* out) {
  out->set_document_id(Utf8(info.id));
  out->set_title(Utf8(info.title));
  out->set_source(Utf8(info.source));
  out->set_mime_type(Utf8(info.mime_type));
  for (const auto& [key, value] : info.metadata)
    ToProto(value, &(*out->mutable_metadata())[Utf8(key)]);
  for (const std::string& group : info.groups) out->add_groups(Utf8(group));
  out->set_supersedes(Utf8(info.supersedes));
  out->set_valid_from(Utf8(info.valid_from));
  out->set_content_hash(info.content_hash);
  out->set_revision(info.revision);
  out->set_commit(info.commit);
  out->set_passage_count(info.passage_count);
  out->set_text_bytes(info.text_bytes);
  if (info.created_unix_micros != 0) SetTimestamp(info.created_unix_micros, out->mutable_created());
  if (info.updated_unix_micros != 0) SetTimestamp(info.updated_unix_micros, out->mutable_updated());
}

void ToProto(const Hit& hit, v1::Hit* out) {
  out->set_passage_id(hit.passage.id);
  out->set_document_id(Utf8(hit.passage.document_id));
  out->set_title(Utf8(hit.title));
  out->set_source(Utf8(hit.source));
  out->set_score(hit.score);
  out->set_dense_score(hit.dense_score);
  out->set_term_score(hit.term_score);
  out->set_begin(hit.passage.begin);
  out->set_end(hit.passage.end);
  out->set_page(hit.passage.page);
  out->set_heading_path(Utf8(hit.passage.heading_path));
  out->set_text(Utf8(hit.passage.text));
  out->set_valid_from(Utf8(hit.valid_from));
  out->set_found_begin(hit.found_begin);
  out->set_found_end(hit.found_end);
}

void ToProto(const Citation& citation, v1::Citation* out) {
  out->set_answer_begin(citation.answer_begin);
  out->set_answer_end(citation.answer_end);
  out->set_passage_id(citation.passage_id);
  out->set_document_id(Utf8(citation.document_id));
  out->set_source_begin(citation.source_begin);
  out->set_source_end(citation.source_end);
  out->set_page(citation.page);
  out->set_quote(Utf8(citation.quote));
  out->set_label(static_cast<uint32_t>(std::max(citation.label, 0)));
}

void ToProto(const CollectionInfo& info, v1::Collection* out) {
  out->set_name(info.name);
  out->set_embedder_id(Utf8(info.embedder_id));
  out->set_dimension(static_cast<uint32_t>(std::max(info.dimension, 0)));
  out->set_document_count(info.document_count);
  out->set_passage_count(info.passage_count);
  out->set_embedder_source(Utf8(info.embedder_source));
}

void ToProto(const PutRequest& request, v1::PutDocumentRequest* out) {
  ToProto(request.info, out->mutable_info());
  out->set_content(request.bytes);
}

void ToProto(const PutResult& result, v1::PutDocumentResponse* out) {
  using Response = v1::PutDocumentResponse;
  const auto outcome = [&] {
    switch (result.outcome) {
      case IngestOutcome::kCreated: return Response::OUTCOME_CREATED;
      case IngestOutcome::kUpdated: return Response::OUTCOME_UPDATED;
      case IngestOutcome::kUnchanged: return Response::OUTCOME_UNCHANGED;
      case IngestOutcome::kDuplicate: return Response::OUTCOME_DUPLICATE;
      case IngestOutcome::kRenamed: return Response::OUTCOME_RENAMED;
      case IngestOutcome::kFailed: return Response::OUTCOME_FAILED;
    }
    return Response::OUTCOME_UNSPECIFIED;
  };
  out->set_outcome(outcome());
  out->set_document_id(Utf8(result.document_id));
  out->set_duplicate_of(Utf8(result.duplicate_of));
  out->set_revision(result.revision);
  out->set_passages(result.passages);
  out->set_commit(result.commit);
}

void ToProto(const DocumentQuery& query, v1::ListDocumentsRequest* out) {
  out->set_page_size(static_cast<uint32_t>(query.limit));
  out->set_page_token(query.after);
  out->set_filter(query.filter);
  if (!query.caller_groups) return;
  out->mutable_caller()->mutable_groups()->Add(query.caller_groups->begin(),
                                               query.caller_groups->end());
}

void ToProto(const AskRequest& request, v1::AskRequest* out) {
  out->set_question(request.query.question);
  ToOptions(request, out->mutable_options());
}

void ToProto(const AskRequest& request, v1::ChatRequest* out) {
  for (const ChatTemplate::Turn& turn : request.history) {
    v1::Turn* added = out->add_turns();
    added->set_role(turn.role == Role::kAssistant ? v1::Turn::ROLE_ASSISTANT : v1::Turn::ROLE_USER);
    added->set_content(turn.content);
  }
  v1::Turn* last = out->add_turns();
  last->set_role(v1::Turn::ROLE_USER);
  last->set_content(request.query.question);
  ToOptions(request, out->mutable_options());
}

void ToProto(const Retrieved& found, const std::string& request_id, v1::Retrieved* out) {
  for (const Hit& hit : found.hits) ToProto(hit, out->add_hits());
  out->set_commit(found.commit);
  out->set_request_id(request_id);
}

void ToProto(const Retrieved& found, const std::string& request_id, const StageTimes& times,
             v1::SearchResponse* out) {
  for (const Hit& hit : found.hits) ToProto(hit, out->add_hits());
  out->set_commit(found.commit);
  out->set_request_id(request_id);
  ToProto(times, out->mutable_timings());
  for (const Explained& candidate : found.candidates) ToProto(candidate, out->add_candidates());
}

void ToProto(const Answer& answer, const StageTimes& times, v1::Done* out) {
  ToProto(answer, out);
  ToProto(times, out->mutable_timings());
}

Result<DocumentInfo> FromProto(const v1::DocumentInfo& in) {
  DocumentInfo info;
  info.id = in.document_id();
  info.title = in.title();
  info.source = in.source();
  info.mime_type = in.mime_type();
  for (const auto& [key, value] : in.metadata()) {
    ASSIGN_OR_RETURN(info.metadata[key], FromProto(key, value));
  }
  info.groups.assign(in.groups().begin(), in.groups().end());
  info.supersedes = in.supersedes();
  info.valid_from = in.valid_from();
  info.content_hash = in.content_hash();
  info.revision = in.revision();
  info.commit = in.commit();
  info.passage_count = in.passage_count();
  info.text_bytes = in.text_bytes();
  info.created_unix_micros = Micros(in.created());
  info.updated_unix_micros = Micros(in.updated());
  return info;
}

Hit FromProto(const v1::Hit& in) {
  Hit hit;
  hit.passage.id = in.passage_id();
  hit.passage.document_id = in.document_id();
  hit.title = in.title();
  hit.source = in.source();
  hit.score = in.score();
  hit.dense_score = in.dense_score();
  hit.term_score = in.term_score();
  hit.passage.begin = in.begin();
  hit.passage.end = in.end();
  hit.passage.page = in.page();
  hit.passage.heading_path = in.heading_path();
  hit.passage.text = in.text();
  hit.valid_from = in.valid_from();
  hit.found_begin = in.found_begin();
  hit.found_end = in.found_end();
  return hit;
}

Citation FromProto(const v1::Citation& in) {
  Citation citation;
  citation.answer_begin = in.answer_begin();
  citation.answer_end = in.answer_end();
  citation.passage_id = in.passage_id();
  citation.document_id = in.document_id();
  citation.source_begin = in.source_begin();
  citation.source_end = in.source_end();
  citation.page = in.page();
  citation.quote = in.quote();
  citation.label = OrDefault(in.label(), 0);
  return citation;
}

CollectionInfo FromProto(const v1::Collection& in) {
  return {.name = in.name(),
          .embedder_id = in.embedder_id(),
          .dimension = OrDefault(in.dimension(), 0),
          .embedder_source = in.embedder_source(),
          .document_count = in.document_count(),
          .passage_count = in.passage_count()};
}

PutResult FromProto(const v1::PutDocumentResponse& in) {
  using Response = v1::PutDocumentResponse;
  PutResult result;
  switch (in.outcome()) {
    case Response::OUTCOME_CREATED: result.outcome = IngestOutcome::kCreated; break;
    case Response::OUTCOME_UPDATED: result.outcome = IngestOutcome::kUpdated; break;
    case Response::OUTCOME_UNCHANGED: result.outcome = IngestOutcome::kUnchanged; break;
    case Response::OUTCOME_DUPLICATE: result.outcome = IngestOutcome::kDuplicate; break;
    case Response::OUTCOME_RENAMED: result.outcome = IngestOutcome::kRenamed; break;
    default: result.outcome = IngestOutcome::kFailed;
  }
  result.document_id = in.document_id();
  result.duplicate_of = in.duplicate_of();
  result.revision = in.revision();
  result.passages = in.passages();
  result.commit = in.commit();
  return result;
}

Retrieved FromProto(const v1::Retrieved& in) {
  Retrieved found;
  found.commit = in.commit();
  for (const v1::Hit& hit : in.hits()) found.hits.push_back(FromProto(hit));
  return found;
}

Retrieved FromProto(const v1::SearchResponse& in, StageTimes* times) {
  Retrieved found;
  found.commit = in.commit();
  for (const v1::Hit& hit : in.hits()) found.hits.push_back(FromProto(hit));
  *times = FromTimes(in.timings());
  for (const v1::Candidate& candidate : in.candidates()) {
    found.candidates.push_back(FromProto(candidate));
  }
  return found;
}

Answer FromProto(const v1::Done& in, StageTimes* times) {
  *times = FromTimes(in.timings());
  return FromProto(in);
}

std::string CollectionOrDefault(const std::string& name) { return name.empty() ? "default" : name; }

int FromPageSize(uint32_t page_size) { return OrDefault(page_size, kDefaultPageSize); }

DocumentQuery FromProto(const v1::ListDocumentsRequest& in) {
  DocumentQuery query{
      .after = in.page_token(), .limit = FromPageSize(in.page_size()), .filter = in.filter()};
  if (in.has_caller()) {
    query.caller_groups.emplace(in.caller().groups().begin(), in.caller().groups().end());
  }
  return query;
}

Result<PutRequest> FromProto(v1::PutDocumentRequest&& in) {
  PutRequest request;
  ASSIGN_OR_RETURN(request.info, FromProto(in.info()));
  request.bytes = std::move(*in.mutable_content());
  return request;
}

Result<AskRequest> FromProto(const v1::AskRequest& in) {
  ASSIGN_OR_RETURN(AskRequest request, FromOptions(in.options()));
  request.query.question = in.question();
  return request;
}

Result<AskRequest> FromProto(const v1::ChatRequest& in) {
  ASSIGN_OR_RETURN(AskRequest request, FromOptions(in.options()));
  if (in.turns().empty())
    return InvalidArgument("turns is empty; give at least the user's question");
  if (static_cast<size_t>(in.turns_size()) > kMaxTurns) {
    return InvalidArgument(StrCat("turns has ", in.turns_size(), " turns; at most ", kMaxTurns,
                                  ": leave out the oldest"));
  }
  for (int i = 0; i + 1 < in.turns_size(); ++i) {
    ASSIGN_OR_RETURN(ChatTemplate::Turn turn, FromTurn(in.turns(i), i + 1));
    request.history.push_back(std::move(turn));
  }
  const v1::Turn& last = in.turns(in.turns_size() - 1);
  if (last.role() != v1::Turn::ROLE_USER) {
    return InvalidArgument(
        "the last of the turns is not the user's; end with the question to be answered");
  }
  request.query.question = last.content();
  return request;
}

}  // namespace vade
