// Blocks of postings, and the best passages by BM25 against a count over all of them.
#include "index/term_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <random>

#include "index/postings.h"

namespace vade {
namespace {

std::vector<Posting> RandomPostings(std::mt19937_64* random, size_t n) {
  std::vector<Posting> postings;
  PassageId id = 1 + (*random)() % 1000;
  for (size_t i = 0; i < n; ++i) {
    id += 1 + (*random)() % 300;
    const auto count = static_cast<uint32_t>(1 + (*random)() % 3 * ((*random)() % 20));
    postings.push_back({id, count, count + static_cast<uint32_t>((*random)() % 400)});
  }
  return postings;
}

TEST(Postings, BlocksComeBackAsTheyWere) {
  std::mt19937_64 random(1);
  for (size_t n = 1; n <= kMaxBlockPostings; ++n) {
    const auto postings = RandomPostings(&random, n);
    const std::string bytes = EncodePostings(postings);
    const auto block = DecodePostingBlock(postings[0].id, bytes);
    ASSERT_TRUE(block.ok());
    EXPECT_EQ(block->count, n);
    EXPECT_EQ(block->last, postings.back().id);
    EXPECT_LE(block->maxima().size(), kMaxBlockMaxima);
    const auto read = DecodePostings(*block);
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, postings);
  }
}

TEST(Postings, MaximaAreReachedWhereOnePostingBeatsAll) {
  const std::vector<Posting> postings = {{5, 1, 100}, {9, 7, 20}, {12, 3, 50}};
  const std::string bytes = EncodePostings(postings);
  const auto block = DecodePostingBlock(5, bytes);
  const auto maxima = block->maxima();
  EXPECT_EQ(std::vector(maxima.begin(), maxima.end()), (std::vector<PostingMaximum>{{7, 20}}));
}

TEST(Postings, ChangedBytesAreDamageOrAnotherBlockAndNeverACrash) {
  std::mt19937_64 random(2);
  const auto postings = RandomPostings(&random, 60);
  const std::string whole = EncodePostings(postings);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int flip : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ flip);
      const auto block = DecodePostingBlock(postings[0].id, bytes);
      if (!block.ok()) continue;
      const auto read = DecodePostings(*block);
      if (read.ok()) {
        EXPECT_EQ(read->size(), block->count);
      } else {
        EXPECT_EQ(read.status().code(), StatusCode::kDataLoss);
      }
    }
    const auto cut = DecodePostingBlock(postings[0].id, std::string_view(whole).substr(0, at));
    if (cut.ok()) {
      EXPECT_FALSE(DecodePostings(*cut).ok());
    }
  }
  EXPECT_FALSE(DecodePostingBlock(0, whole).ok());
  EXPECT_FALSE(DecodePostingBlock(UINT64_MAX, whole).ok());
}

// A seeded collection whose terms are as unevenly spread as words are.
class BestByTermsTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kPassages = 20000;

  // A term that about `in_thousand` of a thousand passages have.
  QueryTerm MakeTerm(double in_thousand) {
    std::vector<Posting> postings;
    for (PassageId id = 1; id <= kPassages; ++id) {
      if (static_cast<double>(random_() % 1000000) >= in_thousand * 1000) continue;
      // A few passages have it often: what block maxima are for.
      const uint32_t count = random_() % 100 == 0 ? 5 + random_() % 20 : 1 + random_() % 2;
      postings.push_back({id * 3, count, LengthOf(id * 3)});
    }
    QueryTerm term;
    term.weight = TermWeight(statistics_, postings.size());
    for (size_t at = 0; at < postings.size();) {
      const size_t size = std::min<size_t>(postings.size() - at, 1 + random_() % 128);
      const auto part = std::span(postings).subspan(at, size);
      bytes_.push_back(EncodePostings(part));
      term.blocks.push_back(*DecodePostingBlock(part[0].id, bytes_.back()));
      at += size;
    }
    return term;
  }
  static uint32_t LengthOf(PassageId id) { return 30 + static_cast<uint32_t>(id * 7919 % 300); }

  std::vector<TermHit> ByCounting(const std::vector<QueryTerm>& terms, size_t k) {
    std::map<PassageId, double> scores;
    for (const QueryTerm& term : terms) {
      for (const PostingBlock& block : term.blocks) {
        const std::vector<Posting> postings = *DecodePostings(block);
        for (const Posting& p : postings) {
          if (keeps_(p.id)) {
            scores[p.id] += term.weight * TermScore(statistics_)(p.count, p.length);
          }
        }
      }
    }
    std::vector<TermHit> hits;
    for (const auto& [id, score] : scores) hits.push_back({id, score});
    std::stable_sort(hits.begin(), hits.end(),
                     [](const TermHit& a, const TermHit& b) { return a.score > b.score; });
    hits.resize(std::min(k, hits.size()));
    return hits;
  }
  std::vector<TermHit> Best(const std::vector<QueryTerm>& terms, size_t k) {
    const auto best = BestByTerms(terms, statistics_, k, keeps_, Context(), &counts_);
    EXPECT_TRUE(best.ok()) << best.status().ToString();
    return best.ok() ? *best : std::vector<TermHit>();
  }

  std::mt19937_64 random_{7};
  std::deque<std::string> bytes_;  // what the blocks point into
  const TermStatistics statistics_{.passages = kPassages, .mean_length = 180};
  std::function<bool(PassageId)> keeps_ = [](PassageId) { return true; };
  TermSearchCounts counts_;
};

TEST_F(BestByTermsTest, FindsWhatACountOverAllFinds) {
  for (const std::vector<double>& shares : std::vector<std::vector<double>>{
           {1}, {500}, {300, 5}, {0.5, 900, 20}, {100, 100, 100, 100}, {2, 3, 800, 40, 0.1, 300}}) {
    std::vector<QueryTerm> terms;
    for (double share : shares) terms.push_back(MakeTerm(share));
    for (size_t k : {1, 10, 200, 30000}) EXPECT_EQ(Best(terms, k), ByCounting(terms, k)) << k;
  }
}

TEST_F(BestByTermsTest, BlocksThatCannotMatterAreNotDecoded) {
  const std::vector<QueryTerm> terms = {MakeTerm(900), MakeTerm(3)};
  counts_ = {};
  EXPECT_EQ(Best(terms, 10), ByCounting(terms, 10));
  EXPECT_LT(counts_.decoded, terms[0].blocks.size() / 2) << terms[0].blocks.size();
}

TEST_F(BestByTermsTest, PassagesThatMayNotBeFoundTakeNoPlace) {
  const std::vector<QueryTerm> terms = {MakeTerm(200), MakeTerm(400)};
  keeps_ = [](PassageId id) { return id % 2 == 0 && id > 20000; };
  EXPECT_EQ(Best(terms, 50), ByCounting(terms, 50));
  keeps_ = [](PassageId) { return false; };
  EXPECT_TRUE(Best(terms, 50).empty());
}

TEST_F(BestByTermsTest, NothingToLookForIsNothingFound) {
  EXPECT_TRUE(Best({}, 5).empty());
  EXPECT_TRUE(Best({QueryTerm{}}, 5).empty());
  EXPECT_TRUE(Best({MakeTerm(10)}, 0).empty());
}

TEST_F(BestByTermsTest, ADamagedBlockAndACancelledSearchSaySo) {
  std::vector<QueryTerm> terms = {MakeTerm(500)};
  CancelSource cancel;
  cancel.Cancel();
  TermSearchCounts counts;
  EXPECT_EQ(
      BestByTerms(terms, statistics_, 5, keeps_, Context().WithCancel(cancel.token()), &counts)
          .status()
          .code(),
      StatusCode::kCancelled);
  terms[0].blocks[0].entries = terms[0].blocks[0].entries.substr(1);
  EXPECT_EQ(BestByTerms(terms, statistics_, 5, keeps_, Context(), &counts).status().code(),
            StatusCode::kDataLoss);
}

TEST(TermWeight, IsNeverNegativeAndFallsWithFrequency) {
  const TermStatistics statistics{.passages = 100, .mean_length = 10};
  EXPECT_NEAR(TermWeight(statistics, 1), std::log(1 + 99.5 / 1.5), 1e-12);
  EXPECT_GT(TermWeight(statistics, 1), TermWeight(statistics, 50));
  EXPECT_GT(TermWeight(statistics, 100), 0);
  EXPECT_GT(TermWeight(statistics, 150), 0);  // with postings of passages that are gone
}

}  // namespace
}  // namespace vade
