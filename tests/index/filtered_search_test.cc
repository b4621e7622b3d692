// Filters inside both searches: what is kept is found, however little it is and wherever it lies.
#include <algorithm>
#include <set>

#include "tests/index/store_fixture.h"

namespace vade {
namespace {

using Source = RankingOptions::Source;

class FilteredSearch : public StoreFixture {
 protected:
  void SetUp() override {
    options_.flat_below = 64;
    OpenWithCollection();
  }

  void PutNumbered(int number, int every) {
    DocumentInfo info;
    info.id = StrCat("doc", number);
    info.content_hash = StrCat(number);
    info.metadata = {{"number", double(number)}, {"rare", number % every == 0}};
    if (number % 2 == 1) info.groups = {"odd"};
    const auto put = TryPut(info, {StrCat("The common report about subject ", number, ".")});
    ASSERT_TRUE(put.ok()) << put.status().ToString();
  }
  void PutMany(int from, int to, int every) {
    for (int i = from; i < to; ++i) PutNumbered(i, every);
  }

  // Ids of the documents found, by `source` alone.
  std::set<std::string> Ids(const std::string& filter, int k, Source source,
                            const std::vector<std::string>& groups = {}) {
    SearchRequest request = Question("common report", k, groups);
    request.filter = filter;
    request.ranking.source = source;
    std::set<std::string> ids;
    const auto found = store_->Search(request, Context());
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    for (const Hit& hit : found->hits) EXPECT_TRUE(ids.insert(hit.passage.document_id).second);
    return ids;
  }
  // The same from vectors, from words and from both.
  void ExpectFound(const std::string& filter, int k, const std::set<std::string>& expected) {
    for (Source source : {Source::kVectors, Source::kTerms, Source::kBoth}) {
      EXPECT_EQ(Ids(filter, k, source), expected) << filter << " source " << int(source);
    }
  }
};

TEST_F(FilteredSearch, OneInAThousandStillGivesAsManyAsThereAre) {
  PutMany(0, 4000, 1000);
  const std::set<std::string> rare = {"doc0", "doc1000", "doc2000", "doc3000"};
  ExpectFound("rare = true", 4, rare);  // all in the tail
  ExpectFound("rare = true", 100, rare);
  Seal();
  ASSERT_EQ(SegmentFiles().size(), 1u);
  ExpectFound("rare = true", 4, rare);  // in a segment with a graph
  PutMany(4000, 5100, 1000);
  ExpectFound("rare = true", 100,
              {"doc0", "doc1000", "doc2000", "doc3000", "doc4000", "doc5000"});  // in both
  EXPECT_EQ(Ids("rare = true", 3, Source::kBoth).size(), 3u);
}

TEST_F(FilteredSearch, AWideFilterWalksTheGraphAndReturnsOnlyWhatItKeeps) {
  PutMany(0, 1500, 100);
  Seal();
  for (Source source : {Source::kVectors, Source::kTerms, Source::kBoth}) {
    const auto ids = Ids("number >= 500", 50, source, {"odd"});
    EXPECT_EQ(ids.size(), 50u);
    for (const std::string& id : ids) EXPECT_GE(*ParseInt(id.substr(3)), 500) << id;
  }
}

TEST_F(FilteredSearch, GroupsAndFilterMustBothLetThrough) {
  PutMany(0, 300, 100);
  for (bool sealed : {false, true}) {
    if (sealed) Seal();
    EXPECT_EQ(Ids("number < 4", 100, Source::kBoth), (std::set<std::string>{"doc0", "doc2"}));
    EXPECT_EQ(Ids("number < 4", 100, Source::kBoth, {"odd"}).size(), 4u);
    EXPECT_EQ(Ids("groups contains 'odd'", 100, Source::kBoth), std::set<std::string>{});
  }
}

// The passages of a filter are remembered; what is put, replaced and deleted since must count.
TEST_F(FilteredSearch, ARememberedFilterFollowsEveryChange) {
  PutMany(0, 50, 10);
  EXPECT_EQ(Ids("rare = true", 100, Source::kBoth).size(), 5u);
  PutNumbered(60, 10);
  EXPECT_EQ(Ids("rare = true", 100, Source::kBoth).size(), 6u);
  PutNumbered(60, 7);  // no longer rare
  EXPECT_EQ(Ids("rare = true", 100, Source::kBoth).size(), 5u);
  Delete({"doc0", "doc10"});
  ExpectFound("rare = true", 100, {"doc20", "doc30", "doc40"});
  Seal();
  ExpectFound("rare = true", 100, {"doc20", "doc30", "doc40"});
  for (int round = 0; round < 12; ++round) PutMany(0, 50, 10);  // old passages pile up
  EXPECT_EQ(Ids("rare = true", 100, Source::kBoth).size(), 5u);
  ASSERT_EQ(store_->DeleteCollection("default"), OkStatus());
  ASSERT_EQ(
      store_->CreateCollection(
          {.name = "default", .embedder_id = embedder_.id(), .dimension = embedder_.dimension()}),
      OkStatus());
  ExpectFound("rare = true", 100, {});
}

TEST_F(FilteredSearch, ManyFiltersTakeTurns) {
  PutMany(0, 40, 10);
  for (int round = 0; round < 3; ++round) {
    for (int n = 0; n < 40; ++n) {
      EXPECT_EQ(Ids(StrCat("number = ", n), 5, Source::kVectors, {"odd"}),
                std::set<std::string>{StrCat("doc", n)});
    }
  }
}

TEST_F(FilteredSearch, ExplainTellsBothRanksAndWhatWasCut) {
  PutMany(0, 80, 10);
  DocumentInfo info;
  info.id = "words";
  info.content_hash = "words";
  ASSERT_TRUE(TryPut(info, {"Entirely another matter: the FL-20/B valve."}).ok());
  SearchRequest request = Question("common report FL-20/B", 3, {"odd"});
  request.explain = true;
  const auto found = store_->Search(request, Context());
  ASSERT_TRUE(found.ok());
  ASSERT_GT(found->candidates.size(), 50u);
  std::set<uint32_t> dense, terms;
  for (size_t i = 0; i < found->candidates.size(); ++i) {
    const Explained& c = found->candidates[i];
    EXPECT_EQ(c.cut, i < 3 ? "" : "rank");
    EXPECT_TRUE(c.dense_rank > 0 || c.term_rank > 0);
    if (c.dense_rank > 0) {
      EXPECT_TRUE(dense.insert(c.dense_rank).second);
    }
    if (c.term_rank > 0) {
      EXPECT_TRUE(terms.insert(c.term_rank).second);
    }
    if (i > 0) {
      EXPECT_LE(c.score, found->candidates[i - 1].score);
    }
    if (c.document_id == "words") {
      EXPECT_EQ(c.term_rank, 1u);
    }
    if (i < 3) {
      EXPECT_EQ(c.passage_id, found->hits[i].passage.id);
    }
  }
  EXPECT_EQ(*dense.rbegin(), dense.size());
  EXPECT_EQ(*terms.rbegin(), terms.size());
}

TEST_F(FilteredSearch, AFilterThatDoesNotParseIsRefused) {
  PutMany(0, 1, 1);
  auto request = Question("report");
  request.filter = "number = ";
  const auto refused = store_->Search(request, Context());
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("column 10"), std::string::npos);
}

TEST_F(FilteredSearch, ListingsKeepTheirOrderAndPagesUnderAFilter) {
  PutMany(0, 100, 10);
  std::vector<std::string> ids;
  DocumentQuery query{.limit = 3, .filter = "rare = true"};
  do {
    const auto page = store_->ListDocuments("default", query);
    ASSERT_TRUE(page.ok());
    EXPECT_LE(page->documents.size(), 3u);
    for (const DocumentInfo& info : page->documents) ids.push_back(info.id);
    query.after = page->next;
  } while (!query.after.empty());
  EXPECT_EQ(Join(ids, " "), "doc0 doc10 doc20 doc30 doc40 doc50 doc60 doc70 doc80 doc90");
  query = {.limit = 1000, .caller_groups = std::vector<std::string>{"odd"}};
  EXPECT_EQ(store_->ListDocuments("default", query)->documents.size(), 100u);
  query.caller_groups->clear();
  EXPECT_EQ(store_->ListDocuments("default", query)->documents.size(), 50u);
}

}  // namespace
}  // namespace vade
