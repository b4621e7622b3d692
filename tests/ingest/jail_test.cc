#include "ingest/jail.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "ingest/formats/sandbox.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/zip.h"

namespace vade {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kPage = "<html><p>A page.</html>";

class JailTest : public ::testing::Test {
 protected:
  // The texts of a file's documents, or the reason.
  std::string Parse(Jail& jail, std::string_view name, std::string_view bytes,
                    std::string_view password = "") {
    std::string texts;
    const auto parsed = jail.Parse(
        {.name = name, .mime_type = "", .password = password, .bytes = bytes},
        [&](ParsedPart part) {
          texts += part.status.ok() ? part.document.text : StrCat(part.status.message(), "\n");
          return OkStatus();
        },
        Context());
    return parsed.ok() ? texts : parsed.status().ToString();
  }

  // A parser that does something else.
  std::string Script(std::string_view commands) {
    const std::string path = folder_.Write("parser", StrCat("#!/bin/sh\n", commands, "\n"));
    EXPECT_EQ(chmod(path.c_str(), 0700), 0);
    return path;
  }

  testing::TempDir folder_;
};

TEST_F(JailTest, ReadsOneFileAfterTheOther) {
  Jail jail({.parser_path = VADE_PARSE_BINARY});
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Parse(jail, "a.html", StrCat("<html><p>Page ", i)), StrCat("Page ", i, "\n"));
    EXPECT_EQ(Parse(jail, "a.odt", "no zip"),
              "INVALID_ARGUMENT: is called OpenDocument and is not; it is damaged, or rename it to "
              "what it is");
  }
}

TEST_F(JailTest, ReadsSeveralFilesAtATime) {
  // Each parser waits until the other one has come.
  const std::string here = folder_.path();
  const std::string wait =
      StrCat("touch ", here, "/$$; until [ $(ls ", here,
             " | wc -l) -ge 3 ]; do sleep .01; done; exec " VADE_PARSE_BINARY " --jailed");
  Jail jail({.parser_path = Script(wait), .processes = 2});
  std::string one, other;
  std::thread second([&] { other = Parse(jail, "b.html", kPage); });
  one = Parse(jail, "a.html", kPage);
  second.join();
  EXPECT_EQ(one + other, "A page.\nA page.\n");
}

TEST_F(JailTest, GivesTheReasonWhenTheParserCrashesAndStartsAnother) {
  Jail jail({.parser_path = Script("test -e \"$0.once\" && exec " VADE_PARSE_BINARY
                                   " --jailed\ntouch \"$0.once\"\nkill -SEGV $$")});
  EXPECT_EQ(Parse(jail, "a.html", kPage),
            "INVALID_ARGUMENT: made its parser crash (signal 11); it is damaged, save it again");
  EXPECT_EQ(Parse(jail, "a.html", kPage), "A page.\n");
}

TEST_F(JailTest, StopsAParserThatTakesTooLong) {
  Jail jail({.parser_path = Script("sleep 60"), .time_limit = 1s});
  EXPECT_EQ(Parse(jail, "a.html", kPage),
            "INVALID_ARGUMENT: takes more than 1 seconds to be read; split it");
}

TEST_F(JailTest, StopsWhenTheCallerDoesNotWantItAnyMore) {
  Jail jail({.parser_path = Script("sleep 60")});
  const auto parsed = jail.Parse(
      {.name = "a.html", .mime_type = "", .password = "", .bytes = kPage},
      [](ParsedPart) { return OkStatus(); }, Context().WithTimeout(100ms));
  EXPECT_EQ(parsed.status().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(JailTest, BelievesNothingThatAParserSends) {
  // Noise, a frame of 2^63 bytes, a document that ends within its text.
  for (std::string_view answer :
       {"junk junk junk", "D\\000\\000\\000\\000\\000\\000\\000\\177",
        "D\\004\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\377"}) {
    Jail jail({.parser_path = Script(StrCat("printf '", answer, "' >&0; sleep 5"))});
    EXPECT_TRUE(Parse(jail, "a.html", kPage).starts_with("INVALID_ARGUMENT: ")) << answer;
  }
}

TEST_F(JailTest, SaysWhatIsMissingWithoutAParser) {
  Jail jail({.parser_path = "/nowhere/vade-parse"});
  EXPECT_TRUE(
      Parse(jail, "a.html", kPage)
          .starts_with(
              "INVALID_ARGUMENT: needs the parser /nowhere/vade-parse, which cannot be started"));
}

// 300 MiB of zeros, packed.
std::string Bomb() {
  std::string out(4 << 20, '\0');
  size_t used = 0;
  archive* writer = archive_write_new();
  archive_write_set_format_pax_restricted(writer);
  archive_write_add_filter_gzip(writer);
  archive_write_set_filter_option(writer, "gzip", "compression-level", "1");
  archive_write_open_memory(writer, out.data(), out.size(), &used);
  archive_entry* entry = archive_entry_new();
  constexpr int64_t kBytes = 300 << 20;
  archive_entry_set_pathname(entry, "zeros.txt");
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_size(entry, kBytes);
  archive_write_header(writer, entry);
  const std::string zeros(1 << 20, '\0');
  for (int64_t i = 0; i < kBytes; i += zeros.size()) {
    archive_write_data(writer, zeros.data(), zeros.size());
  }
  archive_entry_free(entry);
  archive_write_close(writer);
  archive_write_free(writer);
  out.resize(used);
  return out;
}

TEST_F(JailTest, RefusesWhatUnpacksToMuchMoreThanItsSize) {
  Jail jail({.parser_path = VADE_PARSE_BINARY});
  const std::string said = Parse(jail, "bomb.tar.gz", Bomb());
  EXPECT_NE(said.find("which its size does not account for"), std::string::npos) << said;
  EXPECT_EQ(Parse(jail, "a.html", kPage), "A page.\n");
}

TEST_F(JailTest, OpensContainersInContainersOnlySoFar) {
  std::string inner = testing::Zip({{"a.txt", "deep"}});
  for (int i = 0; i < 10; ++i) inner = testing::Zip({{"b.zip", inner}});
  Jail jail({.parser_path = VADE_PARSE_BINARY});
  EXPECT_EQ(Parse(jail, "c.zip", inner),
            "lies in too many containers; unpack it and ingest the folder\n");
}

// --- the walls themselves

// What becomes of a child that runs `act` inside: its exit status, or the signal that ended it.
std::string Inside(const std::function<int()>& act) {
  const pid_t child = fork();
  if (child == 0) _exit(EnterSandbox(10s).ok() ? act() : 99);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return StrCat("signal ", WTERMSIG(status));
  return StrCat("exit ", WEXITSTATUS(status));
}

class Sandbox : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!SandboxIsCompiledIn()) GTEST_SKIP() << "the sandbox is off under sanitizers";
  }
};

TEST_F(Sandbox, LetsNoFileBeOpenedOrMade) {
  EXPECT_EQ(Inside([] { return open("/etc/passwd", O_RDONLY) < 0 && errno == EPERM ? 7 : 0; }),
            "exit 7");
  EXPECT_EQ(Inside([] { return open("/tmp/x", O_WRONLY | O_CREAT, 0600) < 0 ? 7 : 0; }), "exit 7");
  EXPECT_EQ(Inside([] { return unlink("/tmp/x") < 0 && errno == EPERM ? 7 : 0; }), "exit 7");
}

TEST_F(Sandbox, EndsWhoeverStartsProgramsOrOpensSockets) {
  const std::string killed = StrCat("signal ", SIGSYS);
  EXPECT_EQ(Inside([] { return execl("/bin/true", "true", nullptr); }), killed);
  EXPECT_EQ(Inside([] { return socket(AF_INET, SOCK_STREAM, 0); }), killed);
  EXPECT_EQ(Inside([] { return fork() < 0 ? 7 : 0; }), "exit 7");
}

TEST_F(Sandbox, BoundsMemory) {
  EXPECT_EQ(Inside([] { return std::malloc(3ull << 30) == nullptr ? 7 : 0; }), "exit 7");
  EXPECT_EQ(Inside([] { return std::malloc(1 << 20) == nullptr ? 0 : 7; }), "exit 7");
}

TEST_F(Sandbox, FindsTheFilesThatWereOpenedBefore) {
  const testing::TempDir folder;
  const std::string path = folder.Write("table", "abc");
  EXPECT_EQ(Inside([&] { return std::fopen(path.c_str(), "r") == nullptr ? 7 : 0; }), "exit 7");
  OpenForLater(folder.path());
  EXPECT_EQ(Inside([&] {
              FILE* file = std::fopen(path.c_str(), "rb");
              return file != nullptr && std::fgetc(file) == 'a' && std::fgetc(file) == 'b' ? 7 : 0;
            }),
            "exit 7");
}

}  // namespace
}  // namespace vade
