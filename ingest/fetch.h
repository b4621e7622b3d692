// One page from the web, over HTTP or HTTPS: politely (robots.txt, conditional requests), bounded
// (bytes, time, redirects), and not from inside: an address that is not of the public internet is
// refused unless that is allowed, whatever name leads to it.
//
//   Fetcher fetcher({});
//   ASSIGN_OR_RETURN(FetchedPage page, fetcher.Fetch("https://example.org/a", {}, ctx));
//
// Proxies of the environment are not used. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/status.h"

namespace vade {

struct FetchOptions {
  bool allow_private = false;  // loopback, private and link-local addresses
  uint64_t max_bytes = 32ull << 20;
  std::chrono::milliseconds timeout{60'000};  // for one page, redirects included
  int max_redirects = 5;
};

// What a server said of the page as it is: sent back, it may answer that nothing has changed.
struct Validators {
  std::string etag, last_modified;
};

struct FetchedPage {
  std::string url;  // where it was found in the end
  bool not_modified = false;
  std::string bytes;
  std::string mime_type;  // where its server says one that tells a format; else ""
  Validators validators;
};

// Normal form without the fragment. INVALID_ARGUMENT: no http or https URL, or one with a password.
Result<std::string> NormalUrl(const std::string& url);
bool IsUrl(std::string_view argument);  // begins with http:// or https://

class Fetcher {
 public:
  explicit Fetcher(const FetchOptions& options);
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // INVALID_ARGUMENT: the page's own failure, with a reason that reads behind its URL. NOT_FOUND:
  // it is no more (404, 410). CANCELLED.
  Result<FetchedPage> Fetch(const std::string& url, const Validators& known, const Context& ctx);

 private:
  struct Answer;
  Result<Answer> Get(const std::string& url, const Validators& known, const Context& ctx);
  Result<std::string> ReadRobots(std::string url, const Context& ctx);
  Result<bool> MayRead(const std::string& url, const Context& ctx);

  const FetchOptions options_;
  void* curl_ = nullptr;
  std::chrono::steady_clock::time_point deadline_;  // of the page at work
  std::map<std::string, std::string> robots_;       // by scheme, host and port
};

namespace internal {
// Whether a socket address (of sys/socket.h) is of the public internet.
bool IsPublicAddress(const void* address, size_t size);
}  // namespace internal

}  // namespace vade
