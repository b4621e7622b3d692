// Another embedder for a collection: readers and writers meanwhile, the switch, calls that end
// early.
#include <gtest/gtest.h>

#include <functional>

#include "base/files.h"
#include "index/kv.h"
#include "index/records.h"
#include "tests/index/store_fixture.h"

namespace vade {
namespace {

class Reembed : public StoreFixture {
 protected:
  void SetUp() override {
    options_.seal_tail_at = 32;  // segments with graphs, before the switch and after it
    options_.flat_below = 16;
    OpenWithCollection();
  }
  static std::string Words(int i) { return StrCat("harbour log ", i, " tides of day ", i * i); }
  void PutMany(int first, int count) {
    for (int i = first; i < first + count; ++i)
      Put(StrCat("d", i), {Words(i), StrCat("second part of ", i)});
  }
  using Before = std::function<Status(int call)>;
  // `before` is run at each call of the embedder, the first one 0.
  Result<ReembedReport> Make(const HashingEmbedder& next, const Before& before = nullptr) {
    int calls = 0;
    return store_->Reembed("default",
                           {.embedder_id = next.id(),
                            .dimension = next.dimension(),
                            .embedder_source = "name of " + next.id(),
                            .embed = [&](std::span<const PassageToEmbed> passages,
                                         const Context&) -> Result<std::vector<float>> {
                              if (before) RETURN_IF_ERROR(before(calls++));
                              std::vector<float> vectors;
                              for (const PassageToEmbed& one : passages) {
                                titles_ += one.title + "\n";
                                const auto vector = next.EmbedOne(one.passage.text);
                                vectors.insert(vectors.end(), vector.begin(), vector.end());
                              }
                              return vectors;
                            }},
                           Context());
  }
  std::string FoundBy(const HashingEmbedder& embedder, const std::string& question) {
    SearchRequest request = Question(question, 1);
    request.vector = embedder.EmbedOne(question);
    request.embedder_id = embedder.id();
    request.ranking.source = RankingOptions::Source::kVectors;
    const auto found = store_->Search(request, Context());
    if (!found.ok()) return found.status().ToString();
    return found->hits.empty() ? "nothing" : found->hits[0].passage.text;
  }
  // Keys of the vectors by their space, "space:count ".
  std::string VectorsInDatabase() {
    store_.reset();
    auto kv = Kv::Open(directory_ + "/db", {});
    std::map<uint32_t, int> counts;
    const auto scan = (*kv)->Scan(Family::kVectors, "", "", nullptr);
    for (; scan->Valid(); scan->Next()) ++counts[ParseKey32(scan->key())];
    std::string said;
    for (const auto& [space, count] : counts) said += StrCat(space, ":", count, " ");
    return said;
  }

  const HashingEmbedder next_{48}, third_{40};
  std::string titles_;
};

TEST_F(Reembed, AfterItTheCollectionIsSearchedByTheNewVectorsAlone) {
  PutMany(0, 60);
  Seal();
  const auto report = Make(next_);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->passages, 120u);
  EXPECT_EQ(report->embedded, 120u);
  EXPECT_EQ(report->commit, store_->commit_number());
  EXPECT_NE(titles_.find("Title of d17\n"), std::string::npos);
  for (int opened = 0; opened < 2; ++opened) {
    SCOPED_TRACE(StrCat("opened ", opened));
    const CollectionInfo info = *store_->GetCollection("default");
    EXPECT_EQ(info.embedder_id, next_.id());
    EXPECT_EQ(info.dimension, 48);
    EXPECT_EQ(info.embedder_source, "name of hashing-48");
    EXPECT_EQ(Problems(), "");
    EXPECT_EQ(FoundBy(next_, Words(17)), Words(17));
    EXPECT_NE(FoundBy(embedder_, Words(17)).find("ask again"), std::string::npos);
    EXPECT_EQ(store_->Search(Question("tides"), Context()).status().code(),
              StatusCode::kInvalidArgument);  // the old dimension
    EXPECT_FALSE(SegmentFiles().empty());
    for (const std::string& file : SegmentFiles()) {
      EXPECT_NE(file.find("/vectors/2/"), std::string::npos) << file;
    }
    Open();
  }
  const auto changes = store_->ChangesSince(report->commit - 1, 10);
  ASSERT_EQ(changes->changes.size(), 1u);
  EXPECT_EQ(changes->changes[0].kind, StoreChange::Kind::kReembed);
  EXPECT_EQ(VectorsInDatabase(), "2:120 ");
}

TEST_F(Reembed, MeanwhileEverybodyReadsAndWritesAsBefore) {
  PutMany(0, 60);
  const auto report = Make(next_, [&](int call) {
    // The first 16 at most may be embedded while commits wait: nothing is written from there.
    if (call == 1) {
      Delete({"d0", "d59"});  // one that has its new vector already, one that has not
      Put("d1", {"replaced words"});
      Put("d58", {"also replaced"});
      PutMany(60, 30);
    }
    if (call <= 1) {
      EXPECT_EQ(store_->GetCollection("default")->embedder_id, embedder_.id());
      EXPECT_EQ(FoundBy(embedder_, Words(30)), Words(30));
      EXPECT_EQ(Problems(), "");
    }
    return OkStatus();
  });
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->passages, 2u * 86 + 2);
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(FoundBy(next_, "replaced words"), "replaced words");
  EXPECT_EQ(FoundBy(next_, "also replaced"), "also replaced");
  EXPECT_EQ(FoundBy(next_, Words(75)), Words(75));
  EXPECT_NE(FoundBy(next_, Words(0)), Words(0));
  Delete({"d30"});
  EXPECT_NE(FoundBy(next_, Words(30)), Words(30));
  Open();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(VectorsInDatabase(), StrCat("2:", 2 * 85 + 2, " "));
}

TEST_F(Reembed, WhatACallHasMadeIsKeptForTheNextOne) {
  PutMany(0, 60);
  const auto stopped =
      Make(next_, [](int call) { return call == 2 ? Cancelled("enough for today") : OkStatus(); });
  EXPECT_EQ(stopped.status().code(), StatusCode::kCancelled);
  EXPECT_EQ(FoundBy(embedder_, Words(3)), Words(3));
  Delete({"d2"});
  Open();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(FoundBy(embedder_, Words(3)), Words(3));
  const auto report = Make(next_);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->passages, 118u);
  EXPECT_EQ(report->embedded, 120u - 64);
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(FoundBy(next_, Words(3)), Words(3));
  EXPECT_EQ(VectorsInDatabase(), "2:118 ");
}

TEST_F(Reembed, WhatWasMadeByAThirdEmbedderIsDropped) {
  PutMany(0, 60);
  const auto stop = [](int call) { return call == 2 ? Cancelled("enough") : OkStatus(); };
  EXPECT_FALSE(Make(third_, stop).ok());
  EXPECT_FALSE(Make(next_, stop).ok());
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(VectorsInDatabase(), "1:120 3:64 ");
  Open();
  // The one that it has: nothing is embedded, and what was begun goes.
  titles_.clear();
  const auto same = Make(embedder_);
  ASSERT_TRUE(same.ok()) << same.status().ToString();
  EXPECT_EQ(same->embedded, 0u);
  EXPECT_EQ(titles_, "");
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(store_->GetCollection("default")->embedder_source, "name of hashing-64");
  EXPECT_EQ(FoundBy(embedder_, Words(3)), Words(3));
  EXPECT_EQ(VectorsInDatabase(), "1:120 ");
}

TEST_F(Reembed, VectorsThatAreNoneLeaveTheCollectionAsItWas) {
  PutMany(0, 20);
  const auto with = [&](std::vector<float> numbers) {
    return store_
        ->Reembed("default",
                  {.embedder_id = "broken",
                   .dimension = 2,
                   .embed = [&](std::span<const PassageToEmbed>,
                                const Context&) -> Result<std::vector<float>> { return numbers; }},
                  Context())
        .status();
  };
  EXPECT_EQ(with({1, 0}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(with(std::vector<float>(64, 0)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(
      store_->Reembed("default", {.embedder_id = "x", .dimension = 0, .embed = nullptr}, Context())
          .status()
          .code(),
      StatusCode::kInvalidArgument);
  EXPECT_EQ(
      store_->Reembed("none", {.embedder_id = "x", .dimension = 2, .embed = nullptr}, Context())
          .status()
          .code(),
      StatusCode::kNotFound);
  // The same name for another model.
  EXPECT_EQ(
      store_
          ->Reembed("default", {.embedder_id = embedder_.id(), .dimension = 2, .embed = nullptr},
                    Context())
          .status()
          .code(),
      StatusCode::kInvalidArgument);
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(FoundBy(embedder_, Words(3)), Words(3));
}

TEST_F(Reembed, ADocumentThatIsBeingWrittenAtTheSwitchIsRefusedAndLeavesNothing) {
  PutMany(0, 20);
  DocumentInfo info;
  info.id = "half";
  auto writer = *store_->BeginDocument("default", info);
  ASSERT_EQ(writer->AddText("half written"), OkStatus());
  Passage passage;
  passage.end = 12;
  ASSERT_EQ(writer->AddPassages({&passage, 1}, embedder_.EmbedOne("half written")), OkStatus());
  ASSERT_TRUE(Make(next_).ok());
  // What it stages now goes where nothing is read any more.
  ASSERT_EQ(writer->AddPassages({&passage, 1}, embedder_.EmbedOne("half written")), OkStatus());
  const auto committed = writer->Commit(Context());
  EXPECT_EQ(committed.status().code(), StatusCode::kAborted) << committed.status().ToString();
  EXPECT_NE(committed.status().message().find("put it again"), std::string::npos);
  writer.reset();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Documents(), 20u);
  EXPECT_EQ(VectorsInDatabase(), "2:40 ");
}

TEST_F(Reembed, ACollectionThatIsDeletedMeanwhileEndsIt) {
  PutMany(0, 60);
  const auto report = Make(next_, [&](int call) {
    if (call == 1) {
      EXPECT_EQ(store_->DeleteCollection("default"), OkStatus());
    }
    return OkStatus();
  });
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(VectorsInDatabase(), "");
  EXPECT_TRUE(SegmentFiles().empty());
}

TEST_F(Reembed, VectorsOfASpaceThatNobodyHasGoAtOpen) {
  PutMany(0, 3);
  store_.reset();
  {
    auto kv = Kv::Open(directory_ + "/db", {});
    KvBatch batch;
    batch.Put(Family::kVectors, PassageKey(77, 5), "left by a writer that died");
    ASSERT_EQ((*kv)->Write(batch, Durability::kSynced), OkStatus());
  }
  Open();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(VectorsInDatabase(), "1:6 ");
}

// tests/testdata/store_format_4 was written by `vade docs put` before collections had spaces.
class StoreOfFormat4 : public Reembed {
 protected:
  void SetUp() override { OpenCopyOf("store_format_4"); }
};

TEST_F(StoreOfFormat4, OpensWithAllThatItHeldAndTakesAnotherEmbedder) {
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Documents(), 3u);
  EXPECT_EQ(Text("tides"), "Harbour tides rise twice a day.\n");
  EXPECT_EQ(store_->GetCollection("default")->dimension, 384);
  ASSERT_TRUE(Make(next_).ok());
  EXPECT_EQ(Problems(), "");
  Open();
  EXPECT_EQ(Problems(), "");
  EXPECT_NE(FoundBy(next_, "harbour tides rise").find("Harbour tides"), std::string::npos);
}

}  // namespace
}  // namespace vade
