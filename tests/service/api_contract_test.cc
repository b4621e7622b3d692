// What an Api promises, whichever side does the work: each test runs over a LocalApi and over a
// RemoteApi that talks to a real server on loopback.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "base/strings.h"
#include "base/trace.h"
#include "tests/service/api_contract.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::ApiContract;
using testing::kLeaveText;
using testing::kQuayText;
using testing::MakeAsk;
using testing::MakePut;
using testing::Side;
using testing::TempDir;

INSTANTIATE_TEST_SUITE_P(Sides, ApiContract, ::testing::Values(Side::kLocal, Side::kRemote),
                         testing::SideName);

// Documents.

TEST_P(ApiContract, APutDocumentIsRead) {
  PutRequest request = MakePut("leave.md", kLeaveText);
  request.info.metadata["owner"] = std::string("hr");
  request.info.metadata["year"] = 2024.0;
  request.info.metadata["tags"] = std::vector<std::string>{"a", "b"};
  request.info.metadata["draft"] = false;
  request.info.groups = {"staff"};
  request.info.supersedes = "old.md";
  request.info.valid_from = "2024-01-01";
  const auto put = api().PutDocument("default", request, ctx_);
  ASSERT_TRUE(put.ok()) << put.status().ToString();
  EXPECT_EQ(put->outcome, IngestOutcome::kCreated);
  EXPECT_EQ(put->document_id, "leave.md");
  EXPECT_EQ(put->revision, 1u);
  EXPECT_GE(put->passages, 1u);
  EXPECT_EQ(put->commit, fake_.store->commit_number());

  const auto document = api().GetDocument("default", "leave.md", ctx_);
  ASSERT_TRUE(document.ok()) << document.status().ToString();
  EXPECT_EQ(document->text, kLeaveText);
  EXPECT_EQ(document->info.title, "Leave");
  EXPECT_EQ(document->info.mime_type, "text/markdown");
  EXPECT_EQ(document->info.metadata, request.info.metadata);
  EXPECT_EQ(document->info.groups, std::vector<std::string>{"staff"});
  EXPECT_EQ(document->info.supersedes, "old.md");
  EXPECT_EQ(document->info.valid_from, "2024-01-01");
  EXPECT_EQ(document->info.text_bytes, std::string(kLeaveText).size());
  EXPECT_GT(document->info.created_unix_micros, 0);
}

TEST_P(ApiContract, TablesHaveTheTypesOfTheirCells) {
  const std::string text =
      "# Prices\n\n| Item | Price | Since | Share |\n| --- | --- | --- | --- |\n"
      "| nail | $1,200.50 | 2024-03-01 14:30 | 12.5% |\n| | -3 | | |\n";
  ASSERT_TRUE(api().PutDocument("default", MakePut("prices.md", text), ctx_).ok());
  const auto tables = api().GetTables("default", "prices.md", ctx_);
  ASSERT_TRUE(tables.ok()) << tables.status().ToString();
  ASSERT_EQ(tables->size(), 1u);
  const Table& table = tables->front();
  EXPECT_EQ(text.substr(table.begin, 6), "| Item");
  EXPECT_EQ(table.end, text.size() - 1);
  EXPECT_EQ(table.columns, (std::vector<std::string>{"Item", "Price", "Since", "Share"}));
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[0][1].text, "$1,200.50");
  EXPECT_EQ(table.rows[0][1].value, (CellValue{CellKind::kMoney, 1200.5, "$"}));
  EXPECT_EQ(DateText(table.rows[0][2].value.number), "2024-03-01T14:30:00");
  EXPECT_EQ(table.rows[0][3].value, (CellValue{CellKind::kPercent, 0.125}));
  EXPECT_EQ(table.rows[1][0].value, CellValue());
  EXPECT_EQ(table.rows[1][1].value, (CellValue{CellKind::kNumber, -3}));
  EXPECT_FALSE(table.cut);
  EXPECT_EQ(api().GetTables("default", "missing", ctx_).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(api().DeleteDocuments("default", {"prices.md"}, ctx_).ok());
  EXPECT_TRUE(fake_.store->ListNotes("default", "t", "", 10)->empty()) << "they go with it";
}

TEST_P(ApiContract, APutSaysWhatItDid) {
  EXPECT_EQ(Put("a", "One text.").outcome, IngestOutcome::kCreated);
  EXPECT_EQ(Put("a", "One text.").outcome, IngestOutcome::kUnchanged);
  const PutResult updated = Put("a", "Another text.");
  EXPECT_EQ(updated.outcome, IngestOutcome::kUpdated);
  EXPECT_EQ(updated.revision, 2u);
  const PutResult twin = Put("b", "Another text.");
  EXPECT_EQ(twin.outcome, IngestOutcome::kDuplicate);
  EXPECT_EQ(twin.duplicate_of, "a");
}

TEST_P(ApiContract, APutCreatesTheCollection) {
  Put("a", "One text.", "new");
  const auto all = api().ListCollections(ctx_);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ((*all)[0].name, "new");
  EXPECT_EQ((*all)[0].embedder_id, fake_.embedder->id());
  EXPECT_EQ((*all)[0].dimension, fake_.embedder->dimension());
  EXPECT_EQ((*all)[0].document_count, 1u);
}

TEST_P(ApiContract, ABadDocumentIsRefusedAndNamed) {
  for (const PutRequest& bad : {MakePut("", "text"), MakePut("a\nb", "text"), MakePut("empty", ""),
                                MakePut("binary", std::string("\0\1\2\3\0\0\7", 7))}) {
    const auto put = api().PutDocument("default", bad, ctx_);
    EXPECT_EQ(put.status().code(), StatusCode::kInvalidArgument)
        << bad.info.id << ": " << put.status().ToString();
  }
  EXPECT_EQ(api().PutDocument("bad/name", MakePut("a", "text"), ctx_).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_P(ApiContract, DocumentsAreListedPageByPage) {
  for (const char* id : {"c", "a", "b"}) Put(id, StrCat("The text of ", id, "."));
  const auto first = api().ListDocuments("default", {.limit = 2}, ctx_);
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  ASSERT_EQ(first->documents.size(), 2u);
  EXPECT_EQ(first->documents[0].id, "a");
  EXPECT_EQ(first->documents[1].id, "b");
  EXPECT_EQ(first->documents[1].passage_count, 1u);
  const auto second = api().ListDocuments("default", {.after = first->next, .limit = 2}, ctx_);
  ASSERT_TRUE(second.ok());
  ASSERT_EQ(second->documents.size(), 1u);
  EXPECT_EQ(second->documents[0].id, "c");
  EXPECT_EQ(second->next, "");
  EXPECT_EQ(api().ListDocuments("default", {.limit = 0}, ctx_).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(api().ListDocuments("default", {.limit = 1001}, ctx_).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_P(ApiContract, ADeletedDocumentIsNotFoundByAnyPath) {
  Put("leave.md", kLeaveText);
  Put("quay.md", kQuayText);
  const auto deleted = api().DeleteDocuments("default", {"leave.md", "unknown"}, ctx_);
  ASSERT_TRUE(deleted.ok()) << deleted.status().ToString();
  EXPECT_EQ(*deleted, 1u);
  EXPECT_EQ(api().GetDocument("default", "leave.md", ctx_).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Found({.question = "How much paid leave?"}), std::set<std::string>{"quay.md"});
  EXPECT_EQ(api().DeleteDocuments("default", {}, ctx_).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_P(ApiContract, WhatIsMissingIsNotFound) {
  EXPECT_EQ(api().GetDocument("default", "a", ctx_).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(api().ListDocuments("nowhere", {.limit = 10}, ctx_).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(api().DeleteDocuments("nowhere", {"a"}, ctx_).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(api().DeleteCollection("nowhere", ctx_).code(), StatusCode::kNotFound);
  const auto search = api().Search({.question = "q", .collection = "nowhere"}, ctx_);
  EXPECT_EQ(search.status().code(), StatusCode::kNotFound);
  EXPECT_NE(search.status().message().find("nowhere"), std::string::npos)
      << search.status().ToString();
  AskRequest ask = MakeAsk("q");
  ask.query.collection = "nowhere";
  EXPECT_EQ(api().Ask(ask, {}, ctx_).status().code(), StatusCode::kNotFound);
}

// Collections.

TEST_P(ApiContract, CollectionsComeAndGo) {
  const auto made = api().CreateCollection("notes", ctx_);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ(made->name, "notes");
  EXPECT_EQ(made->dimension, fake_.embedder->dimension());
  EXPECT_EQ(api().CreateCollection("notes", ctx_).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(api().CreateCollection("", ctx_).status().code(), StatusCode::kInvalidArgument);
  Put("a", "Only here.", "notes");
  Put("b", "Only there.", "other");
  EXPECT_EQ(Found({.question = "Only", .collection = "notes"}), std::set<std::string>{"a"});
  EXPECT_TRUE(api().DeleteCollection("notes", ctx_).ok());
  EXPECT_EQ(api().Search({.question = "Only", .collection = "notes"}, ctx_).status().code(),
            StatusCode::kNotFound);
}

// Search.

TEST_P(ApiContract, SearchFindsWithAllFields) {
  Put("leave.md", kLeaveText);
  Put("quay.md", kQuayText);
  Trace trace("req-1");
  const auto found = api().Search({.question = "How many days of paid leave a year?", .k = 2},
                                  ctx_.WithTrace(&trace));
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(found->commit, fake_.store->commit_number());
  ASSERT_FALSE(found->hits.empty());
  const Hit& best = found->hits[0];
  EXPECT_EQ(best.passage.document_id, "leave.md");
  EXPECT_EQ(best.title, "Leave");
  EXPECT_EQ(best.source, "leave.md");
  EXPECT_GT(best.score, 0);
  EXPECT_GT(best.dense_score, 0);
  EXPECT_GT(best.term_score, 0);
  EXPECT_EQ(
      best.passage.text,
      std::string(kLeaveText).substr(best.passage.begin, best.passage.end - best.passage.begin));
  std::set<std::string> stages;
  for (const auto& [stage, ms] : trace.times_ms()) stages.insert(stage);
  EXPECT_TRUE(stages.count("embed") && stages.count("search") && stages.count("total"))
      << stages.size();
}

TEST_P(ApiContract, ATraceMayHaveAnyName) {
  Put("a", "text");
  Trace trace("a name with\nwhat no header may carry \x7f");
  EXPECT_TRUE(api().Search({.question = "text"}, ctx_.WithTrace(&trace)).ok());
}

TEST_P(ApiContract, AnErasedDocumentIsDeletedAndItsBytesAreAskedToLeave) {
  Put("a", "text");
  const auto deleted = api().DeleteDocuments("default", {"a"}, ctx_);
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(fake_.store->erased, 0);
  Put("a", "text");
  const auto erased = api().EraseDocuments("default", {"a"}, ctx_);
  ASSERT_TRUE(erased.ok()) << erased.status().ToString();
  EXPECT_EQ(*erased, 1u);
  EXPECT_EQ(fake_.store->erased, 1);
  EXPECT_EQ(api().GetDocument("default", "a", ctx_).status().code(), StatusCode::kNotFound);
}

TEST_P(ApiContract, ASearchExplainsEachCandidate) {
  Put("a", "The rent is ten coins.");
  Put("b", "The rent is paid on the first.");
  Put("twin", "The rent is ten coins.");
  const auto found = api().Search({.question = "rent of ten coins", .k = 1, .explain = true}, ctx_);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  ASSERT_EQ(found->hits.size(), 1u);
  std::map<std::string, std::string> cuts;
  for (const Explained& one : found->candidates) cuts[one.document_id] = one.cut;
  EXPECT_EQ(cuts,
            (std::map<std::string, std::string>{{"a", ""}, {"b", "rank"}, {"twin", "repeat"}}));
  EXPECT_EQ(found->candidates[0].passage_id, found->hits[0].passage.id);
  EXPECT_EQ(found->candidates[0].score, found->hits[0].score);
  EXPECT_EQ(found->candidates[0].dense_rank, 1u);
  EXPECT_TRUE(api().Search({.question = "rent"}, ctx_)->candidates.empty());
}

TEST_P(ApiContract, ASearchHeedsTheQuestionsBefore) {
  Put("a", "The rent is ten coins.");
  ASSERT_TRUE(
      api().Search({.question = "when", .earlier = {"the rent", "the deposit"}}, ctx_).ok());
  const std::vector<Wording> wordings = fake_.store->last_search().wordings;
  ASSERT_EQ(wordings.size(), 2u);
  EXPECT_EQ(wordings[0].question, "when the deposit");
  EXPECT_EQ(wordings[1].question, "when the deposit the rent");
}

TEST_P(ApiContract, OnlyItsGroupsFindADocument) {
  PutRequest secret = MakePut("secret", "The vault opens with paid leave.");
  secret.info.groups = {"board"};
  ASSERT_TRUE(api().PutDocument("default", secret, ctx_).ok());
  EXPECT_TRUE(Found({.question = "vault"}).empty());
  EXPECT_TRUE(Found({.question = "vault", .groups = {"staff"}}).empty());
  EXPECT_EQ(Found({.question = "vault", .groups = {"staff", "board"}}),
            std::set<std::string>{"secret"});
}

// Titles of the same documents, one of them for the board only.
TEST_P(ApiContract, AFilterKeepsWhatAQuestionAndAListingMayFind) {
  for (int year : {2019, 2024, 2025}) {
    PutRequest report =
        MakePut(StrCat("report-", year), StrCat("The rent of ", year, " was paid."));
    report.info.metadata = {{"year", double(year)}, {"tags", std::vector<std::string>{"rent"}}};
    if (year == 2025) report.info.groups = {"board"};
    ASSERT_TRUE(api().PutDocument("default", report, ctx_).ok());
  }
  using Ids = std::set<std::string>;
  EXPECT_EQ(Found({.question = "rent", .filter = "year >= 2020"}), Ids{"report-2024"});
  EXPECT_EQ(Found({.question = "rent", .filter = "year >= 2020", .groups = {"board"}}),
            (Ids{"report-2024", "report-2025"}));
  EXPECT_EQ(Found({.question = "rent", .filter = "not tags contains 'rent'"}), Ids{});

  const auto listed = [&](const DocumentQuery& query) {
    Ids ids;
    const auto page = api().ListDocuments("default", query, ctx_);
    EXPECT_TRUE(page.ok()) << page.status().ToString();
    for (const DocumentInfo& info : page->documents) ids.insert(info.id);
    return ids;
  };
  EXPECT_EQ(listed({.filter = "year < 2025"}), (Ids{"report-2019", "report-2024"}));
  EXPECT_EQ(listed({.filter = "exists groups"}), Ids{"report-2025"});
  EXPECT_EQ(listed({.caller_groups = std::vector<std::string>{}}),
            (Ids{"report-2019", "report-2024"}));
  EXPECT_EQ(listed({.filter = "year > 2020", .caller_groups = std::vector<std::string>{"board"}}),
            (Ids{"report-2024", "report-2025"}));
}

TEST_P(ApiContract, AnAnswerRestsOnlyOnWhatGroupsAndFilterLetThrough) {
  PutRequest secret = MakePut("secret", "The vault opens with paid leave.");
  secret.info.groups = {"board"};
  secret.info.metadata = {{"kind", std::string("vault")}};
  ASSERT_TRUE(api().PutDocument("default", secret, ctx_).ok());
  Put("open", "The museum opens at nine.");
  const auto seen = [&](AskRequest ask) {
    std::set<std::string> ids;
    const auto reply = api().Ask(ask, {}, ctx_);
    EXPECT_TRUE(reply.ok()) << reply.status().ToString();
    for (const Hit& hit : reply->retrieved.hits) ids.insert(hit.passage.document_id);
    for (const auto& reading : reply->answer.readings) ids.insert(reading.document_id);
    for (const Omission& omission : reply->answer.omitted) ids.insert(omission.document_id);
    return ids;
  };
  AskRequest ask = MakeAsk("What opens the vault?");
  ask.query.groups = {"board"};
  EXPECT_TRUE(seen(ask).contains("secret"));  // and what was read of it may be kept
  ask.query.groups = {};
  EXPECT_EQ(seen(ask), std::set<std::string>{"open"});
  ask.query.groups = {"board"};
  ask.query.filter = "kind = 'vault'";
  EXPECT_EQ(seen(ask), std::set<std::string>{"secret"});
}

TEST_P(ApiContract, AFilterThatDoesNotParseIsRefusedWithItsColumn) {
  Put("a", "text");
  AskRequest ask = MakeAsk("q");
  ask.query.filter = "year >";
  for (const Status& refused :
       {api().Search({.question = "q", .filter = "year >"}, ctx_).status(),
        api().Ask(ask, {}, ctx_).status(),
        api().ListDocuments("default", {.filter = "year >"}, ctx_).status()}) {
    EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(refused.message().find("filter, column 7"), std::string::npos) << refused.message();
  }
}

TEST_P(ApiContract, ASupersededDocumentIsFoundOnlyForTheTimeBefore) {
  Put("old", "The rent is ten coins.");
  PutRequest next = MakePut("new", "The rent is twelve coins.");
  next.info.supersedes = "old";
  next.info.valid_from = "2024-03-01";
  ASSERT_TRUE(api().PutDocument("default", next, ctx_).ok());
  EXPECT_EQ(Found({.question = "rent"}), std::set<std::string>{"new"});
  EXPECT_EQ(Found({.question = "rent", .as_of = "2024-02-29"}), std::set<std::string>{"old"});
  AskRequest ask = MakeAsk("What is the rent?");
  ask.query.as_of = "2024-02-29";
  const auto reply = api().Ask(ask, {}, ctx_);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  for (const Hit& hit : reply->retrieved.hits) EXPECT_EQ(hit.passage.document_id, "old");
}

TEST_P(ApiContract, ATimeThatDoesNotParseIsRefused) {
  Put("a", "text");
  const auto refused = api().Search({.question = "q", .as_of = "last week"}, ctx_).status();
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.message().find("as_of"), std::string::npos) << refused.message();
  EXPECT_TRUE(api().Search({.question = "q", .as_of = "2024-01-01"}, ctx_).ok());
}

TEST_P(ApiContract, WhatCannotBeHonouredIsRefusedByName) {
  Put("a", "text");
  AskRequest ask = MakeAsk("q");
  ask.mode = AnswerMode::kVote;
  const auto mode = api().Ask(ask, {}, ctx_).status();
  EXPECT_EQ(mode.code(), StatusCode::kUnimplemented);
  EXPECT_NE(mode.message().find("mode"), std::string::npos);
}

TEST_P(ApiContract, QuestionsAndCountsOutOfRangeAreRefused) {
  Put("a", "text");
  EXPECT_EQ(api().Search({.question = ""}, ctx_).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(
      api().Search({.question = std::string(kMaxQuestionBytes + 1, 'x')}, ctx_).status().code(),
      StatusCode::kInvalidArgument);
  EXPECT_EQ(api().Search({.question = "q", .k = 0}, ctx_).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(api().Search({.question = "q", .k = 1001}, ctx_).status().code(),
            StatusCode::kInvalidArgument);
  AskRequest ask = MakeAsk("q");
  ask.query.k = 101;
  EXPECT_EQ(api().Ask(ask, {}, ctx_).status().code(), StatusCode::kInvalidArgument);
  ask = MakeAsk("\xff not text");
  EXPECT_EQ(api().Ask(ask, {}, ctx_).status().code(), StatusCode::kInvalidArgument);
}

TEST_P(ApiContract, AnImpossibleSamplingIsRefusedBeforeAnythingIsLookedFor) {
  Put("a", "text");
  AskRequest ask = MakeAsk("q");
  ask.sampling.top_p = 0;
  AskObserver observer;
  observer.on_retrieved = [](const Retrieved&) {
    ADD_FAILURE() << "it was looked for";
    return true;
  };
  const Status status = api().Ask(ask, observer, ctx_).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
  EXPECT_NE(status.message().find("top_p"), std::string::npos);
}

// Files.

TEST_P(ApiContract, AFolderIsIngestedWithTheSameIdsAndReport) {
  const TempDir dir;
  dir.Write("docs/leave.md", kLeaveText);
  dir.Write("docs/deep/quay.md", kQuayText);
  dir.Write("docs/twin.md", kQuayText);
  dir.Write("docs/empty.txt", "");
  IngestOptions options;
  options.groups = {"staff"};
  uint64_t files_seen = 0;
  const auto report = api().Ingest(
      {dir.File("docs")}, options,
      [&](const IngestProgress& progress) { files_seen = progress.files_total; }, ctx_);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->created, 2u);
  EXPECT_EQ(report->duplicate, 1u);
  EXPECT_EQ(report->failed, 1u);
  ASSERT_EQ(report->errors.size(), 1u);
  EXPECT_NE(report->errors[0].source.find("empty.txt"), std::string::npos);
  EXPECT_EQ(files_seen, 4u);
  const auto page = api().ListDocuments("default", {.limit = 10}, ctx_);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->documents.size(), 3u);
  EXPECT_EQ(page->documents[0].id, "deep/quay.md");
  EXPECT_EQ(page->documents[1].id, "leave.md");
  EXPECT_EQ(page->documents[2].id, "twin.md");
  EXPECT_EQ(page->documents[1].groups, std::vector<std::string>{"staff"});

  const auto again = api().Ingest({dir.File("docs")}, options, nullptr, ctx_);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->unchanged, 3u);
  EXPECT_EQ(again->passages, 0u);
}

TEST_P(ApiContract, IngestingWhatIsNotThereIsAnErrorThatNamesIt) {
  const TempDir dir;
  const auto report = api().Ingest({dir.File("missing")}, {}, nullptr, ctx_);
  EXPECT_EQ(report.status().code(), StatusCode::kNotFound) << report.status().ToString();
  EXPECT_NE(report.status().message().find("missing"), std::string::npos);
}

}  // namespace
}  // namespace vade
