// Normalised text -> passages: along headings, paragraphs, items and sentences, within a token
// limit.
//
//   Splitter splitter(text, kMarkdownType, title, options, [&](auto s) { return
//   embedder.CountTokens(s); }); for (Passage passage; splitter.Next(&passage);) ...   // begin,
//   end, ordinal, heading_path are set
//
// What holds for every text:
//   - the passages cover all of it but white space; begins and ends ascend; no code point is cut;
//   - the text that is embedded (EmbeddingText) has at most `passage_tokens` tokens, and a passage
//   at most
//     kMaxBytesPerToken bytes for each of these;
//   - rows of a table that stand without its header row have that in their heading path;
//   - a heading stands with what follows it; only whole sentences of one section are repeated at
//   the
//     start of the next passage.
// A short section joins its neighbour, except across top-level headings, and then carries the
// headings that both have in common. Words, code lines and table rows are cut only when one is
// longer than a passage.
//
// Time is linear in the text (each byte is counted by the tokenizer two or three times) and memory
// is a few passages' worth, whatever the text's size. One thread a splitter; the text outlives it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "index/passage.h"
#include "ingest/blocks.h"

namespace vade {

struct SplitOptions {
  size_t passage_tokens = 256;  // at most, of the embedded text; at least kMinPassageTokens
  size_t overlap_tokens = 32;   // at most, repeated from the passage before; 0: off
  size_t least_tokens = 64;     // shorter passages join a neighbour where the structure allows it
};

inline constexpr size_t kMinPassageTokens = 16;
inline constexpr size_t kMaxBytesPerToken = 32;

// Tokens of a bare text. Need not be additive: the sum over parts only steers, the whole is
// counted.
using TokenCounter = std::function<size_t(std::string_view)>;

// The one place that decides what a passage's vector is made of: its headings, or else, beyond the
// document's first passage, the title; then its text. `title` is Splitter::embedded_title().
std::string EmbeddingText(std::string_view title, const Passage& passage);

// The same for parts. With the title where there are no headings: the longest that it can be.
std::string EmbeddingText(std::string_view title, std::string_view heading_path,
                          std::string_view text);

// The title as far as it is embedded: "" when it would take more than a quarter of the limit.
std::string EmbeddedTitle(std::string_view title, size_t passage_tokens, const TokenCounter& count);

class Splitter {
 public:
  Splitter(std::string_view text, std::string_view mime_type, std::string_view title,
           const SplitOptions& options, TokenCounter count);

  bool Next(Passage* passage);  // false at the end; passage->text stays empty

  const std::string& embedded_title() const { return title_; }

 private:
  // The headings over a stretch of text. Shared by the units in it.
  struct Section {
    std::vector<std::string> path;
    std::string joined;        // "A > B"
    size_t prefix_tokens = 0;  // of what EmbeddingText puts in front
    uint64_t top = 0;          // counts top-level headings
    int level = 0;             // of its heading, 0 before the first
  };
  using SectionPtr = std::shared_ptr<const Section>;

  // The smallest part that is not cut without need: a sentence, a line of code, a row, a heading.
  struct Unit {
    size_t begin = 0, end = 0;
    size_t tokens = 0;
    BlockKind kind = BlockKind::kParagraph;
    bool starts_block = false;
    bool piece = false;  // of a sentence or line that was too long
    SectionPtr section;
  };

  struct Draft {  // a passage that may still take in its successor
    size_t begin = 0, end = 0;
    size_t tokens = 0;
    SectionPtr section;      // the headings that all of it has in common
    bool whole_run = false;  // holds its sections from heading to end
  };

  void Step();  // reads on: one block, or one window of a long one
  void EnterHeading(const Block& block);
  SectionPtr MakeSection(std::vector<std::string> path, uint64_t top, int level) const;
  SectionPtr CommonSection(size_t count) const;  // of the first `count` units
  bool BelongsApart(const Section& next) const;  // a new passage must begin at this heading

  void ReadWindow(size_t begin, size_t end);
  void EnterTable();
  void AddUnit(size_t begin, size_t end, bool piece);
  size_t WindowEnd() const;
  std::pair<size_t, size_t> Trimmed(size_t begin, size_t end, bool keep_indent) const;
  size_t Count(size_t begin, size_t end) const;
  size_t Room(const Section& section) const;  // tokens for the passage itself
  size_t CutNear(size_t begin, size_t end) const;

  void EndRun();
  void CutFront(bool run_ended);
  void DropOverlapUnit();
  size_t ChooseCut(size_t room, bool run_ended) const;
  double BorderCost(size_t index) const;
  bool MakeRoomBehindHeading(size_t cut);
  bool Fits(size_t begin, size_t end, const Section& section) const;
  void SplitUnit(size_t index);
  void Emit(size_t count, bool run_ended);
  void KeepOverlap(size_t cut);
  bool JoinHeld(const Draft& draft);
  void Hold(Draft draft);
  void Release();

  const std::string_view text_;
  const SplitOptions options_;
  const TokenCounter count_;
  std::string title_;

  std::unique_ptr<BlockScanner> scanner_;
  Block block_;
  size_t cursor_ = 0;          // what of block_ is read; == block_.end when all
  bool block_begins_ = false;  // the next unit is block_'s first
  bool scanned_ = false;       // no more blocks

  std::vector<std::pair<int, std::string>> headings_;  // open ones: level and label
  SectionPtr section_;
  size_t rows_begin_ = 0;
  SectionPtr rows_section_;  // of the rows below the header of the table at work; null: section_
  std::deque<Unit> units_;   // of the run at work: sections that stay together
  size_t total_tokens_ = 0;  // of units_
  size_t overlap_ = 0;       // leading units that the passage before holds too
  bool run_cut_ = false;     // part of the run has been emitted
  bool has_body_ = false;    // the run holds more than headings and what is not shown

  std::optional<Draft> held_;
  std::deque<Passage> ready_;
  uint32_t next_ordinal_ = 0;
};

}  // namespace vade
