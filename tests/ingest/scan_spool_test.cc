#include "ingest/scan_spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using Reader = std::function<Result<std::string>()>;

// This process's descriptors whose file lay in `folder`, as their sizes.
std::vector<uintmax_t> OpenIn(const std::string& folder) {
  std::vector<uintmax_t> sizes;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.starts_with(folder + "/")) sizes.push_back(std::filesystem::file_size(entry.path()));
  }
  return sizes;
}

class ScanSpoolTest : public ::testing::Test {
 protected:
  Reader Keep(const std::string& bytes) {
    auto kept = spool_.Keep(bytes);
    EXPECT_TRUE(kept.ok()) << kept.status().ToString();
    return kept.ok() ? *std::move(kept) : Reader();
  }

  const testing::TempDir dir_;
  ScanSpool spool_{{.directory = dir_.path(), .most_bytes = 1000, .spare_disk_bytes = 0}};
};

TEST_F(ScanSpoolTest, KeepsAnyNumberOfPiecesInOneFileWithoutAName) {
  std::vector<Reader> readers;
  for (int i = 0; i < 100; ++i) readers.push_back(Keep(StrCat("piece ", i)));
  EXPECT_EQ(OpenIn(dir_.path()).size(), 1u);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  for (int i = 99; i >= 0; --i) EXPECT_EQ(readers[i]().value(), StrCat("piece ", i));
}

TEST_F(ScanSpoolTest, IsClearedWhenNothingWaits) {
  Reader first = Keep("one"), copy = first, second = Keep("two");
  first = nullptr;
  second = nullptr;
  EXPECT_EQ(OpenIn(dir_.path()), std::vector<uintmax_t>{6});
  EXPECT_EQ(copy().value(), "one");
  copy = nullptr;
  EXPECT_EQ(OpenIn(dir_.path()), std::vector<uintmax_t>{0});
  EXPECT_EQ(Keep("three")().value(), "three");
}

TEST_F(ScanSpoolTest, RefusesWhatDoesNotFitAndTakesItLater) {
  std::optional<Reader> large = Keep(std::string(900, 'x'));
  EXPECT_EQ(spool_.Keep(std::string(101, 'y')).status().code(), StatusCode::kResourceExhausted);
  const Reader small = Keep(std::string(100, 'z'));
  EXPECT_EQ(spool_.Keep("y").status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ((*large)().value(), std::string(900, 'x'));
  EXPECT_EQ(small().value(), std::string(100, 'z'));
}

TEST_F(ScanSpoolTest, LeavesNothingBehindOfWhatCouldNotBeWritten) {
  ScanSpool full({.directory = dir_.path(), .most_bytes = 1000, .spare_disk_bytes = UINT64_MAX});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(full.Keep(std::string(900, 'x')).status().message().substr(0, 8), "the disk") << i;
  }
  ScanSpool nowhere({.directory = dir_.File("no"), .most_bytes = 1000});
  EXPECT_FALSE(nowhere.Keep("x").ok());
}

TEST_F(ScanSpoolTest, IsReadWhileItIsWritten) {
  ScanSpool spool({.directory = dir_.path(), .most_bytes = 64 << 20, .spare_disk_bytes = 0});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&spool, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string bytes(10'000 + t * 100 + i, static_cast<char>('a' + t));
        const auto kept = spool.Keep(bytes);
        ASSERT_TRUE(kept.ok());
        ASSERT_EQ((*kept)().value(), bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace vade
