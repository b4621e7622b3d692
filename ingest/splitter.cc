#include "ingest/splitter.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/document.h"
#include "ingest/lines.h"

namespace vade {
namespace {

// Sentences are looked for in windows of this size, so that one endless paragraph costs no more
// memory than many short ones.
constexpr size_t kWindowBytes = 16 * 1024;
// Tokenizers put up to this many tokens more around a whole than around its parts.
constexpr size_t kMarginTokens = 2;

// Characters that belong to the one before: combining marks, joiners, variation selectors, skin
// tones.
bool JoinsLeft(char32_t c) {
  return (c >= 0x300 && c <= 0x36F) || (c >= 0x1AB0 && c <= 0x1AFF) ||
         (c >= 0x20D0 && c <= 0x20FF) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0x200D ||
         c == 0x200C || (c >= 0x3099 && c <= 0x309A) || (c >= 0x1F3FB && c <= 0x1F3FF) ||
         (c >= 0x064B && c <= 0x0652) || (c >= 0x093E && c <= 0x094D) ||
         (c >= 0xE0100 && c <= 0xE01EF);
}

bool IsProse(BlockKind kind) {
  return kind == BlockKind::kParagraph || kind == BlockKind::kListItem || kind == BlockKind::kQuote;
}

bool IsByLine(BlockKind kind) {
  return kind == BlockKind::kCode || kind == BlockKind::kTable || kind == BlockKind::kFrontMatter;
}

// What a reader sees below a heading.
bool IsBody(BlockKind kind) {
  return kind != BlockKind::kHeading && kind != BlockKind::kFrontMatter &&
         kind != BlockKind::kComment && kind != BlockKind::kBreak;
}

SplitOptions Sane(SplitOptions options) {
  options.passage_tokens = std::max(options.passage_tokens, kMinPassageTokens);
  options.overlap_tokens = std::min(options.overlap_tokens, options.passage_tokens / 2);
  options.least_tokens = std::min(options.least_tokens, options.passage_tokens / 2);
  return options;
}

}  // namespace

Splitter::Splitter(std::string_view text, std::string_view mime_type, std::string_view title,
                   const SplitOptions& options, TokenCounter count)
    : text_(text), options_(Sane(options)), count_(std::move(count)) {
  title_ = EmbeddedTitle(title, options_.passage_tokens, count_);
  scanner_ = ScanBlocks(text_, mime_type);
  section_ = MakeSection({}, 0, 0);
}

bool Splitter::Next(Passage* passage) {
  while (ready_.empty()) {
    if (scanned_ && units_.empty() && !held_) return false;
    Step();
  }
  *passage = std::move(ready_.front());
  ready_.pop_front();
  return true;
}

void Splitter::Step() {
  if (cursor_ < block_.end) {
    const size_t end = WindowEnd();
    ReadWindow(cursor_, end);
    cursor_ = end;
  } else if (scanner_->Next(&block_)) {
    cursor_ = block_.begin;
    block_begins_ = true;
    if (block_.kind == BlockKind::kHeading) EnterHeading(block_);
  } else {
    scanned_ = true;
    EndRun();
    Release();
    block_ = Block();
    return;
  }
  while (total_tokens_ > 3 * options_.passage_tokens && units_.size() > overlap_ + 1)
    CutFront(false);
}

// --- Sections
// ------------------------------------------------------------------------------------------

void Splitter::EnterHeading(const Block& block) {
  while (!headings_.empty() && headings_.back().first >= block.level) headings_.pop_back();
  headings_.emplace_back(block.level, HeadingLabel(text_, block));
  std::vector<std::string> path;
  for (const auto& [level, label] : headings_) {
    if (!label.empty()) path.push_back(label);
  }
  SectionPtr next =
      MakeSection(std::move(path), section_->top + (block.level == 1 ? 1 : 0), block.level);
  if (BelongsApart(*next)) EndRun();
  section_ = std::move(next);
}

Splitter::SectionPtr Splitter::MakeSection(std::vector<std::string> path, uint64_t top,
                                           int level) const {
  auto section = std::make_shared<Section>();
  section->top = top;
  section->level = level;
  section->path = std::move(path);
  for (;;) {
    section->joined = Join(section->path, " > ");
    section->prefix_tokens = count_(EmbeddingText(title_, section->joined, ""));
    // Outer headings go first when headings alone would take half of the passage.
    if (section->path.empty() || section->prefix_tokens <= options_.passage_tokens / 2)
      return section;
    section->path.erase(section->path.begin());
  }
}

bool Splitter::BelongsApart(const Section& next) const {
  if (!has_body_) return false;  // headings alone wait for what they stand over
  if (run_cut_ || total_tokens_ >= options_.least_tokens) return true;
  int shallowest = 7;
  for (const Unit& unit : units_) shallowest = std::min(shallowest, unit.section->level);
  return next.level < shallowest || (next.level == 1 && shallowest > 0);
}

Splitter::SectionPtr Splitter::CommonSection(size_t count) const {
  const Section* common = nullptr;
  size_t depth = 0;
  SectionPtr first;
  for (size_t i = 0; i < count; ++i) {
    const SectionPtr& section = units_[i].section;
    if (section == first || !IsBody(units_[i].kind)) continue;
    if (common == nullptr) {
      first = section;
      common = section.get();
      depth = common->path.size();
      continue;
    }
    size_t same = 0;
    while (same < std::min(depth, section->path.size()) &&
           common->path[same] == section->path[same])
      ++same;
    depth = same;
  }
  if (common == nullptr) return units_[count - 1].section;  // no body
  if (depth == common->path.size()) return first;
  std::vector<std::string> path(common->path.begin(),
                                common->path.begin() + static_cast<long>(depth));
  return MakeSection(std::move(path), common->top, static_cast<int>(depth));
}

// --- Units
// ---------------------------------------------------------------------------------------------

std::pair<size_t, size_t> Splitter::Trimmed(size_t begin, size_t end, bool keep_indent) const {
  size_t content = begin;
  for (size_t pos = begin; pos < end;) {
    content = pos;
    if (!IsWhitespace(NextCodePoint(text_, &pos))) break;
    content = pos;
  }
  const size_t first = keep_indent && content < end ? begin : content;
  while (end > content) {
    const size_t last = FloorToCodePoint(text_, end - 1);
    size_t pos = last;
    if (!IsWhitespace(NextCodePoint(text_, &pos))) break;
    end = last;
  }
  return {std::min(first, end), end};
}

size_t Splitter::Count(size_t begin, size_t end) const {
  const size_t bytes = end - begin;
  return std::max(count_(text_.substr(begin, bytes)), bytes / kMaxBytesPerToken + 1);
}

size_t Splitter::Room(const Section& section) const {
  const size_t used = section.prefix_tokens + kMarginTokens;
  return options_.passage_tokens > used ? options_.passage_tokens - used : 1;
}

size_t Splitter::WindowEnd() const {
  if (block_.end - cursor_ <= kWindowBytes) return block_.end;
  if (IsByLine(block_.kind)) {
    // Within the window only: a search to the text's beginning for each window would be quadratic.
    const size_t newline = text_.substr(cursor_, kWindowBytes + 1).rfind('\n');
    if (newline != std::string_view::npos && newline > 0) return cursor_ + newline + 1;
  }
  return CutNear(cursor_ + kWindowBytes / 2, cursor_ + kWindowBytes);
}

void Splitter::ReadWindow(size_t begin, size_t end) {
  if (block_.kind == BlockKind::kHeading) {
    AddUnit(begin, end, false);
    return;
  }
  if (IsByLine(block_.kind)) {
    if (block_begins_) EnterTable();
    for (size_t pos = begin; pos < end;) {
      const Line line = LineAt(text_.substr(0, end), pos);
      AddUnit(line.begin, line.end, false);
      pos = line.next;
    }
    return;
  }
  // A sentence goes on in the next line, which ICU would not believe.
  std::string prose(text_.substr(begin, end - begin));
  std::replace(prose.begin(), prose.end(), '\n', ' ');
  for (const TextSpan& span : Sentences(prose))
    AddUnit(begin + span.begin, begin + span.end, false);
}

// What the columns are called stands over all rows but the header and the line below it. A passage
// that has the header too has its section's path alone, since that is what all of it shares.
void Splitter::EnterTable() {
  rows_section_.reset();
  if (block_.kind != BlockKind::kTable) return;
  const std::string_view table = text_.substr(0, block_.end);
  const Line header = LineAt(table, block_.begin);
  if (header.next >= block_.end) return;
  const Line below = LineAt(table, header.next);
  std::string_view columns =
      StripAsciiWhitespace(text_.substr(header.begin, header.end - header.begin));
  if (columns.starts_with('|')) columns.remove_prefix(1);
  if (columns.ends_with('|')) columns.remove_suffix(1);
  std::string label = ShortLabel(columns);
  if (label.empty() || below.next >= block_.end) return;
  std::vector<std::string> path = section_->path;
  path.push_back(std::move(label));
  if (count_(EmbeddingText(title_, Join(path, " > "), "")) > options_.passage_tokens / 4) return;
  rows_section_ = MakeSection(std::move(path), section_->top, section_->level);
  rows_begin_ = below.next;
}

void Splitter::AddUnit(size_t begin, size_t end, bool piece) {
  std::tie(begin, end) = Trimmed(begin, end, block_.kind == BlockKind::kCode && !piece);
  if (begin == end) return;
  const bool row = block_.kind == BlockKind::kTable && rows_section_ && begin >= rows_begin_;
  const SectionPtr& section = row ? rows_section_ : section_;
  const size_t tokens = Count(begin, end);
  if (tokens > Room(*section) && FloorToCodePoint(text_, end - 1) > begin) {
    const size_t middle = CutNear(begin + 1, end - 1);
    AddUnit(begin, middle, true);
    AddUnit(middle, end, true);
    return;
  }
  units_.push_back({begin, end, tokens, block_.kind, block_begins_, piece, section});
  block_begins_ = false;
  has_body_ |= IsBody(block_.kind);
  total_tokens_ += tokens;
}

// A good place to cut a long stretch, in [begin, end], near its middle: before a word, else between
// two characters. `begin` and `end` are moved to code point borders.
size_t Splitter::CutNear(size_t begin, size_t end) const {
  constexpr size_t kReach = 192;
  const size_t middle = FloorToCodePoint(text_, begin + (end - begin) / 2);
  const size_t from =
      FloorToCodePoint(text_, std::max(begin, middle > kReach ? middle - kReach : 0));
  const size_t to = FloorToCodePoint(text_, std::min(end, middle + kReach));
  size_t best = 0;
  for (const TextSpan& word : Words(text_.substr(from, to - from))) {
    const size_t at = from + word.begin;
    if (word.begin == 0 || at < begin) continue;  // may be the rest of a word
    const auto distance = [&](size_t x) { return x > middle ? x - middle : middle - x; };
    if (best == 0 || distance(at) < distance(best)) best = at;
  }
  if (best != 0) return best;
  // No word begins here. Keep a character together with the marks on it.
  for (size_t at = middle; at < to;) {
    size_t after = at;
    if (!JoinsLeft(NextCodePoint(text_, &after)) && at >= begin) return at;
    at = after;
  }
  if (middle >= begin) return middle;
  size_t after = middle;  // `begin` lies inside a code point
  NextCodePoint(text_, &after);
  return after;
}

// --- Passages
// ------------------------------------------------------------------------------------------

void Splitter::EndRun() {
  while (units_.size() > overlap_) CutFront(true);
  units_.clear();
  total_tokens_ = 0;
  overlap_ = 0;
  run_cut_ = has_body_ = false;
}

void Splitter::DropOverlapUnit() {
  total_tokens_ -= units_.front().tokens;
  units_.pop_front();
  --overlap_;
}

// Emits one passage from the front of units_. Sums of tokens steer; what is emitted has been
// counted whole.
void Splitter::CutFront(bool run_ended) {
  for (;;) {
    size_t room = options_.passage_tokens;
    for (const Unit& unit : units_) room = std::min(room, Room(*unit.section));
    size_t cut = run_ended && total_tokens_ <= room ? units_.size() : ChooseCut(room, run_ended);
    if (cut == 0 && overlap_ > 0) {  // the repeated sentences leave no room for a new one
      while (overlap_ > 0) DropOverlapUnit();
      continue;
    }
    cut = std::max<size_t>(cut, 1);
    if (cut < units_.size() && MakeRoomBehindHeading(cut)) continue;
    while (cut > overlap_ + 1 && !Fits(units_[0].begin, units_[cut - 1].end, *CommonSection(cut)))
      --cut;
    if (Fits(units_[0].begin, units_[cut - 1].end, *CommonSection(cut)))
      return Emit(cut, run_ended);
    if (overlap_ > 0) {
      DropOverlapUnit();
    } else if (FloorToCodePoint(text_, units_[0].end - 1) > units_[0].begin) {
      SplitUnit(0);
    } else {
      return Emit(cut,
                  run_ended);  // one character, and still too much: the limit is too low for it
    }
  }
}

// How many units the next passage takes, at most `room` tokens; 0 when not even one new unit fits.
size_t Splitter::ChooseCut(size_t room, bool run_ended) const {
  double ideal = static_cast<double>(room);
  if (run_ended) {
    const double parts = std::ceil(static_cast<double>(total_tokens_) / static_cast<double>(room));
    ideal = std::min(ideal, 1.05 * static_cast<double>(total_tokens_) / parts);
  }
  size_t best = 0;
  double best_cost = 0;
  size_t sum = 0;
  for (size_t count = 1; count < units_.size(); ++count) {
    sum += units_[count - 1].tokens;
    if (sum > room) break;
    if (count <= overlap_) continue;
    const double cost =
        BorderCost(count) + std::abs(static_cast<double>(sum) - ideal) / static_cast<double>(room);
    if (best == 0 || cost < best_cost) {
      best = count;
      best_cost = cost;
    }
  }
  return best;
}

// How bad a cut before units_[index] is; 1 is as bad as being a whole passage off the ideal length.
double Splitter::BorderCost(size_t index) const {
  const Unit& before = units_[index - 1];
  const Unit& after = units_[index];
  if (before.kind == BlockKind::kHeading) return 10;
  if (after.kind == BlockKind::kHeading) return 0;
  if (after.piece && before.piece) return 0.8;
  if (after.starts_block) {
    if (before.kind == BlockKind::kComment) return 0.6;  // it speaks of what follows
    const bool introduced = text_[before.end - 1] == ':' && !IsProse(after.kind);
    if (introduced) return 0.35;
    return after.kind == BlockKind::kListItem && before.kind == BlockKind::kListItem ? 0.12 : 0.05;
  }
  if (!IsByLine(after.kind)) return 0.25;
  const std::string_view gap = text_.substr(before.end, after.begin - before.end);
  if (std::count(gap.begin(), gap.end(), '\n') < 2) return 0.45;
  // Behind an empty line, what is not indented most often begins a definition.
  const char c = text_[after.begin];
  return c == ' ' || c == '\t' || c == '}' ? 0.25 : 0.1;
}

// A cut right behind a heading would leave it alone: cuts the long unit behind it instead.
bool Splitter::MakeRoomBehindHeading(size_t cut) {
  const Unit& next = units_[cut];
  if (units_[cut - 1].kind != BlockKind::kHeading || next.kind == BlockKind::kHeading) return false;
  if (next.tokens < 8 || FloorToCodePoint(text_, next.end - 1) <= next.begin) return false;
  size_t sum = 0;
  for (size_t i = 0; i < cut; ++i) sum += units_[i].tokens;
  if (sum * 2 > Room(*next.section)) return false;  // headings over headings over headings
  SplitUnit(cut);
  return true;
}

bool Splitter::Fits(size_t begin, size_t end, const Section& section) const {
  if (end - begin > options_.passage_tokens * kMaxBytesPerToken) return false;
  const std::string whole = EmbeddingText(title_, section.joined, text_.substr(begin, end - begin));
  return count_(whole) <= options_.passage_tokens;
}

void Splitter::SplitUnit(size_t index) {
  Unit first = units_[index];
  const size_t middle = CutNear(first.begin + 1, first.end - 1);
  Unit second = first;
  std::tie(first.begin, first.end) = Trimmed(first.begin, middle, first.kind == BlockKind::kCode);
  std::tie(second.begin, second.end) = Trimmed(middle, second.end, false);
  total_tokens_ -= first.tokens;
  first.tokens = Count(first.begin, first.end);
  second.tokens = Count(second.begin, second.end);
  total_tokens_ += first.tokens + second.tokens;
  first.piece = second.piece = true;
  second.starts_block = false;
  units_[index] = first;
  units_.insert(units_.begin() + static_cast<long>(index) + 1, second);
}

void Splitter::Emit(size_t count, bool run_ended) {
  Draft draft;
  draft.whole_run = run_ended && count == units_.size() && !run_cut_;
  draft.begin = units_[0].begin;
  draft.end = units_[count - 1].end;
  draft.section = CommonSection(count);
  for (size_t i = 0; i < count; ++i) draft.tokens += units_[i].tokens;
  run_cut_ = true;
  KeepOverlap(count);
  Hold(std::move(draft));
}

// Drops the first `cut` units but for the sentences that the next passage repeats.
void Splitter::KeepOverlap(size_t cut) {
  size_t keep = cut;
  if (cut < units_.size() && units_[cut].kind != BlockKind::kHeading) {
    const Section* section = units_[cut].section.get();
    size_t sum = 0;
    while (keep > 1) {
      const Unit& unit = units_[keep - 1];
      sum += unit.tokens;
      const bool whole_sentence =
          IsProse(unit.kind) && !unit.piece && unit.section.get() == section;
      if (!whole_sentence || sum > options_.overlap_tokens || keep - 1 <= overlap_) break;
      --keep;
    }
  }
  for (size_t i = 0; i < keep; ++i) {
    total_tokens_ -= units_.front().tokens;
    units_.pop_front();
  }
  overlap_ = cut - keep;
}

// Appends a short run to the passage before it, where both are whole: a passage that began in the
// middle of its section would lose its heading, since only those that both have in common remain.
bool Splitter::JoinHeld(const Draft& draft) {
  if (!held_ || !held_->whole_run || !draft.whole_run || draft.tokens >= options_.least_tokens ||
      held_->section->top != draft.section->top) {
    return false;
  }
  std::vector<std::string> path = held_->section->path;
  const std::vector<std::string>& other = draft.section->path;
  path.erase(std::mismatch(path.begin(), path.end(), other.begin(), other.end()).first, path.end());
  SectionPtr common = MakeSection(std::move(path), draft.section->top, 0);
  if (held_->tokens + draft.tokens > Room(*common) || !Fits(held_->begin, draft.end, *common))
    return false;
  held_->end = draft.end;
  held_->tokens += draft.tokens;
  held_->section = std::move(common);
  return true;
}

// A passage is held back until its successor is known.
void Splitter::Hold(Draft draft) {
  if (JoinHeld(draft)) return;
  Release();
  held_ = std::move(draft);
}

void Splitter::Release() {
  if (!held_) return;
  Passage passage;
  passage.ordinal = next_ordinal_++;
  passage.begin = held_->begin;
  passage.end = held_->end;
  passage.heading_path = held_->section->joined;
  ready_.push_back(std::move(passage));
  held_.reset();
}

}  // namespace vade
