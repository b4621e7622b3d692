#include "base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/posix.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST(ReadFile, ReturnsAllBytes) {
  const TempDir dir;
  const std::string bytes("a\0b\xff", 4);
  EXPECT_EQ(ReadFile(dir.Write("f", bytes), 4).value(), bytes);
  EXPECT_EQ(ReadFile(dir.Write("empty", ""), 0).value(), "");
}

TEST(ReadFile, LimitIsHeeded) {
  const TempDir dir;
  const auto result = ReadFile(dir.Write("f", "12345"), 4);
  EXPECT_EQ(result.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(result.status().message(), HasSubstr("limit of 4 bytes"));
}

TEST(ReadFile, FileThatHidesItsSizeIsReadToItsEnd) {
  const auto text = ReadFile("/proc/self/status", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_THAT(*text, HasSubstr("Pid:"));
  EXPECT_EQ(ReadFile("/proc/self/status", 10).status().code(), StatusCode::kResourceExhausted);
}

TEST(ReadFile, WhatIsNoFileIsRefused) {
  const TempDir dir;
  EXPECT_EQ(ReadFile(dir.File("none"), 9).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadFile(dir.path(), 9).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadFile("/dev/zero", 9).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadFile("", 9).status().code(), StatusCode::kNotFound);
  const std::string pipe = dir.File("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(pipe, 9).status().code(), StatusCode::kInvalidArgument);
}

TEST(ReadFile, NulInAPathIsNoEndOfThePath) {
  const TempDir dir;
  const std::string path = dir.Write("f", "x") + std::string("\0.txt", 5);
  EXPECT_EQ(ReadFile(path, 9).status().code(), StatusCode::kInvalidArgument);
}

TEST(ReadFile, UnreadableFileIsPermissionDenied) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TempDir dir;
  const std::string path = dir.Write("f", "x");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  EXPECT_EQ(ReadFile(path, 9).status().code(), StatusCode::kPermissionDenied);
}

TEST(WriteFileAtomically, ReplacesTheFileAndLeavesNothingElse) {
  const TempDir dir;
  const std::string path = dir.Write("f", "old");
  ASSERT_TRUE(WriteFileAtomically(path, "new").ok());
  EXPECT_EQ(ReadFile(path, 9).value(), "new");
  EXPECT_THAT(NamesIn(dir.path()), ElementsAre("f"));
}

TEST(WriteFileAtomically, KeepsThePermissionsOfTheOldFile) {
  const TempDir dir;
  const std::string path = dir.Write("secret", "old");
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  ASSERT_TRUE(WriteFileAtomically(path, "new").ok());
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(WriteFileAtomically, FailedWriteKeepsTheOldFileAndLeavesNothingElse) {
  const TempDir dir;
  const std::string path = dir.Write("f", "old");
  // A limit on file sizes makes write(2) fail half way, as a full disk does.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{1000, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = WriteFileAtomically(path, std::string(5000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFile(path, 9).value(), "old");
  EXPECT_THAT(NamesIn(dir.path()), ElementsAre("f"));
}

TEST(WriteFileAtomically, FolderInTheWayIsAnErrorThatLeavesNothingElse) {
  const TempDir dir;
  const std::string path = dir.File("folder");
  ASSERT_TRUE(MakeDirectories(path).ok());
  EXPECT_EQ(WriteFileAtomically(path, "x").code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(NamesIn(dir.path()), ElementsAre("folder"));
}

TEST(ErrnoStatus, FullDiskTellsTheRemedy) {
  const Status status = ErrnoStatus(ENOSPC, "cannot write", "/data/x");
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(),
            "cannot write /data/x: No space left on device; free disk space and try again");
}

TEST(WriteFileAtomically, ReadersSeeTheOldOrTheNewFileOnly) {
  const TempDir dir;
  const std::string a(20000, 'a'), b(30000, 'b');
  const std::string path = dir.Write("f", a);
  std::thread writer([&] {
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(WriteFileAtomically(path, i % 2 == 0 ? b : a).ok());
  });
  for (int i = 0; i < 200; ++i) {
    const auto seen = ReadFile(path, 1 << 20);
    ASSERT_TRUE(seen.ok());
    EXPECT_TRUE(*seen == a || *seen == b);
  }
  writer.join();
}

TEST(Files, MissingFolderIsNotFound) {
  const TempDir dir;
  EXPECT_EQ(WriteFileAtomically(dir.File("none/f"), "x").code(), StatusCode::kNotFound);
  EXPECT_EQ(SyncDirectory(dir.File("none")).code(), StatusCode::kNotFound);
  EXPECT_TRUE(SyncDirectory(dir.path()).ok());
}

TEST(Files, MakeDirectoriesMakesAllOfThemAndMayBeRepeated) {
  const TempDir dir;
  const std::string path = dir.File("a/b//c/");
  EXPECT_TRUE(MakeDirectories(path).ok());
  EXPECT_TRUE(MakeDirectories(path).ok());
  EXPECT_TRUE(IsDirectory(dir.File("a/b/c")));
  EXPECT_EQ(MakeDirectories("").code(), StatusCode::kInvalidArgument);
  dir.Write("file", "x");
  EXPECT_EQ(MakeDirectories(dir.File("file/x")).code(), StatusCode::kFailedPrecondition);
}

TEST(Files, RemoveIsFineWhenNothingIsThere) {
  const TempDir dir;
  const std::string path = dir.Write("f", "x");
  EXPECT_TRUE(RemoveFile(path).ok());
  EXPECT_FALSE(FileExists(path));
  EXPECT_TRUE(RemoveFile(path).ok());
  EXPECT_FALSE(RemoveFile(dir.path()).ok());
}

TEST(Files, SizesAreInBytes) {
  const TempDir dir;
  EXPECT_EQ(FileSize(dir.Write("f", "12345")).value(), 5u);
  EXPECT_EQ(FileSize(dir.File("none")).status().code(), StatusCode::kNotFound);
  EXPECT_GT(FreeDiskBytes(dir.path()).value(), 0u);
}

TEST(Files, TryingToWriteLeavesNothingBehind) {
  const TempDir dir;
  EXPECT_EQ(TryToWrite(dir.path(), 0), OkStatus());
  EXPECT_EQ(TryToWrite(dir.path(), (2 << 20) + 1), OkStatus());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  const Status more = TryToWrite(dir.path(), uint64_t{1} << 60);
  EXPECT_EQ(more.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(more.message().find("free some disk space"), std::string::npos) << more.message();
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  EXPECT_EQ(TryToWrite(dir.File("none"), 1).code(), StatusCode::kNotFound);
}

TEST(Paths, JoinTakesAnAbsoluteSecondPartAsItIs) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(JoinPath("a", ""), "a");
  EXPECT_EQ(JoinPath("a", "/b"), "/b");
}

TEST(Paths, BaseNameAndExtension) {
  EXPECT_EQ(BaseName("a/b.txt"), "b.txt");
  EXPECT_EQ(BaseName("a/b/"), "b");
  EXPECT_EQ(BaseName("/"), "/");
  EXPECT_EQ(Extension("a.b/C.TXT"), ".txt");
  EXPECT_EQ(Extension("x.tar.gz"), ".gz");
  for (const char* none : {"a.b/c", ".bashrc", "c.", ""}) EXPECT_EQ(Extension(none), "") << none;
}

TEST(Paths, RelativePathIsBelowTheRootOrUnchanged) {
  EXPECT_EQ(RelativePath("/data/a/b", "/data"), "a/b");
  EXPECT_EQ(RelativePath("/data/a/b", "/data/"), "a/b");
  EXPECT_EQ(RelativePath("/data2/a", "/data"), "/data2/a");
  EXPECT_EQ(RelativePath("/data", "/data/"), ".");
  EXPECT_EQ(RelativePath("/a", "/"), "a");
  EXPECT_EQ(RelativePath("a/b", ""), "a/b");
}

TEST(Paths, AbsolutePathResolvesLinks) {
  const TempDir dir;
  const std::string file = dir.Write("f", "x");
  std::filesystem::create_symlink(file, dir.File("link"));
  EXPECT_EQ(AbsolutePath(dir.File("link")).value(), AbsolutePath(file).value());
  EXPECT_EQ(AbsolutePath(dir.File("none")).status().code(), StatusCode::kNotFound);
}

class Environment {  // restores a variable at the end of the test
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value, 1);
  }
  ~Environment() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(Paths, CacheDirectoryFollowsTheEnvironment) {
  const Environment home("HOME", "/home/someone");
  EXPECT_EQ(HomeDirectory(), "/home/someone");
  {
    const Environment cache("XDG_CACHE_HOME", "/caches");
    EXPECT_EQ(CacheDirectory(), "/caches/vade");
  }
  const Environment relative("XDG_CACHE_HOME", "caches");
  EXPECT_EQ(CacheDirectory(), "/home/someone/.cache/vade");
}

TEST(MappedFile, ShowsTheFile) {
  const TempDir dir;
  const std::string bytes(10000, 'x');
  const auto file = MappedFile::Open(dir.Write("f", bytes));
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const auto seen = (*file)->bytes();
  EXPECT_EQ(std::string(seen.begin(), seen.end()), bytes);
  EXPECT_EQ(BaseName((*file)->path()), "f");
}

TEST(MappedFile, EmptyFileIsEmpty) {
  const TempDir dir;
  const auto file = MappedFile::Open(dir.Write("f", ""));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->bytes().empty());
  (*file)->DontNeed(0, 10);
  (*file)->WillNeed(0, 10);
}

TEST(MappedFile, AdviceOnAnyRangeKeepsTheBytes) {
  const TempDir dir;
  const std::string bytes(20000, 'y');
  const auto file = MappedFile::Open(dir.Write("f", bytes));
  ASSERT_TRUE(file.ok());
  for (size_t offset :
       {size_t{0}, size_t{1}, size_t{4096}, size_t{19999}, size_t{20000}, SIZE_MAX}) {
    for (size_t size : {size_t{0}, size_t{1}, size_t{9000}, SIZE_MAX}) {
      (*file)->WillNeed(offset, size);
      (*file)->DontNeed(offset, size);
    }
  }
  EXPECT_EQ((*file)->bytes()[19999], 'y');
}

TEST(MappedFile, WhatIsNoFileIsRefused) {
  const TempDir dir;
  EXPECT_EQ(MappedFile::Open(dir.File("none")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(MappedFile::Open(dir.path()).status().code(), StatusCode::kInvalidArgument);
}

TEST(FileLock, SecondHolderIsTurnedAwayUntilTheFirstIsGone) {
  const TempDir dir;
  const std::string path = dir.File("LOCK");
  auto first = FileLock::Acquire(path);
  ASSERT_TRUE(first.ok());
  const auto second = FileLock::Acquire(path);
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr(path));
  first->reset();
  EXPECT_TRUE(FileLock::Acquire(path).ok());
}

struct Walked {
  std::vector<std::string> files;
  std::vector<std::string> problems;
};

Walked WalkAll(const TempDir& dir, const std::string& root) {
  Walked walked;
  const Status status = WalkFiles(
      root,
      [&](const FileEntry& entry) {
        walked.files.push_back(RelativePath(entry.path, dir.path()));
        return OkStatus();
      },
      [&](const std::string& path, const Status&) {
        walked.problems.push_back(RelativePath(path, dir.path()));
      });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return walked;
}

TEST(WalkFiles, GoesInByteOrderOfThePaths) {
  const TempDir dir;
  for (const char* name : {"b", "a/z", "a.txt", "a/b/c", "a-1", "B"}) dir.Write(name, "x");
  EXPECT_THAT(WalkAll(dir, dir.path()).files,
              ElementsAre("B", "a-1", "a.txt", "a/b/c", "a/z", "b"));
}

TEST(WalkFiles, HiddenNamesAreSkippedBelowTheRoot) {
  const TempDir dir;
  dir.Write(".root/f", "x");
  dir.Write(".root/.hidden", "x");
  dir.Write(".root/.git/config", "x");
  EXPECT_THAT(WalkAll(dir, dir.File(".root")).files, ElementsAre(".root/f"));
}

TEST(WalkFiles, RootMayBeAFile) {
  const TempDir dir;
  EXPECT_THAT(WalkAll(dir, dir.Write("f", "x")).files, ElementsAre("f"));
}

TEST(WalkFiles, EntryHasSizeAndTime) {
  const TempDir dir;
  dir.Write("f", "12345");
  FileEntry seen;
  const Status status = WalkFiles(
      dir.path(), [&](const FileEntry& entry) { return seen = entry, OkStatus(); }, nullptr);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(seen.size_bytes, 5u);
  EXPECT_GT(seen.modified_unix_ns, int64_t{1'600'000'000} * 1'000'000'000);
}

TEST(WalkFiles, LoopIsReportedAndNotEntered) {
  const TempDir dir;
  dir.Write("a/b/f", "x");
  std::filesystem::create_directory_symlink(dir.File("a"), dir.File("a/b/up"));
  const Walked walked = WalkAll(dir, dir.path());
  EXPECT_THAT(walked.files, ElementsAre("a/b/f"));
  EXPECT_THAT(walked.problems, ElementsAre("a/b/up"));
}

TEST(WalkFiles, LinkedFolderOutsideIsVisitedOnce) {
  const TempDir dir;
  dir.Write("outside/f", "x");
  dir.Write("root/g", "x");
  std::filesystem::create_directory_symlink(dir.File("outside"), dir.File("root/l1"));
  std::filesystem::create_directory_symlink(dir.File("outside"), dir.File("root/l2"));
  EXPECT_THAT(WalkAll(dir, dir.File("root")).files, ElementsAre("root/g", "root/l1/f"));
}

TEST(WalkFiles, LinkedFolderInsideIsVisitedUnderItsOwnName) {
  const TempDir dir;
  dir.Write("z/f", "x");
  std::filesystem::create_directory_symlink(dir.File("z"), dir.File("a"));
  EXPECT_THAT(WalkAll(dir, dir.path()).files, ElementsAre("z/f"));
}

TEST(WalkFiles, LinkToAFileIsFollowedAndADanglingOneReported) {
  const TempDir dir;
  dir.Write("f", "12345");
  std::filesystem::create_symlink(dir.File("f"), dir.File("good"));
  std::filesystem::create_symlink(dir.File("none"), dir.File("dangling"));
  const Walked walked = WalkAll(dir, dir.path());
  EXPECT_THAT(walked.files, ElementsAre("f", "good"));
  EXPECT_THAT(walked.problems, ElementsAre("dangling"));
}

TEST(WalkFiles, UnreadableFolderIsReportedAndTheRestVisited) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TempDir dir;
  dir.Write("a/f", "x");
  dir.Write("b", "x");
  ASSERT_EQ(chmod(dir.File("a").c_str(), 0), 0);
  const Walked walked = WalkAll(dir, dir.path());
  ASSERT_EQ(chmod(dir.File("a").c_str(), 0700), 0);
  EXPECT_THAT(walked.files, ElementsAre("b"));
  EXPECT_THAT(walked.problems, ElementsAre("a"));
}

TEST(WalkFiles, StopsAtTheVisitorsError) {
  const TempDir dir;
  dir.Write("a", "x");
  dir.Write("b", "x");
  int visits = 0;
  const Status status = WalkFiles(
      dir.path(), [&](const FileEntry&) { return ++visits, Aborted("enough"); }, nullptr);
  EXPECT_EQ(status, Aborted("enough"));
  EXPECT_EQ(visits, 1);
}

TEST(WalkFiles, MissingRootIsNotFound) {
  const TempDir dir;
  const auto visit = [](const FileEntry&) { return OkStatus(); };
  EXPECT_EQ(WalkFiles(dir.File("none"), visit, nullptr).code(), StatusCode::kNotFound);
  EXPECT_EQ(WalkFiles("/dev/null", visit, nullptr).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
