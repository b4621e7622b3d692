// What was deleted leaves the files: a random marker is planted wherever a document has text, and
// looked for in every byte of the directory.
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/clock.h"
#include "tests/index/store_fixture.h"
#include "tests/testing/manual_clock.h"

namespace vade {
namespace {

namespace fs = std::filesystem;

class Erase : public StoreFixture {
 protected:
  Erase() : marker_("zq" + NewRequestId()) {
    options_.clock = &clock_;
    options_.flat_below = 16;
    options_.compress = false;
  }

  // In text, title, source, MIME type, metadata, heading paths: twice, so that there is an old
  // revision too.
  void PutMarked(const std::string& id) {
    for (int revision = 0; revision < 2; ++revision) {
      DocumentInfo info;
      info.id = id;
      info.title = "About " + marker_;
      info.source = "file:///" + marker_;
      info.mime_type = "text/" + marker_;
      info.metadata = {{marker_, marker_}, {"list", std::vector<std::string>{marker_, "x"}}};
      info.content_hash = StrCat(id, revision);
      ASSERT_TRUE(TryPut(info, {StrCat("It says ", marker_, " here. "),
                                StrCat("And ", marker_, " there ", revision, ".")})
                      .ok());
    }
  }
  void PutOthers(int from, int to) {
    for (int i = from; i < to; ++i) Put(StrCat("other", i), {StrCat("Something else, ", i)});
  }

  // The files that hold the marker, by their names below the directory.
  std::string FilesWithMarker() {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string bytes((std::istreambuf_iterator<char>(file)), {});
      if (bytes.find(marker_) != std::string::npos) {
        names.push_back(fs::relative(entry.path(), directory_).string());
      }
    }
    return Join(names, " ");
  }
  // The tables with the marker in a key or value, whatever their compression.
  std::string TablesWithMarker() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_ + "/db")) {
      if (entry.path().extension() != ".sst") continue;
      rocksdb::SstFileReader reader{rocksdb::Options()};
      EXPECT_TRUE(reader.Open(entry.path().string()).ok());
      std::unique_ptr<rocksdb::Iterator> it(reader.NewIterator({}));
      bool found = false;
      for (it->SeekToFirst(); it->Valid(); it->Next()) {
        found = found || it->key().ToString().find(marker_) != std::string::npos ||
                it->value().ToString().find(marker_) != std::string::npos;
      }
      if (found) names.push_back(entry.path().filename().string());
    }
    return Join(names, " ");
  }
  void EraseNow() {
    const Status erased = store_->Erase(Context());
    ASSERT_EQ(erased, OkStatus()) << erased.ToString();
  }

  const std::string marker_;
  testing::ManualClock clock_;
};

TEST_F(Erase, NoByteOfADeletedDocumentStaysInTheFiles) {
  OpenWithCollection();
  PutOthers(0, 40);
  PutMarked("a");
  PutOthers(40, 60);
  Seal();
  PutMarked("b");
  EXPECT_NE(FilesWithMarker(), "");  // else the search would prove nothing
  Delete({"a", "b"});
  EXPECT_NE(FilesWithMarker(), "");
  EraseNow();
  EXPECT_EQ(FilesWithMarker(), "");
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Documents(), 60u);
  EXPECT_NE(Found("Something else, 7"), "");
  Open();
  EXPECT_EQ(FilesWithMarker(), "");
  EXPECT_EQ(Problems(), "");
}

TEST_F(Erase, SegmentsLoseTheVectorsOfWhatWentAndOnlyThose) {
  OpenWithCollection();
  PutOthers(0, 30);
  Seal();
  const auto before = SegmentFiles();
  Delete({"other3"});
  EraseNow();
  EXPECT_NE(SegmentFiles(), before);
  EXPECT_EQ(Problems(), "");
  const auto kept = SegmentFiles();
  EraseNow();  // nothing more to be done
  EXPECT_EQ(SegmentFiles(), kept);
}

TEST_F(Erase, AReplacedTextAndADeletedCollectionGoToo) {
  OpenWithCollection();
  PutMarked("a");
  Put("a", {"Harmless now."});
  EraseNow();
  EXPECT_EQ(FilesWithMarker(), "");
  PutMarked("b");
  Seal();
  ASSERT_EQ(store_->DeleteCollection("default"), OkStatus());
  EraseNow();
  EXPECT_EQ(FilesWithMarker(), "");
}

TEST_F(Erase, WithCompressionNoTableHoldsIt) {
  options_.compress = true;
  OpenWithCollection();
  PutOthers(0, 50);
  PutMarked("a");
  Open();  // what was in the log goes to tables
  EXPECT_NE(TablesWithMarker(), "");
  Delete({"a"});
  EraseNow();
  EXPECT_EQ(TablesWithMarker(), "");
  EXPECT_EQ(FilesWithMarker(), "");  // nor the log and what else is not compressed
  EXPECT_EQ(Problems(), "");
}

TEST_F(Erase, ItIsDoneByTheTimeThatIsSet) {
  options_.erase_within = std::chrono::hours(1);
  OpenWithCollection();
  PutMarked("a");
  Delete({"a"});
  clock_.Advance(std::chrono::minutes(59));
  ASSERT_EQ(store_->SealDue(Context()), OkStatus());
  EXPECT_NE(FilesWithMarker(), "");
  Open();  // the time stays
  clock_.Advance(std::chrono::minutes(1));
  ASSERT_EQ(store_->SealDue(Context()), OkStatus());
  EXPECT_EQ(FilesWithMarker(), "");
}

TEST_F(Erase, TheBackgroundDoesIt) {
  options_.background = true;
  options_.erase_within = std::chrono::seconds(1);
  OpenWithCollection();
  PutMarked("a");
  Delete({"a"});
  clock_.Advance(std::chrono::seconds(2));
  for (int i = 0; i < 600 && !FilesWithMarker().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(FilesWithMarker(), "");
  EXPECT_EQ(Problems(), "");
}

}  // namespace
}  // namespace vade
