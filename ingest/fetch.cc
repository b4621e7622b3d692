#include "ingest/fetch.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "ingest/robots.h"

namespace vade {
namespace {

constexpr char kAgent[] = "vade";
constexpr uint64_t kMaxRobotsBytes = 512 << 10;
constexpr std::chrono::milliseconds kConnectWithin(10'000);
constexpr char kDisallowAll[] = "User-agent: *\nDisallow: /";

struct CurlUrl {
  CURLU* handle = curl_url();
  ~CurlUrl() { curl_url_cleanup(handle); }
  std::string Part(CURLUPart part) const {
    char* text = nullptr;
    if (curl_url_get(handle, part, &text, 0) != CURLUE_OK) return "";
    std::string copy(text);
    curl_free(text);
    return copy;
  }
};

struct Prefix {
  uint32_t address;
  int bits;
};

// What is not of the public internet, of IANA's registry of special-purpose addresses.
constexpr std::array<Prefix, 13> kNotPublic = {{{0x00000000, 8},
                                                {0x0a000000, 8},
                                                {0x64400000, 10},
                                                {0x7f000000, 8},
                                                {0xa9fe0000, 16},
                                                {0xac100000, 12},
                                                {0xc0000000, 24},
                                                {0xc0a80000, 16},
                                                {0xc6120000, 15},
                                                {0xc0000200, 24},
                                                {0xe0000000, 4},
                                                {0xf0000000, 4},
                                                {0xc6336400, 24}}};

bool IsPublicV4(uint32_t address) {
  return std::none_of(kNotPublic.begin(), kNotPublic.end(), [&](const Prefix& prefix) {
    const uint32_t mask = ~uint32_t{0} << (32 - prefix.bits);
    return (address & mask) == prefix.address;
  });
}

uint32_t BigEndian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

bool IsPublicV6(const uint8_t* a) {
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr std::array<uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b};
  if (std::equal(kMapped.begin(), kMapped.end(), a)) return IsPublicV4(BigEndian(a + 12));
  if (std::equal(kNat64.begin(), kNat64.end(), a)) return IsPublicV4(BigEndian(a + 12));
  if (a[0] == 0x20 && a[1] == 0x02) return IsPublicV4(BigEndian(a + 2));  // 6to4
  return (a[0] & 0xe0) == 0x20;  // 2000::/3 is what is handed out
}

// What travels through a transfer's callbacks.
struct Transfer {
  const Context* ctx = nullptr;
  bool allow_private = false;
  uint64_t max_bytes = 0;
  bool cut = false;  // what is beyond max_bytes is left out, instead of failing
  std::string bytes = {};
  bool refused = false;  // an address
  bool too_large = false;
  std::string etag = {}, last_modified = {}, location = {}, type = {};
};

curl_socket_t OpenSocket(void* user, curlsocktype, curl_sockaddr* address) {
  auto* transfer = static_cast<Transfer*>(user);
  if (!transfer->allow_private && !internal::IsPublicAddress(&address->addr, address->addrlen)) {
    transfer->refused = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

size_t TakeBytes(const char* bytes, size_t one, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const size_t size = one * count;
  const size_t room = transfer->max_bytes - transfer->bytes.size();
  if (size > room && !transfer->cut) {
    transfer->too_large = true;
    return 0;
  }
  transfer->bytes.append(bytes, std::min(size, room));
  return size;
}

size_t TakeHeader(const char* bytes, size_t one, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const std::string_view line(bytes, one * count);
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  const std::string name = AsciiLower(line.substr(0, colon));
  const std::string value(StripAsciiWhitespace(line.substr(colon + 1)));
  if (name == "etag") transfer->etag = value;
  if (name == "last-modified") transfer->last_modified = value;
  if (name == "content-type") transfer->type = value;
  if (name == "location") transfer->location = value;
  return line.size();
}

int Progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(user)->ctx->Check().ok() ? 0 : 1;
}

// Servers call much "text/plain" and "application/octet-stream"; then the bytes and the name tell
// more.
std::string TellingType(std::string_view content_type) {
  static constexpr std::array<std::string_view, 6> kTelling = {
      "text/html",        "application/xhtml+xml", "text/csv",
      "application/json", "text/markdown",         "application/xml"};
  const std::string type =
      AsciiLower(StripAsciiWhitespace(content_type.substr(0, content_type.find(';'))));
  return std::count(kTelling.begin(), kTelling.end(), type) > 0 ? type : "";
}

// What the transfer may do, and where it goes.
void SetUp(CURL* curl, const std::string& url, std::chrono::milliseconds timeout,
           Transfer* transfer) {
  curl_easy_reset(curl);
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, kAgent);
  curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");  // all that libcurl unpacks
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(std::min(timeout, kConnectWithin).count()));
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, TakeBytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, TakeHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, Progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

struct Headers {
  explicit Headers(const Validators& known) {
    if (!known.etag.empty()) Add("If-None-Match: ", known.etag);
    if (!known.last_modified.empty()) Add("If-Modified-Since: ", known.last_modified);
  }
  ~Headers() { curl_slist_free_all(list); }
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;
  void Add(std::string_view name, std::string_view value) {
    list = curl_slist_append(list, StrCat(name, value).c_str());
  }
  curl_slist* list = nullptr;
};

// Where a redirect leads.
Result<std::string> Redirected(const std::string& from, const std::string& location) {
  CurlUrl next;
  curl_url_set(next.handle, CURLUPART_URL, from.c_str(), 0);
  curl_url_set(next.handle, CURLUPART_URL, location.c_str(), CURLU_URLENCODE);
  auto normal = NormalUrl(next.Part(CURLUPART_URL));
  if (!normal.ok()) return InvalidArgument("leads to what is no URL of the web");
  return normal;
}

}  // namespace

namespace internal {

bool IsPublicAddress(const void* address, size_t size) {
  sockaddr_storage storage{};
  std::memcpy(&storage, address, std::min(size, sizeof(storage)));
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &storage, sizeof(v4));
    return IsPublicV4(ntohl(v4.sin_addr.s_addr));
  }
  if (storage.ss_family != AF_INET6) return false;
  sockaddr_in6 v6;
  std::memcpy(&v6, &storage, sizeof(v6));
  return IsPublicV6(v6.sin6_addr.s6_addr);
}

}  // namespace internal

bool IsUrl(std::string_view argument) {
  const std::string head = AsciiLower(argument.substr(0, 8));
  return head.starts_with("http://") || head.starts_with("https://");
}

Result<std::string> NormalUrl(const std::string& url) {
  CurlUrl parsed;
  const bool good = IsUrl(url) && curl_url_set(parsed.handle, CURLUPART_URL, url.c_str(),
                                               CURLU_URLENCODE) == CURLUE_OK;
  if (!good || parsed.Part(CURLUPART_HOST).empty()) {
    return InvalidArgument("is no URL of the web; it must be http://HOST/... or https://HOST/...");
  }
  if (!parsed.Part(CURLUPART_USER).empty() || !parsed.Part(CURLUPART_PASSWORD).empty()) {
    return InvalidArgument(
        "has a user name or password in it, which would be stored; leave it out");
  }
  curl_url_set(parsed.handle, CURLUPART_FRAGMENT, nullptr, 0);
  curl_url_set(parsed.handle, CURLUPART_HOST, AsciiLower(parsed.Part(CURLUPART_HOST)).c_str(), 0);
  return parsed.Part(CURLUPART_URL);
}

struct Fetcher::Answer {
  long code = 0;
  std::string bytes, location, type;
  Validators validators;
  bool elsewhere() const { return code >= 301 && code <= 308 && code != 304 && !location.empty(); }
};

Fetcher::Fetcher(const FetchOptions& options) : options_(options) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised == CURLE_OK) curl_ = curl_easy_init();
}
Fetcher::~Fetcher() { curl_easy_cleanup(static_cast<CURL*>(curl_)); }

Result<FetchedPage> Fetcher::Fetch(const std::string& url, const Validators& known,
                                   const Context& ctx) {
  if (curl_ == nullptr) return Internal("libcurl cannot be used");
  deadline_ = std::chrono::steady_clock::now() + options_.timeout;
  FetchedPage page;
  ASSIGN_OR_RETURN(page.url, NormalUrl(url));
  for (int redirects = 0; redirects <= options_.max_redirects; ++redirects) {
    ASSIGN_OR_RETURN(const bool may_read, MayRead(page.url, ctx));
    if (!may_read) {
      return InvalidArgument(StrCat("is not to be read by programs, says the robots.txt of ",
                                    page.url, "; save the page by hand"));
    }
    ASSIGN_OR_RETURN(Answer answer, Get(page.url, known, ctx));
    if (answer.elsewhere()) {
      ASSIGN_OR_RETURN(page.url, Redirected(page.url, answer.location));
      continue;
    }
    page.not_modified = answer.code == 304;
    if (page.not_modified) return page;
    if (answer.code == 404 || answer.code == 410) {
      return NotFound(StrCat("is no more (HTTP ", answer.code, ")"));
    }
    if (answer.code != 200) {
      return InvalidArgument(
          StrCat("could not be fetched: its server answered HTTP ", answer.code));
    }
    page.bytes = std::move(answer.bytes);
    page.mime_type = TellingType(answer.type);
    page.validators = std::move(answer.validators);
    return page;
  }
  return InvalidArgument(StrCat("leads elsewhere more than ", options_.max_redirects, " times"));
}

// A server without the file, or one that says that there is none, allows all; one that fails to say
// allows nothing (RFC 9309).
Result<std::string> Fetcher::ReadRobots(std::string url, const Context& ctx) {
  for (int redirects = 0; redirects <= options_.max_redirects; ++redirects) {
    ASSIGN_OR_RETURN(Answer answer, Get(url, {}, ctx));
    if (answer.code >= 500) return std::string(kDisallowAll);
    if (answer.code == 200) return std::move(answer.bytes);
    if (!answer.elsewhere()) break;
    auto next = Redirected(url, answer.location);
    if (!next.ok()) break;
    url = *std::move(next);
  }
  return std::string();
}

Result<bool> Fetcher::MayRead(const std::string& url, const Context& ctx) {
  CurlUrl parsed;
  curl_url_set(parsed.handle, CURLUPART_URL, url.c_str(), 0);
  std::string path = parsed.Part(CURLUPART_PATH);
  if (const std::string query = parsed.Part(CURLUPART_QUERY); !query.empty()) path += "?" + query;
  curl_url_set(parsed.handle, CURLUPART_QUERY, nullptr, 0);
  curl_url_set(parsed.handle, CURLUPART_PATH, "/robots.txt", 0);
  const std::string robots = parsed.Part(CURLUPART_URL);
  auto known = robots_.find(robots);
  if (known == robots_.end()) {
    ASSIGN_OR_RETURN(std::string text, ReadRobots(robots, ctx));
    known = robots_.emplace(robots, std::move(text)).first;
  }
  return RobotsAllow(known->second, kAgent, path);
}

Result<Fetcher::Answer> Fetcher::Get(const std::string& url, const Validators& known,
                                     const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline_ - std::chrono::steady_clock::now());
  if (left.count() <= 0) {
    return InvalidArgument(
        StrCat("takes more than ", options_.timeout.count() / 1000, " seconds to be fetched"));
  }
  const bool robots = url.ends_with("/robots.txt");
  Transfer transfer{.ctx = &ctx,
                    .allow_private = options_.allow_private,
                    .max_bytes = robots ? kMaxRobotsBytes : options_.max_bytes,
                    .cut = robots};
  CURL* curl = static_cast<CURL*>(curl_);
  SetUp(curl, url, left, &transfer);
  const Headers headers(known);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.list);
  const CURLcode done = curl_easy_perform(curl);
  RETURN_IF_ERROR(ctx.Check());
  if (transfer.refused) {
    return InvalidArgument(
        "is at an address that is not of the public internet; --allow-private allows it");
  }
  if (transfer.too_large) {
    return InvalidArgument(
        StrCat("has more than ", transfer.max_bytes >> 10, " KiB, the limit for a page"));
  }
  if (done != CURLE_OK) {
    return InvalidArgument(StrCat("could not be fetched: ", curl_easy_strerror(done)));
  }
  Answer answer;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.code);
  answer.bytes = std::move(transfer.bytes);
  answer.location = std::move(transfer.location);
  answer.type = std::move(transfer.type);
  answer.validators = {std::move(transfer.etag), std::move(transfer.last_modified)};
  return answer;
}

}  // namespace vade
