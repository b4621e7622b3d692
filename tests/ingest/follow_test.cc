// Folders that are followed while files in them come, change and go.
#include "ingest/follow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/manual_clock.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TempDir;

TEST(Debouncing, ChangesAreTakenWhenTheyHaveComeToRest) {
  testing::ManualClock clock;
  Debouncer changes(&clock);
  EXPECT_FALSE(changes.Take().has_value());
  changes.Add({.all = false, .paths = {"/a"}});
  clock.Advance(milliseconds(100));
  EXPECT_FALSE(changes.Take().has_value());
  changes.Add({.all = false, .paths = {"/b"}});
  clock.Advance(milliseconds(100));
  EXPECT_FALSE(changes.Take().has_value()) << "the second one is not at rest";
  clock.Advance(milliseconds(60));
  const auto taken = changes.Take();
  ASSERT_TRUE(taken.has_value());
  EXPECT_THAT(taken->paths, ElementsAre("/a", "/b"));
  EXPECT_FALSE(changes.Take().has_value());
}

TEST(Debouncing, WhatNeverComesToRestIsTakenAllTheSame) {
  testing::ManualClock clock;
  Debouncer changes(&clock);
  int rounds = 0;
  for (; rounds < 100 && !changes.Take(); ++rounds) {
    changes.Add({.all = false, .paths = {"/log"}});
    clock.Advance(milliseconds(100));
  }
  EXPECT_LE(rounds, 8);
}

class Watching : public ::testing::TestWithParam<bool> {
 protected:
  static FolderWatchOptions Options() {
    // Without inotify when not even one folder may be watched.
    return {.most_folders = GetParam() ? 1000u : 0u, .look_every = milliseconds(20)};
  }
  std::string Absolute(std::string_view name) const {
    return JoinPath(*AbsolutePath(dir_.path()), name);
  }
  // Whatever changes until something does at or below that path, however long a busy machine takes
  // to say so.
  static FolderChanges Until(FolderWatch* watch, const std::string& path) {
    FolderChanges all;
    const auto is_there = [&](const std::string& one) {
      return one == path || one.starts_with(path + "/");
    };
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!all.all && std::ranges::none_of(all.paths, is_there)) {
      FolderChanges more = watch->Wait(milliseconds(40));
      all.all = more.all;
      all.paths.merge(std::move(more.paths));
      if (std::chrono::steady_clock::now() < end) continue;
      ADD_FAILURE() << "nothing is said of " << path;
      break;
    }
    return all;
  }
  // Whatever has changed below docs/ by now: a file is written last, and is heard of last.
  FolderChanges All(FolderWatch* watch) {
    const std::string last = StrCat("docs/last-", written_++);
    std::ofstream(dir_.File(last)).close();  // under no other name before
    FolderChanges all = Until(watch, Absolute(last));
    EXPECT_EQ(all.paths.erase(Absolute(last)), 1u);
    return all;
  }
  void Rename(std::string_view from, std::string_view to) const {
    std::filesystem::rename(dir_.File(from), dir_.File(to));
  }

  TempDir dir_;
  int written_ = 0;
};

TEST_P(Watching, SaysWhatIsWrittenRenamedAndRemoved) {
  dir_.Write("docs/a.md", "Apples.");
  dir_.Write("docs/b.md", "Bananas.");
  dir_.Write("docs/sub/c.md", "Cherries.");
  FolderWatch watch({Absolute("docs")}, Options());
  EXPECT_EQ(watch.limitation().empty(), GetParam()) << watch.limitation();
  EXPECT_TRUE(All(&watch).empty());
  dir_.Write("docs/sub/c.md", "Cherry pie.");
  EXPECT_THAT(All(&watch).paths, ::testing::Contains(Absolute("docs/sub/c.md")));
  Rename("docs/a.md", "docs/d.md");
  EXPECT_THAT(All(&watch).paths, ElementsAre(Absolute("docs/a.md"), Absolute("docs/d.md")));
  std::filesystem::remove(dir_.File("docs/b.md"));
  EXPECT_THAT(All(&watch).paths, ElementsAre(Absolute("docs/b.md")));
  dir_.Write("docs/.hidden", "Not looked at.");
  dir_.Write("beside.md", "Not below it.");
  EXPECT_TRUE(All(&watch).empty());
}

TEST_P(Watching, FollowsNewFoldersAndThoseThatMove) {
  dir_.Write("docs/a.md", "Apples.");
  dir_.Write("outside/one/b.md", "Bananas.");
  FolderWatch watch({Absolute("docs")}, Options());
  dir_.Write("docs/new/deep/c.md", "Cherries.");
  EXPECT_FALSE(All(&watch).empty());
  dir_.Write("docs/new/deep/d.md", "Dates.");
  EXPECT_THAT(All(&watch).paths, ::testing::Contains(Absolute("docs/new/deep/d.md")));
  Rename("outside/one", "docs/moved");
  EXPECT_FALSE(All(&watch).empty());
  dir_.Write("docs/moved/b.md", "Banana bread.");
  EXPECT_THAT(All(&watch).paths, ::testing::Contains(Absolute("docs/moved/b.md")));
  Rename("docs/moved", "docs/again");
  EXPECT_FALSE(All(&watch).empty());
  dir_.Write("docs/again/b.md", "Banana split.");
  EXPECT_THAT(All(&watch).paths, ::testing::Contains(Absolute("docs/again/b.md")));
  Rename("docs/again", "outside/gone");
  EXPECT_FALSE(All(&watch).empty());
  dir_.Write("outside/gone/b.md", "Nobody's business.");
  EXPECT_TRUE(All(&watch).empty());
}

TEST_P(Watching, AFileCanBeARoot) {
  dir_.Write("docs/a.md", "Apples.");
  FolderWatch watch({Absolute("docs/a.md")}, Options());
  dir_.Write("docs/b.md", "Bananas.");
  dir_.Write("docs/a.md", "Apricots.");
  EXPECT_THAT(Until(&watch, Absolute("docs/a.md")).paths, ElementsAre(Absolute("docs/a.md")));
}

TEST_P(Watching, ARootMayGoAndComeAgain) {
  dir_.Write("docs/a.md", "Apples.");
  FolderWatch watch({Absolute("docs")}, Options());
  std::filesystem::remove_all(dir_.File("docs"));
  EXPECT_FALSE(Until(&watch, Absolute("docs")).empty());
  dir_.Write("docs/a.md", "Apricots.");
  EXPECT_FALSE(Until(&watch, Absolute("docs")).empty());
  dir_.Write("docs/b.md", "Bananas.");
  EXPECT_THAT(All(&watch).paths, ::testing::Contains(Absolute("docs/b.md")));
}

INSTANTIATE_TEST_SUITE_P(InotifyAndLooking, Watching, ::testing::Bool(),
                         [](const auto& mode) { return mode.param ? "Inotify" : "Looking"; });

TEST(FolderWatches, AnOverflowOfTheQueueIsSaidAndSurvived) {
  uint64_t queued = 16384;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> queued;
  if (queued > 100'000) GTEST_SKIP() << "the queue of this machine takes " << queued << " events";
  const TempDir dir;
  const std::string root = *AbsolutePath(dir.path());
  FolderWatch watch({root}, {});
  const std::string from = dir.Write("a", "Apples."), to = dir.File("b");
  for (uint64_t i = 0; i < queued; ++i) {  // two events each, none like the one before
    std::filesystem::rename(i % 2 == 0 ? from : to, i % 2 == 0 ? to : from);
  }
  bool all = false;
  for (int i = 0; i < 100 && !all; ++i) all = watch.Wait(milliseconds(20)).all;
  EXPECT_TRUE(all);
  while (!watch.Wait(milliseconds(20)).empty()) continue;
  dir.Write("c.md", "Cherries.");
  EXPECT_FALSE(watch.Wait(milliseconds(2000)).empty());
}

TEST(FolderWatches, ALimitIsToldWithItsRemedy) {
  const TempDir dir;
  dir.Write("one/a.md", "Apples.");
  dir.Write("two/b.md", "Bananas.");
  const FolderWatch watch({*AbsolutePath(dir.path())},
                          {.most_folders = 2, .look_every = milliseconds(1500)});
  EXPECT_EQ(watch.limitation(),
            "there are more than 2 folders; until then folders are looked through every 1.5 s "
            "instead of being watched");
}

// The whole way: files change, the store follows.
class Following : public ::testing::Test {
 protected:
  static constexpr std::chrono::seconds kPatience{20};

  void Start() {
    cancel_ = CancelSource();
    thread_ = std::thread([this] {
      const Context ctx = Context().WithCancel(cancel_.token());
      ended_ = FollowFolders(
          {dir_.File("docs")}, {},
          [&](const std::vector<std::string>& only) -> Result<IngestReport> {
            if (Status failure = TakeFailure(); !failure.ok()) return failure;
            IngestOptions options;
            options.prune = true;
            options.only = only;
            return Ingestor(&store_, &embedder_, options)
                .IngestPaths({dir_.File("docs")}, nullptr, ctx);
          },
          {.ran =
               [&](const IngestReport& report) {
                 const std::lock_guard lock(mutex_);
                 ++runs_;
                 created_ += report.created;
               },
           .trouble =
               [&](const std::string& line) {
                 const std::lock_guard lock(mutex_);
                 troubles_.push_back(line);
               }},
          ctx);
    });
  }
  void Stop() {
    cancel_.Cancel();
    if (thread_.joinable()) thread_.join();
  }
  ~Following() override { Stop(); }

  bool Comes(const std::function<bool()>& what) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!what() && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(milliseconds(5));
    }
    return what();
  }
  std::string TextOf(const std::string& id) {
    auto document = store_.GetDocument("default", id);
    return document.ok() ? document->text : "(none)";
  }
  bool Becomes(const std::string& id, const std::string& text) {
    return Comes([&] { return TextOf(id) == text; });
  }
  void FailNext(Status status) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(status);
  }
  Status TakeFailure() {
    const std::lock_guard lock(mutex_);
    return std::exchange(failure_, OkStatus());
  }
  int runs() {
    const std::lock_guard lock(mutex_);
    return runs_;
  }

  TempDir dir_;
  testing::MemoryStore store_;
  HashingEmbedder embedder_;
  CancelSource cancel_;
  std::thread thread_;
  std::mutex mutex_;
  int runs_ = 0;
  uint64_t created_ = 0;
  std::vector<std::string> troubles_;
  Status ended_ = Internal("it has not ended");
  Status failure_;  // of the next run
};

TEST_F(Following, EditsRenamesNewFoldersAndDeletesReachTheStore) {
  dir_.Write("docs/a.md", "Apples.");
  Start();
  ASSERT_TRUE(Becomes("a.md", "Apples."));
  ASSERT_TRUE(Comes([&] { return runs() > 0; }));
  dir_.Write("docs/a.md", "Apricots.");
  EXPECT_TRUE(Becomes("a.md", "Apricots."));
  dir_.Write("docs/sub/deep/b.md", "Bananas.");
  EXPECT_TRUE(Becomes("sub/deep/b.md", "Bananas."));
  std::filesystem::rename(dir_.File("docs/a.md"), dir_.File("docs/c.md"));
  EXPECT_TRUE(Becomes("c.md", "Apricots."));
  EXPECT_TRUE(Becomes("a.md", "(none)"));
  std::filesystem::rename(dir_.File("docs/sub"), dir_.File("docs/other"));
  EXPECT_TRUE(Becomes("other/deep/b.md", "Bananas."));
  EXPECT_TRUE(Becomes("sub/deep/b.md", "(none)"));
  std::filesystem::remove_all(dir_.File("docs/other"));
  EXPECT_TRUE(Becomes("other/deep/b.md", "(none)"));
  EXPECT_THAT(troubles_, IsEmpty());
  Stop();
  EXPECT_EQ(ended_, OkStatus());
}

TEST_F(Following, WhatChangedWhileNobodyFollowedIsSeenAtTheNextStart) {
  dir_.Write("docs/a.md", "Apples.");
  dir_.Write("docs/b.md", "Bananas.");
  dir_.Write("docs/c.md", "Cherries.");
  Start();
  ASSERT_TRUE(Becomes("c.md", "Cherries."));
  Stop();
  dir_.Write("docs/a.md", "Apricots.");
  std::filesystem::remove(dir_.File("docs/b.md"));
  const uint64_t before = embedder_.embedded();
  Start();
  EXPECT_TRUE(Becomes("a.md", "Apricots."));
  EXPECT_TRUE(Becomes("b.md", "(none)"));
  EXPECT_EQ(embedder_.embedded(), before + 1) << "what is as it was is not embedded again";
}

TEST_F(Following, ARunThatFailsIsToldAndRepeated) {
  dir_.Write("docs/a.md", "Apples.");
  Start();
  ASSERT_TRUE(Comes([&] { return runs() > 0; }));
  FailNext(Unavailable("nothing answers"));
  dir_.Write("docs/a.md", "Apricots.");
  EXPECT_TRUE(Becomes("a.md", "Apricots."));
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(troubles_, ElementsAre(HasSubstr("nothing answers")));
}

TEST_F(Following, AFolderThatVanishesAsAWholeTakesNothingAlong) {
  dir_.Write("docs/a.md", "Apples.");
  dir_.Write("docs/b.md", "Bananas.");
  Start();
  ASSERT_TRUE(Becomes("b.md", "Bananas."));
  ASSERT_TRUE(Comes([&] { return runs() > 0; }));
  std::filesystem::rename(dir_.File("docs"), dir_.File("away"));
  std::this_thread::sleep_for(milliseconds(600));
  EXPECT_EQ(TextOf("a.md"), "Apples.");
  std::filesystem::remove(dir_.File("away/b.md"));
  std::filesystem::rename(dir_.File("away"), dir_.File("docs"));
  EXPECT_TRUE(Becomes("b.md", "(none)"));
  EXPECT_EQ(TextOf("a.md"), "Apples.");
}

TEST_F(Following, TheFirstRunsFailureEndsIt) {
  Start();
  ASSERT_TRUE(thread_.joinable());
  thread_.join();
  EXPECT_EQ(ended_.code(), StatusCode::kNotFound) << ended_.ToString();
}

}  // namespace
}  // namespace vade
