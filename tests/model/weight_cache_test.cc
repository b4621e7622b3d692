// Packs are derived files: used when sound, made anew when not, done without when the disk will not
// have them.
#include "model/weight_cache.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>

#include "base/files.h"
#include "base/threads.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using Origin = PackedWeights::Origin;

class WeightCache : public ::testing::Test {
 protected:
  void SetUp() override {
    std::mt19937 random(7);
    for (float& x : a_) x = static_cast<float>(random() % 1000);
    for (float& x : b_) x = static_cast<float>(random() % 1000);
    file_ = WriteModel("model.gguf");
  }
  std::unique_ptr<GgufFile> WriteModel(const std::string& name) {
    GgufWriter writer;
    writer.SetString("general.architecture", "llama");
    writer.AddTensor("a", TensorType::kF32, {24, 40}, BytesOf(a_));
    writer.AddTensor("b", TensorType::kF32, {40, 17}, BytesOf(b_));
    EXPECT_TRUE(writer.Write(dir_.File(name)).ok());
    return GgufFile::Open(dir_.File(name)).value();
  }
  static std::span<const uint8_t> BytesOf(const std::vector<float>& v) {
    return {reinterpret_cast<const uint8_t*>(v.data()), v.size() * 4};
  }
  Result<std::unique_ptr<PackedWeights>> Open(std::vector<std::string> names = {"a", "b"}) {
    std::vector<const GgufTensor*> tensors;
    for (const auto& name : names) tensors.push_back(file_->Find(name));
    return PackWeights(*file_, tensors, {.cache_dir = cache_, .pool = &pool_});
  }
  void ExpectValues(const PackedWeights& weights) {
    std::vector<float> row(40);
    const auto* a = weights.Find("a");
    const auto* b = weights.Find("b");
    ASSERT_TRUE(a && b);
    for (size_t r = 0; r < 40; ++r) {
      kernels::UnpackRow(*a, r, row.data());
      ASSERT_EQ(std::memcmp(row.data(), a_.data() + r * 24, 24 * 4), 0);
    }
    for (size_t r = 0; r < 17; ++r) {
      kernels::UnpackRow(*b, r, row.data());
      ASSERT_EQ(std::memcmp(row.data(), b_.data() + r * 40, 40 * 4), 0);
    }
  }
  std::string Pack() const { return PackPath(*file_, cache_); }
  void Damage(size_t offset) {
    std::string bytes = ReadFile(Pack(), 1 << 20).value();
    ASSERT_LT(offset, bytes.size());
    bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
    ASSERT_TRUE(WriteFileAtomically(Pack(), bytes).ok());
  }

  testing::TempDir dir_;
  std::string cache_ = dir_.File("cache/packed");
  ThreadPool pool_{2};
  std::vector<float> a_ = std::vector<float>(24 * 40), b_ = std::vector<float>(40 * 17);
  std::unique_ptr<GgufFile> file_;
};

TEST_F(WeightCache, SecondOpenMapsWhatTheFirstWrote) {
  auto first = Open().value();
  EXPECT_EQ(first->origin(), Origin::kPacked);
  ExpectValues(*first);
  auto second = Open().value();
  EXPECT_EQ(second->origin(), Origin::kMapped);
  ExpectValues(*second);
  EXPECT_EQ(second->Find("c"), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(second->Find("b")->data) % 64, 0u);
}

// The fingerprint samples, so it may stay the same when a file is mended in place.
TEST_F(WeightCache, PackThatIsOlderThanTheWeightsIsMadeAnew) {
  ASSERT_TRUE(Open().ok());
  const auto later = std::filesystem::file_time_type::clock::now() + std::chrono::hours(1);
  std::filesystem::last_write_time(dir_.File("model.gguf"), later);
  auto weights = Open().value();
  EXPECT_EQ(weights->origin(), Origin::kPacked);
  ExpectValues(*weights);
  EXPECT_EQ(Open().value()->origin(), Origin::kMapped)
      << "not at every start, though the date is in the future";
}

TEST_F(WeightCache, WithoutAFolderWeightsLiveInMemory) {
  cache_ = "";
  auto weights = Open().value();
  EXPECT_EQ(weights->origin(), Origin::kMemory);
  ExpectValues(*weights);
}

TEST_F(WeightCache, DamageInHeaderTableOrDataMakesANewPack) {
  ASSERT_TRUE(Open().ok());
  const size_t size = FileSize(Pack()).value();
  for (size_t offset :
       {size_t{0}, size_t{9}, size_t{20}, size_t{45}, size_t{70}, size_t{130}, size - 1}) {
    Damage(offset);
    auto weights = Open().value();
    EXPECT_EQ(weights->origin(), Origin::kPacked) << offset;
    ExpectValues(*weights);
  }
  EXPECT_EQ(Open().value()->origin(), Origin::kMapped);
}

TEST_F(WeightCache, EveryTruncationMakesANewPack) {
  ASSERT_TRUE(Open().ok());
  const std::string bytes = ReadFile(Pack(), 1 << 20).value();
  for (size_t size :
       {size_t{0}, size_t{7}, size_t{63}, size_t{64}, size_t{100}, bytes.size() - 1}) {
    ASSERT_TRUE(WriteFileAtomically(Pack(), bytes.substr(0, size)).ok());
    auto weights = Open().value();
    EXPECT_EQ(weights->origin(), Origin::kPacked) << size;
    ExpectValues(*weights);
  }
}

TEST_F(WeightCache, PackOfOtherTensorsIsNotTaken) {
  ASSERT_TRUE(Open({"a"}).ok());
  EXPECT_EQ(Open().value()->origin(), Origin::kPacked);
  EXPECT_EQ(Open({"b", "a"}).value()->origin(), Origin::kPacked);
}

TEST_F(WeightCache, PackOfAnotherFileIsNotTaken) {
  ASSERT_TRUE(Open().ok());
  const std::string old_pack = ReadFile(Pack(), 1 << 20).value();
  a_[5] += 1;
  file_ = WriteModel("other.gguf");
  ASSERT_TRUE(WriteFileAtomically(Pack(), old_pack).ok());
  auto weights = Open().value();
  EXPECT_EQ(weights->origin(), Origin::kPacked);
  ExpectValues(*weights);
}

TEST_F(WeightCache, FolderThatCannotBeWrittenFallsBackToMemory) {
  cache_ = dir_.Write("a-file", "x") + "/packed";
  auto weights = Open().value();
  EXPECT_EQ(weights->origin(), Origin::kMemory);
  ExpectValues(*weights);
}

// A limit on file sizes stands for a full disk: the write fails half-way.
TEST_F(WeightCache, FullDiskFallsBackToMemoryAndLeavesNothingBehind) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small = {1024, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  auto weights = Open();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  ASSERT_TRUE(weights.ok());
  EXPECT_EQ((*weights)->origin(), Origin::kMemory);
  ExpectValues(**weights);
  EXPECT_FALSE(FileExists(Pack()));
  EXPECT_FALSE(FileExists(Pack() + ".tmp"));
}

TEST_F(WeightCache, LeftoverOfACrashIsOverwritten) {
  ASSERT_TRUE(MakeDirectories(cache_).ok());
  ASSERT_TRUE(WriteFileAtomically(Pack() + ".tmp", std::string(100000, 'x')).ok());
  EXPECT_EQ(Open().value()->origin(), Origin::kPacked);
  EXPECT_FALSE(FileExists(Pack() + ".tmp"));
}

TEST_F(WeightCache, VectorIsNotAMatrix) {
  GgufWriter writer;
  const std::vector<float> values(8);
  writer.SetString("general.architecture", "llama");
  writer.AddTensor("a", TensorType::kF32, {8}, BytesOf(values));
  ASSERT_TRUE(writer.Write(dir_.File("vector.gguf")).ok());
  file_ = GgufFile::Open(dir_.File("vector.gguf")).value();
  EXPECT_EQ(Open({"a"}).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
