// Passage blocks that the decoder has read behind a prefix, kept as sequences to go on from
// (docs/reading.md). In memory under a budget; what is kept is also written to files, once the
// engine has time for it. And what was read behind them, in memory only (generator/kept_turns.h).
//
// Thread-safe. Sequences must not outlive their decoder.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "generator/block_files.h"
#include "generator/block_key.h"
#include "generator/kept_turns.h"
#include "model/decoder.h"

namespace vade {

class KeptBlocks {
 public:
  // `files` may be null: then nothing is written and nothing is ever forgotten.
  KeptBlocks(Decoder* decoder, uint64_t budget_bytes, BlockFiles* files,
             std::chrono::milliseconds turns_kept_for);

  bool InMemory(const BlockKey& key) const;
  bool Has(const BlockKey& key) const;  // in memory or in a file
  // The saved form of a block that is not in memory, from its file.
  std::optional<std::string> Load(const BlockKey& key, int tokens) const;

  // A new sequence that has read the prefix and the block, or null when it is not here or there is
  // no page for it.
  std::unique_ptr<Sequence> Fork(const BlockKey& key);

  struct Place {
    int begin = 0, end = 0;  // where the block's tokens stand in the sequence
    uint64_t commit = 0;     // of the view in which the passage was found
    bool from_file = false;  // need not be written
  };
  // Keeps the first `place.end` tokens of `from`.
  void Keep(const BlockKey& key, const Sequence& from, const Place& place);

  // The first `length` tokens of `from` are a prefix, to be written as a block of no document.
  void KeepPrefix(uint64_t content, const Sequence& from, int length);
  static BlockKey PrefixKey(uint64_t content);

  // Writes one block that has no file yet. False when there is none to write.
  bool SaveOne();
  size_t unsaved() const;

  // What was read for a question: `tokens`, of which [prefix_tokens, block_end) are the block.
  struct TurnPlace {
    size_t prefix_tokens = 0, block_end = 0;
    // Blocks make room for what is read in a conversation too. Else it may never be gone on from.
    Asker asker;
  };
  // `key`: of the block, with passage 0 where there is none or several; collection 0: nothing is
  // kept.
  void KeepTurns(const BlockKey& key, std::span<const int32_t> tokens, const TurnPlace& place,
                 const Sequence& from);
  // As KeptTurns::Fork(); the block of `key` counts as used.
  std::unique_ptr<Sequence> ForkTurns(const BlockKey& key, const std::string& audience,
                                      std::span<const int32_t> tokens, size_t least, size_t most);
  // As KeptTurns::Expire().
  std::optional<KeptTurns::Clock::duration> ExpireTurns();

  // Gives up all turns, or, where there are none, the least worth quarter of the blocks, for their
  // pages. False when there is none.
  bool Shrink();
  // "": all of the collection. Turns may quote any document: all of them go.
  void Forget(uint32_t collection, const std::string& document_id);
  void Clear();

  uint64_t bytes() const;  // of blocks
  uint64_t turn_bytes() const;
  size_t turns() const;
  uint64_t budget_bytes() const { return budget_bytes_; }
  size_t blocks() const;

 private:
  struct Entry {
    std::unique_ptr<Sequence> sequence;
    Place place;
    uint64_t bytes = 0;
    double worth = 0;
    uint64_t uses = 0;
  };
  using Entries = std::map<BlockKey, Entry>;
  void Touch(Entry* entry);
  void RemoveLeast();
  void Remove(Entries::iterator entry);

  Decoder* const decoder_;
  const uint64_t budget_bytes_;
  BlockFiles* const files_;
  // Names in the files' paths what decides the bits: weights, type of the pages, kernels.
  const std::string model_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::deque<BlockKey> unsaved_;
  KeptTurns turns_;
  uint64_t bytes_ = 0;
  double removed_worth_ = 0;
};

}  // namespace vade
