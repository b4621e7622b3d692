// Orders by marginal relevance, and hits with their neighbours.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "index/diversity.h"
#include "tests/index/store_fixture.h"

namespace vade {
namespace {

// Candidates of these scores whose vectors lie at these angles, in degrees.
std::string Order(double share, size_t count, const std::vector<std::pair<double, double>>& all) {
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < all.size(); ++i) {
    candidates.push_back({.id = i + 1, .score = all[i].first});
  }
  const auto vector_of = [&](const Candidate& c) -> Result<std::vector<float>> {
    const double angle = all[c.id - 1].second * 3.14159265358979 / 180;
    return std::vector<float>{static_cast<float>(std::cos(angle)),
                              static_cast<float>(std::sin(angle))};
  };
  EXPECT_EQ(Diversify(share, count, vector_of, &candidates), OkStatus());
  std::string order;
  for (const Candidate& c : candidates) order += StrCat(order.empty() ? "" : " ", c.id);
  return order;
}

TEST(Diversify, PassagesLikeOneThatIsAheadGiveWay) {
  // 2 says what 1 says; 3 and 4 are others.
  const std::vector<std::pair<double, double>> all = {{1, 0}, {.95, 1}, {.8, 60}, {.5, 90}};
  EXPECT_EQ(Order(1, 4, all), "1 2 3 4");
  EXPECT_EQ(Order(.5, 4, all), "1 3 2 4");
  EXPECT_EQ(Order(0, 4, all), "1 4 3 2");
}

TEST(Diversify, BeyondTheCountTheScoreAloneOrders) {
  const std::vector<std::pair<double, double>> all = {{1, 0}, {.95, 1}, {.8, 60}, {.5, 90}};
  EXPECT_EQ(Order(0, 2, all), "1 4 2 3");
  EXPECT_EQ(Order(0, 0, all), "1 2 3 4");
}

TEST(Diversify, EqualVectorsAndEqualScoresKeepTheirOrder) {
  EXPECT_EQ(Order(.5, 3, {{1, 0}, {1, 0}, {1, 0}}), "1 2 3");
  EXPECT_EQ(Order(.5, 3, {{1, 0}, {.5, 0}, {.2, 0}}), "1 2 3");
  EXPECT_EQ(Order(.5, 1, {{1, 0}}), "1");
  EXPECT_EQ(Order(.5, 1, {}), "");
}

class SearchOptions : public StoreFixture {
 protected:
  void SetUp() override { OpenWithCollection(); }

  // A document of 10 passages of 20 bytes each, of which each repeats the last 5 bytes of the one
  // before.
  void PutOverlapping(const std::string& id) {
    std::string text;
    for (int i = 0; i < 10; ++i) text += StrCat("part", i, " of ", id, " row.\n");
    DocumentInfo info;
    info.id = id;
    auto writer = *store_->BeginDocument("default", info);
    ASSERT_EQ(writer->AddText(text), OkStatus());
    const size_t length = text.size() / 10;
    for (size_t i = 0; i < 10; ++i) {
      Passage passage;
      passage.begin = i == 0 ? 0 : i * length - 5;
      passage.end = (i + 1) * length;
      passage.page = static_cast<uint32_t>(i + 1);
      ASSERT_EQ(writer->AddPassages(
                    {&passage, 1},
                    embedder_.EmbedOne(text.substr(passage.begin, passage.end - passage.begin))),
                OkStatus());
    }
    ASSERT_TRUE(writer->Commit(Context()).ok());
    texts_[id] = text;
  }
  SearchResult Ask(const std::string& question, int k, int neighbours, double mmr = 1) {
    SearchRequest request = Question(question, k);
    request.neighbours = neighbours;
    request.ranking.mmr = mmr;
    request.explain = true;
    const auto found = store_->Search(request, Context());
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    return found.ok() ? *found : SearchResult();
  }
  void ExpectTextsOfRanges(const SearchResult& found) {
    for (const Hit& hit : found.hits) {
      const Passage& p = hit.passage;
      EXPECT_EQ(p.text, texts_[p.document_id].substr(p.begin, p.end - p.begin));
    }
  }
  static std::string CutOf(const SearchResult& found, PassageId id) {
    for (const Explained& one : found.candidates) {
      if (one.passage_id == id) return one.cut;
    }
    return "not a candidate";
  }

  std::map<std::string, std::string> texts_;
};

TEST_F(SearchOptions, AHitIsWidenedByItsNeighboursWithoutRepeatingWhatOverlaps) {
  PutOverlapping("a");
  const SearchResult found = Ask("part4 of a row", 1, 1);
  ASSERT_EQ(found.hits.size(), 1u);
  const Hit& hit = found.hits[0];
  const size_t length = texts_["a"].size() / 10;
  EXPECT_EQ(hit.found_begin, 4 * length - 5);
  EXPECT_EQ(hit.found_end, 5 * length);
  EXPECT_EQ(hit.passage.begin, 3 * length - 5);
  EXPECT_EQ(hit.passage.end, 6 * length);
  EXPECT_EQ(hit.passage.page, 4u);
  EXPECT_EQ(hit.passage.ordinal, 4u);
  ExpectTextsOfRanges(found);
}

TEST_F(SearchOptions, AtTheEndsOfADocumentThereAreFewerNeighbours) {
  PutOverlapping("a");
  EXPECT_EQ(Ask("part0 of a row", 1, 2).hits[0].passage.begin, 0u);
  EXPECT_EQ(Ask("part9 of a row", 1, kMaxNeighbours).hits[0].passage.text, texts_["a"]);
  const Hit plain = Ask("part9 of a row", 1, 0).hits[0];
  EXPECT_EQ(plain.found_begin, 0u);
  EXPECT_EQ(plain.found_end, 0u);
}

TEST_F(SearchOptions, NothingStandsInTwoHits) {
  PutOverlapping("a");
  PutOverlapping("b");
  for (int neighbours : {1, 2, 3}) {
    for (int k : {2, 5, 12}) {
      SCOPED_TRACE(StrCat(neighbours, " neighbours, k ", k));
      const SearchResult found = Ask("part4 of a row", k, neighbours);
      ExpectTextsOfRanges(found);
      std::map<std::string, std::vector<bool>> shown;
      for (const Hit& hit : found.hits) {
        auto& bytes = shown[hit.passage.document_id];
        bytes.resize(texts_[hit.passage.document_id].size());
        EXPECT_LT(hit.passage.begin, hit.passage.end);
        for (uint64_t i = hit.passage.begin; i < hit.passage.end; ++i) {
          ASSERT_FALSE(bytes[i]) << hit.passage.document_id << " byte " << i;
          bytes[i] = true;
        }
      }
      // Every candidate is a hit, a part of one, or was not needed.
      for (const Explained& one : found.candidates) {
        EXPECT_TRUE(one.cut == "" || one.cut == "joined" || one.cut == "rank") << one.cut;
      }
    }
  }
  const SearchResult all = Ask("part4 of a row", 12, 3);
  bool joined = false;
  for (const Explained& one : all.candidates) joined = joined || one.cut == "joined";
  EXPECT_TRUE(joined);
}

TEST_F(SearchOptions, WhatWasMovedDownForItsLikenessIsSaidToBeAlike) {
  Put("a", {"tides of the harbour today"});
  Put("b", {"tides of the harbour today!"});
  Put("c", {"tides elsewhere and ferries"});
  Put("d", {"nothing of that kind"});
  const SearchResult plain = Ask("tides of the harbour today", 2, 0);
  ASSERT_EQ(plain.hits.size(), 2u);
  EXPECT_EQ(plain.hits[1].passage.document_id, "b");
  const SearchResult found = Ask("tides of the harbour today", 2, 0, 0.4);
  ASSERT_EQ(found.hits.size(), 2u);
  EXPECT_EQ(found.hits[0].passage.document_id, "a");
  EXPECT_NE(found.hits[1].passage.document_id, "b");
  EXPECT_EQ(CutOf(found, plain.hits[1].passage.id), "alike");
  for (const Explained& one : found.candidates) {
    if (one.passage_id == plain.hits[1].passage.id) {
      EXPECT_EQ(one.rank, 2u);
      EXPECT_GT(one.likeness, 0.99);
    }
  }
}

TEST_F(SearchOptions, OptionsOutOfRangeAreRefused) {
  Put("a", {"tides"});
  for (int neighbours : {-1, kMaxNeighbours + 1}) {
    SearchRequest request = Question("tides");
    request.neighbours = neighbours;
    EXPECT_EQ(store_->Search(request, Context()).status().code(), StatusCode::kInvalidArgument);
  }
  for (double mmr : {-0.1, 1.1, std::nan("")}) {
    SearchRequest request = Question("tides");
    request.ranking.mmr = mmr;
    EXPECT_EQ(store_->Search(request, Context()).status().code(), StatusCode::kInvalidArgument);
  }
}

TEST_F(SearchOptions, WhatAnyWordingFindsIsRankedByAllOfThem) {
  for (int i = 0; i < 80; ++i) Put(StrCat("filler", i), {StrCat("some other matter of day ", i)});
  Put("mast", {"the mast is thirty metres tall"});
  Put("lighthouse", {"the lighthouse of Orve has a lamp"});
  SearchRequest request = Question("how tall is it", 3);
  const auto best = [&] {
    const auto found = store_->Search(request, Context());
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    return found.ok() ? found->hits[0].passage.document_id : "";
  };
  EXPECT_EQ(best(), "mast");
  const std::string wording = "how tall is it who lit the lamp of the lighthouse of Orve";
  request.wordings = {{.vector = embedder_.EmbedOne(wording), .question = wording, .weight = 4}};
  EXPECT_EQ(best(), "lighthouse");
  request.wordings[0].weight = .01;
  EXPECT_EQ(best(), "mast");

  request.explain = true;
  const auto found = store_->Search(request, Context());
  ASSERT_TRUE(found.ok());
  std::set<PassageId> explained;
  for (const Explained& one : found->candidates) explained.insert(one.passage_id);
  EXPECT_EQ(explained.size(), found->candidates.size());  // none twice
  EXPECT_GE(explained.size(), 20u);
  EXPECT_LE(explained.size(), 40u);
}

TEST_F(SearchOptions, AWordingThatIsNoneIsRefused) {
  Put("a", {"some text"});
  const auto refusal = [&](Wording wording) {
    SearchRequest request = Question("some");
    request.wordings = {std::move(wording)};
    return store_->Search(request, Context()).status().ToString();
  };
  const std::vector<float> vector = embedder_.EmbedOne("text");
  EXPECT_EQ(refusal({vector, "text", 1}), "OK");
  for (const double weight : {0.0, -1.0, std::nan(""), HUGE_VAL})
    EXPECT_NE(refusal({vector, "text", weight}).find("INVALID_ARGUMENT: a wording weighs"), ~0ul);
  EXPECT_NE(refusal({{1, 0}, "text", 1}).find("INVALID_ARGUMENT"), ~0ul);
  EXPECT_NE(refusal({std::vector<float>(vector.size()), "text", 1}).find("zero"), ~0ul);
}

}  // namespace
}  // namespace vade
