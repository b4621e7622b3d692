// Programs that tests run: what they print, how they end. Standard output and error go to files of
// a folder of the test's, so that no pipe fills up.
//
//   Process run(folder, {binary, "docs", "list"}, {{"VADE_MODELS", dir}});
//   EXPECT_EQ(run.Wait(10s), 0);
//   EXPECT_EQ(run.out(), "...");
//
// A process that still runs when the object goes is killed.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/status.h"
#include "base/strings.h"

extern char** environ;

namespace vade::testing {

class Process {
 public:
  using Environment = std::map<std::string, std::string>;

  // `environment` replaces and adds to the test's own; an empty value removes a variable.
  Process(const std::string& folder, const std::vector<std::string>& command,
          const Environment& environment = {}) {
    static int serial = 0;
    out_ = JoinPath(folder, StrCat("out-", getpid(), "-", serial));
    err_ = JoinPath(folder, StrCat("err-", getpid(), "-", serial++));
    int input[2];
    VADE_CHECK(pipe2(input, O_CLOEXEC) == 0, "a test can make a pipe");
    const int out = open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int err = open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    VADE_CHECK(out >= 0 && err >= 0, "a test's folder is writable");
    std::vector<std::string> variables = Variables(environment);
    std::vector<char*> arguments = Pointers(command), environment_pointers = Pointers(variables);
    pid_ = fork();
    VADE_CHECK(pid_ >= 0, "a test can start a process");
    if (pid_ == 0) {
      dup2(input[0], STDIN_FILENO);
      dup2(out, STDOUT_FILENO);
      dup2(err, STDERR_FILENO);
      execve(arguments[0], arguments.data(), environment_pointers.data());
      _exit(127);
    }
    close(input[0]);
    close(out);
    close(err);
    input_ = input[1];
  }
  ~Process() {
    CloseInput();
    if (ended_) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Write(std::string_view text) {
    std::signal(SIGPIPE, SIG_IGN);  // it may have ended before it read
    while (!text.empty()) {
      const ssize_t written = write(input_, text.data(), text.size());
      if (written <= 0) return;
      text.remove_prefix(static_cast<size_t>(written));
    }
  }
  void CloseInput() {
    if (input_ >= 0) close(input_);
    input_ = -1;
  }
  void Signal(int number) const { kill(pid_, number); }

  // The exit status; 128 + number for a signal; nothing when it still runs then.
  std::optional<int> Wait(std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!ended_ && !Reap()) {
      if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return ended_;
  }
  // Waits until what it has printed contains `text`; false when it ends or the time is over before.
  bool WaitForOutput(std::string_view text, std::chrono::milliseconds timeout) {
    return WaitFor(out_, text, timeout);
  }
  bool WaitForError(std::string_view text, std::chrono::milliseconds timeout) {
    return WaitFor(err_, text, timeout);
  }

  std::string out() const { return Text(out_); }
  std::string err() const { return Text(err_); }

 private:
  static std::string Text(const std::string& path) {
    auto bytes = ReadFile(path, 64 << 20);
    return bytes.ok() ? std::move(bytes).value() : std::string();
  }

  static std::vector<std::string> Variables(const Environment& environment) {
    std::vector<std::string> variables;
    for (char** at = environ; *at != nullptr; ++at) {
      const std::string entry = *at;
      if (environment.count(entry.substr(0, entry.find('='))) == 0) variables.push_back(entry);
    }
    for (const auto& [name, value] : environment) {
      if (!value.empty()) variables.push_back(StrCat(name, "=", value));
    }
    return variables;
  }

  static std::vector<char*> Pointers(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
  }

  bool Reap() {
    int status = 0;
    const pid_t done = waitpid(pid_, &status, WNOHANG);
    if (done != pid_) return false;
    ended_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
  }

  bool WaitFor(const std::string& path, std::string_view text, std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (std::chrono::steady_clock::now() < deadline) {
      const bool over = ended_ || Reap();
      if (Text(path).find(text) != std::string::npos) return true;
      if (over) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  pid_t pid_ = -1;
  int input_ = -1;
  std::string out_, err_;
  std::optional<int> ended_;
};

}  // namespace vade::testing
