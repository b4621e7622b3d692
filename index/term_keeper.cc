#include "index/term_keeper.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "base/strings.h"
#include "index/clean_terms.h"

namespace vade {
namespace {

constexpr uint64_t kRoomForMerging = 64ull << 20;  // on the disk

}  // namespace

TermKeeper::TermKeeper(StoreCore* core) : core_(core) {
  if (core->options.background)
    worker_.Start(core->options.seal_retry_after, [this] { return TidyDue(); });
}

Status TermKeeper::TidyDue() {
  const Status tidied = Tidy(Extent::kDue, Context());
  if (!tidied.ok() && !worker_.stopping())
    LogWarning(StrCat("terms are not tidied up: ", tidied.message()));
  return tidied;
}

Status TermKeeper::Continue(const Context& ctx) const {
  if (worker_.stopping()) return Cancelled("the store is being closed");
  return ctx.Check();
}

Status TermKeeper::Tidy(Extent extent, const Context& ctx) {
  std::lock_guard one_at_a_time(job_mutex_);
  try {
    RETURN_IF_ERROR(CleanAll(ctx));
    const auto view = core_->committer->Current();
    for (const auto& [name, state] : view->collections) {
      ASSIGN_OR_RETURN(const bool due, IsMergeDue(*state, extent));
      if (due) RETURN_IF_ERROR(Merge(*state, ctx));
    }
  } catch (const std::bad_alloc&) {
    return ResourceExhausted("no memory to tidy up terms; free some and try again");
  }
  return OkStatus();
}

Status TermKeeper::Clean(const Context& ctx) {
  std::lock_guard one_at_a_time(job_mutex_);
  return CleanAll(ctx);
}

Status TermKeeper::CleanAll(const Context& ctx) {
  std::vector<std::string> keys;
  const auto scan = core_->kv->Scan(Family::kDead, "", "", nullptr);
  for (; scan->Valid(); scan->Next()) keys.emplace_back(scan->key());
  RETURN_IF_ERROR(scan->status());
  for (const std::string& key : keys) RETURN_IF_ERROR(CleanRecord(key, ctx));
  return OkStatus();
}

// A part at a time: each batch removes terms and takes their passages off the record.
Status TermKeeper::CleanRecord(const std::string& key, const Context& ctx) {
  for (;;) {
    RETURN_IF_ERROR(Continue(ctx));
    ASSIGN_OR_RETURN(const auto bytes, core_->kv->Get(Family::kDead, key, nullptr));
    if (!bytes) return OkStatus();  // all is removed, or the collection is
    const auto parts = ParseDeadKey(key);
    auto ranges =
        parts.ok() ? DecodeRanges(*bytes) : Result<std::vector<PassageRange>>(parts.status());
    if (!ranges.ok()) {  // stays for verify to name
      LogWarning(ranges.status().message());
      return OkStatus();
    }
    KvBatch batch;
    RETURN_IF_ERROR(RemoveSomeTerms(*core_->kv, parts->collection, &*ranges, &batch));
    if (ranges->empty()) {
      batch.Delete(Family::kDead, key);
    } else {
      batch.Put(Family::kDead, key, EncodeRanges(*ranges));
    }
    ASSIGN_OR_RETURN(const bool written, core_->committer->Rearrange(parts->collection, batch));
    if (!written) return OkStatus();
  }
}

Result<bool> TermKeeper::IsMergeDue(const CollectionState& state, Extent extent) const {
  ASSIGN_OR_RETURN(const auto bytes, core_->kv->Get(Family::kMeta, MergedKey(state.id), nullptr));
  PassageId merged = 0;  // passages below it have been gone through
  if (bytes && bytes->size() == sizeof(merged)) {
    std::memcpy(&merged, bytes->data(), sizeof(merged));
  }
  const uint64_t fresh = state.live.CountFrom(merged);
  if (extent == Extent::kAll) return fresh > 0;
  const uint64_t at_least = core_->options.merge_terms_at;
  return at_least > 0 && fresh >= std::max<uint64_t>(at_least, state.info.passage_count / 4);
}

Status TermKeeper::Merge(const CollectionState& state, const Context& ctx) {
  LiveCursor live(state.live);
  const auto settled = [&](PassageId first) { return live.Find(first) != nullptr; };
  const auto write = [&](const KvBatch& batch) -> Result<bool> {
    RETURN_IF_ERROR(Continue(ctx));
    RETURN_IF_ERROR(CheckRoomForDerived(core_->directory, kRoomForMerging));
    return core_->committer->Rearrange(state.id, batch);
  };
  RETURN_IF_ERROR(JoinBlocks(*core_->kv, state.id, settled, write));
  std::string merged;
  AppendFixed<uint64_t>(&merged, state.live.End());
  KvBatch batch;
  batch.Put(Family::kMeta, MergedKey(state.id), merged);
  return core_->committer->Rearrange(state.id, batch).status();
}

}  // namespace vade
