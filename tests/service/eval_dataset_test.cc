#include "service/eval_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/strings.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::TempDir;

const char kPassages[] =
    "{\"id\":\"p1\",\"title\":\"Leave\",\"text\":\"Thirty days.\",\"lang\":\"en\"}\n\n"
    "{\"id\":\"p2\",\"title\":\"\",\"text\":\"三十天\",\"lang\":\"zh\"}\n";

// A folder with passages.jsonl; questions are written by the test.
class EvalDatasetFolder : public ::testing::Test {
 protected:
  EvalDatasetFolder() { dir_.Write("set/passages.jsonl", kPassages); }

  Result<EvalDataset> Load(const std::string& variant = "") {
    return LoadEvalDataset(dir_.File("set"), variant);
  }

  void ExpectRefused(const std::string& part_of_message) {
    const auto dataset = Load();
    ASSERT_FALSE(dataset.ok());
    EXPECT_NE(dataset.status().message().find(part_of_message), std::string::npos)
        << dataset.status().ToString();
    EXPECT_EQ(dataset.status().message().find('\n'), std::string::npos);
  }

  TempDir dir_;
};

TEST_F(EvalDatasetFolder, QuestionsCarryWhatTheFileSays) {
  dir_.Write(
      "set/qa.jsonl",
      "{\"id\":\"q1\",\"question\":\"How long?\",\"answers\":[\"thirty days\",\"30 days\"],"
      "\"passage_id\":\"p1\",\"lang\":\"en\",\"kind\":\"number\"}\n"
      "{\"id\":\"q2\",\"question\":\"Who?\",\"answers\":[],\"passage_id\":\"p1\",\"lang\":\"en\","
      "\"is_impossible\":true}\n"
      "{\"id\":\"q3\",\"question\":\"谁?\",\"answers\":[\"x\",7],\"passage_id\":null,\"lang\":"
      "\"zh\"}\n");
  const auto dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status().ToString();
  EXPECT_EQ(dataset->name, "set");
  ASSERT_EQ(dataset->passages.size(), 2u);
  EXPECT_EQ(dataset->passages[1].text, "三十天");
  ASSERT_EQ(dataset->questions.size(), 3u);
  const EvalQuestion& first = dataset->questions[0];
  EXPECT_EQ(first.answers, (std::vector<std::string>{"thirty days", "30 days"}));
  EXPECT_EQ(first.kind, "number");
  EXPECT_EQ(first.grades, (std::map<std::string, int>{{"p1", 1}}));
  EXPECT_TRUE(dataset->questions[1].is_impossible);
  EXPECT_TRUE(dataset->questions[1].grades.empty());
  EXPECT_EQ(dataset->questions[2].answers, (std::vector<std::string>{"x"}));
  EXPECT_TRUE(dataset->questions[2].grades.empty());
}

TEST_F(EvalDatasetFolder, GradesComeFromTheTableAndZeroIsNotRelevant) {
  dir_.Write("set/queries.jsonl",
             "{\"id\":\"q1\",\"question\":\"a\"}\n{\"id\":\"q2\",\"question\":\"b\"}\n");
  dir_.Write("set/qrels.tsv",
             "query_id\tpassage_id\tgrade\nq1\tp1\t3\r\nq1\tp2\t0\nq1\tp3\t-1\nq9\tp1\t1\n");
  const auto dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status().ToString();
  EXPECT_EQ(dataset->questions[0].grades, (std::map<std::string, int>{{"p1", 3}}));
  EXPECT_TRUE(dataset->questions[1].grades.empty());
}

TEST_F(EvalDatasetFolder, AVariantReadsItsOwnFiles) {
  dir_.Write("set/passages.zh.jsonl", "{\"id\":\"z1\",\"text\":\"t\"}\n");
  dir_.Write("set/qa.zh.jsonl", "{\"id\":\"q\",\"question\":\"x\"}\n");
  const auto dataset = Load("zh");
  ASSERT_TRUE(dataset.ok()) << dataset.status().ToString();
  EXPECT_EQ(dataset->name, "set-zh");
  EXPECT_EQ(dataset->passages[0].id, "z1");
}

TEST_F(EvalDatasetFolder, ErrorsNameFileAndLine) {
  dir_.Write("set/qa.jsonl", "{\"id\":\"q1\",\"question\":\"a\"}\n{broken\n");
  ExpectRefused("qa.jsonl line 2 is not a JSON object");
  dir_.Write("set/qa.jsonl", "[1]\n");
  ExpectRefused("qa.jsonl line 1 is not a JSON object");
  dir_.Write("set/qa.jsonl", "{\"id\":\"q1\"}\n");
  ExpectRefused("qa.jsonl line 1: a question needs");
  dir_.Write("set/qa.jsonl", "\n\n");
  ExpectRefused("has no questions");
}

TEST_F(EvalDatasetFolder, QuestionsWithoutATextArePassedOverAndNamed) {
  dir_.Write("set/qa.jsonl",
             "{\"id\":\"q1\",\"question\":\" \"}\n{\"id\":\"q2\",\"question\":\"a\"}\n");
  dir_.Write("set/passages.jsonl", "{\"id\":\"p\",\"text\":\"a\"}\n");
  const auto dataset = LoadEvalDataset(dir_.File("set"), "");
  ASSERT_TRUE(dataset.ok()) << dataset.status().message();
  ASSERT_EQ(dataset->questions.size(), 1u);
  EXPECT_EQ(dataset->questions[0].id, "q2");
  EXPECT_EQ(dataset->passed_over, std::vector<std::string>{"q1"});
}

TEST_F(EvalDatasetFolder, DeepNestingIsRefusedRatherThanFollowed) {
  dir_.Write("set/qa.jsonl", StrCat(std::string(200000, '['), "\n"));
  ExpectRefused("line 1 is not a JSON object");
}

TEST_F(EvalDatasetFolder, BadPassagesAreNamed) {
  dir_.Write("set/qa.jsonl", "{\"id\":\"q1\",\"question\":\"a\"}\n");
  dir_.Write("set/passages.jsonl",
             "{\"id\":\"p\",\"text\":\"a\"}\n{\"id\":\"p\",\"text\":\"b\"}\n");
  ExpectRefused("passages.jsonl line 2: the id p occurs twice");
  dir_.Write("set/passages.jsonl", "{\"id\":7,\"text\":\"a\"}\n");
  ExpectRefused("a passage needs an \"id\"");
}

TEST_F(EvalDatasetFolder, BadGradesAreNamed) {
  dir_.Write("set/queries.jsonl", "{\"id\":\"q1\",\"question\":\"a\"}\n");
  for (const char* row :
       {"q1\tp1", "q1\tp1\tx", "q1 p1 1", "q1\tp1\t99999999999", "q1\tp1\t5000000000"}) {
    dir_.Write("set/qrels.tsv", std::string("header\n") + row + "\n");
    ExpectRefused("qrels.tsv line 2");
  }
}

TEST_F(EvalDatasetFolder, AMissingFileSaysWhatAFolderHas) {
  const auto dataset = LoadEvalDataset(dir_.File("nowhere"), "");
  ASSERT_FALSE(dataset.ok());
  EXPECT_EQ(dataset.status().code(), StatusCode::kNotFound);
  EXPECT_NE(dataset.status().message().find("--variant"), std::string::npos);
  ExpectRefused("queries.jsonl");  // neither qa.jsonl nor queries.jsonl
}

EvalDataset TenQuestions() {
  EvalDataset dataset;
  for (int i = 0; i < 10; ++i) {
    EvalQuestion question;
    question.id = std::to_string(i);
    dataset.questions.push_back(question);
  }
  return dataset;
}

std::string IdsAfter(size_t limit, uint64_t seed) {
  EvalDataset dataset = TenQuestions();
  LimitQuestions(&dataset, limit, seed);
  std::string ids;
  for (const EvalQuestion& question : dataset.questions) ids += question.id;
  return ids;
}

TEST(LimitQuestions, WithoutASeedTheFirstAreTaken) {
  EXPECT_EQ(IdsAfter(3, 0), "012");
  EXPECT_EQ(IdsAfter(0, 0), "0123456789");
  EXPECT_EQ(IdsAfter(10, 5), "0123456789");
  EXPECT_EQ(IdsAfter(99, 5), "0123456789");
}

TEST(LimitQuestions, ASeedDrawsASampleInTheOrderOfTheFile) {
  const std::string sample = IdsAfter(4, 7);
  EXPECT_EQ(sample.size(), 4u);
  EXPECT_TRUE(std::is_sorted(sample.begin(), sample.end())) << sample;
  EXPECT_EQ(IdsAfter(4, 7), sample);
  bool another = false;
  for (uint64_t seed = 8; seed < 12; ++seed) another = another || IdsAfter(4, seed) != sample;
  EXPECT_TRUE(another);
}

}  // namespace
}  // namespace vade
