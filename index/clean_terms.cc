#include "index/clean_terms.h"

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "base/log.h"
#include "base/strings.h"

namespace vade {
namespace {

// Of one batch, so that commits do not wait for it long.
constexpr uint64_t kMaxPassages = 256;
constexpr size_t kMaxTerms = 8192;
constexpr size_t kBatchBytes = 1 << 20;

// So many blocks of at most so many postings in a row are joined.
constexpr size_t kRow = 8;
constexpr size_t kSmallBlock = kMaxBlockPostings / 2;
constexpr size_t kMostHeld = 64 * kMaxBlockPostings;  // in memory

using PassagesByTerm = std::map<std::string, std::vector<PassageId>>;  // ids ascend

// What one batch removes.
struct Removal {
  PassagesByTerm by_term;
  uint64_t passages = 0;
  bool full() const { return passages >= kMaxPassages || by_term.size() >= kMaxTerms; }
};

// The terms of the first passages of a range, by their forward entries, which the batch deletes.
// Returns where what is left of the range begins.
Result<PassageId> TakeForward(const Kv& kv, CollectionId c, const PassageRange& range,
                              Removal* removal, KvBatch* batch) {
  const PassageId end = range.first + range.count;
  const auto scan =
      kv.Scan(Family::kForward, PassageKey(c, range.first), PassageKey(c, end), nullptr);
  for (; scan->Valid(); scan->Next()) {
    const std::string_view key = scan->key();
    if (key.size() != kPassageKeyBytes) continue;  // stays for verify to name
    const PassageId id = ParseKey64(key.substr(4));
    if (removal->full()) return id;
    ++removal->passages;
    batch->Delete(Family::kForward, key);
    const auto list = DecodeTerms(scan->value());
    if (!list.ok()) {
      LogWarning(StrCat("passage ", id, " is gone, but not its terms: ", list.status().message()));
      continue;
    }
    for (const TermCount& one : list->terms) removal->by_term[one.term].push_back(id);
  }
  RETURN_IF_ERROR(scan->status());
  return end;
}

// Removes postings of one term.
class TermCleaner {
 public:
  TermCleaner(KvIterator* blocks, CollectionId c, const std::string& term, KvBatch* batch)
      : blocks_(blocks), prefix_(PostingsPrefix(c, term)), batch_(batch) {}

  Status Remove(const std::vector<PassageId>& ids) {
    for (size_t at = 0; at < ids.size();) {
      std::string wanted = prefix_;
      AppendKey64(&wanted, ids[at]);
      blocks_->SeekBack(wanted);
      RETURN_IF_ERROR(blocks_->status());
      if (!blocks_->Valid() || blocks_->key().size() != wanted.size() ||
          !blocks_->key().starts_with(prefix_)) {
        ++at;  // has no posting, or has lost it already
        continue;
      }
      RETURN_IF_ERROR(RemoveFromBlock(ids, &at));
    }
    return OkStatus();
  }

 private:
  // Of the block that the iterator stands at, whose first id is not greater than ids[*at]. Moves
  // *at behind the ids that can be in it.
  Status RemoveFromBlock(const std::vector<PassageId>& ids, size_t* at) {
    const std::string key(blocks_->key());
    const auto block = DecodePostingBlock(ParseKey64(key.substr(key.size() - 8)), blocks_->value());
    const auto postings =
        block.ok() ? DecodePostings(*block) : Result<std::vector<Posting>>(block.status());
    if (!postings.ok()) {  // stays for verify to name
      LogWarning(postings.status().message());
      ++*at;
      return OkStatus();
    }
    std::vector<Posting> kept;
    const size_t begin = *at;
    while (*at < ids.size() && ids[*at] <= block->last) ++*at;
    for (const Posting& p : *postings) {
      if (!std::binary_search(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                              ids.begin() + static_cast<std::ptrdiff_t>(*at), p.id)) {
        kept.push_back(p);
      }
    }
    *at = std::max(*at, begin + 1);
    if (kept.size() == postings->size()) return OkStatus();
    if (kept.empty() || kept.front().id != block->first) batch_->Delete(Family::kPostings, key);
    if (kept.empty()) return OkStatus();
    std::string fresh = prefix_;
    AppendKey64(&fresh, kept.front().id);
    batch_->Put(Family::kPostings, fresh, EncodePostings(kept));
    return OkStatus();
  }

  KvIterator* const blocks_;
  const std::string prefix_;
  KvBatch* const batch_;
};

}  // namespace

Status RemoveSomeTerms(const Kv& kv, CollectionId c, std::vector<PassageRange>* ranges,
                       KvBatch* batch) {
  Removal removal;
  auto range = ranges->begin();
  for (; range != ranges->end() && !removal.full(); ++range) {
    ASSIGN_OR_RETURN(const PassageId rest, TakeForward(kv, c, *range, &removal, batch));
    range->count -= rest - range->first;
    range->first = rest;
    if (range->count > 0) break;
  }
  ranges->erase(ranges->begin(), range);
  const auto blocks =
      kv.Scan(Family::kPostings, CollectionPrefix(c), CollectionPrefix(c + 1), nullptr);
  for (const auto& [term, ids] : removal.by_term) {
    RETURN_IF_ERROR(TermCleaner(blocks.get(), c, term, batch).Remove(ids));
  }
  return OkStatus();
}

namespace {

// Small neighbouring blocks of one term, as they are come upon.
class BlockJoiner {
 public:
  explicit BlockJoiner(KvBatch* batch) : batch_(batch) {}

  // Blocks come in the order of their keys.
  void Take(std::string_view prefix, std::string_view key, std::vector<Posting> postings) {
    if (prefix != prefix_ || (!postings_.empty() && postings_.back().id >= postings.front().id)) {
      Finish();
      prefix_ = prefix;
    }
    if (postings_.size() >= kMostHeld) Finish();
    keys_.emplace_back(key);
    postings_.insert(postings_.end(), postings.begin(), postings.end());
  }
  // What follows is no neighbour of what came before.
  void Finish() {
    if (keys_.size() >= kRow) Join();
    keys_.clear();
    postings_.clear();
  }

 private:
  void Join() {
    for (const std::string& key : keys_) batch_->Delete(Family::kPostings, key);
    for (size_t at = 0; at < postings_.size(); at += kMaxBlockPostings) {
      const auto part =
          std::span(postings_).subspan(at, std::min(kMaxBlockPostings, postings_.size() - at));
      std::string key = prefix_;
      AppendKey64(&key, part.front().id);
      batch_->Put(Family::kPostings, key, EncodePostings(part));
    }
  }

  KvBatch* const batch_;
  std::string prefix_;
  std::vector<std::string> keys_;
  std::vector<Posting> postings_;
};

}  // namespace

Status JoinBlocks(const Kv& kv, CollectionId c, const std::function<bool(PassageId)>& settled,
                  const std::function<Result<bool>(const KvBatch&)>& write) {
  KvBatch batch;
  BlockJoiner joiner(&batch);
  const auto flush = [&]() -> Result<bool> {
    if (batch.empty()) return true;
    auto written = write(batch);
    batch.Clear();
    return written;
  };
  const auto scan =
      kv.Scan(Family::kPostings, CollectionPrefix(c), CollectionPrefix(c + 1), nullptr);
  for (; scan->Valid(); scan->Next()) {
    const std::string_view key = scan->key();
    const auto parts = ParsePostingsKey(key);
    const auto block = parts.ok() ? DecodePostingBlock(parts->first, scan->value())
                                  : Result<PostingBlock>(parts.status());
    const bool small = block.ok() && block->count <= kSmallBlock && settled(block->first);
    auto postings = small ? DecodePostings(*block) : Result<std::vector<Posting>>(NotFound(""));
    if (!postings.ok()) {  // too large, not settled, or damaged: stays as it is
      joiner.Finish();
    } else {
      joiner.Take(key.substr(0, key.size() - 8), key, std::move(*postings));
    }
    if (batch.bytes() < kBatchBytes) continue;
    ASSIGN_OR_RETURN(const bool wanted, flush());
    if (!wanted) return OkStatus();
  }
  RETURN_IF_ERROR(scan->status());
  joiner.Finish();
  return flush().status();
}

}  // namespace vade
