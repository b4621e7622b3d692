// A process that brings a store in step with a folder is killed at random moments, again and again,
// while the folder goes on changing. The run that is let through in the end must leave what a run
// over the final folder leaves that nothing disturbed.
//
// The killed process is this very binary, run again with VADE_INGEST_CHILD set to the data
// directory.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "base/bytes.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "ingest/ingest.h"
#include "ingest/ledger.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/zip.h"

namespace vade {
namespace {

constexpr int kKills = 40;

IngestOptions RunOptions() {
  IngestOptions options;
  options.prune = true;
  options.parser_path = VADE_PARSE_BINARY;
  return options;
}

Result<IngestReport> Bring(const std::string& data, const std::string& folder) {
  ASSIGN_OR_RETURN(auto store, OpenStore(data, {.seal_tail_at = 64, .flat_below = 32}));
  HashingEmbedder embedder;
  return Ingestor(store.get(), &embedder, RunOptions()).IngestPaths({folder}, nullptr, {});
}

// Before main: the child never comes to the tests.
struct Child {
  Child() {
    const char* data = std::getenv("VADE_INGEST_CHILD");
    if (data == nullptr) return;
    _exit(Bring(data, std::getenv("VADE_INGEST_FOLDER")).ok() ? 0 : 2);
  }
};

// All that a store says of its documents but for numbers that count writes.
std::map<std::string, std::string> Contents(const std::string& data) {
  std::map<std::string, std::string> contents;
  auto store = OpenStore(data, {});
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  if (!store.ok()) return contents;
  const auto verified = (*store)->Verify({});
  EXPECT_TRUE(verified.ok());
  for (const std::string& problem : verified->problems) ADD_FAILURE() << problem;
  auto page = (*store)->ListDocuments("default", {.limit = 10000});
  EXPECT_TRUE(page.ok() && page->next.empty());
  for (const DocumentInfo& info : page->documents) {
    std::vector<float> vectors;
    const auto passages = (*store)->GetPassages("default", info.id, &vectors);
    EXPECT_TRUE(passages.ok()) << passages.status().ToString();
    std::string all = StrCat(info.title, "|", info.mime_type, "|", info.content_hash, "|",
                             (*store)->GetDocument("default", info.id)->text);
    for (const Passage& passage : *passages) {
      all += StrCat("\n", passage.begin, "-", passage.end, " ", passage.heading_path, " ",
                    passage.language);
    }
    all += StrCat("\nvectors ",
                  Checksum64(std::string_view(reinterpret_cast<const char*>(vectors.data()),
                                              vectors.size() * sizeof(float))));
    contents[info.id] = std::move(all);
  }
  EXPECT_EQ(Ledger(store->get(), "default")
                .Visit("",
                       [&](const SourceRecord& record) {
                         contents[StrCat("record of ", record.origin)] = EncodeNote(record);
                         return OkStatus();
                       }),
            OkStatus());
  return contents;
}

class KilledIngest : public ::testing::Test {
 protected:
  std::string Text(int words) {
    std::string text = "# Title\n\n";
    for (int i = 0; i < words; ++i)
      text += StrCat("w", random_() % 5000, i % 12 == 11 ? ". " : " ");
    return text;
  }
  std::string SomeFile() { return StrCat("docs/", random_() % 5, "/", random_() % 12, ".md"); }

  // Something that people do to a folder.
  void Change() {
    const std::string file = SomeFile(), other = SomeFile();
    switch (random_() % 6) {
      case 0: std::filesystem::remove(dir_.File(file)); break;
      case 1:
        if (FileExists(dir_.File(file)) && IsDirectory(dir_.File(other.substr(0, 6)))) {
          std::filesystem::rename(dir_.File(file), dir_.File(other));
        }
        break;
      case 2: {
        std::vector<std::pair<std::string, std::string>> members;
        for (uint64_t i = 0; i <= random_() % 4; ++i) {
          members.emplace_back(StrCat(random_() % 9, ".md"), Text(50));
        }
        std::map<std::string, std::string> unique(members.begin(), members.end());
        dir_.Write("docs/notes.zip", testing::Zip({unique.begin(), unique.end()}));
        break;
      }
      case 3: dir_.Write("docs/page.html", StrCat("<title>P</title><p>", Text(300))); break;
      default: dir_.Write(file, Text(static_cast<int>(random_() % 3000))); break;
    }
  }

  // How it ended: its exit status, or nothing when it was killed.
  std::optional<int> RunFor(std::chrono::microseconds time) {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    const std::string data = dir_.File("data"), folder = dir_.File("docs");
    const pid_t child = fork();
    if (child == 0) {
      setenv("VADE_INGEST_CHILD", data.c_str(), 1);
      setenv("VADE_INGEST_FOLDER", folder.c_str(), 1);
      execl(self.c_str(), self.c_str(), static_cast<char*>(nullptr));
      _exit(4);
    }
    std::this_thread::sleep_for(time);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? std::optional<int>(WEXITSTATUS(status)) : std::nullopt;
  }

  testing::TempDir dir_;
  std::mt19937_64 random_{20261126};
};

TEST_F(KilledIngest, EndsWhereAnUndisturbedRunEnds) {
  for (int i = 0; i < 60; ++i) dir_.Write(SomeFile(), Text(600));
  int killed = 0, finished = 0;
  for (int i = 0; i < kKills; ++i) {
    for (uint64_t changes = random_() % 8; changes > 0; --changes) Change();
    const auto ended = RunFor(std::chrono::microseconds(20'000 + random_() % 400'000));
    ASSERT_NE(ended, 2) << "a run after " << killed << " kills failed";
    ++(ended ? finished : killed);
  }
  EXPECT_GT(killed, kKills / 4) << "and " << finished << " came to their end";
  ASSERT_TRUE(Bring(dir_.File("data"), dir_.File("docs")).ok());
  ASSERT_TRUE(Bring(dir_.File("fresh"), dir_.File("docs")).ok());
  const auto disturbed = Contents(dir_.File("data")), undisturbed = Contents(dir_.File("fresh"));
  ASSERT_GT(undisturbed.size(), 20u);
  for (const auto& [what, content] : undisturbed) {
    const auto at = disturbed.find(what);
    ASSERT_NE(at, disturbed.end()) << what << " is missing";
    EXPECT_EQ(at->second, content) << what;
  }
  for (const auto& [what, content] : disturbed) {
    EXPECT_EQ(undisturbed.count(what), 1u) << what << " is too much";
  }
}

const Child child;

}  // namespace
}  // namespace vade
