// The change log as those see it who keep something that is derived from documents.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "index/kv.h"
#include "index/records.h"
#include "tests/index/store_fixture.h"
#include "tests/testing/memory_store.h"

namespace vade {
namespace {

// "2 put 1/a", with "+" behind a put that replaced something.
std::string Rendered(const StoreChange& change) {
  const char* const verbs[] = {"?", "put", "delete", "create", "drop"};
  return StrCat(change.commit, " ", verbs[static_cast<int>(change.kind)], " ", change.collection,
                change.document_id.empty() ? "" : "/", change.document_id,
                change.replaced ? "+" : "");
}

std::string Rendered(const Result<ChangeList>& list) {
  if (!list.ok()) return list.status().ToString();
  std::vector<std::string> parts;
  for (const StoreChange& change : list->changes) parts.push_back(Rendered(change));
  if (list->trimmed) parts.push_back("trimmed");
  parts.push_back(StrCat(list->more ? "more after " : "all up to ", list->through));
  return Join(parts, ", ");
}

class ChangeLog : public StoreFixture {
 protected:
  void SetUp() override { OpenWithCollection(); }
  std::string Since(uint64_t commit, int limit = 1000) {
    return Rendered(store_->ChangesSince(commit, limit));
  }
};

TEST_F(ChangeLog, PutsReplacesAndDeletesAreListedInOrder) {
  Put("a", {"one"});
  Put("b", {"two"});
  Put("a", {"three"});
  Delete({"b", "never was"});
  EXPECT_EQ(Since(0), "1 create 1, 2 put 1/a, 3 put 1/b, 4 put 1/a+, 5 delete 1/b, all up to 5");
  EXPECT_EQ(Since(3), "4 put 1/a+, 5 delete 1/b, all up to 5");
  EXPECT_EQ(Since(5), "all up to 5");
  Open();
  EXPECT_EQ(Since(3), "4 put 1/a+, 5 delete 1/b, all up to 5");
}

TEST_F(ChangeLog, ADeletedCollectionIsKnownByItsNumberAndANewOneOfItsNameIsAnother) {
  EXPECT_EQ(store_->GetCollection("default")->id, 1u);
  ASSERT_EQ(store_->DeleteCollection("default"), OkStatus());
  ASSERT_EQ(store_->CreateCollection({.name = "default", .embedder_id = "e", .dimension = 64}),
            OkStatus());
  EXPECT_EQ(Since(1), "2 drop 1, 3 create 2, all up to 3");
  EXPECT_EQ(store_->GetCollection("default")->id, 2u);
  Open();
  EXPECT_EQ(store_->ListCollections()->at(0).id, 2u);
}

TEST_F(ChangeLog, LongListsComeInPiecesOfWholeCommits) {
  for (const char* id : {"a", "b", "c", "d"}) Put(id, {StrCat("text ", id)});
  EXPECT_EQ(Since(1, 2), "2 put 1/a, 3 put 1/b, more after 3");
  EXPECT_EQ(Since(3, 2), "4 put 1/c, 5 put 1/d, all up to 5");
  Delete({"a", "b", "c"});  // one commit
  Put("e", {"text e"});
  EXPECT_EQ(Since(5, 2), "6 delete 1/a, 6 delete 1/b, 6 delete 1/c, more after 6");
  EXPECT_EQ(Since(5, 3), Since(5, 2));
  EXPECT_EQ(store_->ChangesSince(1, 0).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(ChangeLog, WhoIsBehindATrimmedLogOrAheadOfTheStoreIsToldToStartAnew) {
  for (const char* id : {"a", "b", "c"}) Put(id, {StrCat("text ", id)});
  EXPECT_EQ(Since(5), "trimmed, all up to 4");
  EXPECT_EQ(Since(UINT64_MAX), "trimmed, all up to 4");
  store_.reset();
  {
    auto kv = Kv::Open(directory_ + "/db", {});
    ASSERT_TRUE(kv.ok());
    std::string begin;
    AppendFixed<uint64_t>(&begin, 3);
    KvBatch batch;
    batch.Put(Family::kMeta, "log_begin", begin);
    batch.DeleteRange(Family::kChanges, ChangeKey(1), ChangeKey(3));
    ASSERT_EQ((*kv)->Write(batch, Durability::kSynced), OkStatus());
  }
  Open();
  EXPECT_EQ(Since(1), "trimmed, all up to 4");
  EXPECT_EQ(Since(2), "3 put 1/b, 4 put 1/c, all up to 4");
  EXPECT_EQ(Problems(), "");
}

TEST_F(ChangeLog, AGapIsDamageAndNotSilence) {
  Put("a", {"one"});
  Put("b", {"two"});
  store_.reset();
  {
    auto kv = Kv::Open(directory_ + "/db", {});
    ASSERT_TRUE(kv.ok());
    KvBatch batch;
    batch.Delete(Family::kChanges, ChangeKey(2));
    ASSERT_EQ((*kv)->Write(batch, Durability::kSynced), OkStatus());
  }
  Open();
  EXPECT_EQ(store_->ChangesSince(1, 10).status().code(), StatusCode::kDataLoss);
}

// Other modules test their followers against the store in memory: it must tell the same story.
TEST_F(ChangeLog, TheStoreInMemoryListsTheSame) {
  testing::MemoryStore memory;
  const auto live = [&](Store* store) {
    (void)store->CreateCollection({.name = "x", .embedder_id = "e", .dimension = 64});
    for (const char* id : {"a", "b", "a"}) {
      DocumentInfo info;
      info.id = id;
      auto writer = *store->BeginDocument("x", info);
      EXPECT_TRUE(writer->Commit(Context()).ok());
    }
    const std::vector<std::string> both = {"a", "b"};
    EXPECT_EQ(*store->DeleteDocuments("x", both, Context()), 2u);
    EXPECT_EQ(store->DeleteCollection("x"), OkStatus());
  };
  ASSERT_EQ(memory.CreateCollection({.name = "default", .embedder_id = "e", .dimension = 64}),
            OkStatus());
  live(store_.get());
  live(&memory);
  for (uint64_t commit = 0; commit < 9; ++commit) {
    for (int limit : {1, 2, 100}) {
      EXPECT_EQ(Rendered(memory.ChangesSince(commit, limit)), Since(commit, limit))
          << commit << " " << limit;
    }
  }
  memory.ForgetChanges();
  EXPECT_EQ(Rendered(memory.ChangesSince(2, 5)), "trimmed, all up to 7");
}

}  // namespace
}  // namespace vade
