// Passages of several languages in one collection: found across languages, with scores that depend
// on what is there and not on how it came there; and stores from before languages were known.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "index/kv.h"
#include "index/records.h"
#include "tests/index/store_fixture.h"

namespace vade {
namespace {

constexpr size_t kDimension = 64;
constexpr size_t kTopics = 40;  // components; the languages' are behind them

class Languages : public StoreFixture {
 protected:
  void SetUp() override {
    options_.flat_below = 64;
    OpenWithCollection();
  }

  // As an embedder does it: mostly the language, a little the subject.
  static std::vector<float> Vector(const std::string& language, size_t topic) {
    std::vector<float> v(kDimension, 0.0f);
    const size_t of_language = language == "en" ? 0 : language == "zh" ? 1 : 2;
    v[kTopics + of_language] = 2 / std::sqrt(5.0f);
    v[topic] = 1 / std::sqrt(5.0f);
    return v;
  }

  // A document "<language><topic>" with `count` passages "<language><topic>.<number>".
  void PutTopic(const std::string& language, size_t topic, int count) {
    DocumentInfo info;
    info.id = StrCat(language, topic);
    auto writer = *store_->BeginDocument("default", info);
    std::vector<Passage> passages;
    std::vector<float> vectors;
    uint64_t at = 0;
    for (int i = 0; i < count; ++i) {
      const std::string text = StrCat(language, topic, ".", i);
      ASSERT_EQ(writer->AddText(text), OkStatus());
      Passage passage;
      passage.begin = at;
      passage.end = at += text.size();
      passage.language = language;
      passages.push_back(passage);
      const auto vector = Vector(language, topic);
      vectors.insert(vectors.end(), vector.begin(), vector.end());
    }
    ASSERT_EQ(writer->AddPassages(passages, vectors), OkStatus());
    ASSERT_TRUE(writer->Commit(Context()).ok());
  }
  // Twenty subjects that only English passages speak of, and twenty that only Chinese ones do.
  void PutBoth() {
    for (size_t topic = 0; topic < 20; ++topic) PutTopic("en", topic, 8);
    for (size_t topic = 20; topic < 40; ++topic) PutTopic("zh", topic, 8);
  }

  std::vector<Hit> Ask(const std::string& language, size_t topic, int k = 5) {
    auto found = store_->Search({.collection = "default",
                                 .vector = Vector(language, topic),
                                 .question = "",
                                 .k = k,
                                 .filter = "",
                                 .as_of = "",
                                 .groups = {},
                                 .ranking = {.source = RankingOptions::Source::kVectors}},
                                Context());
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    return found.ok() ? found->hits : std::vector<Hit>();
  }
  // Documents of the hits, with their scores.
  std::string Scored(const std::string& language, size_t topic, int k = 5) {
    std::string all;
    for (const Hit& hit : Ask(language, topic, k)) {
      all += StrCat(hit.passage.document_id, ":", hit.passage.language, ":", hit.score, " ");
    }
    return all;
  }
};

TEST_F(Languages, APassageInAnotherLanguageIsNotBuriedByThoseOfTheQuestions) {
  PutBoth();
  for (const Hit& hit : Ask("en", 27)) {
    EXPECT_EQ(hit.passage.document_id, "zh27");
    EXPECT_EQ(hit.passage.language, "zh");
    EXPECT_NEAR(hit.dense_score, 0.2, 1e-3);
    EXPECT_GT(hit.score, 0.8);
  }
  for (const Hit& hit : Ask("zh", 3)) EXPECT_EQ(hit.passage.document_id, "en3");
  for (const Hit& hit : Ask("en", 3)) EXPECT_EQ(hit.passage.document_id, "en3");
}

TEST_F(Languages, OneLanguageAloneIsOrderedByItsCosines) {
  for (size_t topic = 0; topic < 20; ++topic) PutTopic("en", topic, 2);
  for (const Hit& hit : Ask("zh", 3, 20)) EXPECT_EQ(hit.score, hit.dense_score);
}

TEST_F(Languages, ASinglePassageIsNotMadeAverageByBeingItsOwnMean) {
  for (size_t topic = 0; topic < 20; ++topic) PutTopic("en", topic, 5);
  PutTopic("zh", 30, 1);
  EXPECT_EQ(Ask("zh", 30, 1).at(0).passage.document_id, "zh30");
}

TEST_F(Languages, TailSegmentsAndReopeningGiveTheSameScores) {
  PutBoth();
  const std::string across = Scored("en", 27), within = Scored("zh", 27);
  Seal();
  EXPECT_EQ(Scored("en", 27), across);
  EXPECT_EQ(Scored("zh", 27), within);
  Open();
  EXPECT_EQ(Scored("en", 27), across);
  EXPECT_EQ(Problems(), "");
}

TEST_F(Languages, ScoresDoNotRememberWhatWasReplacedOrDeleted) {
  PutBoth();
  const std::string before = Scored("en", 27);
  for (size_t topic = 0; topic < 40; topic += 3) PutTopic("zh", topic, 9);
  PutTopic("en", 27, 30);
  Seal();
  EXPECT_NE(Scored("en", 27), before);
  std::vector<std::string> added = {"en27"};
  for (size_t topic = 0; topic < 20; topic += 3) added.push_back(StrCat("zh", topic));
  Delete(added);
  for (size_t topic = 21; topic < 40; topic += 3) PutTopic("zh", topic, 8);
  EXPECT_EQ(Scored("en", 27), before);
  EXPECT_EQ(Problems(), "");
  Seal();
  Open();
  EXPECT_EQ(Scored("en", 27), before);
  EXPECT_EQ(Problems(), "");
}

TEST_F(Languages, SegmentsWithAGraphAreOfOneLanguageAndTheRestIsOneSegment) {
  PutBoth();
  PutTopic("de", 5, 10);
  PutTopic("fr", 6, 10);
  Seal();
  EXPECT_EQ(SegmentFiles().size(), 3u);
  const auto files = SegmentFiles();
  Seal();  // nothing is due
  Open();
  Seal();
  EXPECT_EQ(SegmentFiles(), files);
  EXPECT_EQ(Ask("en", 27, 1).at(0).passage.document_id, "zh27");
  EXPECT_EQ(Ask("de", 5, 1).at(0).passage.document_id, "de5");
  EXPECT_EQ(Problems(), "");
}

TEST_F(Languages, ALanguageThatHasGrownLeavesTheSegmentOfTheRest) {
  for (int part = 0; part < 4; ++part) {
    PutTopic("de", 5 + part, 20);
    PutTopic("fr", 15 + part, 10);
    Seal();
  }
  EXPECT_EQ(SegmentFiles().size(), 2u);  // 80 of one, 40 of the other
  EXPECT_EQ(Ask("fr", 6, 1).at(0).passage.document_id, "de6");
  EXPECT_EQ(Problems(), "");
}

TEST_F(Languages, WhatIsNoLanguageIsRefused) {
  DocumentInfo info;
  info.id = "a";
  auto writer = *store_->BeginDocument("default", info);
  ASSERT_EQ(writer->AddText("abc"), OkStatus());
  Passage passage;
  passage.end = 3;
  for (const char* bad : {"e", "English", "EN", "zh-Hant"}) {
    passage.language = bad;
    EXPECT_EQ(writer->AddPassages({&passage, 1}, Vector("en", 1)).code(),
              StatusCode::kInvalidArgument)
        << bad;
  }
}

// tests/testdata/store_format_1 was written by the store as it was before it knew of languages.
class StoreOfFormat1 : public StoreFixture {
 protected:
  void SetUp() override { OpenCopyOf("store_format_1"); }
  std::string LanguagesOf(const std::string& id) {
    const auto passages = store_->GetPassages("default", id, nullptr);
    if (!passages.ok()) return passages.status().ToString();
    std::vector<std::string> all;
    for (const Passage& passage : *passages) all.push_back(passage.language);
    return Join(all, " ");
  }
};

TEST_F(StoreOfFormat1, OpensWithAllThatItHeldAndLearnsItsLanguages) {
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Documents(), 3u);
  EXPECT_EQ(Passages(), 6u);
  EXPECT_EQ(Search("quay crane inspection", 1).at(0).passage.document_id, "en.md");
  EXPECT_EQ(LanguagesOf("en.md"), "en en en");
  EXPECT_EQ(LanguagesOf("zh.md"), "zh zh");
  EXPECT_EQ(LanguagesOf("secret.md"), "en");
  EXPECT_EQ(Search("the board meets in secret", 3, {"board"}).at(0).passage.document_id,
            "secret.md");
  Put("new", {"and it goes on"});
  Open();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(LanguagesOf("zh.md"), "zh zh");
}

TEST_F(StoreOfFormat1, AMigrationThatDiedIsBegunAgain) {
  store_.reset();
  {
    auto kv = Kv::Open(directory_ + "/db", {});
    ASSERT_TRUE(kv.ok());
    KvBatch batch;
    batch.Put(Family::kMeta, "migrating", "1");
    const auto scan = (*kv)->Scan(Family::kPassages, "", "", nullptr);
    for (; scan->Valid(); scan->Next()) {
      PassageRecord record = *DecodePassage(scan->value());
      record.language = kUnknownLanguage;
      batch.Put(Family::kPassages, scan->key(), Encode(record));
    }
    ASSERT_EQ((*kv)->Write(batch, Durability::kSynced), OkStatus());
  }
  std::filesystem::remove_all(directory_ + "/vectors");
  Open();
  EXPECT_EQ(LanguagesOf("zh.md"), "zh zh");
  EXPECT_EQ(Problems(), "");
}

}  // namespace
}  // namespace vade
