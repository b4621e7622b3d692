// Citations on real questions: the right passage among four of its article, the reference answers
// as the model's. A short answer ("four") often stands in several sentences: the one that speaks of
// the question must be found. The floors are a little under what was measured.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/strings.h"
#include "generator/citations.h"
#include "tests/generator/dataset.h"

namespace vade {
namespace {

using testing::JsonRow;
using testing::ReadJsonLines;
using testing::ToHit;

constexpr size_t kPassages = 4;

struct Score {
  int questions = 0, cited = 0, right_passage = 0, right_sentence = 0;
  double precision() const { return static_cast<double>(right_passage) / cited; }
  double recall() const { return static_cast<double>(right_passage) / questions; }
  double sentence_precision() const { return static_cast<double>(right_sentence) / cited; }
};

std::string Folder() { return StrCat(VADE_SOURCE_DIR, "/../shared/data/xquad/"); }

// The byte where the answer stands; `answer_starts` counts code points.
size_t AnswerByte(const JsonRow& question, const std::string& text) {
  const size_t code_points = std::stoul(question.Get("answer_starts"));
  size_t pos = 0;
  for (size_t i = 0; i < code_points && pos < text.size(); ++i) NextCodePoint(text, &pos);
  return pos;
}

// The right passage at a rank that changes from question to question, among its neighbours.
Score Measure(const std::string& question_lang, const std::string& passage_lang) {
  const auto passages = ReadJsonLines(Folder() + "passages." + passage_lang + ".jsonl");
  Score score;
  for (const JsonRow& question : ReadJsonLines(Folder() + "qa." + question_lang + ".jsonl")) {
    std::string wanted = question.Get("passage_id");
    wanted.replace(6, 2, passage_lang);
    std::vector<Hit> hits;
    size_t at = 0;
    while (at < passages.size() && passages[at].Get("id") != wanted) ++at;
    const size_t first = std::min(at - std::min<size_t>(at, score.questions % kPassages),
                                  passages.size() - kPassages);
    for (size_t i = first; i < first + kPassages; ++i) hits.push_back(ToHit(passages[i]));
    std::vector<const Hit*> pointers;
    for (const Hit& hit : hits) pointers.push_back(&hit);

    ++score.questions;
    const auto citations =
        Citer(question.Get("question"), pointers).Cite(question.Get("answers"), {});
    if (citations.empty()) continue;
    ++score.cited;
    if (citations[0].document_id != wanted) continue;
    ++score.right_passage;
    if (question_lang != passage_lang) continue;
    const size_t answer = AnswerByte(question, passages[at].Get("text"));
    score.right_sentence += citations[0].source_begin <= answer && answer < citations[0].source_end;
  }
  std::printf(
      "%s questions, %s passages: %d questions, %d cited, precision %.3f, recall %.3f, right "
      "sentence %.3f\n",
      question_lang.c_str(), passage_lang.c_str(), score.questions, score.cited, score.precision(),
      score.recall(), score.sentence_precision());
  return score;
}

bool HaveData() { return !ReadJsonLines(Folder() + "qa.en.jsonl").empty(); }

TEST(CitationQuality, EnglishAnswersAreCitedFromTheRightPassage) {
  if (!HaveData()) GTEST_SKIP() << "no " << Folder();
  const Score score = Measure("en", "en");
  EXPECT_GE(score.precision(), 0.95);
  EXPECT_GE(score.recall(), 0.95);
  EXPECT_GE(score.sentence_precision(), 0.85);
}

TEST(CitationQuality, ChineseAnswersAreCitedFromTheRightPassage) {
  if (!HaveData()) GTEST_SKIP() << "no " << Folder();
  const Score score = Measure("zh", "zh");
  EXPECT_GE(score.precision(), 0.95);
  EXPECT_GE(score.recall(), 0.90);
  EXPECT_GE(score.sentence_precision(), 0.85);
}

TEST(CitationQuality, BetweenLanguagesWhatIsCitedIsRight) {
  if (!HaveData()) GTEST_SKIP() << "no " << Folder();
  EXPECT_GE(Measure("zh", "en").precision(), 0.80);
}

}  // namespace
}  // namespace vade
