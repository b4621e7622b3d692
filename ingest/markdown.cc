#include "ingest/markdown.h"

#include <algorithm>
#include <memory>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/document.h"
#include "ingest/plain_text.h"
#include "ingest/source_code.h"

namespace vade {
namespace {

// Front matter longer than this is no front matter.
constexpr size_t kMaxFrontMatterBytes = 64 * 1024;
// A longer paragraph over "---" is prose over a line, whatever CommonMark calls it.
constexpr size_t kMaxHeadingBytes = 400;
constexpr size_t kMaxLabelBytes = 200;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n'; }

std::string_view Content(std::string_view text, const Line& line) {
  return text.substr(line.first, line.end - line.first);
}

// Length of the run of `c` at the start.
size_t RunLength(std::string_view text, char c) {
  return std::min(text.find_first_not_of(c), text.size());
}

// "### Words": the number of marks, or 0.
size_t HeadingMarks(const Line& line, std::string_view content) {
  if (line.indent > 3) return 0;
  const size_t marks = RunLength(content, '#');
  if (marks == 0 || marks > 6) return 0;
  return marks == content.size() || IsSpace(content[marks]) ? marks : 0;
}

// "```rust": the length of the mark, or 0.
size_t FenceLength(std::string_view content) {
  if (content.empty() || (content[0] != '`' && content[0] != '~')) return 0;
  const size_t length = RunLength(content, content[0]);
  if (length < 3) return 0;
  const bool inline_code = content[0] == '`' && content.find('`', length) != std::string_view::npos;
  return inline_code ? 0 : length;
}

bool ClosesFence(std::string_view content, char mark, size_t length) {
  const size_t run = RunLength(content, mark);
  return run >= length && StripAsciiWhitespace(content.substr(run)).empty();
}

bool IsBreak(const Line& line, std::string_view content) {
  if (line.indent > 3 || content.empty()) return false;
  const char mark = content[0];
  if (mark != '-' && mark != '*' && mark != '_') return false;
  size_t marks = 0;
  for (char c : content) {
    if (c == mark) {
      ++marks;
    } else if (!IsSpace(c)) {
      return false;
    }
  }
  return marks >= 3;
}

// "- words", "12. words": the length of the mark with the blanks behind it, or 0.
size_t ItemMark(std::string_view content) {
  size_t length = 0;
  if (content.empty()) return 0;
  if (content[0] == '-' || content[0] == '*' || content[0] == '+') {
    length = 1;
  } else {
    while (length < content.size() && length < 9 && content[length] >= '0' &&
           content[length] <= '9')
      ++length;
    if (length == 0 || length == content.size()) return 0;
    if (content[length] != '.' && content[length] != ')') return 0;
    ++length;
  }
  if (length == content.size()) return length;
  if (!IsSpace(content[length])) return 0;
  while (length < content.size() && IsSpace(content[length])) ++length;
  return length;
}

// "===" or "---" under a heading: its level, or 0.
int UnderlineLevel(const Line& line, std::string_view content) {
  if (line.indent > 3 || content.empty() || (content[0] != '=' && content[0] != '-')) return 0;
  const size_t run = RunLength(content, content[0]);
  if (!StripAsciiWhitespace(content.substr(run)).empty()) return 0;
  return content[0] == '=' ? 1 : 2;
}

bool IsDelimiterRow(std::string_view content) {
  bool bar = false, dash = false;
  for (char c : content) {
    bar |= c == '|';
    dash |= c == '-';
    if (c != '|' && c != '-' && c != ':' && !IsSpace(c)) return false;
  }
  return bar && dash;
}

// Markup that runs to its closing mark whatever lies between.
struct MarkupKind {
  std::string_view open;
  std::string_view close;
  BlockKind kind;
};
constexpr std::array<MarkupKind, 4> kMarkup = {{{"<!--", "-->", BlockKind::kComment},
                                                {"<pre", "</pre>", BlockKind::kCode},
                                                {"<script", "</script>", BlockKind::kCode},
                                                {"<style", "</style>", BlockKind::kCode}}};

size_t MarkupIndex(const Line& line, std::string_view content) {
  if (line.indent > 3 || content.empty() || content[0] != '<') return kMarkup.size();
  for (size_t i = 0; i < kMarkup.size(); ++i) {
    const std::string_view open = kMarkup[i].open;
    if (!content.starts_with(open)) continue;
    const bool whole = i == 0 || content.size() == open.size() || content[open.size()] == '>' ||
                       IsSpace(content[open.size()]);
    if (whole) return i;
  }
  return kMarkup.size();
}

}  // namespace

std::unique_ptr<BlockScanner> ScanBlocks(std::string_view text, std::string_view mime_type) {
  if (mime_type == kPlainTextType) return std::make_unique<PlainTextScanner>(text);
  if (mime_type == kSourceCodeType) return std::make_unique<SourceCodeScanner>(text);
  return std::make_unique<MarkdownScanner>(text);
}

bool MarkdownScanner::Next(Block* block) {
  *block = Block();
  if (pos_ == 0 && FrontMatter(block)) return true;
  Line line;
  for (;; pos_ = line.next) {
    if (pos_ >= text_.size()) return false;
    line = LineAt(text_, pos_);
    if (!line.blank()) break;
  }
  block->begin = line.first;
  if (ListItem(line, block)) return true;
  if (line.indent == 0) in_list_ = false;
  if (Fence(line, line.first, block) || Heading(line, block) || Markup(line, block) ||
      Break(line, block) || Quote(line, block) || Table(line, block) || IndentedCode(line, block)) {
    return true;
  }
  Paragraph(line, block);
  return true;
}

void MarkdownScanner::Take(const Line& line, Block* block) {
  block->end = line.end;
  pos_ = line.next;
}

void MarkdownScanner::TakeWhile(bool (MarkdownScanner::*wanted)(const Line&) const, Block* block) {
  while (pos_ < text_.size()) {
    const Line line = LineAt(text_, pos_);
    if (!(this->*wanted)(line)) return;
    Take(line, block);
  }
}

bool MarkdownScanner::FrontMatter(Block* block) {
  const Line first = LineAt(text_, 0);
  const std::string_view mark = text_.substr(0, 3);
  if (mark != "---" && mark != "+++") return false;
  if (!StripAsciiWhitespace(text_.substr(3, first.end - 3)).empty()) return false;
  bool keyed = false;
  const char separator = mark == "---" ? ':' : '=';
  for (size_t pos = first.next; pos < std::min(text_.size(), kMaxFrontMatterBytes);) {
    const Line line = LineAt(text_, pos);
    const std::string_view content = StripAsciiWhitespace(Content(text_, line));
    if (content == mark || (mark == "---" && content == "...")) {
      if (!keyed) return false;
      block->kind = BlockKind::kFrontMatter;
      Take(line, block);
      return true;
    }
    if (!keyed && !content.empty() && content[0] != '#') {
      if (content.find(separator) == std::string_view::npos) return false;
      keyed = true;
    }
    pos = line.next;
  }
  return false;
}

bool MarkdownScanner::Heading(const Line& line, Block* block) {
  const std::string_view content = Content(text_, line);
  const size_t marks = HeadingMarks(line, content);
  if (marks == 0) return false;
  block->kind = BlockKind::kHeading;
  block->level = static_cast<int>(marks);
  Take(line, block);
  std::string_view label = StripAsciiWhitespace(content.substr(marks));
  const size_t last = label.find_last_not_of('#');
  if (last == std::string_view::npos) {
    label = label.substr(0, 0);
  } else if (last + 1 < label.size() && IsSpace(label[last])) {
    label = StripAsciiWhitespace(label.substr(0, last));
  }
  block->label_begin = static_cast<size_t>(label.data() - text_.data());
  block->label_end = block->label_begin + label.size();
  return true;
}

// `mark`: where the fence's mark begins; behind an item's mark for "- ```".
bool MarkdownScanner::Fence(const Line& line, size_t mark, Block* block) {
  const std::string_view content = text_.substr(mark, line.end - mark);
  const size_t length = FenceLength(content);
  if (length == 0 || (line.indent > 3 && !in_list_)) return false;
  block->kind = BlockKind::kCode;
  block->begin = line.begin;
  Take(line, block);
  while (pos_ < text_.size()) {
    const Line next = LineAt(text_, pos_);
    Take(next, block);
    if (ClosesFence(Content(text_, next), content[0], length)) break;
  }
  return true;
}

bool MarkdownScanner::BeginsMarkup(const Line& line) const {
  const size_t index = MarkupIndex(line, Content(text_, line));
  return index < kMarkup.size() && !never_closed_[index];
}

bool MarkdownScanner::Markup(const Line& line, Block* block) {
  const size_t index = MarkupIndex(line, Content(text_, line));
  if (index == kMarkup.size() || never_closed_[index]) return false;
  const size_t close = text_.find(kMarkup[index].close, line.first + kMarkup[index].open.size());
  if (close == std::string_view::npos) {
    never_closed_[index] = true;  // else every such line would look through the rest of the text
    return false;
  }
  block->kind = kMarkup[index].kind;
  Line last = LineAt(text_, close);
  Take(last, block);
  return true;
}

bool MarkdownScanner::Break(const Line& line, Block* block) {
  if (!IsBreak(line, Content(text_, line))) return false;
  block->kind = BlockKind::kBreak;
  Take(line, block);
  return true;
}

bool MarkdownScanner::ListItem(const Line& line, Block* block) {
  const std::string_view content = Content(text_, line);
  const size_t mark = ItemMark(content);
  if (mark == 0 || IsBreak(line, content)) return false;
  if (line.indent > 3 && !in_list_) return false;  // indented code
  in_list_ = true;
  if (Fence(line, line.first + mark, block)) return true;
  block->kind = BlockKind::kListItem;
  Take(line, block);
  TakeWhile(&MarkdownScanner::Continues, block);
  return true;
}

bool MarkdownScanner::Quote(const Line& line, Block* block) {
  if (text_[line.first] != '>' || (line.indent > 3 && !in_list_)) return false;
  block->kind = BlockKind::kQuote;
  Take(line, block);
  TakeWhile(&MarkdownScanner::ContinuesQuote, block);
  return true;
}

bool MarkdownScanner::ContinuesQuote(const Line& line) const {
  return !line.blank() && (text_[line.first] == '>' || Continues(line));
}

bool MarkdownScanner::BeginsTable(const Line& line) const {
  if (line.next >= text_.size()) return false;
  if (Content(text_, line).find('|') == std::string_view::npos) return false;
  return IsDelimiterRow(Content(text_, LineAt(text_, line.next)));
}

bool MarkdownScanner::Table(const Line& line, Block* block) {
  if (!BeginsTable(line)) return false;
  block->kind = BlockKind::kTable;
  Take(line, block);
  Take(LineAt(text_, line.next), block);
  TakeWhile(&MarkdownScanner::Continues, block);
  return true;
}

bool MarkdownScanner::IndentedCode(const Line& line, Block* block) {
  if (line.indent < 4 || in_list_) return false;
  block->kind = BlockKind::kCode;
  block->begin = line.begin;
  Take(line, block);
  size_t pos =
      pos_;  // runs ahead over blank lines, which belong to the code only when code follows
  while (pos < text_.size()) {
    const Line next = LineAt(text_, pos);
    if (!next.blank() && next.indent < 4) break;
    if (!next.blank()) Take(next, block);
    pos = next.next;
  }
  return true;
}

bool MarkdownScanner::BeginsBlock(const Line& line) const {
  const std::string_view content = Content(text_, line);
  if (HeadingMarks(line, content) > 0 || FenceLength(content) > 0 || content[0] == '>') return true;
  if (BeginsMarkup(line) || IsBreak(line, content)) return true;
  const size_t mark = ItemMark(content);
  if (mark == 0 || mark >= content.size()) return in_list_ && mark > 0;
  // A wrapped line of prose may begin with "1984. " or so; outside a list only "1." begins one.
  const bool digit = content[0] >= '0' && content[0] <= '9';
  return in_list_ || !digit || content.substr(0, 2) == "1." || content.substr(0, 2) == "1)";
}

bool MarkdownScanner::Continues(const Line& line) const {
  return !line.blank() && !BeginsBlock(line);
}

void MarkdownScanner::Paragraph(const Line& line, Block* block) {
  block->kind = BlockKind::kParagraph;
  Take(line, block);
  while (pos_ < text_.size()) {
    const Line next = LineAt(text_, pos_);
    if (next.blank()) return;
    const int level = UnderlineLevel(next, Content(text_, next));
    if (level > 0 && !in_list_ && block->end - block->begin <= kMaxHeadingBytes) {
      block->kind = BlockKind::kHeading;
      block->level = level;
      block->label_begin = block->begin;
      block->label_end = block->end;
      Take(next, block);
      return;
    }
    if (BeginsBlock(next) || BeginsTable(next)) return;
    Take(next, block);
  }
}

std::string ShortLabel(std::string_view words) {
  std::string label;
  for (size_t pos = 0; pos < words.size();) {
    const char32_t c = NextCodePoint(words, &pos);
    if (IsWhitespace(c) || c < 0x20) {
      if (!label.empty() && label.back() != ' ') label.push_back(' ');
    } else {
      AppendCodePoint(&label, c);
    }
    if (label.size() > kMaxLabelBytes) {
      label.resize(FloorToCodePoint(label, kMaxLabelBytes));
      break;
    }
  }
  while (!label.empty() && label.back() == ' ') label.pop_back();
  return label;
}

namespace {

// The position behind "(target)" or "[reference]" that follows a link's words, or `pos` when none
// does.
size_t SkipLinkTarget(std::string_view raw, size_t pos) {
  if (pos >= raw.size() || (raw[pos] != '(' && raw[pos] != '[')) return pos;
  const size_t close = raw.find(raw[pos] == '(' ? ')' : ']', pos);
  return close == std::string_view::npos ? pos : close + 1;
}

bool BeginsTag(std::string_view rest) {
  if (rest.size() < 3 || rest[0] != '<') return false;
  const char c = rest[1];
  const bool tag = (c >= 'a' && c <= 'z') || c == '/' || c == '!';  // "<T>" is no tag
  return tag && rest.find('>') != std::string_view::npos;
}

// Whether the character at `i` is punctuation behind a backslash: "C\\#".
bool IsEscaped(std::string_view raw, size_t i) {
  return raw[i - 1] == '\\' && i < raw.size() && raw[i] > ' ' && raw[i] < 'A';
}

// How many bytes at `i` are marks that a reader does not see; outside of inline code.
size_t MarksAt(std::string_view raw, size_t i) {
  const std::string_view rest = raw.substr(i);
  switch (raw[i]) {
    case '*': return 1;
    case '_': {  // inside a word it is a letter
      const bool outer = i == 0 || i + 1 == raw.size() || raw[i - 1] == ' ' || raw[i + 1] == ' ';
      return outer ? 1 : 0;
    }
    case '!': return rest.starts_with("![") ? 1 : 0;
    case '[': return rest.find(']') == std::string_view::npos ? 0 : 1;
    case ']': return SkipLinkTarget(raw, i + 1) - i;
    case '<': return BeginsTag(rest) ? rest.find('>') + 1 : 0;
    default: return 0;
  }
}

}  // namespace

std::string HeadingLabel(std::string_view text, const Block& heading) {
  std::string_view raw = text.substr(heading.label_begin, heading.label_end - heading.label_begin);
  raw = raw.substr(0, FloorToCodePoint(raw, std::min(raw.size(), 4 * kMaxLabelBytes)));
  if (raw.ends_with('}')) raw = raw.substr(0, raw.rfind("{#"));  // "Words {#anchor}"
  std::string words;
  bool code = false;
  for (size_t i = 0; i < raw.size();) {
    if (raw[i] == '`') code = !code;
    if (!code && IsEscaped(raw, i + 1)) {
      words.push_back(raw[i + 1]);
      i += 2;
      continue;
    }
    const size_t marks = raw[i] == '`' ? 1 : code ? 0 : MarksAt(raw, i);
    if (marks == 0) words.push_back(raw[i]);
    i += std::max<size_t>(marks, 1);
  }
  return ShortLabel(words);
}

}  // namespace vade
