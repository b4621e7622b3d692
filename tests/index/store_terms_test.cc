// Words in the store: found, replaced, deleted, tidied up; and stores from before there were terms.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "index/clean_terms.h"
#include "index/kv.h"
#include "index/records.h"
#include "tests/index/store_fixture.h"

namespace vade {
namespace {

class StoreTerms : public StoreFixture {
 protected:
  void SetUp() override { OpenWithCollection(); }

  // The documents that words alone find, best first.
  std::string ByWords(const std::string& question, const std::vector<std::string>& groups = {}) {
    SearchRequest request = Question(question, 20, groups);
    request.vector = embedder_.EmbedOne("something else");
    request.ranking.source = RankingOptions::Source::kTerms;
    const auto found = store_->Search(request, Context());
    if (!found.ok()) return found.status().ToString();
    std::vector<std::string> ids;
    for (const Hit& hit : found->hits) ids.push_back(hit.passage.document_id);
    return Join(ids, " ");
  }
  // Closes the store, looks at its database or changes it, and opens the store again.
  void InDatabase(const std::function<void(Kv*)>& visit) {
    store_.reset();
    {
      auto kv = Kv::Open(directory_ + "/db", {});
      ASSERT_TRUE(kv.ok());
      visit(kv->get());
    }
    Open();
  }
  static size_t CountIn(const Kv& kv, Family family) {
    size_t count = 0;
    for (const auto scan = kv.Scan(family, "", "", nullptr); scan->Valid(); scan->Next()) ++count;
    return count;
  }
  // "postings forward dead", how many keys of each.
  std::string Keys() {
    std::string counts;
    InDatabase([&](Kv* kv) {
      counts = StrCat(CountIn(*kv, Family::kPostings), " ", CountIn(*kv, Family::kForward), " ",
                      CountIn(*kv, Family::kDead));
    });
    return counts;
  }
  void PutIn(const std::string& language, const std::string& id, const std::string& text) {
    DocumentInfo info;
    info.id = id;
    auto writer = *store_->BeginDocument("default", info);
    ASSERT_EQ(writer->AddText(text), OkStatus());
    Passage passage;
    passage.end = text.size();
    passage.language = language;
    ASSERT_EQ(writer->AddPassages({&passage, 1}, embedder_.EmbedOne(text)), OkStatus());
    ASSERT_TRUE(writer->Commit(Context()).ok());
  }
  std::unique_ptr<DocumentWriter> Stage(const std::string& id, const std::string& text) {
    DocumentInfo info;
    info.id = id;
    auto writer = *store_->BeginDocument("default", info);
    EXPECT_EQ(writer->AddText(text), OkStatus());
    for (int i = 0; i < 3; ++i) {  // all but what the last one holds back are in the database
      Passage passage;
      passage.end = text.size();
      EXPECT_EQ(writer->AddPassages({&passage, 1}, embedder_.EmbedOne(text)), OkStatus());
    }
    return writer;
  }
};

TEST_F(StoreTerms, WordsFindWhatVectorsDoNotPropose) {
  for (int i = 0; i < 120; ++i) Put(StrCat("d", i), {StrCat("log", i, " day", i, " page", i)});
  Put("part", {"replace the FL-977/B with a new one"});
  EXPECT_EQ(ByWords("where is FL-977/B?"), "part");
  SearchRequest request = Question("FL-977/B");
  request.vector = embedder_.EmbedOne("log7 day7 page7");
  const auto found = store_->Search(request, Context());
  ASSERT_TRUE(found.ok());
  const auto at = std::find_if(found->hits.begin(), found->hits.end(),
                               [](const Hit& hit) { return hit.passage.document_id == "part"; });
  ASSERT_NE(at, found->hits.end());
  EXPECT_GT(at->term_score, 0);
  EXPECT_NE(at->dense_score, 0);  // worked out for what words found
}

TEST_F(StoreTerms, TitleHeadingsAndTextAreFoundAndRareWordsWeighMore) {
  DocumentInfo info;
  info.id = "a";
  info.title = "Handbook";
  ASSERT_TRUE(TryPut(info, {"leave lasts six weeks"}).ok());
  info.id = "b";
  info.title = "Leaflet";
  ASSERT_TRUE(TryPut(info, {"leave it lasts"}).ok());
  EXPECT_EQ(ByWords("handbook"), "a");
  EXPECT_EQ(ByWords("how many weeks of leave"), "a b");
}

TEST_F(StoreTerms, InflectedWordsAreFoundInEveryLanguageOfTheCollection) {
  PutIn("en", "en", "the pilots were running late");
  PutIn("de", "de", "die alten H\xC3\xA4user am Hafen");
  PutIn("en", "other", "nothing of the kind");
  EXPECT_EQ(ByWords("who runs"), "en");
  EXPECT_EQ(ByWords("hafens"), "de");
  EXPECT_EQ(ByWords("haus"), "de");
}

TEST_F(StoreTerms, WordsRespectGroups) {
  Put("open", {"minutes of the meeting"});
  Put("secret", {"minutes of the secret meeting"}, {"board"});
  EXPECT_EQ(ByWords("secret minutes"), "open");
  EXPECT_EQ(ByWords("secret minutes", {"board"}), "secret open");
}

TEST_F(StoreTerms, WhatIsReplacedOrDeletedIsNotFoundAndLaterItsTermsGo) {
  Put("a", {"crane inspection", "quay lights"});
  Put("b", {"crane drivers"});
  EXPECT_EQ(ByWords("crane"), "a b");
  Put("a", {"tide tables"});
  EXPECT_EQ(ByWords("crane"), "b");
  EXPECT_EQ(ByWords("tide"), "a");
  Delete({"b"});
  EXPECT_EQ(ByWords("crane drivers"), "");
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Keys().substr(Keys().find(' ')), " 4 2");  // two revisions wait
  EXPECT_EQ(Problems(), "");
  Seal();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(ByWords("tide"), "a");
  // title, of, a; tide, tables and their stems
  const std::string kept = Keys();
  EXPECT_EQ(kept.substr(kept.find(' ')), " 1 0") << kept;
  Delete({"a"});
  Seal();
  EXPECT_EQ(Keys(), "0 0 0");
}

TEST_F(StoreTerms, ALargeRevisionIsCleanedInPartsAndADeathBetweenThemIsMended) {
  std::vector<std::string> parts;
  for (int i = 0; i < 700; ++i) parts.push_back(StrCat("page ", i, " speaks of ropes. "));
  Put("large", parts);
  Put("small", {"ropes and knots"});
  Delete({"large"});
  InDatabase([&](Kv* kv) {
    const auto dead = kv->Scan(Family::kDead, "", "", nullptr);
    ASSERT_TRUE(dead->Valid());
    auto ranges = *DecodeRanges(dead->value());
    KvBatch batch;
    ASSERT_EQ(RemoveSomeTerms(*kv, 1, &ranges, &batch), OkStatus());
    ASSERT_FALSE(ranges.empty());
    batch.Put(Family::kDead, dead->key(), EncodeRanges(ranges));
    ASSERT_EQ(kv->Write(batch, Durability::kSynced), OkStatus());
  });
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(ByWords("ropes"), "small");
  Seal();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(ByWords("ropes"), "small");
  const std::string kept = Keys();
  EXPECT_EQ(kept.substr(kept.find(' ')), " 1 0") << kept;
}

TEST_F(StoreTerms, SmallBlocksAreJoinedAndNothingChangesForReaders) {
  for (int i = 0; i < 300; ++i) Put(StrCat("d", i), {StrCat("common words and number ", i)});
  const std::string before = ByWords("common number 17");
  size_t blocks = 0;
  InDatabase([&](Kv* kv) { blocks = CountIn(*kv, Family::kPostings); });
  Seal();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(ByWords("common number 17"), before);
  InDatabase([&](Kv* kv) {
    EXPECT_LT(CountIn(*kv, Family::kPostings), blocks / 2);
    const std::string prefix = PostingsPrefix(1, "common");
    size_t of_common = 0;
    for (const auto scan = kv->Scan(Family::kPostings, prefix, PrefixEnd(prefix), nullptr);
         scan->Valid(); scan->Next()) {
      ++of_common;
    }
    EXPECT_EQ(of_common, 3u);  // 128 + 128 + 44
  });
  Delete({"d0", "d17", "d299"});
  Put("d40", {"common ground"});
  Seal();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(ByWords("17"), "");
  EXPECT_EQ(ByWords("ground"), "d40");
}

TEST_F(StoreTerms, WhatIsBeingWrittenIsNotFoundNotMergedAndLeavesNothing) {
  for (int i = 0; i < 20; ++i) Put(StrCat("d", i), {StrCat("common words ", i)});
  auto writer = Stage("half", "common words of a half");
  Put("later", {"a commit whose view holds the half"});
  EXPECT_EQ(ByWords("half").find("half"), std::string::npos);
  Seal();
  EXPECT_EQ(Problems(), "");
  writer.reset();
  Put("last", {"another commit"});
  EXPECT_EQ(Problems(), "");
  size_t forward = 0;
  InDatabase([&](Kv* kv) { forward = CountIn(*kv, Family::kForward); });
  EXPECT_EQ(forward, 22u);
  EXPECT_EQ(Problems(), "");
}

TEST_F(StoreTerms, WithACollectionAllOfItsTermsGo) {
  Put("a", {"crane inspection"});
  Delete({"a"});
  Put("b", {"crane drivers"});
  ASSERT_EQ(store_->DeleteCollection("default"), OkStatus());
  EXPECT_EQ(Keys(), "0 0 0");
  EXPECT_EQ(Problems(), "");
}

TEST_F(StoreTerms, VerifyNoticesTermsThatDoNotAgree) {
  Put("a", {"crane inspection", "quay lights"});
  const PassageId id = Search("crane inspection", 1)[0].passage.id;
  const Posting wrong = {id, 7, 2}, nobodys = {4000, 1, 1};
  InDatabase([&](Kv* kv) {
    KvBatch batch;
    batch.Put(Family::kPostings, PostingsKey(1, "crane", id), EncodePostings({&wrong, 1}));
    batch.Put(Family::kPostings, PostingsKey(1, "zebra", 4000), EncodePostings({&nobodys, 1}));
    batch.Put(Family::kPostings, PostingsKey(1, "torn", id), "\x01");
    batch.Put(Family::kPostings, CollectionPrefix(1) + "x", "");
    batch.Put(Family::kForward, PassageKey(1, 5000), Encode(TermList{}));
    batch.Delete(Family::kForward, PassageKey(1, id));
    batch.Put(Family::kDead, DeadKey(1, 9), "\x05");
    ASSERT_EQ(kv->Write(batch, Durability::kSynced), OkStatus());
  });
  const std::string problems = Problems();
  for (const std::string& expected :
       {StrCat("passage ", id, " has no list of terms"),
        std::string("1 lists of terms that belong to no passage"),
        std::string("1 postings that belong to no passage"), std::string("and not the same"),
        std::string("block of postings of the store does not parse"),
        std::string("key of a block of postings"), std::string("record of dead passages")}) {
    EXPECT_NE(problems.find(expected), std::string::npos) << expected << "\n" << problems;
  }
  EXPECT_NE(ByWords("torn").find("DATA_LOSS"), std::string::npos);
  Seal();  // what does not parse stays
  EXPECT_EQ(ByWords("quay"), "a");
}

TEST_F(StoreTerms, ALongQuestionCostsNoMoreThanItsBeginning) {
  Put("a", {"crane inspection"});
  EXPECT_EQ(ByWords("crane " + std::string(30000, 'x')), "a");
  EXPECT_EQ(ByWords(std::string(4000, 'x') + " crane"), "");
  EXPECT_EQ(ByWords(""), "");
}

// tests/testdata/store_format_2 was written by the store as it was before it had terms: it is that
// of format 1, opened once by that program.
class StoreOfFormat2 : public StoreTerms {
 protected:
  void SetUp() override { OpenCopyOf("store_format_2"); }
};

TEST_F(StoreOfFormat2, OpensWithAllThatItHeldAndGetsItsTerms) {
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Documents(), 3u);
  EXPECT_EQ(ByWords("quay cranes inspected").substr(0, 5), "en.md");
  EXPECT_EQ(ByWords("\xE6\xA3\x80\xE6\x9F\xA5\xE5\x91\x98"), "zh.md zh.md");  // an inspector
  EXPECT_EQ(ByWords("secret"), "");
  EXPECT_EQ(ByWords("secret", {"board"}), "secret.md");
  Put("new", {"and it goes on"});
  Delete({"zh.md"});
  Seal();
  Open();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Documents(), 3u);
}

TEST_F(StoreOfFormat2, AMigrationThatDiedIsGoneOnWith) {
  InDatabase([&](Kv* kv) {
    KvBatch batch;
    batch.Put(Family::kMeta, "migrating", "2");
    const std::string prefix = FamilyPrefix(1, 'r');
    const auto scan = kv->Scan(Family::kDocuments, prefix, PrefixEnd(prefix), nullptr);
    ASSERT_TRUE(scan->Valid());
    scan->Next();  // the first is done
    RevisionRecord second = *DecodeRevision(scan->value());
    second.words.reset();
    batch.Put(Family::kDocuments, scan->key(), Encode(second));
    scan->Next();  // of the third nothing is written yet
    RevisionRecord third = *DecodeRevision(scan->value());
    third.words.reset();
    batch.Put(Family::kDocuments, scan->key(), Encode(third));
    for (const PassageRange& range : third.ranges) {
      auto ranges = std::vector<PassageRange>{range};
      ASSERT_EQ(RemoveSomeTerms(*kv, 1, &ranges, &batch), OkStatus());
    }
    ASSERT_EQ(kv->Write(batch, Durability::kSynced), OkStatus());
  });
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(ByWords("secret", {"board"}), "secret.md");
}

}  // namespace
}  // namespace vade
