// Source code -> what stands at its outermost level: definitions, each with the comment above it.
// By its layout alone, which languages share: a line that is not indented, behind an empty one,
// begins something new unless it closes something. See blocks.h.
#pragma once

#include <string_view>

#include "ingest/blocks.h"

namespace vade {

class SourceCodeScanner : public BlockScanner {
 public:
  explicit SourceCodeScanner(std::string_view text) : text_(text) {}
  bool Next(Block* block) override;

 private:
  std::string_view text_;
  size_t pos_ = 0;
};

}  // namespace vade
