// A process that writes (puts, replaces, deletes, erases, re-embeds; seals and merges go on beside
// them) is killed at random moments, fifty times over one directory, or as often as VADE_TEST_KILLS
// says. What it had acknowledged must be there, whole; what it had not may be there whole or not at
// all.
//
// The writer is this very binary, run again with VADE_CRASH_WRITER set to the directory. It reports
// each commit and each delete on a pipe once the store has answered. With VADE_CRASH_CELLS
// documents are longer, and the collection too large for graphs: its segments have cells.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "base/files.h"
#include "tests/index/store_fixture.h"

namespace vade {
namespace {

constexpr int kDefaultKills = 50;
// Ids are used again and again: revisions and deletes get their share
constexpr int kDocuments = 40;
constexpr int kReportFd = 3;
constexpr char kCellsVariable[] = "VADE_CRASH_CELLS";

bool WithCells() { return std::getenv(kCellsVariable) != nullptr; }

StoreOptions CrashOptions() {
  StoreOptions options;
  options.seal_tail_at = 64;  // seals and merges all the time
  options.flat_below = 32;
  options.merge_terms_at = 32;
  if (WithCells()) {
    options.seal_tail_at = 512;
    options.graph_bytes = 1;
  }
  return options;
}

// The text of revision `mark` of a document: its passages tell which revision they are of.
std::vector<std::string> Parts(int document, uint64_t mark) {
  std::vector<std::string> parts;
  const int count = (1 + static_cast<int>((mark + document) % 9)) * (WithCells() ? 16 : 1);
  for (int i = 0; i < count; ++i) {
    parts.push_back(StrCat("doc ", document, " mark ", mark, " part ", i, " of ", count, ". ",
                           std::string(mark % 5 == 0 ? 9000 : 10, 'x'), "\n"));
  }
  return parts;
}

// The collection goes back and forth between two embedders: with which one it is written and asked.
HashingEmbedder EmbedderNow(Store* store) {
  return HashingEmbedder(store->GetCollection("default").value().dimension);
}

Status Reembed(Store* store) {
  const HashingEmbedder next(EmbedderNow(store).dimension() == 64 ? 48 : 64);
  return store
      ->Reembed("default",
                {.embedder_id = next.id(),
                 .dimension = next.dimension(),
                 .embed = [&](std::span<const PassageToEmbed> passages,
                              const Context&) -> Result<std::vector<float>> {
                   std::vector<float> vectors;
                   for (const PassageToEmbed& one : passages) {
                     const auto vector = next.EmbedOne(one.passage.text);
                     vectors.insert(vectors.end(), vector.begin(), vector.end());
                   }
                   return vectors;
                 }},
                Context())
      .status();
}

Status PutMarked(Store* store, const HashingEmbedder& embedder, int document, uint64_t mark) {
  DocumentInfo info;
  info.id = StrCat("doc", document);
  info.content_hash = StrCat(mark);
  ASSIGN_OR_RETURN(auto writer, store->BeginDocument("default", info));
  uint64_t at = 0;
  for (const std::string& part : Parts(document, mark)) {
    RETURN_IF_ERROR(writer->AddText(part));
    Passage passage;
    passage.begin = at;
    passage.end = at += part.size();
    RETURN_IF_ERROR(writer->AddPassages({&passage, 1}, embedder.EmbedOne(part)));
  }
  return writer->Commit(Context()).status();
}

// Never returns: writes until it is killed. A report is "document mark\n"; mark 0 is a delete. A
// line that begins with '?' announces a write, so that the parent knows what may have become
// visible unacknowledged.
[[noreturn]] void WriteUntilKilled(const std::string& directory, uint64_t seed) {
  const auto report = [](const std::string& line) {
    if (write(kReportFd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(3);
  };
  auto store = OpenStore(directory, CrashOptions());
  if (!store.ok()) {
    report(StrCat("!", store.status().ToString(), "\n"));
    _exit(2);
  }
  std::mt19937_64 random(seed);
  while (true) {
    // What changes nothing that anybody can read.
    const uint64_t unseen = random() % 40;
    if (unseen < 2) {
      const Status done = unseen == 0 ? (*store)->Erase(Context()) : Reembed(store->get());
      if (!done.ok()) {
        report(StrCat("!", done.ToString(), "\n"));
        _exit(2);
      }
    }
    const int document = static_cast<int>(random() % kDocuments);
    const uint64_t mark = random() % 5 == 0 ? 0 : random() % 1000000 + 1;
    report(StrCat("?", document, " ", mark, "\n"));
    const Status status =
        mark == 0 ? (*store)
                        ->DeleteDocuments(
                            "default", std::vector<std::string>{StrCat("doc", document)}, Context())
                        .status()
                  : PutMarked(store->get(), EmbedderNow(store->get()), document, mark);
    if (!status.ok()) {
      report(StrCat("!", status.ToString(), "\n"));
      _exit(2);
    }
    report(StrCat(document, " ", mark, "\n"));
  }
}

class StoreCrash : public StoreFixture {
 protected:
  // What the child said before it was killed: `delay` after `lines` reports, since the speed of the
  // disk decides how many there are in a time.
  std::string RunAndKill(uint64_t seed, int lines, std::chrono::microseconds delay) {
    int fds[2];
    if (pipe(fds) != 0) return "!pipe";
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    const std::string seed_text = StrCat(seed);
    const pid_t child = fork();
    if (child == 0) {
      dup2(fds[1], kReportFd);
      if (fds[0] != kReportFd) close(fds[0]);
      if (fds[1] != kReportFd) close(fds[1]);
      setenv("VADE_CRASH_WRITER", directory_.c_str(), 1);
      setenv("VADE_CRASH_SEED", seed_text.c_str(), 1);
      execl(self.c_str(), self.c_str(), static_cast<char*>(nullptr));
      _exit(4);
    }
    close(fds[1]);
    std::string said;
    char buffer[65536];
    while (std::count(said.begin(), said.end(), '\n') < lines) {
      const ssize_t n = read(fds[0], buffer, sizeof(buffer));
      if (n <= 0) break;
      said.append(buffer, static_cast<size_t>(n));
    }
    std::this_thread::sleep_for(delay);
    kill(child, SIGKILL);
    for (ssize_t n; (n = read(fds[0], buffer, sizeof(buffer))) > 0;) said.append(buffer, n);
    close(fds[0]);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "the writer ended by itself: " << said.substr(0, 500);
    return said;
  }

  void Take(const std::string& said) {
    pending_.reset();
    for (const std::string& line : Split(said, '\n')) {
      if (line.empty() || said.back() != '\n') continue;
      const bool announced = line[0] == '?';
      const auto fields = Split(announced ? line.substr(1) : line, ' ');
      ASSERT_EQ(fields.size(), 2u) << line;
      const int document = static_cast<int>(*ParseInt(fields[0]));
      const uint64_t mark = *ParseUint(fields[1]);
      if (announced) {
        pending_ = {document, mark};
      } else {
        marks_[document] = mark;
        pending_.reset();
      }
    }
  }

  // The document is what was acknowledged last, or what was under way when the writer died.
  void CheckDocument(int document) {
    const auto info = *store_->FindDocument("default", StrCat("doc", document));
    const uint64_t found = info ? *ParseUint(info->content_hash) : 0;
    if (pending_ && pending_->first == document && pending_->second == found)
      marks_[document] = found;
    ASSERT_EQ(found, marks_[document]) << "document " << document;
    if (found == 0) return;
    const auto parts = Parts(document, found);
    EXPECT_EQ(Text(StrCat("doc", document)), Join(parts, ""));
    const auto passages = store_->GetPassages("default", StrCat("doc", document), nullptr);
    ASSERT_TRUE(passages.ok());
    ASSERT_EQ(passages->size(), parts.size());
    for (size_t i = 0; i < parts.size(); ++i) EXPECT_EQ((*passages)[i].text, parts[i]);
    SearchRequest request = Question(parts[0], 1);
    request.vector = EmbedderNow(store_.get()).EmbedOne(parts[0]);
    const auto hits = store_->Search(request, Context());
    ASSERT_TRUE(hits.ok()) << hits.status().ToString();
    ASSERT_FALSE(hits->hits.empty());
  }

  std::map<int, uint64_t> marks_;  // 0: not there
  std::optional<std::pair<int, uint64_t>> pending_;
};

class KilledWriter : public StoreCrash, public testing::WithParamInterface<const char*> {
 protected:
  ~KilledWriter() override { unsetenv(kCellsVariable); }

  // Whether a segment of the store as it lies there has cells.
  bool HasCells() const {
    const auto files = SegmentFiles();
    return std::any_of(files.begin(), files.end(), [](const std::string& path) {
      return CellsOfSegment(*ReadFile(path, 1 << 30)) > 0;
    });
  }
};

TEST_P(KilledWriter, LosesNothingItAcknowledgedAndLeavesNoHalf) {
  if (GetParam() == std::string_view("Cells")) setenv(kCellsVariable, "1", 1);
  options_ = CrashOptions();
  options_.background = false;
  OpenWithCollection();
  store_.reset();
  const char* forced = std::getenv("VADE_TEST_SEED");
  const uint64_t seed = forced ? std::strtoull(forced, nullptr, 10) : 20240607;
  std::mt19937_64 random(seed);
  const char* wanted = std::getenv("VADE_TEST_KILLS");
  const int kills = wanted ? std::atoi(wanted) : kDefaultKills / (WithCells() ? 2 : 1);
  size_t acknowledged = 0, with_cells = 0;
  for (int round = 0; round < kills; ++round) {
    SCOPED_TRACE(StrCat("VADE_TEST_SEED=", seed, ", round ", round));
    // Now and then while it is still opening.
    const int lines = round % 10 == 9 ? 0 : 1 + static_cast<int>(random() % 30);
    const std::string said =
        RunAndKill(random(), lines, std::chrono::microseconds(random() % 60000));
    Take(said);
    acknowledged += std::count(said.begin(), said.end(), '\n');
    Open();
    ASSERT_NE(store_, nullptr);
    EXPECT_EQ(Problems(), "");
    for (int document = 0; document < kDocuments; ++document) CheckDocument(document);
    if (HasFailure()) return;
    store_.reset();
    with_cells += HasCells();
  }
  std::printf("%d kills, %zu reports, cells after %zu\n", kills, acknowledged, with_cells);
  EXPECT_EQ(with_cells > 0, WithCells());
  EXPECT_GT(acknowledged, 100u);
}

INSTANTIATE_TEST_SUITE_P(StoreCrash, KilledWriter, testing::Values("Graphs", "Cells"),
                         [](const auto& segments) { return std::string(segments.param); });

// Loss of power: of every file only what was there when the last commit was acknowledged survives.
TEST_F(StoreCrash, BytesAfterTheLastSynchronousWriteMayBeLost) {
  OpenWithCollection();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(PutMarked(store_.get(), embedder_, i, 10 + i), OkStatus());
  std::map<std::string, uintmax_t> sizes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
    if (entry.is_regular_file()) sizes[entry.path().string()] = entry.file_size();
  }
  // Staged but not committed: written without waiting for the disk.
  DocumentInfo info;
  info.id = "half";
  auto writer = *store_->BeginDocument("default", info);
  ASSERT_EQ(writer->AddText(std::string(200000, 'y')), OkStatus());
  Passage passage;
  passage.end = 5;
  ASSERT_EQ(writer->AddPassages({&passage, 1}, embedder_.EmbedOne("yyyyy")), OkStatus());
  const std::string copy = directory_ + "-after";
  for (size_t extra : {0, 1, 5000}) {
    std::filesystem::remove_all(copy);
    std::filesystem::copy(directory_, copy, std::filesystem::copy_options::recursive);
    for (const auto& [path, size] : sizes) {
      const std::string there = copy + path.substr(directory_.size());
      const uintmax_t now = std::filesystem::file_size(there);
      std::filesystem::resize_file(there, std::min(now, size + extra));
    }
    auto opened = OpenStore(copy, options_);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    const auto report = (*opened)->Verify(Context());
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(Join(report->problems, "\n"), "");
    EXPECT_EQ(report->documents, 20u);
    EXPECT_FALSE((*(*opened)->FindDocument("default", "half")).has_value());
  }
  std::filesystem::remove_all(copy);
}

}  // namespace
}  // namespace vade

// Ours in place of gtest_main's: the writer must not run any test.
int main(int argc, char** argv) {
  if (const char* directory = std::getenv("VADE_CRASH_WRITER")) {
    vade::WriteUntilKilled(directory, std::strtoull(std::getenv("VADE_CRASH_SEED"), nullptr, 10));
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
