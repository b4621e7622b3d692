// The files of ../shared/data/ingest through the real path: jail, splitter, store. Prints a row a
// file and the totals; the rules are those of ../shared/data/README.md.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/ingest.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/memory_store.h"

namespace vade {
namespace {

using nlohmann::json;

const char* const kFolder = VADE_SOURCE_DIR "/../shared/data/ingest/";
constexpr double kLeastRecall = 0.9;

std::string Read(const std::string& name) {
  auto bytes = ReadFile(kFolder + name, 64 << 20);
  return bytes.ok() ? std::move(bytes).value() : std::string();
}

std::string WithoutSpace(std::string_view text) {
  const std::string normal = Nfkc(text);
  std::string out;
  for (size_t pos = 0; pos < normal.size();) {
    const char32_t c = NextCodePoint(normal, &pos);
    if (!IsWhitespace(c)) AppendCodePoint(&out, c);
  }
  return out;
}

// Words, and characters of what is written without blanks.
std::map<std::string, int> Tokens(std::string_view text) {
  std::map<std::string, int> counts;
  const std::string folded = NfkcCaseFold(text);
  for (const TextSpan& word : Words(folded)) {
    const std::string_view token =
        std::string_view(folded).substr(word.begin, word.end - word.begin);
    size_t pos = 0;
    if (!IsHan(NextCodePoint(token, &pos))) {
      ++counts[std::string(token)];
      continue;
    }
    for (size_t at = 0; at < token.size();) {
      const size_t begin = at;
      NextCodePoint(token, &at);
      ++counts[std::string(token.substr(begin, at - begin))];
    }
  }
  return counts;
}

double Recall(std::string_view reference, std::string_view text) {
  std::map<std::string, int> have = Tokens(text);
  int all = 0, found = 0;
  for (const auto& [token, count] : Tokens(reference)) {
    all += count;
    found += std::min(count, have[token]);
  }
  return all == 0 ? 1 : static_cast<double>(found) / all;
}

class Scorer {
 public:
  // "ok" or what is wrong; a format that is refused by name is "refused".
  std::string Score(const json& entry) {
    const std::string file = entry.at("file");
    const std::string expect = entry.at("expect");
    const auto start = std::chrono::steady_clock::now();
    const Result<PutResult> put = Put(file);
    milliseconds_ =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    reason_ = put.status().message();
    if (!put.ok()) {
      if (store_.GetDocument("default", file).ok()) return "refused and yet stored";
      if (put.status().code() != StatusCode::kInvalidArgument) return reason_;
      if (expect == "text") {
        const bool by_name = reason_.find("is not supported") != std::string::npos;
        return by_name ? "refused" : "not read: " + reason_;
      }
      return "ok";
    }
    if (expect == "error") return "read, and should be refused";
    return CheckText(entry, TextOf(*put));
  }

  double milliseconds() const { return milliseconds_; }
  const std::string& reason() const { return reason_; }

 private:
  static IngestOptions Options() {
    IngestOptions options;
    options.parser_path = VADE_PARSE_BINARY;
    return options;
  }

  Result<PutResult> Put(const std::string& file) {
    PutRequest request;
    request.info.id = file;
    request.bytes = Read(file);
    return ingestor_.Put(std::move(request), Context());
  }

  std::string TextOf(const PutResult& put) {
    auto document = store_.GetDocument("default", put.document_id);
    return document.ok() ? document->text : "";
  }

  std::string CheckText(const json& entry, const std::string& text) {
    if (!IsValidUtf8(text)) return "no valid UTF-8";
    if (text.find('\0') != std::string::npos) return "holds NUL";
    const std::string folded = WithoutSpace(text);
    for (const std::string part : entry.at("must_include")) {
      if (folded.find(WithoutSpace(part)) == std::string::npos) return "lacks '" + part + "'";
    }
    for (const std::string part : entry.at("must_not_include")) {
      if (folded.find(WithoutSpace(part)) != std::string::npos) return "holds '" + part + "'";
    }
    if (!entry.contains("reference") || !entry["reference"].is_string()) return "ok";
    const double recall = Recall(Read(entry["reference"]), text);
    return recall >= kLeastRecall ? "ok" : StrCat("recall ", recall);
  }

  testing::MemoryStore store_;
  HashingEmbedder embedder_;
  Ingestor ingestor_{&store_, &embedder_, Options()};
  double milliseconds_ = 0;
  std::string reason_;
};

TEST(IngestManifest, EveryFileIsReadOrRefusedAsItShouldBe) {
  const std::string manifest = Read("manifest.jsonl");
  if (manifest.empty()) GTEST_SKIP() << "no ../shared/data/ingest";
  Scorer scorer;
  struct Total {
    int files = 0, ok = 0, refused = 0;
    double milliseconds = 0;
  };
  std::map<std::string, Total> totals;
  for (const std::string& line : Split(manifest, '\n')) {
    if (line.empty()) continue;
    const json entry = json::parse(line);
    const std::string outcome = scorer.Score(entry);
    const std::string file = entry["file"], expect = entry["expect"];
    std::printf("%-58s %-13s %6.0f ms  %s%s\n", file.c_str(), expect.c_str(), scorer.milliseconds(),
                outcome.c_str(),
                scorer.reason().empty() ? "" : (" (" + scorer.reason() + ")").c_str());
    EXPECT_TRUE(outcome == "ok" || outcome == "refused") << file << ": " << outcome;
    Total& total = totals[expect];
    ++total.files;
    total.ok += outcome == "ok" ? 1 : 0;
    total.refused += outcome == "refused" ? 1 : 0;
    total.milliseconds += scorer.milliseconds();
  }
  for (const auto& [expect, total] : totals) {
    std::printf("%-14s %3d files, %3d as expected, %3d refused by name, %.1f s\n", expect.c_str(),
                total.files, total.ok, total.refused, total.milliseconds / 1000);
  }
}

}  // namespace
}  // namespace vade
