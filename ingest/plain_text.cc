#include "ingest/plain_text.h"

#include "ingest/lines.h"

namespace vade {

bool PlainTextScanner::Next(Block* block) {
  Line line;
  for (;; pos_ = line.next) {
    if (pos_ >= text_.size()) return false;
    line = LineAt(text_, pos_);
    if (!line.blank()) break;
  }
  *block = Block{.kind = BlockKind::kParagraph, .begin = line.first, .end = line.end};
  for (pos_ = line.next; pos_ < text_.size(); pos_ = line.next) {
    line = LineAt(text_, pos_);
    if (line.blank()) break;
    block->end = line.end;
  }
  return true;
}

}  // namespace vade
