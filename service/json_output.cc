#include "service/json_output.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "service/json_text.h"

namespace vade {
namespace {

using Json = nlohmann::ordered_json;

double Rounded(double value, double unit) { return std::round(value / unit) * unit; }

Json TimesJson(const Trace& trace) {
  Json times = Json::object();
  for (const auto& [stage, ms] : trace.times_ms()) times[stage] = Rounded(ms, 0.001);
  return times;
}

// The stages that measurements read are always there, 0 when they did not take place.
Json TimesJson(const Trace& trace, std::initializer_list<const char*> always) {
  Json times = Json::object();
  for (const char* stage : always) times[stage] = 0.0;
  times.update(TimesJson(trace));
  return times;
}

Json HitJson(const Hit& hit) {
  Json json = {{"passage_id", std::to_string(hit.passage.id)},
               {"document_id", hit.passage.document_id},
               {"title", hit.title},
               {"source", hit.source},
               {"score", hit.score},
               {"dense_score", hit.dense_score},
               {"term_score", hit.term_score},
               {"begin", hit.passage.begin},
               {"end", hit.passage.end},
               {"page", hit.passage.page},
               {"heading_path", hit.passage.heading_path},
               {"text", hit.passage.text}};
  if (!hit.valid_from.empty()) json["valid_from"] = hit.valid_from;
  if (hit.found_end > 0) {
    json["found_begin"] = hit.found_begin;
    json["found_end"] = hit.found_end;
  }
  return json;
}

Json HitsJson(const std::vector<Hit>& hits) {
  Json list = Json::array();
  for (const Hit& hit : hits) list.push_back(HitJson(hit));
  return list;
}

Json ExplainedJson(const Explained& e) {
  return {{"passage_id", std::to_string(e.passage_id)},
          {"document_id", e.document_id},
          {"dense_rank", e.dense_rank},
          {"term_rank", e.term_rank},
          {"dense_score", e.dense_score},
          {"term_score", e.term_score},
          {"score", e.score},
          {"rank", e.rank},
          {"likeness", e.likeness},
          {"cut", e.cut}};
}

Json CitationJson(const Citation& c) {
  return {{"answer_begin", c.answer_begin},
          {"answer_end", c.answer_end},
          {"passage_id", std::to_string(c.passage_id)},
          {"document_id", c.document_id},
          {"source_begin", c.source_begin},
          {"source_end", c.source_end},
          {"page", c.page},
          {"quote", c.quote},
          {"label", c.label}};
}

Json MetadataJson(const Metadata& metadata) {
  Json json = Json::object();
  for (const auto& [key, value] : metadata) {
    std::visit([&, &name = key](const auto& v) { json[name] = v; }, value);
  }
  return json;
}

Json InfoJson(const DocumentInfo& info) {
  return {{"document_id", info.id},
          {"title", info.title},
          {"source", info.source},
          {"revision", info.revision},
          {"passages", info.passage_count},
          {"mime_type", info.mime_type},
          {"content_hash", info.content_hash},
          {"metadata", MetadataJson(info.metadata)},
          {"groups", info.groups},
          {"supersedes", info.supersedes},
          {"valid_from", info.valid_from},
          {"commit", info.commit},
          {"text_bytes", info.text_bytes},
          {"created", FormatRfc3339(info.created_unix_micros)},
          {"updated", FormatRfc3339(info.updated_unix_micros)}};
}

}  // namespace

std::string SearchJson(const Retrieved& retrieved, const Trace& trace) {
  Json json = {{"hits", HitsJson(retrieved.hits)},
               {"commit", std::to_string(retrieved.commit)},
               {"timings_ms", TimesJson(trace, {"embed", "search"})}};
  for (const Explained& one : retrieved.candidates) {
    json["candidates"].push_back(ExplainedJson(one));
  }
  return JsonText(json);
}

std::string WarmJson(const WarmReport& report) {
  return JsonText(
      Json{{"passages", report.passages}, {"read", report.read}, {"complete", report.complete}});
}

namespace {

Json CitationsJson(const std::vector<Citation>& citations) {
  Json list = Json::array();
  for (const Citation& citation : citations) list.push_back(CitationJson(citation));
  return list;
}

Json AlternativesJson(const std::vector<Alternative>& alternatives) {
  Json list = Json::array();
  for (const Alternative& one : alternatives) {
    list.push_back({{"answer", one.text},
                    {"reason", one.reason},
                    {"confidence", one.confidence},
                    {"citations", CitationsJson(one.citations)}});
  }
  return list;
}

// The bytes beside the text: what is part of a code point shows as a replacement character.
Json RankedJson(const TokenChoice::Ranked& token) {
  Json bytes = Json::array();
  for (const char c : token.bytes) bytes.push_back(static_cast<unsigned char>(c));
  return {{"id", token.id},
          {"text", token.bytes},
          {"bytes", bytes},
          {"log_probability", token.log_probability}};
}

Json TokensJson(const std::vector<TokenChoice>& tokens) {
  Json list = Json::array();
  for (const TokenChoice& token : tokens) {
    Json one = RankedJson(token.chosen);
    one["likeliest"] = Json::array();
    for (const TokenChoice::Ranked& ranked : token.likeliest)
      one["likeliest"].push_back(RankedJson(ranked));
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

std::string AskJson(const AskReply& reply, const Trace& trace) {
  const Answer& answer = reply.answer;
  Json omitted = Json::array();
  for (const Omission& omission : answer.omitted) {
    omitted.push_back({{"passage_id", std::to_string(omission.passage_id)},
                       {"document_id", omission.document_id},
                       {"reason", omission.reason}});
  }
  Json readings = Json::array();
  for (const ReadingFact& reading : answer.readings) {
    readings.push_back({{"passage_id", std::to_string(reading.passage_id)},
                        {"document_id", reading.document_id},
                        {"answers", reading.answers},
                        {"kept", reading.kept},
                        {"decline_probability", reading.decline_probability},
                        {"question_gain", reading.question_gain},
                        {"score_gap", reading.score_gap},
                        {"lead", reading.lead}});
  }
  Json others = Json::array();
  for (const OtherAnswer& other : answer.others) {
    others.push_back({{"passage_id", std::to_string(other.passage_id)},
                      {"document_id", other.document_id},
                      {"answer", other.text},
                      {"valid_from", other.valid_from},
                      {"agrees", other.agrees}});
  }
  const Usage& usage = answer.usage;
  return JsonText(Json{{"answer", answer.text},
                       {"abstained", answer.abstained},
                       {"reason", answer.reason},
                       {"confidence", answer.confidence},
                       {"citations", CitationsJson(answer.citations)},
                       {"passages", HitsJson(reply.retrieved.hits)},
                       {"omitted", omitted},
                       {"readings", readings},
                       {"rounds", answer.rounds},
                       {"joined", answer.joined},
                       {"others", others},
                       {"alternatives", AlternativesJson(answer.alternatives)},
                       {"tokens", TokensJson(answer.tokens)},
                       {"usage",
                        {{"prompt_tokens", usage.prompt_tokens},
                         {"cached_tokens", usage.cached_tokens},
                         {"completion_tokens", usage.completion_tokens},
                         {"draft_accepted", usage.draft_accepted}}},
                       {"timings_ms", TimesJson(trace, {"embed", "search", "rerank", "prefill",
                                                        "first_token", "total"})}});
}

std::string IngestJson(const IngestReport& report, const Trace& trace) {
  Json errors = Json::array();
  for (const IngestError& error : report.errors) {
    errors.push_back({{"source", error.source}, {"reason", error.reason}});
  }
  Json notes = Json::array();
  for (const IngestError& note : report.notes) {
    notes.push_back({{"source", note.source}, {"note", note.reason}});
  }
  return JsonText(Json{{"created", report.created},
                       {"updated", report.updated},
                       {"unchanged", report.unchanged},
                       {"duplicate", report.duplicate},
                       {"failed", report.failed},
                       {"renamed", report.renamed},
                       {"deleted", report.deleted},
                       {"passages", report.passages},
                       {"errors", errors},
                       {"notes", notes},
                       {"timings_ms", TimesJson(trace)}});
}

std::string ExportJson(const std::string& file, const ExportReport& report, const Trace& trace) {
  return JsonText(Json{{"file", file},
                       {"documents", report.documents},
                       {"passages", report.passages},
                       {"text_bytes", report.text_bytes},
                       {"timings_ms", TimesJson(trace)}});
}

std::string ReembedJson(const ReembedOutcome& outcome, const Trace& trace) {
  return JsonText(Json{{"commit", std::to_string(outcome.report.commit)},
                       {"passages", outcome.report.passages},
                       {"embedded", outcome.report.embedded},
                       {"cut", outcome.cut},
                       {"timings_ms", TimesJson(trace)}});
}

std::string ImportJson(const ImportReport& report, const Trace& trace) {
  return JsonText(Json{{"created", report.created},
                       {"updated", report.updated},
                       {"unchanged", report.unchanged},
                       {"passages", report.passages},
                       {"timings_ms", TimesJson(trace)}});
}

std::string PutJson(const PutResult& result) {
  return JsonText(Json{{"outcome", OutcomeName(result.outcome)},
                       {"document_id", result.document_id},
                       {"duplicate_of", result.duplicate_of},
                       {"revision", result.revision},
                       {"passages", result.passages},
                       {"commit", std::to_string(result.commit)}});
}

std::string DocumentListJson(const DocumentPage& page) {
  Json documents = Json::array();
  for (const DocumentInfo& info : page.documents) documents.push_back(InfoJson(info));
  return JsonText(Json{{"documents", documents}, {"next", page.next}});
}

namespace {

Json CellJson(const TableCell& cell) {
  Json json = {{"text", cell.text}, {"type", CellKindName(cell.value.kind)}};
  switch (cell.value.kind) {
    case CellKind::kEmpty:
    case CellKind::kText: break;
    case CellKind::kMoney: json["currency"] = cell.value.currency; [[fallthrough]];
    case CellKind::kNumber:
    case CellKind::kPercent: json["value"] = cell.value.number; break;
    case CellKind::kDate: json["value"] = DateText(cell.value.number); break;
  }
  return json;
}

Json TableJson(const Table& table) {
  Json columns = Json::array(), rows = Json::array();
  for (size_t i = 0; i < table.columns.size(); ++i) {
    columns.push_back({{"name", table.columns[i]}, {"type", CellKindName(ColumnKind(table, i))}});
  }
  for (const auto& row : table.rows) {
    Json cells = Json::array();
    for (const TableCell& cell : row) cells.push_back(CellJson(cell));
    rows.push_back(std::move(cells));
  }
  return {{"begin", table.begin},
          {"end", table.end},
          {"columns", std::move(columns)},
          {"rows", std::move(rows)},
          {"cut", table.cut}};
}

}  // namespace

std::string DocumentJson(const Document& document, const std::optional<NearDocument>& near,
                         const std::optional<std::vector<Table>>& tables) {
  Json json = InfoJson(document.info);
  json["text"] = document.text;
  json["near_duplicate_of"] = near ? near->id : "";
  json["likeness"] = near ? near->likeness : 0;
  if (tables) {
    json["tables"] = Json::array();
    for (const Table& table : *tables) json["tables"].push_back(TableJson(table));
  }
  return JsonText(json);
}

std::string DeletedJson(uint64_t deleted) { return JsonText(Json{{"deleted", deleted}}); }

std::string CollectionsJson(const std::vector<CollectionInfo>& collections) {
  Json list = Json::array();
  for (const CollectionInfo& c : collections) {
    list.push_back({{"name", c.name},
                    {"embedder", c.embedder_id},
                    {"dimension", c.dimension},
                    {"documents", c.document_count},
                    {"passages", c.passage_count}});
  }
  return JsonText(Json{{"collections", list}});
}

std::string VerifyJson(const VerifyReport& report, const KeptFilesReport& kept) {
  Json kept_problems = Json::array();
  for (const KeptFileProblem& problem : kept.problems) kept_problems.push_back(problem.line);
  return JsonText(Json{{"documents", report.documents},
                       {"passages", report.passages},
                       {"vectors", report.vectors},
                       {"problems", report.problems},
                       {"kept",
                        {{"files", kept.files},
                         {"bytes", kept.bytes},
                         {"removed", kept.removed()},
                         {"problems", std::move(kept_problems)}}}});
}

std::string_view OutcomeName(IngestOutcome outcome) {
  switch (outcome) {
    case IngestOutcome::kCreated: return "created";
    case IngestOutcome::kUpdated: return "updated";
    case IngestOutcome::kUnchanged: return "unchanged";
    case IngestOutcome::kDuplicate: return "duplicate";
    case IngestOutcome::kFailed: return "failed";
    case IngestOutcome::kRenamed: return "renamed";
  }
  return "failed";
}

}  // namespace vade
