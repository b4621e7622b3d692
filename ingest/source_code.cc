#include "ingest/source_code.h"

#include "ingest/lines.h"

namespace vade {
namespace {

bool BeginsSomething(std::string_view text, const Line& line) {
  constexpr std::string_view kClosing = "})]";
  return line.first == line.begin && kClosing.find(text[line.first]) == std::string_view::npos;
}

}  // namespace

bool SourceCodeScanner::Next(Block* block) {
  Line line;
  for (;; pos_ = line.next) {
    if (pos_ >= text_.size()) return false;
    line = LineAt(text_, pos_);
    if (!line.blank()) break;
  }
  *block = Block{.kind = BlockKind::kCode, .begin = line.begin, .end = line.end};
  bool behind_blank = false;
  for (pos_ = line.next; pos_ < text_.size(); pos_ = line.next) {
    line = LineAt(text_, pos_);
    if (line.blank()) {
      behind_blank = true;
      continue;
    }
    if (behind_blank && BeginsSomething(text_, line)) return true;
    behind_blank = false;
    block->end = line.end;
  }
  return true;
}

}  // namespace vade
