// The real command with the real embedder follows a folder: in its own process, and through a
// running service that answers meanwhile.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>

#include "tests/service/cli_fixture.h"
#include "tests/testing/model_files.h"

namespace vade {
namespace {

using testing::ModelPath;
using testing::Process;

class WatchE2e : public testing::CliTest {
 protected:
  void SetUp() override {
    const std::string embedder = ModelPath("multilingual-e5-small-q4.gguf");
    VADE_SKIP_IF_MISSING(embedder, "multilingual-e5-small");
    ASSERT_TRUE(MakeDirectories(dir_.File("models")).ok());
    std::filesystem::create_symlink(std::filesystem::absolute(embedder),
                                    dir_.File("models/" + BaseName(embedder)));
    dir_.Write("docs/museum.md", "# Opening hours\n\nThe museum opens at nine in the morning.\n");
    dir_.Write("docs/leave.md", "# Leave\n\nEveryone has thirty days of paid leave a year.\n");
  }
  // Whether the text of the best passages for the question comes to be so.
  bool Comes(const std::string& question, const std::function<bool(const std::string&)>& what) {
    for (int i = 0; i < 60; ++i) {
      const Json found = RunJson({"search", question, "-k", "3"});
      if (what(found["hits"].dump())) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    return false;
  }
  static bool Has(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  }
};

TEST_F(WatchE2e, AServiceAnswersFromTheFolderAsItIs) {
  Process serve = Start({"serve", "--grpc", "127.0.0.1:0"});
  ASSERT_TRUE(serve.WaitForOutput("listening on ", kPatience)) << serve.err();
  Process watch = Start({"ingest", dir_.File("docs"), "--watch"});
  ASSERT_TRUE(watch.WaitForError("watching", kPatience)) << watch.err();
  EXPECT_TRUE(Has(watch.out(), "2 created")) << watch.out();

  const std::string question = "When does the museum open?";
  EXPECT_TRUE(Comes(question, [](const std::string& t) { return Has(t, "at nine"); }));
  dir_.Write("docs/museum.md", "# Opening hours\n\nThe museum opens at eleven o'clock.\n");
  EXPECT_TRUE(Comes(
      question, [](const std::string& t) { return Has(t, "at eleven") && !Has(t, "at nine"); }));
  std::filesystem::create_directory(dir_.File("docs/town"));
  std::filesystem::rename(dir_.File("docs/museum.md"), dir_.File("docs/town/house.md"));
  EXPECT_TRUE(Comes(question, [](const std::string& t) {
    return Has(t, "town/house.md") && !Has(t, "museum.md");
  }));
  std::filesystem::remove_all(dir_.File("docs/town"));
  EXPECT_TRUE(Comes(question, [](const std::string& t) { return !Has(t, "eleven"); }));

  watch.Signal(SIGTERM);
  EXPECT_EQ(watch.Wait(std::chrono::seconds(10)), 0) << watch.err();
  EXPECT_TRUE(Has(watch.out(), "1 renamed")) << watch.out();
  EXPECT_TRUE(Has(watch.out(), "1 deleted")) << watch.out();
}

TEST_F(WatchE2e, ADirectoryOfItsOwnIsLeftAsTheFolderIsAndGoneOverAtTheNextStart) {
  const auto follow = [&](const std::function<void()>& meanwhile, const char* sign) {
    Process watch = Start({"ingest", dir_.File("docs"), "--watch", "--json"});
    EXPECT_TRUE(watch.WaitForError("watching", kPatience)) << watch.err();
    meanwhile();
    EXPECT_TRUE(watch.WaitForOutput(sign, kPatience)) << watch.out() << watch.err();
    watch.Signal(SIGTERM);
    EXPECT_EQ(watch.Wait(std::chrono::seconds(10)), 0) << watch.err();
  };
  follow([&] { dir_.Write("docs/new.md", "# News\n\nThe quay is closed in June.\n"); },
         "\"created\":1,");
  EXPECT_EQ(RunJson({"docs", "list"})["documents"].size(), 3u);
  std::filesystem::remove(dir_.File("docs/leave.md"));  // while nobody looks
  follow([] {}, "\"deleted\":1,");
  EXPECT_EQ(RunJson({"docs", "list"})["documents"].size(), 2u);
  EXPECT_TRUE(RunJson({"verify"})["problems"].empty());
}

TEST_F(WatchE2e, PruneTakesWhatHasGoneOutOfTheStore) {
  RunJson({"ingest", dir_.File("docs")});
  std::filesystem::rename(dir_.File("docs/museum.md"), dir_.File("docs/house.md"));
  std::filesystem::remove(dir_.File("docs/leave.md"));
  const Json report = RunJson({"ingest", dir_.File("docs"), "--prune"});
  EXPECT_EQ(report["renamed"], 1);
  EXPECT_EQ(report["deleted"], 2);
  const Json listed = RunJson({"docs", "list"})["documents"];
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0]["document_id"], "house.md");
}

}  // namespace
}  // namespace vade
