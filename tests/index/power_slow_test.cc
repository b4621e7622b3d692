// The power goes at every step of the database towards the disk: of a fixed mix of writes each run
// does some steps more than the one before, and loses what was not synced. What was acknowledged
// must be there, what was deleted gone, and what was under way there whole or not at all.
#include <gtest/gtest.h>
#include <rocksdb/convenience.h>
#include <rocksdb/utilities/object_registry.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "tests/index/store_fixture.h"
#include "tests/testing/losing_file_system.h"

namespace vade {
namespace {

// Every so manieth step; VADE_TEST_POWER_STRIDE=1 takes all.
constexpr int64_t kDefaultStride = 41;
constexpr const char* kFileSystem = "vade-test-losing";

// The one that the store under test gets.
std::shared_ptr<testing::LosingFileSystem>& Disk() {
  static auto* disk = new std::shared_ptr<testing::LosingFileSystem>();
  return *disk;
}

// RocksDB owns what it is given.
class SharedDisk : public rocksdb::FileSystemWrapper {
 public:
  SharedDisk() : FileSystemWrapper(Disk()) {}
  const char* Name() const override { return kFileSystem; }
};

void RegisterDisk() {
  [[maybe_unused]] static const bool once = [] {
    rocksdb::ObjectLibrary::Default()->AddFactory<rocksdb::FileSystem>(
        kFileSystem,
        [](const std::string&, std::unique_ptr<rocksdb::FileSystem>* made, std::string*) {
          *made = std::make_unique<SharedDisk>();
          return made->get();
        });
    return true;
  }();
}

class Power : public StoreFixture {
 protected:
  using Texts = std::map<std::string, std::string>;  // by document id

  // In memory where that can be had: some thousand openings, each with dozens of waits for the
  // disk.
  Power() : StoreFixture(InMemory()) { RegisterDisk(); }
  static std::string InMemory() {
    std::error_code error;
    const auto space = std::filesystem::space("/dev/shm", error);
    return !error && space.available > (64 << 20) ? "/dev/shm/" : ::testing::TempDir();
  }

  Status Write(const std::string& id, uint64_t mark) {
    std::vector<std::string> parts;
    for (uint64_t i = 0; i <= mark % 4; ++i) {
      parts.push_back(StrCat(id, " of mark ", mark, " part ", i, " ",
                             std::string(mark % 7 == 0 ? 40000 : 20, 'x'), "\n"));
    }
    DocumentInfo info;
    info.id = id;
    info.content_hash = StrCat(mark);
    pending_ = {id, Join(parts, "")};
    const Status status = TryPut(info, parts).status();
    if (status.ok()) Acknowledge();
    return status;
  }
  Status Remove(const std::string& id) {
    pending_ = {id, ""};
    const Status status =
        store_->DeleteDocuments("default", std::vector<std::string>{id}, Context()).status();
    if (status.ok()) Acknowledge();
    return status;
  }
  void Acknowledge() {
    texts_[pending_->first] = pending_->second;
    pending_.reset();
  }

  // A mix that ends with the first failure. The same for the same seed.
  Status Work(uint64_t seed) {
    std::mt19937_64 random(seed);
    auto opened = OpenStore(directory_, options_);
    if (!opened.ok()) return opened.status();
    store_ = std::move(*opened);
    if (!store_->GetCollection("default").ok()) {
      RETURN_IF_ERROR(store_->CreateCollection(
          {.name = "default", .embedder_id = embedder_.id(), .dimension = embedder_.dimension()}));
    }
    for (int i = 0; i < 10; ++i) {
      const std::string id = StrCat("doc", random() % 5);
      RETURN_IF_ERROR(random() % 4 == 0 ? Remove(id) : Write(id, random() % 1000 + 1));
      if (i == 3 || i == 8) RETURN_IF_ERROR(store_->SealAll(Context()));
      if (i == 6) RETURN_IF_ERROR(store_->Erase(Context()));  // flushes and compacts
    }
    return OkStatus();
  }

  void CheckDocument(const std::string& id) {
    const std::string text = store_->FindDocument("default", id)->has_value() ? Text(id) : "";
    if (pending_ && pending_->first == id && text == pending_->second) return;
    EXPECT_EQ(text, texts_[id]) << id;
  }

  // What is there after the power has come back.
  void Check() {
    Disk()->Arm(INT64_MAX);
    auto opened = OpenStore(directory_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(*opened);
    if (!store_->GetCollection("default").ok()) {
      EXPECT_TRUE(texts_.empty());
      return;
    }
    EXPECT_EQ(Problems(), "");
    for (int i = 0; i < 5; ++i) CheckDocument(StrCat("doc", i));
    // And it can be written.
    EXPECT_EQ(Write("after", 5), OkStatus());
    EXPECT_EQ(Problems(), "");
    store_.reset();
  }

  // True when the work ended before the power did.
  bool RunWith(int64_t steps, uint64_t seed) {
    store_.reset();
    std::filesystem::remove_all(directory_);
    texts_.clear();
    pending_.reset();
    Disk() = std::make_shared<testing::LosingFileSystem>();
    Disk()->Arm(steps);
    options_.file_system = kFileSystem;
    const Status worked = Work(seed);
    const bool whole = !Disk()->failed();
    EXPECT_EQ(worked.ok(), whole) << worked.ToString();
    if (whole) Disk()->Arm(0);
    store_.reset();
    Disk()->LosePower();
    Check();
    return whole;
  }

  Texts texts_;  // acknowledged; "": deleted
  std::optional<std::pair<std::string, std::string>> pending_;
};

TEST_F(Power, GoesAtEveryStepAndLosesNothingThatWasAcknowledged) {
  options_.flat_below = 4;
  const char* forced = std::getenv("VADE_TEST_SEED");
  const uint64_t seed = forced ? std::strtoull(forced, nullptr, 10) : 20261126;
  const char* wanted = std::getenv("VADE_TEST_POWER_STRIDE");
  const int64_t stride = wanted ? std::atoi(wanted) : kDefaultStride;
  int runs = 0;
  int64_t steps = static_cast<int64_t>(seed % static_cast<uint64_t>(stride));
  for (bool whole = false; !whole && !HasFailure(); steps += stride, ++runs) {
    SCOPED_TRACE(StrCat("VADE_TEST_SEED=", seed, ", power for ", steps, " steps"));
    whole = RunWith(steps, seed);
    ASSERT_LT(steps, 20000);
  }
  std::printf("%lld steps, %d runs\n", static_cast<long long>(steps), runs);
  EXPECT_GT(steps, 100);
}

}  // namespace
}  // namespace vade
