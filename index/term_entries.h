// What a passage is found by, as it is written: its forward entry, and its postings in blocks
// (docs/terms.md). The same for a revision that is being staged and for a store of an earlier
// format that is brought up to this one.
//
//   PostingsGatherer gatherer(collection);
//   for each passage: gatherer.Add(id, TermsOfPassage({...}), &batch);
//   gatherer.WriteBlocks(&batch);   // after kPassagesGathered of them at the latest
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "index/kv.h"
#include "index/postings.h"
#include "index/records.h"
#include "index/terms.h"

namespace vade {

struct PassageWords {
  std::string_view title;  // of the document
  std::string_view heading_path;
  std::string_view text;
  LanguageCode language = kUnknownLanguage;
};
TermList TermsOfPassage(const PassageWords& words);

// Blocks are made of the postings of at most this many passages: so none gets too long, and what is
// held in memory is bounded.
inline constexpr size_t kPassagesGathered = kMaxBlockPostings;

class PostingsGatherer {
 public:
  explicit PostingsGatherer(CollectionId collection) : collection_(collection) {}
  // Puts the passage's forward entry into the batch and keeps its postings. Ids ascend.
  void Add(PassageId id, const TermList& terms, KvBatch* batch);
  void WriteBlocks(KvBatch* batch);  // of what was added since the last time

 private:
  const CollectionId collection_;
  std::map<std::string, std::vector<Posting>> gathered_;
};

// Deletes the terms of what was staged of a revision, by its `staged` keys. Writes by itself, a
// bounded part at a time. A part of DiscardStaged().
Status DiscardStagedTerms(Kv* kv, CollectionId c, RevisionKey r);

}  // namespace vade
