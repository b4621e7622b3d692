// The part of Verify() that is about terms: each live passage has the terms of its text, the
// postings of live passages are those very terms, and nothing else is there but what is dead or
// staged.
//
//   TermChecker checker(kv, snapshot, state, problem);
//   for each live passage: checker.CheckPassage(id, words);
//   checker.CheckRest(staged ranges, ctx);
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/context.h"
#include "index/term_entries.h"
#include "index/view.h"

namespace vade {

class TermChecker {
 public:
  using Report = std::function<void(const std::string& problem)>;
  TermChecker(const Kv& kv, KvSnapshot snapshot, const CollectionState& state, Report report)
      : kv_(kv), snapshot_(std::move(snapshot)), state_(state), report_(std::move(report)) {}

  // Makes the terms of a live passage anew and compares them with its forward entry. Returns how
  // many words it has.
  Result<uint64_t> CheckPassage(PassageId id, const PassageWords& words);
  // After all live passages: everything there is of the collection.
  Status CheckRest(std::vector<PassageRange> staged, const Context& ctx);

 private:
  // What the postings of a set of passages are, in no order.
  struct Sum {
    uint64_t count = 0, hashes = 0;
    void Add(std::string_view term, const Posting& posting);
    friend bool operator==(const Sum&, const Sum&) = default;
  };
  Status CheckForward(const Context& ctx);
  Status CheckPostings(const Context& ctx);
  Status ReadDead();
  void CheckBlock(const PostingsKeyParts& key, const PostingBlock& block);
  bool IsOwned(PassageId id) const;  // dead or staged

  const Kv& kv_;
  const KvSnapshot snapshot_;
  const CollectionState& state_;
  const Report report_;
  Sum expected_, found_;  // of live passages: by their texts, and in blocks
  std::vector<PassageRange> owned_;
  uint64_t strays_ = 0;  // postings of passages that are neither live nor owned
};

}  // namespace vade
