#include "service/eval.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/testing/scripted_api.h"

namespace vade {
namespace {

using testing::MakeHit;
using testing::ScriptedApi;
using Json = nlohmann::json;

const char kLeave[] = "Leave is thirty days. Ask two weeks ahead. 假期有三十天。";

// A dataset of one passage, "leave", and questions that a test adds with what the service says to
// them.
class Eval : public ::testing::Test {
 protected:
  Eval() {
    dataset_.name = "set";
    dataset_.passages = {{"leave", "Leave", kLeave, "en"},
                         {"quay", "Quay", "Helmets are worn.", "en"}};
    api_.AddDocument("leave", kLeave);
    api_.AddDocument("quay", "Helmets are worn.");
  }

  EvalQuestion& Question(const std::string& id, std::vector<std::string> answers) {
    EvalQuestion question;
    question.id = id;
    question.question = id + "?";
    question.lang = "en";
    question.answers = std::move(answers);
    question.passage_id = "leave";
    question.grades = {{"leave", 1}};
    dataset_.questions.push_back(question);
    return dataset_.questions.back();
  }

  EvalQuestion& Impossible(const std::string& id) {
    EvalQuestion& question = Question(id, {});
    question.is_impossible = true;
    question.grades.clear();
    return question;
  }

  static AskReply Reply(const std::string& text, std::vector<Citation> citations = {},
                        std::vector<std::string> documents = {"leave"}) {
    AskReply reply;
    reply.answer.text = text;
    reply.answer.citations = std::move(citations);
    for (const std::string& id : documents) reply.retrieved.hits.push_back(MakeHit(id));
    return reply;
  }

  static AskReply Refusal(const std::string& reason = "model_declined") {
    AskReply reply;
    reply.answer.text = "The documents do not say.";
    reply.answer.abstained = true;
    reply.answer.reason = reason;
    return reply;
  }

  // Supports answer bytes [0, 5) with bytes [begin, end) of "leave".
  static Citation Cite(uint64_t begin, uint64_t end, uint64_t answer_begin = 0) {
    Citation citation;
    citation.document_id = "leave";
    citation.source_begin = begin;
    citation.source_end = end;
    citation.quote = std::string(kLeave).substr(begin, end - begin);
    citation.answer_begin = answer_begin;
    citation.answer_end = answer_begin + 5;
    return citation;
  }

  std::vector<AnswerRecord> Records(const AnswerEvalOptions& options = {}) {
    auto records = EvalAnswers(&api_, dataset_, "eval-set", options, nullptr, {});
    EXPECT_TRUE(records.ok()) << records.status().ToString();
    return records.ok() ? *records : std::vector<AnswerRecord>();
  }

  Json Answers() { return Json::parse(AnswerEvalJson(Records())); }

  ScriptedApi api_;
  EvalDataset dataset_;
};

// --- the collection
// -----------------------------------------------------------------------------------------

TEST_F(Eval, PassagesBecomeDocumentsOfTheirIdInACollectionOfTheirOwn) {
  const auto name = PrepareEvalCollection(&api_, dataset_, {});
  ASSERT_TRUE(name.ok()) << name.status().ToString();
  EXPECT_EQ(name->rfind("eval-set-", 0), 0u) << *name;
  ASSERT_EQ(api_.puts.size(), 2u);
  EXPECT_EQ(api_.puts[0].info.id, "leave");
  EXPECT_EQ(api_.puts[0].info.title, "Leave");
  EXPECT_EQ(api_.puts[0].info.mime_type, "text/plain");
  EXPECT_EQ(api_.puts[0].bytes, kLeave);
  EXPECT_EQ(api_.collections[1], *name);
  EXPECT_EQ(*PrepareEvalCollection(&api_, dataset_, {}), *name);
  dataset_.passages[1].id = "other";
  EXPECT_NE(*PrepareEvalCollection(&api_, dataset_, {}), *name);
}

TEST_F(Eval, TheCollectionsNameIsValidWhateverTheFolderIsCalled) {
  dataset_.name = "my set/测试 " + std::string(100, 'x');
  const auto name = PrepareEvalCollection(&api_, dataset_, {});
  ASSERT_TRUE(name.ok());
  EXPECT_LE(name->size(), 64u);
  EXPECT_EQ(
      name->find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"),
      std::string::npos)
      << *name;
}

TEST_F(Eval, ABlankPassageIsLeftOut) {
  dataset_.passages.push_back({"blank", "Title only", " \n", "en"});
  dataset_.passages.push_back({"empty", "", "", "en"});
  ASSERT_TRUE(PrepareEvalCollection(&api_, dataset_, {}).ok());
  EXPECT_EQ(api_.puts.size(), 2u);
}

TEST_F(Eval, AnInterruptionEndsIt) {
  CancelSource cancel;
  cancel.Cancel();
  const Context ctx = Context().WithCancel(cancel.token());
  Question("q", {"x"});
  EXPECT_EQ(PrepareEvalCollection(&api_, dataset_, ctx).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(EvalRetrieval(&api_, dataset_, "c", {}, ctx).status().code(),
            StatusCode::kCancelled);
  EXPECT_EQ(EvalAnswers(&api_, dataset_, "c", {}, nullptr, ctx).status().code(),
            StatusCode::kCancelled);
}

// --- retrieval
// ------------------------------------------------------------------------------------------------

TEST_F(Eval, RanksAreOverDocumentsAndTheFirstHitCounts) {
  Question("first", {});
  Question("third passage", {});
  Question("missed", {});
  api_.OnSearch("first?", {MakeHit("leave"), MakeHit("quay")});
  // Two passages of one document take one rank.
  api_.OnSearch("third passage?", {MakeHit("quay"), MakeHit("quay", 2), MakeHit("leave")});
  api_.OnSearch("missed?", {MakeHit("quay")});
  const auto eval = EvalRetrieval(&api_, dataset_, "eval-set", {}, {});
  ASSERT_TRUE(eval.ok()) << eval.status().ToString();
  const Json json = Json::parse(RetrievalEvalJson(*eval));
  EXPECT_EQ(json["queries"], 3);
  EXPECT_DOUBLE_EQ(json["recall@1"], 0.3333);
  EXPECT_DOUBLE_EQ(json["recall@5"], 0.6667);
  EXPECT_DOUBLE_EQ(json["recall@10"], 0.6667);
  EXPECT_DOUBLE_EQ(json["mrr@10"], 0.5);      // (1 + 1/2 + 0) / 3
  EXPECT_DOUBLE_EQ(json["ndcg@10"], 0.5436);  // (1 + 1/log2(3) + 0) / 3
  EXPECT_EQ(api_.queries[0].collection, "eval-set");
}

TEST_F(Eval, QuestionsWithoutARelevantPassageDoNotCount) {
  Question("q", {});
  Impossible("none");
  api_.OnSearch("q?", {MakeHit("leave")});
  const auto eval = EvalRetrieval(&api_, dataset_, "c", {}, {});
  ASSERT_TRUE(eval.ok());
  EXPECT_EQ(eval->queries, 1u);
  dataset_.questions[0].grades.clear();
  EXPECT_EQ(EvalRetrieval(&api_, dataset_, "c", {}, {}).status().code(),
            StatusCode::kInvalidArgument);
}

// --- answers
// --------------------------------------------------------------------------------------------------

TEST_F(Eval, AnswersAreScoredAndAnAbstentionScoresNothing) {
  Question("right", {"thirty days"});
  Question("half", {"two weeks ahead"});
  Question("refused", {"thirty days"});
  api_.OnAsk("right?", Reply("Thirty days."));
  api_.OnAsk("half?", Reply("two weeks"));  // 2 common of 2 and 3: F1 .8
  api_.OnAsk("refused?", Refusal());
  const Json json = Answers();
  EXPECT_EQ(json["questions"], 3);
  EXPECT_DOUBLE_EQ(json["em"], 0.3333);
  EXPECT_DOUBLE_EQ(json["f1"], 0.6);
  EXPECT_DOUBLE_EQ(json["contains"], 0.3333);
  EXPECT_DOUBLE_EQ(json["wrong_abstention_rate"], 0.3333);
  EXPECT_TRUE(json["rejection_rate"].is_null());
  EXPECT_DOUBLE_EQ(json["answer_tokens"], 2.0);  // over the two that were answered
}

// Even when its words hold the answer.
TEST_F(Eval, AnAbstentionIsWhatTheFieldSaysNotWhatTheTextSays) {
  Question("q", {"documents"});
  api_.OnAsk("q?", Refusal());
  EXPECT_EQ(Answers()["contains"], 0.0);
  EXPECT_EQ(Answers()["wrong_abstention_rate"], 1.0);
}

TEST_F(Eval, RejectionIsOverUnanswerableQuestionsOnly) {
  Impossible("a");
  Impossible("b");
  Impossible("c");
  Impossible("d");
  Question("answerable", {"thirty days"});
  api_.OnAsk("a?", Refusal());
  api_.OnAsk("b?", Refusal("irrelevant"));
  api_.OnAsk("c?", Refusal());
  api_.OnAsk("d?", Reply("Thirty days.", {Cite(0, 21)}));
  api_.OnAsk("answerable?", Reply("Thirty days."));
  const Json json = Answers();
  EXPECT_DOUBLE_EQ(json["rejection_rate"], 0.75);
  EXPECT_DOUBLE_EQ(json["wrong_abstention_rate"], 0.0);
  EXPECT_DOUBLE_EQ(json["f1"], 1.0);
  EXPECT_TRUE(json["citation_precision"].is_null());  // only the unanswerable one cites
}

TEST_F(Eval, ACitationIsRightWhenItQuotesTheAnsweringDocumentWordForWord) {
  Question("q", {"thirty days"});
  Citation altered = Cite(0, 21);
  altered.quote[0] = 'l';
  Citation shifted = Cite(0, 21);
  shifted.source_begin = 1;
  shifted.source_end = 22;
  Citation beyond = Cite(0, 21);
  beyond.source_end = 100000;
  Citation elsewhere = Cite(0, 21);
  elsewhere.document_id = "quay";
  Citation deleted = Cite(0, 21);
  deleted.document_id = "gone";  // no such document: wrong, and no reason to end the run
  Citation empty = Cite(0, 0);
  api_.OnAsk("q?", Reply("Thirty days.", {Cite(0, 21), altered, shifted, beyond, elsewhere, deleted,
                                          empty, Cite(22, 42)}));
  const auto records = Records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].citations, 8u);
  EXPECT_EQ(records[0].right_citations, 2u);
  EXPECT_DOUBLE_EQ(Answers()["citation_precision"], 0.25);
}

TEST_F(Eval, CitationRecallCountsSentencesThatARightCitationOverlaps) {
  Question("q", {"thirty days"});
  Question("none", {"x"});
  const std::string answer = "Thirty days. Ask ahead. It is sunny.";
  Citation wrong = Cite(0, 21, 13);
  wrong.document_id = "quay";
  api_.OnAsk("q?", Reply(answer, {Cite(0, 21, 0), Cite(0, 12, 2), wrong}));
  api_.OnAsk("none?", Reply("Perhaps."));
  const auto records = Records();
  EXPECT_EQ(records[0].sentences, 3u);
  EXPECT_EQ(records[0].supported_sentences, 1u);
  const Json json = Answers();
  EXPECT_DOUBLE_EQ(json["citation_recall"], 0.25);  // one of 3 + 1 sentences
  EXPECT_DOUBLE_EQ(json["citation_precision"], 0.6667);
}

// A citation's range is half-open: the next sentence begins where it ends.
TEST_F(Eval, ACitationThatEndsWhereASentenceBeginsDoesNotSupportIt) {
  Question("q", {"thirty days"});
  Citation citation = Cite(0, 21, 0);
  citation.answer_end = 13;
  api_.OnAsk("q?", Reply("Thirty days. Ask ahead.", {citation}));
  EXPECT_EQ(Records()[0].supported_sentences, 1u);
}

TEST_F(Eval, ChineseAnswersAreScoredByCharacters) {
  EvalQuestion& question = Question("q", {"三十天"});
  question.lang = "zh";
  api_.OnAsk("q?", Reply("有三十天。"));
  const Json json = Answers();
  EXPECT_DOUBLE_EQ(json["f1"], 0.8571);  // 2*3/(4+3)
  EXPECT_DOUBLE_EQ(json["contains"], 1.0);
  EXPECT_DOUBLE_EQ(json["answer_tokens"], 4.0);
}

TEST_F(Eval, TimesAreMediansOfTheStagesOfTheReplies) {
  for (int i = 0; i < 3; ++i) {
    const std::string id = "q" + std::to_string(i);
    Question(id, {"x"});
    const double first = i == 0 ? 900 : 10 * i;  // 900, 10, 20
    api_.OnAsk(id + "?", Reply("x"), {{"first_token", first}, {"total", first + 5}});
  }
  const Json json = Answers();
  EXPECT_DOUBLE_EQ(json["first_token_ms_p50"], 20);
  EXPECT_DOUBLE_EQ(json["total_ms_p50"], 25);
}

TEST_F(Eval, TheRankOfTheAnsweringDocumentIsCounted) {
  Question("first", {"x"});
  Question("second", {"x"});
  Question("missed", {"x"});
  api_.OnAsk("first?", Reply("x", {}, {"leave", "quay"}));
  api_.OnAsk("second?", Reply("x", {}, {"quay", "quay", "leave"}));
  api_.OnAsk("missed?", Reply("x", {}, {"quay"}));
  const Json json = Answers();
  EXPECT_DOUBLE_EQ(json["recall@1"], 0.3333);
  EXPECT_DOUBLE_EQ(json["recall@5"], 0.6667);
}

TEST_F(Eval, KindsHaveRowsOfTheirOwnAlsoByLanguage) {
  Question("a", {"x"}).kind = "date";
  Question("b", {"x"}).kind = "date";
  dataset_.questions.back().lang = "zh";
  Impossible("c").kind = "none";
  Question("d", {"x"});
  api_.OnAsk("a?", Reply("x"));
  api_.OnAsk("b?", Reply("y"));
  api_.OnAsk("d?", Reply("x"));
  const Json json = Answers();
  EXPECT_EQ(json["questions"], 4);
  ASSERT_EQ(json["kinds"].size(), 5u) << json.dump();
  EXPECT_DOUBLE_EQ(json["kinds"]["date"]["em"], 0.5);
  EXPECT_DOUBLE_EQ(json["kinds"]["date/en"]["em"], 1.0);
  EXPECT_DOUBLE_EQ(json["kinds"]["date/zh"]["em"], 0.0);
  EXPECT_DOUBLE_EQ(json["kinds"]["none"]["rejection_rate"], 1.0);
  EXPECT_TRUE(json["kinds"]["none"]["em"].is_null());
}

TEST_F(Eval, WithoutKindsThereAreNone) {
  Question("a", {"x"});
  EXPECT_FALSE(Answers().contains("kinds"));
}

TEST_F(Eval, RatesOverNothingAreNull) {
  const Json json = Json::parse(AnswerEvalJson({}));
  EXPECT_EQ(json["questions"], 0);
  for (const char* field : {"em", "f1", "contains", "rejection_rate", "wrong_abstention_rate",
                            "citation_precision", "citation_recall", "first_token_ms_p50"}) {
    ASSERT_TRUE(json.contains(field)) << field;
    EXPECT_TRUE(json[field].is_null()) << field;
  }
}

TEST_F(Eval, OptionsReachTheService) {
  Question("q", {"x"});
  AnswerEvalOptions options;
  options.k = 3;
  options.strict = true;
  options.seed = 42;
  (void)Records(options);
  ASSERT_EQ(api_.asks.size(), 1u);
  EXPECT_EQ(api_.asks[0].query.k, 3);
  EXPECT_TRUE(api_.asks[0].strict);
  EXPECT_EQ(api_.asks[0].sampling.seed, 42u);
  EXPECT_EQ(api_.asks[0].query.collection, "eval-set");
}

TEST_F(Eval, AFailureNamesTheQuestion) {
  class Failing : public ScriptedApi {
    Result<AskReply> Ask(const AskRequest&, const AskObserver&, const Context&) override {
      return ResourceExhausted("too many");
    }
  } failing;
  Question("q17", {"x"});
  const auto records = EvalAnswers(&failing, dataset_, "c", {}, nullptr, {});
  ASSERT_FALSE(records.ok());
  EXPECT_EQ(records.status().message(), "question q17: too many");
}

// --- output
// ---------------------------------------------------------------------------------------------------

TEST_F(Eval, TheReportEscapesHostileText) {
  EvalQuestion& question = Question("<b>id", {"\"><img src=x onerror=alert(1)>"});
  question.question = "<script>alert('q')</script> & more";
  question.kind = "<i>kind";
  AskReply reply = Reply("</td></table><script>alert(2)</script>");
  reply.answer.reason = "<u>reason";
  api_.OnAsk(question.question, reply);
  const auto records = Records();
  const std::string html = AnswerReportHtml("eval <script>title</script>", records);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  for (const char* raw : {"<img", "<b>", "<i>", "<u>", "</td></table><"}) {
    EXPECT_EQ(html.find(raw), std::string::npos) << raw;
  }
  EXPECT_NE(html.find("&lt;script&gt;alert('q')&lt;/script&gt; &amp; more"), std::string::npos);
}

TEST_F(Eval, TheReportNeedsNothingElseAndShowsTheWrongOnesFirst) {
  Question("right", {"x"});
  Question("wrong", {"x"});
  api_.OnAsk("right?", Reply("x"), {{"first_token", 120}});
  api_.OnAsk("wrong?", Reply("y"), {{"first_token", 30}});
  const auto records = Records();
  const std::string html = AnswerReportHtml("set", records);
  EXPECT_EQ(html.find("http"), std::string::npos);
  EXPECT_NE(html.find("<svg"), std::string::npos);
  EXPECT_LT(html.find("<td>wrong</td>"), html.find("<td>right</td>"));
}

TEST(CompareJson, ShowsTheNumbersThatBothHave) {
  const auto lines = CompareJson("{\"f1\":0.5,\"em\":null,\"old\":1,\"questions\":10}",
                                 "{\"questions\":12,\"f1\":0.45,\"em\":0.1,\"new\":2}");
  ASSERT_TRUE(lines.ok()) << lines.status().ToString();
  EXPECT_EQ(*lines, "questions: 10 -> 12  (+2.0000)\nf1: 0.5 -> 0.45  (-0.0500)\n");
}

TEST(CompareJson, WhatIsNoEarlierOutputIsRefused) {
  for (const char* old : {"", "not json", "[1]", "7"}) {
    EXPECT_EQ(CompareJson(old, "{}").status().code(), StatusCode::kInvalidArgument) << old;
  }
}

TEST(EvalLines, OneNumberALineAndKindsIndented) {
  EXPECT_EQ(EvalLines("{\"f1\":0.5,\"rejection_rate\":null,\"kinds\":{\"date\":{\"f1\":1.0}}}"),
            "f1                      0.5\n"
            "rejection_rate          null\n"
            "date\n"
            "  f1                    1.0\n");
}

}  // namespace
}  // namespace vade
