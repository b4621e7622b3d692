#include "service/cli_input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

#include "base/files.h"

namespace vade {
namespace {

constexpr uint64_t kMaxInputBytes = 256ull << 20;
constexpr size_t kMaxLineBytes = size_t{1} << 20;
constexpr int kLookMs = 100;  // at the context, when no signal cuts the wait short

}  // namespace

Result<std::string> ReadInput(const std::string& path) {
  if (path != "-") return ReadFile(path, kMaxInputBytes);
  std::string bytes;
  char part[65536];
  while (std::cin.read(part, sizeof(part)) || std::cin.gcount() > 0) {
    bytes.append(part, static_cast<size_t>(std::cin.gcount()));
    if (bytes.size() > kMaxInputBytes) {
      return ResourceExhausted(
          "standard input is longer than 256 MiB; put it as several documents");
    }
  }
  return bytes;
}

bool LineReader::Next(const Context& ctx, std::string* line) {
  while (!TakeLine(line)) {
    if (ended_ || !ctx.Check().ok()) return false;
    pollfd input = {.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&input, 1, kLookMs) <= 0) continue;
    char part[4096];
    const ssize_t size = read(fd_, part, sizeof(part));
    if (size > 0) buffer_.append(part, static_cast<size_t>(size));
    if (size == 0 || (size < 0 && errno != EINTR && errno != EAGAIN)) ended_ = true;
  }
  return ctx.Check().ok();
}

bool LineReader::TakeLine(std::string* line) {
  const size_t end = buffer_.find('\n');
  if (end == std::string::npos && buffer_.size() < kMaxLineBytes && (!ended_ || buffer_.empty()))
    return false;
  *line = buffer_.substr(0, end);
  buffer_.erase(0, end == std::string::npos ? end : end + 1);
  return true;
}

}  // namespace vade
