// Prompts' fixed prefixes that the decoder has read, kept as sequences to fork from; the least
// recently used goes first. Used by the engine's thread alone. Sequences must not outlive their
// decoder.
#pragma once

#include <list>
#include <memory>

#include "generator/prompt.h"
#include "model/decoder.h"

namespace vade {

class PrefixCache {
 public:
  PrefixCache(Decoder* decoder, size_t capacity) : decoder_(decoder), capacity_(capacity) {}

  // A new sequence that has read `prefix`, or null when it is not here or there is no page for it.
  std::unique_ptr<Sequence> Fork(const Tokens& prefix);

  // Keeps the first prefix.size() tokens of `from`. Does nothing when they are here already or
  // there is no page for them: then the next answer reads them again.
  void Keep(const Tokens& prefix, const Sequence& from);

  // Gives every page back. False when there was nothing to give.
  bool Clear();

 private:
  struct Entry {
    Tokens prefix;
    std::unique_ptr<Sequence> sequence;
  };
  std::list<Entry>::iterator Find(const Tokens& prefix);

  Decoder* decoder_;
  size_t capacity_;
  std::list<Entry> entries_;  // most recently used first
};

}  // namespace vade
