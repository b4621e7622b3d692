#include "retriever/retriever.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/trace.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/memory_store.h"

namespace vade {
namespace {

using ::testing::HasSubstr;
using testing::MemoryStore;

class RetrieverTest : public ::testing::Test {
 protected:
  RetrieverTest() {
    EXPECT_TRUE(store_
                    .CreateCollection({.name = "default",
                                       .embedder_id = embedder_.id(),
                                       .dimension = embedder_.dimension()})
                    .ok());
  }
  void Put(std::string id, std::string text, std::vector<std::string> groups = {}) {
    DocumentInfo info;
    info.id = std::move(id);
    info.groups = std::move(groups);
    auto writer = store_.BeginDocument("default", info);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->AddText(text).ok());
    Passage passage;
    passage.end = text.size();
    ASSERT_TRUE((*writer)->AddPassages(std::span(&passage, 1), embedder_.EmbedOne(text)).ok());
    ASSERT_TRUE((*writer)->Commit(Context()).ok());
  }
  Result<Retrieved> Ask(const Query& query, const Context& ctx = Context()) {
    return Retriever(&store_, &embedder_).Retrieve(query, ctx);
  }
  std::string Ids(const Query& query) {
    auto found = Ask(query);
    if (!found.ok()) return found.status().ToString();
    std::vector<std::string> ids;
    for (const Hit& hit : found->hits) ids.push_back(hit.passage.document_id);
    return Join(ids, " ");
  }

  MemoryStore store_;
  HashingEmbedder embedder_{256};
};

TEST_F(RetrieverTest, ReturnsTheBestPassagesBestFirst) {
  Put("cats", "Cats sleep most of the day");
  Put("dogs", "Dogs guard the house");
  Put("rust", "Borrowed references have lifetimes");
  EXPECT_EQ(Ids({.question = "how long do cats sleep in a day", .k = 1}), "cats");
  auto found = Ask({.question = "dogs guard", .k = 3});
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->hits.size(), 3u);
  EXPECT_EQ(found->hits[0].passage.document_id, "dogs");
  EXPECT_GE(found->hits[0].score, found->hits[1].score);
  EXPECT_EQ(found->commit, store_.commit_number());
}

TEST_F(RetrieverTest, DropsRepeatedTextsAndStillFindsK) {
  for (int i = 0; i < 60; ++i) Put(StrCat("copy", 10 + i), "The same notice everywhere\n");
  Put("other", "The other notice");
  Put("third", "A third notice of some length");
  auto found = Ask({.question = "the same notice everywhere", .k = 3});
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->hits.size(), 3u);
  EXPECT_EQ(found->hits[0].passage.document_id, "copy10");
  EXPECT_NE(found->hits[1].passage.text, found->hits[0].passage.text);
  EXPECT_NE(found->hits[2].passage.text, found->hits[1].passage.text);
}

TEST_F(RetrieverTest, ReadsComposedAndDecomposedQuestionsAlike) {
  Put("a", "caf\xC3\xA9 opening hours");
  Put("b", "cafe\xCC\x81teria opening hours");
  auto composed = Ask({.question = "caf\xC3\xA9"}),
       decomposed = Ask({.question = " cafe\xCC\x81\n"});
  ASSERT_TRUE(composed.ok() && decomposed.ok());
  ASSERT_EQ(composed->hits.size(), decomposed->hits.size());
  for (size_t i = 0; i < composed->hits.size(); ++i)
    EXPECT_EQ(composed->hits[i].score, decomposed->hits[i].score);
}

TEST_F(RetrieverTest, AFollowUpIsSearchedForBehindWhatWasAskedBefore) {
  Put("lighthouse", "Two brothers built the lighthouse of Orve");
  Put("mast", "A tall mast stands in the yard behind the harbour");
  const std::string question = "And how tall is it";
  EXPECT_EQ(Ids({.question = question, .k = 1}), "mast");
  EXPECT_EQ(Ids({.question = question, .earlier = {"Who built the lighthouse of Orve"}, .k = 1}),
            "lighthouse");
  const std::vector<std::string> blank = {" \n", ""};
  EXPECT_EQ(Ids({.question = question, .earlier = blank, .k = 1}), "mast");
}

TEST_F(RetrieverTest, WordsAQuestionBehindTheLatestEarlierOnesNewestFirst) {
  Put("a", "some text");
  std::string cut;
  while (cut.size() < 400) cut += "\xC3\xA9";
  for (const auto& [earlier, wordings] : std::map<std::vector<std::string>, std::string>{
           {{}, ""},
           {{"one"}, "q one (1)"},
           {{"one", " ", "two"}, "q two (0.5) q two one (0.5)"},
           {{"1", "2", "3", "4", "5"}, "q 5 (0.5) q 5 4 3 2 (0.5)"},
           {{cut}, "q " + cut.substr(0, 256) + " (1)"}}) {
    ASSERT_TRUE(Ask({.question = "q", .earlier = earlier}).ok());
    std::vector<std::string> asked;
    for (const Wording& one : store_.last_search().wordings) {
      asked.push_back(StrCat(one.question, " (", one.weight, ")"));
      EXPECT_EQ(one.vector, embedder_.EmbedOne(one.question));
    }
    EXPECT_EQ(Join(asked, " "), wordings);
    EXPECT_EQ(store_.last_search().vector, embedder_.EmbedOne("q"));
  }
}

TEST_F(RetrieverTest, RefusesBadRequests) {
  const auto error = [&](const Query& query) { return Ask(query).status().ToString(); };
  EXPECT_THAT(error({.question = ""}), HasSubstr("INVALID_ARGUMENT: the question is empty"));
  EXPECT_THAT(error({.question = " \n\xE3\x80\x80"}), HasSubstr("the question is empty"));
  EXPECT_THAT(error({.question = "x", .earlier = {"\xFF"}}), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(error({.question = std::string(kMaxQuestionBytes + 1, 'x')}),
              HasSubstr("shorten it"));
  EXPECT_EQ(error({.question = std::string(kMaxQuestionBytes, 'x')}), "OK");
  EXPECT_THAT(error({.question = "\xFF"}), HasSubstr("UTF-8"));
  EXPECT_THAT(error({.question = "x", .k = 0}), HasSubstr("from 1 to 1000"));
  EXPECT_THAT(error({.question = "x", .k = 1001}), HasSubstr("from 1 to 1000"));
  EXPECT_THAT(error({.question = "x", .collection = "none"}), HasSubstr("NOT_FOUND"));
  EXPECT_THAT(error({.question = "x", .filter = "year >"}), HasSubstr("filter, column 7"));
  EXPECT_EQ(error({.question = "x", .as_of = "2026-01-01"}), "OK");
}

TEST_F(RetrieverTest, RefusesACollectionOfAnotherEmbedder) {
  HashingEmbedder other(128);
  auto found = Retriever(&store_, &other).Retrieve({.question = "x"}, Context());
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(found.status().message(), HasSubstr("'hashing-256'"));
  EXPECT_THAT(found.status().message(), HasSubstr("'hashing-128'"));
}

TEST_F(RetrieverTest, PassesTheCallersGroupsOn) {
  Put("open", "minutes of the meeting");
  Put("secret", "minutes of the secret meeting", {"board"});
  EXPECT_EQ(Ids({.question = "secret meeting"}), "open");
  EXPECT_EQ(Ids({.question = "secret meeting", .groups = {"board"}}), "secret open");
}

TEST_F(RetrieverTest, TracesItsStages) {
  Put("a", "text");
  Put("b", "text");
  Trace trace("r");
  ASSERT_TRUE(Ask({.question = "text"}, Context().WithTrace(&trace)).ok());
  std::vector<std::string> stages;
  for (const auto& [stage, ms] : trace.times_ms()) stages.push_back(stage);
  EXPECT_EQ(Join(stages, " "), "embed search");
  std::map<std::string, int64_t> counts;
  for (const auto& [name, amount] : trace.counts()) counts[name] = amount;
  EXPECT_EQ(counts["candidates"], 2);
  EXPECT_EQ(counts["repeated"], 1);
  EXPECT_EQ(counts["hits"], 1);
}

TEST_F(RetrieverTest, StopsWhenCancelledAndPassesErrorsOn) {
  CancelSource source;
  source.Cancel();
  EXPECT_EQ(Ask({.question = "x"}, Context().WithCancel(source.token())).status().code(),
            StatusCode::kCancelled);
  store_.FailNext("search", Unavailable("gone"));
  EXPECT_EQ(Ask({.question = "x"}).status().ToString(), "UNAVAILABLE: gone");
}

}  // namespace
}  // namespace vade
