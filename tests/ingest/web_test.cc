// Pages of the web: what is fetched, what is refused, and that a page that has not changed is not
// fetched twice. The server is on loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"
#include "ingest/fetch.h"
#include "ingest/ingest.h"
#include "ingest/robots.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/http_server.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using ::testing::HasSubstr;
using testing::HttpServer;
using testing::MemoryStore;
using testing::TempDir;

bool Asks(const std::string& request, std::string_view path) {
  return request.starts_with(StrCat("GET ", path, " "));
}

TEST(Robots, TheLongestRuleOfOurGroupCounts) {
  const std::string text =
      "User-agent: other\nDisallow: /\n\n"
      "User-Agent: Vade\nUser-agent: another\nDisallow: /private\nAllow: /private/open\n"
      "Disallow: /*.cgi$\nDisallow: /exact$\nDisallow:\n\nUser-agent: *\nDisallow: /all\n";
  for (const auto& [path, allowed] :
       std::vector<std::pair<std::string, bool>>{{"/", true},
                                                 {"/private", false},
                                                 {"/private/x", false},
                                                 {"/private/open/x", true},
                                                 {"/a/b.cgi", false},
                                                 {"/a/b.cgi?x", true},
                                                 {"/exact", false},
                                                 {"/exactly", true},
                                                 {"/all", true},
                                                 {"/robots.txt", true}}) {
    EXPECT_EQ(RobotsAllow(text, "vade", path), allowed) << path;
  }
  EXPECT_FALSE(RobotsAllow(text, "third", "/all/x"));
  EXPECT_FALSE(RobotsAllow(text, "other", "/x"));
}

TEST(Robots, WhatIsNoRuleForbidsNothing) {
  for (const char* text : {"", "<html>not found", "Disallow: /\n", "User-agent: *\nDisallow:\n",
                           "User-agent: *\nCrawl-delay: 9\n"}) {
    EXPECT_TRUE(RobotsAllow(text, "vade", "/x")) << text;
  }
  EXPECT_FALSE(RobotsAllow("\xEF\xBB\xBFuser-agent:*\r\ndisallow:/ # all\r\n", "vade", "/x"));
  // Many stars cost no more than one pass.
  std::string stars = "User-agent: *\nDisallow: /";
  for (int i = 0; i < 2000; ++i) stars += "*a";
  EXPECT_TRUE(RobotsAllow(stars + "*b$", "vade", "/" + std::string(5000, 'a')));
}

TEST(Urls, HaveOneFormAndNoPasswords) {
  EXPECT_EQ(*NormalUrl("HTTP://Example.ORG/a b#part"), "http://example.org/a%20b");
  EXPECT_EQ(*NormalUrl("https://example.org"), "https://example.org/");
  for (const char* bad : {"ftp://example.org/", "http://", "example.org",
                          "http://me:secret@example.org/", "file:///etc/passwd"}) {
    EXPECT_EQ(NormalUrl(bad).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

bool IsPublic(const char* text) {
  sockaddr_in v4{};
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    return internal::IsPublicAddress(&v4, sizeof(v4));
  }
  sockaddr_in6 v6{};
  EXPECT_EQ(inet_pton(AF_INET6, text, &v6.sin6_addr), 1) << text;
  v6.sin6_family = AF_INET6;
  return internal::IsPublicAddress(&v6, sizeof(v6));
}

TEST(Addresses, OfThePublicInternetAreTold) {
  for (const char* text : {"8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111",
                           "::ffff:8.8.8.8", "64:ff9b::808:808"}) {
    EXPECT_TRUE(IsPublic(text)) << text;
  }
  for (const char* text :
       {"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff02::1",
        "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"}) {
    EXPECT_FALSE(IsPublic(text)) << text;
  }
}

class Fetching : public ::testing::Test {
 protected:
  // Of the status of one page; "" when it was fetched.
  std::string Problem(const HttpServer& server, std::string_view path) {
    Fetcher fetcher(options_);
    const auto page = fetcher.Fetch(server.Url(path), {}, {});
    return page.ok() ? "" : page.status().ToString();
  }
  FetchOptions options_{.allow_private = true};
};

TEST_F(Fetching, LoopbackIsRefusedUnlessItIsAllowedAndNobodyIsAsked) {
  const HttpServer server([](const std::string&) { return HttpServer::Ok("secret"); });
  options_.allow_private = false;
  EXPECT_THAT(Problem(server, "/"), HasSubstr("--allow-private"));
  EXPECT_TRUE(server.requests().empty());
  options_.allow_private = true;
  EXPECT_EQ(Problem(server, "/"), "");
}

TEST_F(Fetching, RedirectsAreFollowedWithinBoundsAndRobotsAskedAboutEach) {
  const HttpServer server([](const std::string& request) {
    if (Asks(request, "/robots.txt")) {
      return HttpServer::Ok("User-agent: *\nDisallow: /closed");
    }
    if (Asks(request, "/a")) return HttpServer::Says("302 Found", "Location: b\r\n");
    if (Asks(request, "/b")) return HttpServer::Ok("here");
    if (Asks(request, "/in")) return HttpServer::Says("301 Moved", "Location: /closed/x\r\n");
    if (Asks(request, "/file"))
      return HttpServer::Says("301 Moved", "Location: file:///etc/passwd\r\n");
    return HttpServer::Says("302 Found", "Location: /round\r\n");
  });
  Fetcher fetcher(options_);
  const auto page = fetcher.Fetch(server.Url("/a"), {}, {});
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  EXPECT_EQ(page->bytes, "here");
  EXPECT_EQ(page->url, server.Url("/b"));
  EXPECT_THAT(Problem(server, "/in"), HasSubstr("robots.txt"));
  EXPECT_EQ(server.Count("/closed/x"), 0);
  EXPECT_THAT(Problem(server, "/file"), HasSubstr("no URL of the web"));
  EXPECT_THAT(Problem(server, "/round"), HasSubstr("leads elsewhere more than 5 times"));
  EXPECT_EQ(server.Count("/round"), 6);
}

TEST_F(Fetching, WhatIsTooLargeTooSlowOrNotThereIsSaid) {
  const HttpServer server([](const std::string& request) {
    if (Asks(request, "/large")) return HttpServer::Ok(std::string(3 << 20, 'x'));
    if (Asks(request, "/slow")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(800));
      return HttpServer::Ok("late");
    }
    if (Asks(request, "/gone")) return HttpServer::Says("410 Gone");
    if (Asks(request, "/broken")) return HttpServer::Says("500 Internal Server Error");
    if (Asks(request, "/cut"))
      return std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx");
    return HttpServer::Says("404 Not Found");
  });
  options_.max_bytes = 1 << 20;
  EXPECT_THAT(Problem(server, "/large"), HasSubstr("INVALID_ARGUMENT: has more than 1024 KiB"));
  EXPECT_THAT(Problem(server, "/gone"), HasSubstr("NOT_FOUND: is no more (HTTP 410)"));
  EXPECT_THAT(Problem(server, "/broken"), HasSubstr("answered HTTP 500"));
  EXPECT_THAT(Problem(server, "/cut"), HasSubstr("could not be fetched"));
  options_.timeout = std::chrono::milliseconds(300);
  EXPECT_THAT(Problem(server, "/slow"), HasSubstr("INVALID_ARGUMENT"));
}

TEST_F(Fetching, AServerThatCannotSayWhatRobotsMayReadIsNotRead) {
  const HttpServer server([](const std::string& request) {
    return Asks(request, "/robots.txt") ? HttpServer::Says("503 Service Unavailable")
                                        : HttpServer::Ok("text");
  });
  EXPECT_THAT(Problem(server, "/x"), HasSubstr("robots.txt"));
  EXPECT_EQ(server.Count("/x"), 0);
}

TEST_F(Fetching, EndsWithItsContext) {
  const HttpServer server([](const std::string&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    return HttpServer::Ok("late");
  });
  Fetcher fetcher(options_);
  const auto page =
      fetcher.Fetch(server.Url("/"), {}, Context().WithTimeout(std::chrono::milliseconds(100)));
  EXPECT_EQ(page.status().code(), StatusCode::kDeadlineExceeded) << page.status().ToString();
}

class WebIngest : public ::testing::Test {
 protected:
  WebIngest() {
    options_.parser_path = VADE_PARSE_BINARY;
    options_.web.allow_private = true;
    options_.web.cache_dir = dir_.File("fetched");
  }
  std::string Answer(const std::string& request) {
    if (Asks(request, "/robots.txt")) return HttpServer::Says("404 Not Found");
    if (gone_) return HttpServer::Says("404 Not Found");
    const std::string tag =
        StrCat("ETag: \"", version_.load(), "\"\r\nContent-Type: text/html; charset=utf-8\r\n");
    if (request.find(StrCat("If-None-Match: \"", version_.load(), "\"")) != std::string::npos) {
      return HttpServer::Says("304 Not Modified", tag);
    }
    return HttpServer::Ok(
        StrCat("<title>Boiler</title><p>Version ", version_.load(), " of the page."), tag);
  }
  // "created updated unchanged failed deleted"
  std::string Run(MemoryStore* store) {
    auto report =
        Ingestor(store, &embedder_, options_).IngestPaths({server_.Url("/page#top")}, nullptr, {});
    if (!report.ok()) return report.status().ToString();
    problem_ = report->errors.empty() ? "" : report->errors[0].reason;
    return StrCat(report->created, " ", report->updated, " ", report->unchanged, " ",
                  report->failed, " ", report->deleted);
  }

  std::string problem_;  // of the last run
  TempDir dir_;
  MemoryStore store_;
  HashingEmbedder embedder_;
  IngestOptions options_;
  std::atomic<int> version_{1};
  std::atomic<bool> gone_{false};
  HttpServer server_{[this](const std::string& request) { return Answer(request); }};
};

TEST_F(WebIngest, APageIsADocumentAndFetchedAgainOnlyWhenItHasChanged) {
  EXPECT_EQ(Run(&store_), "1 0 0 0 0") << problem_;
  const auto document = store_.GetDocument("default", server_.Url("/page"));
  ASSERT_TRUE(document.ok()) << document.status().ToString();
  EXPECT_EQ(document->info.title, "Boiler");
  EXPECT_EQ(document->info.source, server_.Url("/page"));
  EXPECT_EQ(document->text, "Version 1 of the page.\n");
  EXPECT_EQ(Run(&store_), "0 0 1 0 0");
  EXPECT_THAT(server_.requests().back(), HasSubstr("If-None-Match: \"1\""));
  version_ = 2;
  EXPECT_EQ(Run(&store_), "0 1 0 0 0");
  EXPECT_EQ(store_.GetDocument("default", server_.Url("/page"))->text, "Version 2 of the page.\n");
}

TEST_F(WebIngest, AStoreThatDoesNotHaveThePageGetsItAllTheSame) {
  EXPECT_EQ(Run(&store_), "1 0 0 0 0");
  MemoryStore other;
  EXPECT_EQ(Run(&other), "1 0 0 0 0") << "though it has not changed since it was fetched";
  EXPECT_TRUE(other.GetDocument("default", server_.Url("/page")).ok());
}

TEST_F(WebIngest, APageThatIsNoMoreGoesWithPruneAlone) {
  EXPECT_EQ(Run(&store_), "1 0 0 0 0");
  gone_ = true;
  EXPECT_EQ(Run(&store_), "0 0 0 1 0");
  EXPECT_TRUE(store_.GetDocument("default", server_.Url("/page")).ok());
  options_.prune = true;
  EXPECT_EQ(Run(&store_), "0 0 0 1 1");
  EXPECT_FALSE(store_.GetDocument("default", server_.Url("/page")).ok());
}

}  // namespace
}  // namespace vade
