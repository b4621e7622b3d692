// Passage blocks that the decoder has read behind a prefix, kept as sequences to go on from
// (docs/reading.md). In memory under a budget; what is kept is also written to files, once the
// engine has time for it.
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
#include "model/decoder.h"

namespace vade {

class KeptBlocks {
 public:
  // `files` may be null: then nothing is written and nothing is ever forgotten.
  KeptBlocks(Decoder* decoder, uint64_t budget_bytes, BlockFiles* files);

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

  // Gives up the least worth quarter of the blocks, for their pages. False when there is none.
  bool Shrink();
  void Forget(uint32_t collection, const std::string& document_id);  // "": all of the collection
  void Clear();

  uint64_t bytes() const;  // of blocks
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
  uint64_t bytes_ = 0;
  double removed_worth_ = 0;
};

}  // namespace vade
