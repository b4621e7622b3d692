// DIR/endpoint: where the service that has a data directory open can be talked to. One line
// "HOST:PORT". Only the process that holds the directory's lock writes or removes it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/status.h"

namespace vade {

// Written by `vade serve` once it listens, removed at a clean end (when the object goes).
class EndpointFile {
 public:
  static Result<std::unique_ptr<EndpointFile>> Write(const std::string& data_dir,
                                                     const std::string& address);
  ~EndpointFile();
  EndpointFile(const EndpointFile&) = delete;
  EndpointFile& operator=(const EndpointFile&) = delete;

 private:
  explicit EndpointFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The address in the file; nothing when there is none. A file left by a killed service may be
// stale: callers use it only when opening the directory said UNAVAILABLE.
std::optional<std::string> ReadEndpoint(const std::string& data_dir);

// Takes away what a killed service left behind. Precondition: this process holds the directory's
// lock, so that the file cannot be another's; a service calls it before it writes its own.
void RemoveStaleEndpoint(const std::string& data_dir);

}  // namespace vade
