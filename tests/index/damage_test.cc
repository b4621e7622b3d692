// What the store does with a database whose bytes are not as it wrote them, and with what a writer
// that died left behind.
#include <gtest/gtest.h>

#include <functional>

#include "base/bytes.h"
#include "base/files.h"
#include "index/kv.h"
#include "index/records.h"
#include "tests/index/store_fixture.h"

namespace vade {
namespace {

class DamagedStore : public StoreFixture {
 protected:
  void SetUp() override { OpenWithCollection(); }
  // Closes the store and writes to its database what `change` puts into the batch.
  void Tamper(const std::function<void(KvBatch*)>& change) {
    store_.reset();
    auto kv = Kv::Open(directory_ + "/db", {});
    ASSERT_TRUE(kv.ok());
    KvBatch batch;
    change(&batch);
    ASSERT_EQ((*kv)->Write(batch, Durability::kSynced), OkStatus());
  }
};

TEST_F(DamagedStore, LeftoversOfADeadProcessAreCollectedAtOpen) {
  // What a writer that died before its commit leaves behind, byte for byte as docs/formats.md has
  // it.
  std::string mark, piece;
  AppendFixed<uint32_t>(&mark, 1);
  piece = mark;
  AppendFixed<uint32_t>(&piece, 2);
  Tamper([&](KvBatch* batch) {
    batch->Put(Family::kStaged, StagedKey(900, 0), mark);
    batch->Put(Family::kStaged, StagedKey(900, 901), piece);
    batch->Put(Family::kText, TextKey(1, 900, 0), "left over");
    for (PassageId p : {901, 902}) {
      batch->Put(Family::kPassages, PassageKey(1, p), Encode(PassageRecord{900, 0, 0, 1, 0, ""}));
      batch->Put(Family::kVectors, PassageKey(1, p), std::string(128, 'v'));
    }
  });
  Open();
  EXPECT_EQ(Problems(), "");
  store_.reset();
  auto kv = Kv::Open(directory_ + "/db", {});
  ASSERT_TRUE(kv.ok());
  for (Family family : {Family::kStaged, Family::kText, Family::kPassages, Family::kVectors}) {
    EXPECT_FALSE((*kv)->Scan(family, "", "", nullptr)->Valid());
  }
}

TEST_F(DamagedStore, VerifyNoticesWhatDoesNotAgree) {
  Put("a", {"one two three", "four five"});
  const PassageId id = Search("one two three", 1)[0].passage.id;
  Tamper([&](KvBatch* batch) {
    batch->Delete(Family::kPassages, PassageKey(1, id));
    batch->Delete(Family::kChanges, ChangeKey(1));
  });
  Open();
  const std::string problems = Problems();
  EXPECT_NE(problems.find(StrCat("passage ", id, ": missing")), std::string::npos) << problems;
  EXPECT_NE(problems.find("the change log goes from 0 to 2"), std::string::npos) << problems;
}

TEST_F(DamagedStore, VerifyFindsWhatNobodyOwnsWhileADocumentIsBeingWritten) {
  Put("a", {"one two three"});
  DocumentInfo half;
  half.id = "half";
  const auto write_half = [&] {
    auto writer = *store_->BeginDocument("default", half);
    EXPECT_EQ(writer->AddText(std::string(3 * kTextPieceBytes, 'x')), OkStatus());
    Passage passage;
    passage.end = 5;
    EXPECT_EQ(writer->AddPassages({&passage, 1}, embedder_.EmbedOne("xxxxx")), OkStatus());
    EXPECT_EQ(writer->AddPassages({&passage, 1}, embedder_.EmbedOne("xxxxx")),
              OkStatus());  // writes the first
    return writer;
  };
  auto writer = write_half();
  Put("b", {"a later commit, whose state holds the half"});
  EXPECT_EQ(Problems(), "");
  writer.reset();
  Tamper([](KvBatch* batch) { batch->Put(Family::kPassages, PassageKey(1, 4000), "nobody's"); });
  Open();
  writer = write_half();
  Put("b", {"another commit"});
  EXPECT_EQ(
      Problems(),
      "collection 'default' holds 2 pieces of text, 3 passages and 2 vectors; its documents own "
      "2, 2 and 2");
}

TEST_F(DamagedStore, VerifySaysHowManyProblemsItLeavesOut) {
  Put("a", std::vector<std::string>(150, "again "));
  const PassageId first = Search("again", 1)[0].passage.id / 1000 * 1000;
  Tamper([&](KvBatch* batch) {
    batch->DeleteRange(Family::kPassages, PassageKey(1, first), PassageKey(1, first + 100000));
  });
  Open();
  const auto report = store_->Verify(Context());
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->problems.size(), 101u);
  EXPECT_TRUE(report->problems.back().starts_with("... and ")) << report->problems.back();
}

// A disk that turns a byte over: whatever the file, the store says which one it is, or it never
// needed that byte.
TEST_F(DamagedStore, AFileWithADamagedByteIsNamed) {
  for (int i = 0; i < 20; ++i) Put(StrCat("d", i), {StrCat("passage of document ", i)});
  ASSERT_EQ(Delete({"d7"}), 1u);
  ASSERT_EQ(store_->Erase(Context()), OkStatus());  // everything is in tables now
  store_.reset();
  size_t tables = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/db")) {
    if (entry.path().extension() != ".sst") continue;
    ++tables;
    const std::string path = entry.path().string(), whole = *ReadFile(path, 1 << 30);
    std::string damaged = whole;
    damaged[10] = static_cast<char>(damaged[10] ^ 0x55);  // in its first block of records
    ASSERT_EQ(WriteFileAtomically(path, damaged), OkStatus());
    auto store = OpenStore(directory_, options_);
    const auto report = store.ok() ? (*store)->Verify(Context()) : store.status();
    const std::string said =
        report.ok() ? Join(report->problems, "\n") : report.status().ToString();
    EXPECT_NE(said.find(entry.path().filename().string()), std::string::npos)
        << path << " is not in: " << said;
    if (store.ok()) store->reset();
    ASSERT_EQ(WriteFileAtomically(path, whole), OkStatus());
  }
  EXPECT_GE(tables, 3u);
  Open();
  EXPECT_EQ(Problems(), "") << "with the bytes as they were";
}

TEST_F(DamagedStore, ForeignBytesInTheDatabaseAreDamageAndNoCrash) {
  Put("a", {"one two three"});
  const auto expect_damage = [&](Family family, const std::string& key, const std::string& value,
                                 const std::string& instead) {
    Tamper([&](KvBatch* batch) { batch->Put(family, key, value); });
    EXPECT_EQ(OpenStore(directory_, options_).status().code(), StatusCode::kDataLoss);
    Tamper([&](KvBatch* batch) {
      instead.empty() ? batch->Delete(family, key) : batch->Put(family, key, instead);
    });
  };
  std::string mark;
  AppendFixed<uint32_t>(&mark, 1);
  // Behind a good note of the same revision.
  Tamper([&](KvBatch* batch) { batch->Put(Family::kStaged, StagedKey(900, 0), mark); });
  expect_damage(Family::kStaged, StagedKey(900, 0).substr(0, 8) + "foreign", mark, "");
  expect_damage(Family::kCatalog, "cxy", "z", "");
  const CollectionRecord wide = {"default", embedder_.id(), 16385, 0},
                         good = {"default", embedder_.id(), 64, 0};
  expect_damage(Family::kCatalog, CollectionKey(1), Encode(wide), Encode(good));
  // Passages for whose slots no memory would do, of numbers that were never given out but claim to
  // be.
  std::string numbers;
  AppendFixed<uint64_t>(&numbers, uint64_t{1} << 60);
  Tamper([&](KvBatch* batch) { batch->Put(Family::kMeta, "next_id", numbers); });
  expect_damage(Family::kDocuments, RevisionRecordKey(1, 77),
                Encode(RevisionRecord{0, "b", {{10000, uint64_t{1} << 50}}}), "");

  Tamper([&](KvBatch* batch) {
    batch->Put(Family::kChanges, ChangeKey(9) + "x", "");
    batch->Put(Family::kDocuments, CollectionPrefix(1), "");
  });
  Open();
  EXPECT_NE(Problems().find("the change log has a key of 9 bytes"), std::string::npos)
      << Problems();
  EXPECT_EQ(Text("a"), "one two three");
}

}  // namespace
}  // namespace vade
