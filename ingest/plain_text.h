// Plain text -> paragraphs between blank lines. See blocks.h.
#pragma once

#include <string_view>

#include "ingest/blocks.h"

namespace vade {

class PlainTextScanner : public BlockScanner {
 public:
  explicit PlainTextScanner(std::string_view text) : text_(text) {}
  bool Next(Block* block) override;

 private:
  std::string_view text_;
  size_t pos_ = 0;
};

}  // namespace vade
