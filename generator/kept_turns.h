// What was read behind passages for questions that have been answered, kept for when their
// conversation goes on (docs/reading.md, "Turns"): sequences with all of their tokens, found by the
// longest beginning that they share with what is to be read.
//
// Not thread-safe: part of KeptBlocks. Sequences must not outlive their decoder.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "generator/block_key.h"
#include "generator/prompt.h"
#include "model/decoder.h"

namespace vade {

// Who may go on from what was read: askers of one collection with the same groups. What is counted
// as kept would tell others how a conversation went that is not theirs.
struct TurnsOf {
  uint32_t collection = 0;  // 0: nothing is kept
  std::string audience;     // AudienceOf() the asker's groups
  bool operator==(const TurnsOf&) const = default;
};
std::string AudienceOf(std::vector<std::string> groups);  // in any order

// For whom something is read.
struct Asker {
  uint64_t commit = 0;        // of the view in which the passages were found
  bool conversation = false;  // there were turns before the question
  std::string audience = {};  // as TurnsOf
};

class KeptTurns {
 public:
  using Clock = std::chrono::steady_clock;

  // Within `budget_bytes`; each for `keep_for` after it was last used (0: none is kept).
  KeptTurns(Decoder* decoder, uint64_t budget_bytes, std::chrono::milliseconds keep_for)
      : decoder_(decoder), budget_bytes_(budget_bytes), keep_for_(keep_for) {}

  // Keeps what `from` has read of `tokens`, all of them; whatever is kept and is a beginning of it
  // goes. `shared`: of the tokens, the first that lie in pages of somebody else's.
  // `block`: behind which they stand, passage 0: none or several.
  struct Place {
    BlockKey block;
    std::string audience;
    size_t shared = 0;
  };
  void Keep(const Place& place, std::span<const int32_t> tokens, const Sequence& from);

  // A new sequence that has read the longest beginning of `tokens` that is kept of the
  // same, if that is more than `least` tokens; of at most `most`. Null: there is none, or no page
  // for it.
  std::unique_ptr<Sequence> Fork(const TurnsOf& of, std::span<const int32_t> tokens, size_t least,
                                 size_t most);

  bool DropOldest();                       // false: there is none
  void DropBehind(const BlockKey& block);  // those that hold its pages
  void Clear();
  // Drops those whose time is over; how long until the next one's is, nothing when none is kept.
  std::optional<Clock::duration> Expire();

  uint64_t bytes() const { return bytes_; }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    BlockKey block;
    TurnsOf of;
    Tokens tokens;
    std::unique_ptr<Sequence> sequence;
    uint64_t bytes = 0;
    Clock::time_point used;
  };
  using Entries = std::list<Entry>;
  Entries::iterator Remove(Entries::iterator entry);

  Decoder* const decoder_;
  const uint64_t budget_bytes_;
  const std::chrono::milliseconds keep_for_;
  Entries entries_;  // most recently used first
  uint64_t bytes_ = 0;
};

}  // namespace vade
