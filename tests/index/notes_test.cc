// Small facts kept with a collection.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "tests/index/store_fixture.h"

namespace vade {
namespace {

class Notes : public StoreFixture {
 protected:
  Status Put(const std::string& key, const std::string& value,
             const std::string& collection = "default") {
    const StoreNote note{key, value};
    return store_->PutNotes(collection, {&note, 1});
  }
  std::string Get(const std::string& key, const std::string& collection = "default") {
    const auto note = store_->GetNote(collection, key);
    if (!note.ok()) return note.status().ToString();
    return note->value_or("(none)");
  }
  std::string Keys(const std::string& prefix, const std::string& after = "", int limit = 100) {
    const auto notes = store_->ListNotes("default", prefix, after, limit);
    if (!notes.ok()) return notes.status().ToString();
    std::string keys;
    for (const StoreNote& note : *notes) keys += note.key + " ";
    return keys;
  }
};

TEST_F(Notes, AreFoundByKeyAndByPrefixAndGoWhenTheyAreEmptied) {
  OpenWithCollection();
  for (const char* key : {"a/1", "a/2", "a/3", "b/1"})
    ASSERT_EQ(Put(key, StrCat("of ", key)), OkStatus());
  EXPECT_EQ(Get("a/2"), "of a/2");
  EXPECT_EQ(Keys("a/"), "a/1 a/2 a/3 ");
  EXPECT_EQ(Keys("a/", "a/1"), "a/2 a/3 ");
  EXPECT_EQ(Keys("a/", "", 2), "a/1 a/2 ");
  EXPECT_EQ(Keys("a/", "A"), "a/1 a/2 a/3 ") << "a place before all of them";
  EXPECT_EQ(Keys(""), "a/1 a/2 a/3 b/1 ");
  ASSERT_EQ(Put("a/2", ""), OkStatus());
  EXPECT_EQ(Get("a/2"), "(none)");
  EXPECT_EQ(Keys("a/"), "a/1 a/3 ");
}

TEST_F(Notes, StayWhenTheStoreIsOpenedAgainAndChangeNothingElse) {
  OpenWithCollection();
  ASSERT_EQ(Put("key", "value"), OkStatus());
  const uint64_t commit = store_->commit_number();
  Open();
  EXPECT_EQ(Get("key"), "value");
  EXPECT_EQ(store_->commit_number(), commit);
  const auto report = store_->Verify({});
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->problems.empty()) << report->problems[0];
}

TEST_F(Notes, BelongToTheirCollectionAndGoWithIt) {
  OpenWithCollection();
  ASSERT_EQ(
      store_->CreateCollection(
          {.name = "other", .embedder_id = embedder_.id(), .dimension = embedder_.dimension()}),
      OkStatus());
  ASSERT_EQ(Put("key", "mine"), OkStatus());
  EXPECT_EQ(Get("key", "other"), "(none)");
  ASSERT_EQ(store_->DeleteCollection("default"), OkStatus());
  EXPECT_EQ(Put("key", "late").code(), StatusCode::kNotFound);
  ASSERT_EQ(
      store_->CreateCollection(
          {.name = "default", .embedder_id = embedder_.id(), .dimension = embedder_.dimension()}),
      OkStatus());
  EXPECT_EQ(Get("key"), "(none)");
}

class NotesOfARevision : public Notes {
 protected:
  std::unique_ptr<DocumentWriter> Begin(const std::string& note) {
    DocumentInfo info;
    info.id = "a";
    auto writer = store_->BeginDocument("default", info);
    EXPECT_TRUE(writer.ok()) << writer.status().ToString();
    EXPECT_EQ((*writer)->PutNote({"key", note}), OkStatus());
    return std::move(*writer);
  }
};

TEST_F(NotesOfARevision, AreThereOnceItIs) {
  OpenWithCollection();
  auto first = Begin("first");
  EXPECT_EQ(Get("key"), "(none)");
  ASSERT_TRUE(first->Commit(Context()).ok());
  EXPECT_EQ(Get("key"), "first");
  ASSERT_TRUE(Begin("")->Commit(Context()).ok());
  EXPECT_EQ(Get("key"), "(none)");
}

TEST_F(NotesOfARevision, AreNotThereWhenItIsDroppedOrCannotBeCommitted) {
  OpenWithCollection();
  ASSERT_TRUE(Begin("first")->Commit(Context()).ok());
  Begin("dropped").reset();
  EXPECT_EQ(Get("key"), "first");
  CancelSource cancel;
  cancel.Cancel();
  auto cancelled = Begin("cancelled");
  EXPECT_FALSE(cancelled->Commit(Context().WithCancel(cancel.token())).ok());
  EXPECT_EQ(Get("key"), "first");
  auto late = Begin("of another collection");
  ASSERT_EQ(store_->DeleteCollection("default"), OkStatus());
  EXPECT_EQ(late->Commit(Context()).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(
      store_->CreateCollection(
          {.name = "default", .embedder_id = embedder_.id(), .dimension = embedder_.dimension()}),
      OkStatus());
  EXPECT_EQ(late->Commit(Context()).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Get("key"), "(none)");
}

TEST_F(NotesOfARevision, AreRemovedByKeyOnlyOnceTheDocumentIsGone) {
  OpenWithCollection();
  ASSERT_TRUE(Begin("first")->Commit(Context()).ok());
  ASSERT_EQ(Put("other", "stays"), OkStatus());
  const std::string left = "key";
  ASSERT_EQ(store_->RemoveNotesOf("default", "a", {&left, 1}), OkStatus());
  EXPECT_EQ(Get("key"), "first");
  ASSERT_TRUE(store_->DeleteDocuments("default", std::vector<std::string>{"a"}, {}).ok());
  ASSERT_EQ(store_->RemoveNotesOf("default", "a", {&left, 1}), OkStatus());
  EXPECT_EQ(Get("key"), "(none)");
  EXPECT_EQ(Get("other"), "stays");
  EXPECT_EQ(store_->RemoveNotesOf("nowhere", "a", {&left, 1}).code(), StatusCode::kNotFound);
}

TEST_F(NotesOfARevision, AreCheckedWhenTheyAreGiven) {
  OpenWithCollection();
  auto writer = Begin("sound");
  EXPECT_EQ(writer->PutNote({"", "value"}).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(writer->Commit(Context()).ok());
  EXPECT_EQ(writer->PutNote({"late", "value"}).code(), StatusCode::kFailedPrecondition);
}

TEST_F(Notes, WithoutAKeyAreRefused) {
  OpenWithCollection();
  EXPECT_EQ(Put("", "value").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Put(std::string(20000, 'k'), "value").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->ListNotes("default", "", "", 0).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
