// What servers and stores hand to ingestion beside files: robots.txt, and records of files. The
// matching of rules is compared with one that tries everything.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ingest/robots.h"
#include "ingest/sketch.h"
#include "ingest/source_record.h"

namespace {

// The specification: '*' stands for any characters, '$' at the end for the end.
bool Matches(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) return true;
  if (pattern == "$") return path.empty();
  if (pattern[0] == '*') {
    for (size_t skip = 0; skip <= path.size(); ++skip) {
      if (Matches(pattern.substr(1), path.substr(skip))) return true;
    }
    return false;
  }
  return !path.empty() && path[0] == pattern[0] && Matches(pattern.substr(1), path.substr(1));
}

// A short rule and path over a small alphabet, so that they meet.
void CompareMatching(std::string_view input) {
  std::string rule = "/", path = "/";
  for (size_t i = 0; i < input.size() && i < 24; ++i) {
    const unsigned char c = static_cast<unsigned char>(input[i]);
    if (i % 2 == 0 && rule.size() < 10) rule.push_back("ab*"[c % 3]);
    if (i % 2 == 1) path.push_back("ab"[c % 2]);
  }
  if (!input.empty() && (input[0] & 0x40) != 0) rule.push_back('$');
  const std::string text = "User-agent: *\nDisallow: " + rule + "\n";
  if (vade::RobotsAllow(text, "vade", path) == Matches(rule, path)) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  (void)vade::RobotsAllow(input, "vade", "/some/path?with=query");
  CompareMatching(input);
  if (const auto record = vade::DecodeNote(std::string_view("f/a\0b", 5), input)) {
    if (vade::DecodeNote(std::string_view("f/a\0b", 5), vade::EncodeNote(*record)) != record)
      abort();
  }
  (void)vade::SketchOf(input);
  return 0;
}
