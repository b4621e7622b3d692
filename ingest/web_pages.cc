#include "ingest/web_pages.h"

#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr uint64_t kMaxKeptBytes = 64 << 10;

// A file of lines: URL, ETag, Last-Modified, hash, size, MIME type.
struct Kept {
  Validators validators;
  std::string hash;
  uint64_t size_bytes = 0;
  std::string mime_type;
};

std::string KeptPath(const std::string& url, const WebOptions& options) {
  return JoinPath(options.cache_dir, Sha256Hex(url));
}

std::optional<Kept> FindKept(const std::string& url, const WebOptions& options) {
  if (options.cache_dir.empty()) return std::nullopt;
  const auto text = ReadFile(KeptPath(url, options), kMaxKeptBytes);
  if (!text.ok()) return std::nullopt;
  const std::vector<std::string> lines = Split(*text, '\n');
  if (lines.size() != 7 || lines[0] != url || lines[3].size() != 64) return std::nullopt;
  const auto size = ParseUint(lines[4]);
  if (!size) return std::nullopt;
  return Kept{{lines[1], lines[2]}, lines[3], *size, lines[5]};
}

void Keep(const std::string& url, const WebOptions& options, const Kept& kept) {
  const Validators& said = kept.validators;
  if (options.cache_dir.empty() || (said.etag.empty() && said.last_modified.empty())) return;
  const std::string text = StrCat(url, "\n", said.etag, "\n", said.last_modified, "\n", kept.hash,
                                  "\n", kept.size_bytes, "\n", kept.mime_type, "\n");
  const std::string_view whole = text;
  Status written = MakeDirectories(options.cache_dir);
  if (written.ok()) written = WriteDerivedFile(KeptPath(url, options), {&whole, 1});
  if (!written.ok()) LogWarning(StrCat("what is known of ", url, ": ", written.message()));
}

}  // namespace

FetchOptions FetchOptionsOf(const WebOptions& options) {
  return {.allow_private = options.allow_private,
          .max_bytes = options.max_page_bytes,
          .timeout = options.timeout};
}

Result<WebPage> WebPage::Fetch(const std::string& url, const WebOptions& options, Fetcher* fetcher,
                               const Context& ctx) {
  ASSIGN_OR_RETURN(std::string normal, NormalUrl(url));
  const auto kept = FindKept(normal, options);
  ASSIGN_OR_RETURN(FetchedPage fetched,
                   fetcher->Fetch(normal, kept ? kept->validators : Validators(), ctx));
  WebPage page(std::move(normal), options);
  if (fetched.not_modified) {
    if (!kept) return InvalidArgument("was said not to have changed, though nobody had asked");
    page.hash_ = kept->hash;
    page.size_bytes_ = kept->size_bytes;
    page.mime_type_ = kept->mime_type;
    return page;
  }
  page.hash_ = Sha256Hex(fetched.bytes);
  page.size_bytes_ = fetched.bytes.size();
  page.mime_type_ = fetched.mime_type;
  Keep(page.url_, options, {fetched.validators, page.hash_, page.size_bytes_, page.mime_type_});
  page.bytes_ = std::move(fetched.bytes);
  return page;
}

Result<std::string> WebPage::Bytes() const {
  if (bytes_) return *bytes_;
  Fetcher fetcher(FetchOptionsOf(options_));
  auto fetched = fetcher.Fetch(url_, {}, {});
  if (!fetched.ok()) return InvalidArgument(fetched.status().message());
  return std::move(fetched->bytes);
}

}  // namespace vade
