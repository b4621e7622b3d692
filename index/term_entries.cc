#include "index/term_entries.h"

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "index/core.h"

namespace vade {

TermList TermsOfPassage(const PassageWords& words) {
  TermCollector collector({words.language});
  // The title of a Markdown file is often its first heading: said once.
  if (!words.heading_path.starts_with(words.title)) collector.Add(words.title);
  collector.Add(words.heading_path);
  collector.Add(words.text);
  return collector.Take();
}

void PostingsGatherer::Add(PassageId id, const TermList& terms, KvBatch* batch) {
  batch->Put(Family::kForward, PassageKey(collection_, id), Encode(terms));
  for (const TermCount& one : terms.terms) {
    gathered_[one.term].push_back({id, one.count, std::max(1u, terms.length)});
  }
}

void PostingsGatherer::WriteBlocks(KvBatch* batch) {
  for (const auto& [term, postings] : gathered_) {
    batch->Put(Family::kPostings, PostingsKey(collection_, term, postings.front().id),
               EncodePostings(postings));
  }
  gathered_.clear();
}

namespace {

// Deletes the forward entries of what was staged, and the blocks whose keys they name: each block
// was written after all forward entries of its passages, under the id of the first that has the
// term.
class StagedTermsDiscarder {
 public:
  StagedTermsDiscarder(Kv* kv, CollectionId c) : kv_(kv), collection_(c) {}

  Status Discard(const PassageRange& range) {
    const auto scan = kv_->Scan(Family::kForward, PassageKey(collection_, range.first),
                                PassageKey(collection_, range.first + range.count), nullptr);
    uint64_t group = 0;
    for (; scan->Valid(); scan->Next()) {
      batch_.Delete(Family::kForward, scan->key());
      const auto list = DecodeTerms(scan->value());
      if (!list.ok() || scan->key().size() != kPassageKeyBytes) continue;  // verify names the rest
      const PassageId id = ParseKey64(scan->key().substr(4));
      if ((id - range.first) / kPassagesGathered != group) RETURN_IF_ERROR(Flush());
      group = (id - range.first) / kPassagesGathered;
      for (const TermCount& one : list->terms) {
        if (seen_.insert(one.term).second)
          batch_.Delete(Family::kPostings, PostingsKey(collection_, one.term, id));
      }
    }
    RETURN_IF_ERROR(scan->status());
    return Flush();
  }

 private:
  Status Flush() {
    seen_.clear();
    if (batch_.empty()) return OkStatus();
    RETURN_IF_ERROR(kv_->Write(batch_, Durability::kBuffered));
    batch_.Clear();
    return OkStatus();
  }

  Kv* const kv_;
  const CollectionId collection_;
  KvBatch batch_;
  std::set<std::string> seen_;  // terms of the passages that were gathered together
};

}  // namespace

Status DiscardStagedTerms(Kv* kv, CollectionId c, RevisionKey r) {
  StagedTermsDiscarder discarder(kv, c);
  const auto notes = kv->Scan(Family::kStaged, StagedKey(r, 0), StagedKey(r + 1, 0), nullptr);
  for (; notes->Valid(); notes->Next()) {
    ASSIGN_OR_RETURN(const StagedNote note, DecodeStaged(notes->key(), notes->value()));
    if (note.passages.first != 0) RETURN_IF_ERROR(discarder.Discard(note.passages));
  }
  return notes->status();
}

}  // namespace vade
