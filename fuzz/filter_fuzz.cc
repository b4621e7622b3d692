// Any bytes as a filter: what parses must say the same of a document twice, its negation the
// opposite, and what does not must name a column.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "index/filter.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

vade::DocumentInfo Document() {
  vade::DocumentInfo info;
  info.id = "a";
  info.title = "Title";
  info.groups = {"g"};
  info.valid_from = "2024-03-01";
  info.metadata = {{"n", 1.0}, {"s", std::string("text")}, {"b", true}};
  info.metadata["l"] = std::vector<std::string>{"x", "y"};
  return info;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const vade::DocumentInfo info = Document();
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto filter = vade::Filter::Parse(text);
  if (!filter.ok()) {
    Require(!filter.status().message().empty());
    return 0;
  }
  const bool keeps = filter->Keeps(info);
  const auto negated = vade::Filter::Parse("not (" + text + ")");
  // Only size and depth can stand in the way.
  if (negated.ok()) Require(negated->Keeps(info) != keeps);
  return 0;
}
