// What commands read: whole files, and standard input a line at a time. Used on one thread.
#pragma once

#include <string>

#include "base/context.h"
#include "base/status.h"

namespace vade {

// Reads a file, or standard input for "-". At most 256 MiB.
Result<std::string> ReadInput(const std::string& path);

// Lines of a file descriptor as they come. Waiting ends with the input or with `ctx`, so that
// Ctrl-C ends a conversation that waits for its next question (std::getline would go on waiting).
class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}  // not owned

  // False at the end of the input, or once `ctx` is not OK. A last line without a line end counts;
  // a line longer than 1 MiB comes in parts.
  bool Next(const Context& ctx, std::string* line);

 private:
  bool TakeLine(std::string* line);

  int fd_;
  bool ended_ = false;
  std::string buffer_;
};

}  // namespace vade
