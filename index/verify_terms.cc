#include "index/verify_terms.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/strings.h"

namespace vade {

void TermChecker::Sum::Add(std::string_view term, const Posting& posting) {
  std::string bytes;
  AppendString(&bytes, term);
  AppendFixed(&bytes, posting.id);
  AppendFixed(&bytes, posting.count);
  AppendFixed(&bytes, posting.length);
  hashes += Checksum64(bytes);
  ++count;
}

Result<uint64_t> TermChecker::CheckPassage(PassageId id, const PassageWords& words) {
  const TermList terms = TermsOfPassage(words);
  ASSIGN_OR_RETURN(const auto bytes,
                   kv_.Get(Family::kForward, PassageKey(state_.id, id), snapshot_));
  if (!bytes) {
    report_(StrCat("passage ", id, " has no list of terms"));
  } else if (*bytes != Encode(terms)) {
    report_(StrCat("passage ", id, " has other terms than its text"));
  }
  for (const TermCount& one : terms.terms) {
    expected_.Add(one.term, {id, one.count, std::max(1u, terms.length)});
  }
  return uint64_t{terms.length};
}

// The ranges of `dead` records, beside those that are staged.
Status TermChecker::ReadDead() {
  const auto scan = kv_.Scan(Family::kDead, CollectionPrefix(state_.id),
                             CollectionPrefix(state_.id + 1), snapshot_);
  for (; scan->Valid(); scan->Next()) {
    const auto key = ParseDeadKey(scan->key());
    const auto ranges =
        key.ok() ? DecodeRanges(scan->value()) : Result<std::vector<PassageRange>>(key.status());
    if (!ranges.ok()) {
      report_(ranges.status().message());
      continue;
    }
    owned_.insert(owned_.end(), ranges->begin(), ranges->end());
  }
  return scan->status();
}

bool TermChecker::IsOwned(PassageId id) const {
  const auto after =
      std::upper_bound(owned_.begin(), owned_.end(), id,
                       [](PassageId a, const PassageRange& r) { return a < r.first; });
  return after != owned_.begin() && id - std::prev(after)->first < std::prev(after)->count;
}

Status TermChecker::CheckForward(const Context& ctx) {
  uint64_t nobodys = 0, live_entries = 0;
  LiveCursor live(state_.live);
  const auto scan = kv_.Scan(Family::kForward, CollectionPrefix(state_.id),
                             CollectionPrefix(state_.id + 1), snapshot_);
  for (; scan->Valid(); scan->Next()) {
    if (live_entries % 1024 == 0) RETURN_IF_ERROR(ctx.Check());
    const bool well_formed = scan->key().size() == kPassageKeyBytes;
    const PassageId id = well_formed ? ParseKey64(scan->key().substr(4)) : 0;
    if (live.Find(id)) {
      ++live_entries;
      if (IsOwned(id))
        report_(StrCat("passage ", id, " is current, and its terms are to be removed"));
    } else if (!IsOwned(id)) {
      ++nobodys;
    }
  }
  RETURN_IF_ERROR(scan->status());
  if (nobodys > 0) {
    report_(StrCat("collection '", state_.info.name, "' holds ", nobodys,
                   " lists of terms that belong to no passage"));
  }
  return OkStatus();
}

void TermChecker::CheckBlock(const PostingsKeyParts& key, const PostingBlock& block) {
  const auto postings = DecodePostings(block);
  if (!postings.ok()) {
    report_(StrCat("term '", key.term, "': ", postings.status().message()));
    return;
  }
  LiveCursor live(state_.live);
  for (const Posting& posting : *postings) {
    if (live.Find(posting.id)) {
      found_.Add(key.term, posting);
    } else if (!IsOwned(posting.id)) {
      ++strays_;
    }
  }
}

Status TermChecker::CheckPostings(const Context& ctx) {
  std::string term;
  PassageId last = 0;
  uint64_t blocks = 0;
  const auto scan = kv_.Scan(Family::kPostings, CollectionPrefix(state_.id),
                             CollectionPrefix(state_.id + 1), snapshot_);
  for (; scan->Valid(); scan->Next()) {
    if (blocks++ % 1024 == 0) RETURN_IF_ERROR(ctx.Check());
    const auto key = ParsePostingsKey(scan->key());
    const auto block = key.ok() ? DecodePostingBlock(key->first, scan->value())
                                : Result<PostingBlock>(key.status());
    if (!block.ok()) {
      report_(block.status().message());
      continue;
    }
    if (key->term == term && block->first <= last) {
      report_(StrCat("two blocks of postings of term '", term, "' overlap"));
    }
    term = key->term;
    last = block->last;
    CheckBlock(*key, *block);
  }
  return scan->status();
}

Status TermChecker::CheckRest(std::vector<PassageRange> staged, const Context& ctx) {
  owned_ = std::move(staged);
  RETURN_IF_ERROR(ReadDead());
  std::sort(owned_.begin(), owned_.end(),
            [](const PassageRange& a, const PassageRange& b) { return a.first < b.first; });
  RETURN_IF_ERROR(CheckForward(ctx));
  RETURN_IF_ERROR(CheckPostings(ctx));
  if (strays_ > 0) {
    report_(StrCat("collection '", state_.info.name, "' holds ", strays_,
                   " postings that belong to no passage"));
  }
  if (found_ != expected_) {
    report_(StrCat("collection '", state_.info.name, "' has ", found_.count,
                   " postings of its passages; by their texts there are ", expected_.count,
                   found_.count == expected_.count ? ", and not the same" : ""));
  }
  return OkStatus();
}

}  // namespace vade
