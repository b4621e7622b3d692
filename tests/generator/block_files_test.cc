#include "generator/block_files.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

constexpr std::string_view kModel = "weights-q8-avx2";

class BlockFilesTest : public ::testing::Test {
 protected:
  static BlockKey Key(uint32_t collection, const std::string& document, PassageId passage) {
    return {collection, document, passage, {7, passage * 31}};
  }
  std::string Bytes(size_t count, char fill) { return std::string(count, fill); }

  std::unique_ptr<BlockFiles> Open(uint64_t budget = 1 << 20) {
    auto files = BlockFiles::Open(
        {.directory = dir_.path() + "/kv", .budget_bytes = budget, .min_free_bytes = 0});
    EXPECT_TRUE(files.ok()) << files.status().message();
    return std::move(files).value();
  }
  bool Save(BlockFiles& files, const BlockKey& key, const std::string& bytes, uint64_t commit = 1) {
    return files.Save(kModel, key,
                      {5, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, commit});
  }
  std::string Load(BlockFiles& files, const BlockKey& key, size_t bytes) {
    return files.Load(kModel, key, {5, bytes}).value_or("absent");
  }
  std::vector<std::string> Paths() {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path() + "/kv"))
      if (entry.path().extension() == ".kv") paths.push_back(entry.path());
    return paths;
  }

  testing::TempDir dir_;
};

TEST_F(BlockFilesTest, WhatWasSavedIsLoadedAlsoByTheNextProcess) {
  const BlockKey key = Key(1, "lease.md", 9);
  {
    auto files = Open();
    EXPECT_EQ(Load(*files, key, 100), "absent");
    EXPECT_TRUE(Save(*files, key, Bytes(100, 'a')));
    EXPECT_EQ(Load(*files, key, 100), Bytes(100, 'a'));
  }
  auto files = Open();
  EXPECT_EQ(files->files(), 1u);
  EXPECT_EQ(Load(*files, key, 100), Bytes(100, 'a'));
  EXPECT_FALSE(files->Load("other-weights", key, {5, 100}).has_value());
  EXPECT_EQ(Load(*files, Key(2, "lease.md", 9), 100), "absent");
}

// What is wrong with each file, by its path.
std::map<std::string, std::string> ProblemsOf(const KeptFilesReport& report) {
  std::map<std::string, std::string> problems;
  for (const auto& [line, removed] : report.problems) {
    const size_t colon = line.find(": ");
    problems[line.substr(0, colon)] = line.substr(colon + 2) + (removed ? " (removed)" : "");
  }
  return problems;
}

TEST_F(BlockFilesTest, VerifyNamesWhatIsDamagedTruncatedSwappedOrStale) {
  auto files = Open();
  std::vector<BlockKey> keys;
  for (PassageId passage = 1; passage <= 6; ++passage) {
    keys.push_back(Key(1, passage == 6 ? "gone.md" : "lease.md", passage));
    ASSERT_TRUE(Save(*files, keys.back(), Bytes(100, 'a')));
  }
  ASSERT_TRUE(Save(*files, Key(0, "", 0), Bytes(50, 'p'))) << "a prefix, of no document";
  const auto is_current = [](const BlockKey& key) -> Result<bool> {
    return key.document_id == "lease.md" && key.passage_id != 5;
  };
  const auto verify = [&](BlockFiles::Repair repair) {
    auto report = files->Verify(is_current, repair, {});
    EXPECT_TRUE(report.ok()) << report.status().message();
    return report.ok() ? *report : KeptFilesReport();
  };
  auto path_of = [&](PassageId passage) {
    const std::string begin = "/" + std::to_string(passage) + "-";
    for (const std::string& path : Paths()) {
      if (path.find(begin) != std::string::npos) return path;
    }
    return std::string();
  };
  auto below = [&](const std::string& path) { return path.substr((dir_.path() + "/kv/").size()); };
  EXPECT_EQ(verify(BlockFiles::Repair::kNothing).problems.size(), 2u) << "5 and 6 are stale";

  const std::string damaged = path_of(1), truncated = path_of(2), swapped = path_of(3);
  std::string bytes = ReadFile(damaged, 1 << 20).value();
  bytes[bytes.size() - 7] ^= 1;
  std::ofstream(damaged, std::ios::binary) << bytes;
  bytes = ReadFile(truncated, 1 << 20).value();
  std::ofstream(truncated, std::ios::binary) << bytes.substr(0, bytes.size() - 9);
  std::filesystem::copy_file(path_of(4), swapped,
                             std::filesystem::copy_options::overwrite_existing);
  std::ofstream(dir_.path() + "/kv/stray") << "?";

  const KeptFilesReport found = verify(BlockFiles::Repair::kNothing);
  EXPECT_EQ(found.files, 8u);
  EXPECT_EQ(found.removed(), 0u);
  auto problems = ProblemsOf(found);
  EXPECT_EQ(problems.size(), 6u);
  auto says = [&](const std::string& path, const std::string& what) {
    EXPECT_NE(problems[below(path)].find(what), std::string::npos)
        << below(path) << ": " << problems[below(path)];
  };
  says(damaged, "it is damaged");
  says(truncated, "it is truncated: 91 of 100");
  says(swapped, "another's name: it belongs at " + below(path_of(4)));
  says(path_of(5), "stale: document 'lease.md'");
  says(path_of(6), "stale: document 'gone.md'");
  says(dir_.path() + "/kv/stray", "no kept passage");

  EXPECT_EQ(verify(BlockFiles::Repair::kRemove).removed(), 6u);
  const KeptFilesReport clean = verify(BlockFiles::Repair::kNothing);
  EXPECT_EQ(clean.files, 2u);
  EXPECT_TRUE(clean.problems.empty());
  EXPECT_EQ(files->files(), 2u);
  EXPECT_EQ(files->bytes(), clean.bytes);
  EXPECT_EQ(Load(*files, keys[3], 100), Bytes(100, 'a'));
  EXPECT_EQ(Load(*files, keys[0], 100), "absent");
}

// While it lives this thread can read the folder, and change nothing in it; as root neither.
class ReadOnlyFolder {
 public:
  explicit ReadOnlyFolder(const std::string& path) : path_(path) {
    std::filesystem::permissions(path_, std::filesystem::perms(0555));
    EXPECT_EQ(syscall(SYS_capget, &header_, before_), 0);
    __user_cap_data_struct without[2] = {before_[0], before_[1]};
    without[0].effective &= ~(1u << CAP_DAC_OVERRIDE);
    EXPECT_EQ(syscall(SYS_capset, &header_, without), 0);
  }
  ~ReadOnlyFolder() {
    EXPECT_EQ(syscall(SYS_capset, &header_, before_), 0);
    std::filesystem::permissions(path_, std::filesystem::perms(0755));
  }

 private:
  __user_cap_header_struct header_ = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2] = {};
  const std::string path_;
};

TEST_F(BlockFilesTest, VerifySaysWhatItCouldNotExamineOrRemove) {
  auto files = Open();
  const std::string folder = dir_.path() + "/kv";
  std::filesystem::create_directories(folder + "/sub");
  std::ofstream(folder + "/sub/gone") << "?";
  std::ofstream(folder + "/stays") << "?";
  std::filesystem::create_symlink("nowhere", folder + "/link");
  Result<KeptFilesReport> report = Internal("not verified");
  {
    const ReadOnlyFolder locked(folder);
    report = files->Verify([](const BlockKey&) { return true; }, BlockFiles::Repair::kRemove, {});
  }
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->removed(), 1u);
  auto problems = ProblemsOf(*report);
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_EQ(problems["sub/gone"], "it is no kept passage (removed)");
  EXPECT_EQ(problems["stays"].find("it is no kept passage; cannot remove"), 0u)
      << problems["stays"];
  EXPECT_EQ(problems["link"].find("cannot examine"), 0u) << problems["link"];
  EXPECT_TRUE(std::filesystem::exists(folder + "/stays"));
}

TEST_F(BlockFilesTest, VerifyFindsEveryDamagedByte) {
  auto files = Open();
  ASSERT_TRUE(Save(*files, Key(1, "lease.md", 9), Bytes(100, 'a')));
  const std::string path = Paths().at(0), whole = ReadFile(path, 1 << 20).value();
  const auto is_current = [](const BlockKey&) -> Result<bool> { return true; };
  auto problems = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    const auto report = files->Verify(is_current, BlockFiles::Repair::kNothing, {});
    return report.ok() ? report->problems.size() : 99;
  };
  EXPECT_EQ(problems(whole), 0u);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] ^= 0x20;
    EXPECT_EQ(problems(damaged), 1u) << "byte " << i;
    EXPECT_EQ(problems(whole.substr(0, i)), 1u) << "the first " << i;
  }
  EXPECT_EQ(problems(whole + "x"), 1u);
}

TEST_F(BlockFilesTest, AStoreThatCannotBeAskedEndsTheVerification) {
  auto files = Open();
  ASSERT_TRUE(Save(*files, Key(1, "lease.md", 9), Bytes(100, 'a')));
  const auto fails = [](const BlockKey&) -> Result<bool> { return Unavailable("no disk"); };
  EXPECT_EQ(files->Verify(fails, BlockFiles::Repair::kRemove, {}).status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(files->files(), 1u);
}

TEST_F(BlockFilesTest, AnyDamageMakesABlockAbsentAndRemovesItsFile) {
  const BlockKey key = Key(1, "lease.md", 9);
  auto first = Open();
  ASSERT_TRUE(Save(*first, key, Bytes(100, 'a')));
  const std::string path = Paths().at(0), whole = ReadFile(path, 1 << 20).value();
  first.reset();
  for (size_t damaged = 0; damaged < whole.size(); damaged += 3) {
    std::string bytes = whole;
    bytes[damaged] ^= 1;
    std::ofstream(path, std::ios::binary) << bytes;
    auto files = Open();
    EXPECT_EQ(Load(*files, key, 100), "absent") << "byte " << damaged;
    EXPECT_FALSE(FileExists(path)) << "byte " << damaged;
  }
  for (size_t length = 0; length < whole.size(); length += 7) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, length);
    auto files = Open();
    EXPECT_EQ(Load(*files, key, 100), "absent") << length << " bytes";
  }
}

TEST_F(BlockFilesTest, ABlockOfAnotherSizeThanExpectedIsAbsent) {
  const BlockKey key = Key(1, "lease.md", 9);
  auto files = Open();
  ASSERT_TRUE(Save(*files, key, Bytes(100, 'a')));
  EXPECT_EQ(Load(*files, key, 99), "absent");
}

TEST_F(BlockFilesTest, NothingIsLeftOfADocumentThatWasForgotten) {
  auto files = Open();
  ASSERT_TRUE(Save(*files, Key(1, "lease.md", 1), Bytes(100, 'a')));
  ASSERT_TRUE(Save(*files, Key(1, "lease.md", 2), Bytes(100, 'b')));
  ASSERT_TRUE(Save(*files, Key(1, "other.md", 3), Bytes(100, 'c')));
  ASSERT_TRUE(files->Forget({1, "lease.md", 5}).ok());
  EXPECT_EQ(files->files(), 1u);
  EXPECT_EQ(Paths().size(), 1u);
  EXPECT_EQ(Load(*files, Key(1, "other.md", 3), 100), Bytes(100, 'c'));
}

TEST_F(BlockFilesTest, AReaderThatOverlapsADeleteKeepsNothing) {
  auto files = Open();
  ASSERT_TRUE(files->Forget({1, "lease.md", 5}).ok());
  EXPECT_FALSE(Save(*files, Key(1, "lease.md", 1), Bytes(10, 'a'), 4));
  EXPECT_TRUE(Save(*files, Key(1, "lease.md", 2), Bytes(10, 'a'), 5)) << "found after the change";
  EXPECT_TRUE(Save(*files, Key(1, "other.md", 3), Bytes(10, 'a'), 4));
  ASSERT_TRUE(files->Forget({1, "", 9}).ok());
  EXPECT_EQ(files->files(), 0u);
  EXPECT_FALSE(Save(*files, Key(1, "other.md", 3), Bytes(10, 'a'), 8));
  EXPECT_TRUE(Save(*files, Key(2, "other.md", 4), Bytes(10, 'a'), 8));
}

TEST_F(BlockFilesTest, ALongListOfDeletesForgetsRatherTooMuchThanTooLittle) {
  auto files = Open();
  for (uint64_t i = 1; i <= 10000; ++i) ASSERT_TRUE(files->Forget({1, StrCat("doc-", i), i}).ok());
  EXPECT_FALSE(files->MayKeep(Key(1, "doc-1", 1), 0));
  EXPECT_FALSE(files->MayKeep(Key(1, "doc-10000", 1), 9999));
  EXPECT_TRUE(files->MayKeep(Key(1, "doc-10000", 1), 10000));
}

TEST_F(BlockFilesTest, TheBudgetKeepsWhatIsUsedOften) {
  auto files = Open(10 * 400);
  for (PassageId i = 1; i <= 5; ++i) ASSERT_TRUE(Save(*files, Key(1, "a", i), Bytes(200, 'a')));
  for (int use = 0; use < 3; ++use) EXPECT_NE(Load(*files, Key(1, "a", 1), 200), "absent");
  for (PassageId i = 6; i <= 40; ++i) ASSERT_TRUE(Save(*files, Key(1, "a", i), Bytes(200, 'a')));
  EXPECT_LE(files->bytes(), 10u * 400);
  EXPECT_EQ(Paths().size(), files->files());
  EXPECT_EQ(Load(*files, Key(1, "a", 40), 200), Bytes(200, 'a'));
  EXPECT_EQ(Load(*files, Key(1, "a", 2), 200), "absent");
  EXPECT_FALSE(Save(*files, Key(1, "a", 99), Bytes(5000, 'a'))) << "larger than the budget";
}

TEST_F(BlockFilesTest, AProcessThatDiedWhileWritingLeavesNothingBehind) {
  {
    auto files = Open();
    ASSERT_TRUE(Save(*files, Key(1, "a", 1), Bytes(10, 'a')));
    std::ofstream(Paths().at(0) + ".tmp-1-0") << "half";
  }
  const std::string kept = Paths().at(0), half = kept + ".tmp-1-0";
  auto files = Open();
  EXPECT_EQ(files->files(), 1u);
  EXPECT_TRUE(FileExists(half)) << "opening changes nothing";
  ASSERT_TRUE(Save(*files, Key(1, "b", 2), Bytes(10, 'b')));
  EXPECT_FALSE(FileExists(half));
  std::ofstream(half) << "half";
  EXPECT_TRUE(Open()->Forget({1, "another", 2}).ok());
  EXPECT_FALSE(FileExists(half)) << "nobody knows whose text it is";
  EXPECT_TRUE(FileExists(kept));
}

TEST_F(BlockFilesTest, ASmallerBudgetRemovesNothingBeforeSomethingIsSaved) {
  {
    auto files = Open();
    for (PassageId i = 1; i <= 5; ++i) ASSERT_TRUE(Save(*files, Key(1, "a", i), Bytes(200, 'a')));
  }
  auto files = Open(3 * 400);
  EXPECT_EQ(Paths().size(), 5u);
  ASSERT_TRUE(Save(*files, Key(1, "a", 6), Bytes(200, 'a')));
  EXPECT_LE(files->bytes(), 3u * 400);
  EXPECT_EQ(Paths().size(), files->files());
}

TEST_F(BlockFilesTest, TheAppliedCommitIsRemembered) {
  EXPECT_EQ(Open()->applied_commit(), 0u);
  Open()->SetAppliedCommit(17);
  EXPECT_EQ(Open()->applied_commit(), 17u);
}

TEST_F(BlockFilesTest, WithoutADirectoryNothingIsWrittenButWhatMayBeKeptIsKnown) {
  auto files = BlockFiles::Open({}).value();
  EXPECT_FALSE(Save(*files, Key(1, "a", 1), Bytes(10, 'a')));
  ASSERT_TRUE(files->Forget({1, "a", 3}).ok());
  EXPECT_FALSE(files->MayKeep(Key(1, "a", 1), 2));
  EXPECT_TRUE(files->MayKeep(Key(1, "a", 1), 3));
}

}  // namespace
}  // namespace vade
