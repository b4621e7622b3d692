#include "service/endpoint.h"

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr uint64_t kMaxBytes = 512;  // a host name has at most 253

std::string PathIn(const std::string& data_dir) { return JoinPath(data_dir, "endpoint"); }

void RemoveOrWarn(const std::string& path) {
  const Status removed = RemoveFile(path);
  if (!removed.ok()) LogWarning(StrCat("the endpoint file stays behind: ", removed.message()));
}

// HOST:PORT of visible ASCII: what a server of ours writes, and nothing else.
bool IsAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto port = ParseUint(text.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535) return false;
  for (const char c : text) {
    if (c <= ' ' || c > '~' || c == '/') return false;
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<EndpointFile>> EndpointFile::Write(const std::string& data_dir,
                                                          const std::string& address) {
  if (!IsAddress(address)) return InvalidArgument(StrCat("'", address, "' is not HOST:PORT"));
  std::string path = PathIn(data_dir);
  RETURN_IF_ERROR(WriteFileAtomically(path, StrCat(address, "\n")));
  return std::unique_ptr<EndpointFile>(new EndpointFile(std::move(path)));
}

EndpointFile::~EndpointFile() { RemoveOrWarn(path_); }

void RemoveStaleEndpoint(const std::string& data_dir) { RemoveOrWarn(PathIn(data_dir)); }

std::optional<std::string> ReadEndpoint(const std::string& data_dir) {
  const auto bytes = ReadFile(PathIn(data_dir), kMaxBytes);
  if (!bytes.ok()) return std::nullopt;
  const std::string_view line = StripAsciiWhitespace(*bytes);
  if (!IsAddress(line)) return std::nullopt;
  return std::string(line);
}

}  // namespace vade
