// Documents that take another one's place, and documents that hold only from some time on.
#include <set>

#include "base/clock.h"
#include "index/kv.h"
#include "index/records.h"
#include "tests/index/store_fixture.h"
#include "tests/testing/manual_clock.h"

namespace vade {
namespace {

using Source = RankingOptions::Source;

class Versions : public StoreFixture {
 protected:
  Versions() : clock_(*ParseRfc3339("2026-06-01")) { options_.clock = &clock_; }
  void SetUp() override {
    options_.flat_below = 16;
    OpenWithCollection();
  }

  void PutVersion(const std::string& id, const std::string& text, const std::string& supersedes,
                  const std::string& valid_from, const std::vector<std::string>& groups = {}) {
    DocumentInfo info;
    info.id = id;
    info.content_hash = Sha256Hex(text + valid_from);
    info.supersedes = supersedes;
    info.valid_from = valid_from;
    info.groups = groups;
    const auto put = TryPut(info, {text});
    ASSERT_TRUE(put.ok()) << put.status().ToString();
  }
  // What is found of the rent, sorted by id; the same by vectors, by words and by both.
  std::string Rent(const std::string& as_of = "", const std::string& filter = "",
                   const std::vector<std::string>& groups = {}) {
    std::vector<std::string> all;
    for (Source source : {Source::kVectors, Source::kTerms, Source::kBoth}) {
      SearchRequest request = Question("rent", 100, groups);
      request.as_of = as_of;
      request.filter = filter;
      request.ranking.source = source;
      const auto found = store_->Search(request, Context());
      if (!found.ok()) return found.status().ToString();
      std::set<std::string> ids;
      for (const Hit& hit : found->hits) ids.insert(hit.passage.document_id);
      all.push_back(Join({ids.begin(), ids.end()}, " "));
    }
    EXPECT_EQ(all[0], all[1]);
    EXPECT_EQ(all[0], all[2]);
    return all[0];
  }

  testing::ManualClock clock_;
};

TEST_F(Versions, ASupersededDocumentIsFoundOnlyForTimesBeforeItsSuccessor) {
  for (int i = 0; i < 40; ++i) Put(StrCat("other", i), {StrCat("Something else, number ", i)});
  PutVersion("old", "The rent is ten coins.", "", "");
  PutVersion("new", "The rent is twelve coins.", "old", "2026-03-01");
  for (int round = 0; round < 3; ++round) {
    if (round == 1) Seal();
    if (round == 2) Open();
    const auto filter = "id in ('old', 'new')";
    EXPECT_EQ(Rent("", filter), "new");
    EXPECT_EQ(Rent("2026-03-01", filter), "new");
    EXPECT_EQ(Rent("2026-02-28T23:59:59Z", filter), "old");
    EXPECT_EQ(Rent("", "id = 'old'"), "");
  }
  EXPECT_EQ(Problems(), "");
}

TEST_F(Versions, ADocumentOfTheFutureIsFoundOnceItsTimeHasCome) {
  PutVersion("old", "The rent is ten coins.", "", "");
  PutVersion("next", "The rent is twelve coins.", "old", "2026-07-01");
  EXPECT_EQ(Rent(), "old");
  EXPECT_EQ(Rent("2026-07-02"), "next");
  clock_.Advance(std::chrono::hours(24 * 31));
  EXPECT_EQ(Rent(), "next");
  EXPECT_EQ(Rent("2026-06-30"), "old");
}

TEST_F(Versions, ASuccessorWithoutATimeHidesAtAllTimesAndDeletingItBringsTheOldOneBack) {
  PutVersion("old", "The rent is ten coins.", "", "");
  PutVersion("new", "The rent is twelve coins.", "old", "");
  EXPECT_EQ(Rent(), "new");
  EXPECT_EQ(Rent("1999-01-01"), "new");
  Delete({"new"});
  EXPECT_EQ(Rent(), "old");
  EXPECT_EQ(Problems(), "");
}

TEST_F(Versions, OnlyTheLastOfAChainIsFound) {
  PutVersion("c", "The rent is three coins.", "b", "2026-03-01");  // in any order
  PutVersion("a", "The rent is one coin.", "", "");
  PutVersion("b", "The rent is two coins.", "a", "2026-02-01");
  EXPECT_EQ(Rent(), "c");
  EXPECT_EQ(Rent("2026-02-15"), "b");
  EXPECT_EQ(Rent("2026-01-15"), "a");
  Delete({"b"});
  EXPECT_EQ(Rent(), "a c");
}

TEST_F(Versions, WhatIsPutUnderASupersededIdStaysHiddenAndAnUpdateCanEndIt) {
  PutVersion("old", "The rent is ten coins.", "", "");
  PutVersion("new", "The rent is twelve coins.", "old", "2026-03-01");
  EXPECT_EQ(Rent(), "new");
  PutVersion("old", "The rent is eleven coins.", "", "");
  EXPECT_EQ(Rent(), "new");
  EXPECT_EQ(Rent("2026-01-01"), "old");
  PutVersion("new", "The rent is twelve coins.", "", "");
  EXPECT_EQ(Rent(), "new old");
  EXPECT_EQ(Problems(), "");
}

TEST_F(Versions, ASuccessorThatTheCallerMayNotSeeHidesAllTheSame) {
  PutVersion("old", "The rent is ten coins.", "", "");
  PutVersion("new", "The rent is twelve coins.", "old", "", {"board"});
  EXPECT_EQ(Rent(), "");
  EXPECT_EQ(Rent("", "", {"board"}), "new");
}

TEST_F(Versions, BadTimesAndDocumentsThatSupersedeThemselvesAreRefused) {
  PutVersion("old", "The rent is ten coins.", "", "");
  EXPECT_NE(Rent("yesterday").find("as_of"), std::string::npos);
  DocumentInfo info;
  info.id = info.supersedes = "self";
  EXPECT_EQ(TryPut(info, {"text"}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(Versions, VerifyNamesAVersionThatIsNotListed) {
  PutVersion("new", "The rent is twelve coins.", "old", "");
  store_.reset();
  {
    const auto kv = Kv::Open(directory_ + "/db", {});
    KvBatch batch;
    batch.Delete(Family::kDocuments, VersionKey(1, "new"));
    batch.Put(Family::kDocuments, VersionKey(1, "ghost"), Encode(VersionRecord{.supersedes = "x"}));
    ASSERT_EQ((*kv)->Write(batch, Durability::kSynced), OkStatus());
  }
  Open();
  EXPECT_NE(Problems().find("directory of versions do not agree"), std::string::npos);
}

// tests/testdata/store_format_3 was written by the store as it was before it looked at versions.
class StoreOfFormat3 : public Versions {
 protected:
  void SetUp() override { OpenCopyOf("store_format_3"); }
};

TEST_F(StoreOfFormat3, OpensWithAllThatItHeldAndItsVersionsCount) {
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Documents(), 4u);
  const auto rent = "source = 'no' or title contains 'rent' or title contains 'future'";
  EXPECT_EQ(Rent("", rent), "rent-new.md");
  EXPECT_EQ(Rent("2024-02-29", rent), "rent-old.md");
  EXPECT_EQ(Rent("3000-01-01", rent), "future.md rent-new.md");
  EXPECT_EQ(Rent("", "year = 2024 and tags contains 'rent'"), "rent-new.md");
  EXPECT_NE(Found("secret vault", 5, {"board"}).find("vault opens"), std::string::npos);
  Delete({"rent-new.md"});
  Seal();
  Open();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Rent("", rent), "rent-old.md");
}

}  // namespace
}  // namespace vade
