#include "service/json_output.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace vade {
namespace {

using Json = nlohmann::json;

Hit LeaveHit() {
  Hit hit;
  hit.passage.id = 18446744073709551615u;  // beyond what a JSON number holds
  hit.passage.document_id = "leave.md";
  hit.passage.begin = 10;
  hit.passage.end = 22;
  hit.passage.page = 3;
  hit.passage.heading_path = "Handbook > Leave";
  hit.passage.text = "Thirty days.";
  hit.title = "Leave";
  hit.source = "docs/leave.md";
  hit.score = 0.5;
  hit.dense_score = 0.25;
  hit.term_score = 2;
  return hit;
}

TEST(SearchJson, HasEveryFieldOfAHitAndIdsAreStrings) {
  Retrieved found;
  found.commit = 7;
  found.hits = {LeaveHit()};
  Trace trace("r");
  trace.SetTime("embed", 1.23456);
  const Json json = Json::parse(SearchJson(found, trace));
  EXPECT_EQ(json["hits"][0], Json({{"passage_id", "18446744073709551615"},
                                   {"document_id", "leave.md"},
                                   {"title", "Leave"},
                                   {"source", "docs/leave.md"},
                                   {"score", 0.5},
                                   {"dense_score", 0.25},
                                   {"term_score", 2.0},
                                   {"begin", 10},
                                   {"end", 22},
                                   {"page", 3},
                                   {"heading_path", "Handbook > Leave"},
                                   {"text", "Thirty days."}}));
  EXPECT_EQ(json["commit"], "7");
  EXPECT_DOUBLE_EQ(json["timings_ms"]["embed"], 1.235);
  EXPECT_EQ(json["timings_ms"]["search"], 0.0);  // always there
}

TEST(SearchJson, NothingFoundIsAnEmptyList) {
  EXPECT_EQ(Json::parse(SearchJson({}, Trace("r")))["hits"], Json::array());
}

TEST(SearchJson, ADamagedByteIsReplacedNotThrown) {
  Retrieved found;
  found.hits = {LeaveHit()};
  found.hits[0].passage.text =
      "a\xff"
      "b\"\n<";
  const std::string line = SearchJson(found, Trace("r"));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(Json::parse(line)["hits"][0]["text"],
            "a\xEF\xBF\xBD"
            "b\"\n<");
}

TEST(AskJson, HasEveryFieldThatMeasurementsRead) {
  AskReply reply;
  reply.retrieved.hits = {LeaveHit()};
  reply.answer.text = "Thirty days.";
  reply.answer.confidence = 0.75;
  Citation citation;
  citation.answer_end = 12;
  citation.passage_id = 5;
  citation.document_id = "leave.md";
  citation.source_begin = 10;
  citation.source_end = 22;
  citation.page = 3;
  citation.quote = "Thirty days.";
  citation.label = 1;
  reply.answer.citations = {citation};
  reply.answer.omitted = {{9, "quay.md", "budget"}};
  reply.answer.usage = {100, 60, 5, 2};
  reply.answer.rounds = 2;
  Trace trace("r");
  trace.SetTime("first_token", 12);
  const Json json = Json::parse(AskJson(reply, trace));
  EXPECT_EQ(json["answer"], "Thirty days.");
  EXPECT_EQ(json["abstained"], false);
  EXPECT_EQ(json["reason"], "");
  EXPECT_EQ(json["confidence"], 0.75);
  EXPECT_EQ(json["citations"], Json::array({{{"answer_begin", 0},
                                             {"answer_end", 12},
                                             {"passage_id", "5"},
                                             {"document_id", "leave.md"},
                                             {"source_begin", 10},
                                             {"source_end", 22},
                                             {"page", 3},
                                             {"quote", "Thirty days."},
                                             {"label", 1}}}));
  EXPECT_EQ(json["passages"][0]["document_id"], "leave.md");
  EXPECT_EQ(json["omitted"],
            Json::array({{{"passage_id", "9"}, {"document_id", "quay.md"}, {"reason", "budget"}}}));
  EXPECT_EQ(json["rounds"], 2);
  EXPECT_EQ(json["usage"], Json({{"prompt_tokens", 100},
                                 {"cached_tokens", 60},
                                 {"completion_tokens", 5},
                                 {"draft_accepted", 2}}));
  EXPECT_EQ(json["timings_ms"]["first_token"], 12.0);
  for (const char* stage : {"embed", "search", "rerank", "prefill", "total"}) {
    EXPECT_EQ(json["timings_ms"][stage], 0.0) << stage;
  }
}

TEST(IngestJson, CountsAndReasons) {
  IngestReport report;
  report.created = 1;
  report.updated = 2;
  report.unchanged = 3;
  report.duplicate = 4;
  report.failed = 1;
  report.passages = 9;
  report.errors = {{"a.bin", "no text"}};
  Json json = Json::parse(IngestJson(report, Trace("r")));
  EXPECT_TRUE(json["timings_ms"].is_object());
  json.erase("timings_ms");
  EXPECT_EQ(json, Json({{"created", 1},
                        {"updated", 2},
                        {"unchanged", 3},
                        {"duplicate", 4},
                        {"failed", 1},
                        {"renamed", 0},
                        {"deleted", 0},
                        {"passages", 9},
                        {"errors", Json::array({{{"source", "a.bin"}, {"reason", "no text"}}})},
                        {"notes", Json::array()}}));
}

TEST(DocumentJson, MetadataKeepsItsTypes) {
  Document document;
  document.text = "Thirty days.";
  document.info.id = "leave.md";
  document.info.metadata = {{"year", 2026.0},
                            {"final", true},
                            {"by", "Marit"},
                            {"tags", std::vector<std::string>{"a", "b"}}};
  document.info.groups = {"staff"};
  document.info.created_unix_micros = 1'000'000;
  const Json json = Json::parse(DocumentJson(document, NearDocument{"other", 0.875}));
  EXPECT_EQ(json["document_id"], "leave.md");
  EXPECT_EQ(json["text"], "Thirty days.");
  EXPECT_EQ(json["metadata"],
            Json({{"year", 2026.0}, {"final", true}, {"by", "Marit"}, {"tags", {"a", "b"}}}));
  EXPECT_EQ(json["groups"], Json::array({"staff"}));
  EXPECT_EQ(json["created"], "1970-01-01T00:00:01Z");
}

TEST(DocumentJson, HasTablesWhereTheyAreAskedFor) {
  Document document;
  EXPECT_FALSE(Json::parse(DocumentJson(document, std::nullopt)).contains("tables"));
  Table table;
  table.begin = 5;
  table.end = 90;
  table.columns = {"What", "Price", "Since"};
  table.rows = {{{"nail", {CellKind::kText}}, {"$5", {CellKind::kMoney, 5, "$"}}, {"", {}}},
                {{"", {}}, {"7", {CellKind::kNumber, 7}}, {"1.3.2024", {CellKind::kDate, 19783}}}};
  const Json json = Json::parse(DocumentJson(document, std::nullopt, std::vector<Table>{table}));
  EXPECT_EQ(json["tables"], Json::parse(R"([{"begin":5,"end":90,"cut":false,
                "columns":[{"name":"What","type":"text"},{"name":"Price","type":"text"},
                           {"name":"Since","type":"date"}],
                "rows":[[{"text":"nail","type":"text"},
                         {"text":"$5","type":"money","value":5.0,"currency":"$"},
                         {"text":"","type":"empty"}],
                        [{"text":"","type":"empty"},{"text":"7","type":"number","value":7.0},
                         {"text":"1.3.2024","type":"date","value":"2024-03-01"}]]}])"));
}

TEST(DocumentListJson, AnEmptyPageHasItsFields) {
  EXPECT_EQ(Json::parse(DocumentListJson({})), Json({{"documents", Json::array()}, {"next", ""}}));
}

TEST(OtherJson, IsWhatTheManualSays) {
  PutResult put;
  put.outcome = IngestOutcome::kDuplicate;
  put.document_id = "b";
  put.duplicate_of = "a";
  put.revision = 2;
  put.passages = 3;
  put.commit = 4;
  EXPECT_EQ(Json::parse(PutJson(put)), Json({{"outcome", "duplicate"},
                                             {"document_id", "b"},
                                             {"duplicate_of", "a"},
                                             {"revision", 2},
                                             {"passages", 3},
                                             {"commit", "4"}}));
  EXPECT_EQ(DeletedJson(2), "{\"deleted\":2}");
  CollectionInfo info;
  info.name = "default";
  info.embedder_id = "e5";
  info.dimension = 384;
  info.document_count = 1;
  info.passage_count = 2;
  EXPECT_EQ(CollectionsJson({info}),
            "{\"collections\":[{\"name\":\"default\",\"embedder\":\"e5\",\"dimension\":384,"
            "\"documents\":1,\"passages\":2}]}");
  VerifyReport report;
  report.problems = {"one"};
  EXPECT_EQ(Json::parse(VerifyJson(report, {4, 900, {{"x.kv: it is stale", true}}})),
            Json({{"documents", 0},
                  {"passages", 0},
                  {"vectors", 0},
                  {"problems", Json::array({"one"})},
                  {"kept",
                   {{"files", 4},
                    {"bytes", 900},
                    {"removed", 1},
                    {"problems", Json::array({"x.kv: it is stale"})}}}}));
}

}  // namespace
}  // namespace vade
