// Pages of the web as files to be ingested: fetched when they are listed, and only when they have
// changed since this user last fetched them.
//
// What servers said of pages (ETag, Last-Modified) is kept in a folder of the user's with the hash
// of the bytes, whatever store they went to: a page that has not changed is known by that hash, and
// fetched again only when a store does not have it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/context.h"
#include "base/status.h"
#include "ingest/fetch.h"
#include "ingest/ingest.h"

namespace vade {

FetchOptions FetchOptionsOf(const WebOptions& options);

class WebPage {
 public:
  // Errors as Fetcher::Fetch() has them. `fetcher` knows what robots.txt said before.
  static Result<WebPage> Fetch(const std::string& url, const WebOptions& options, Fetcher* fetcher,
                               const Context& ctx);

  const std::string& url() const { return url_; }
  const std::string& hash() const { return hash_; }  // SHA-256 of the bytes, hexadecimal
  uint64_t size_bytes() const { return size_bytes_; }
  const std::string& mime_type() const { return mime_type_; }  // "": its server does not tell
  // INVALID_ARGUMENT: it had not changed, and cannot be fetched now.
  Result<std::string> Bytes() const;

 private:
  WebPage(std::string url, const WebOptions& options) : url_(std::move(url)), options_(options) {}

  std::string url_;
  WebOptions options_;
  std::string hash_, mime_type_;
  uint64_t size_bytes_ = 0;
  std::optional<std::string> bytes_;
};

}  // namespace vade
