#include "index/eraser.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/bytes.h"
#include "base/log.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr std::string_view kEraseBy = "erase_by";
constexpr std::chrono::milliseconds kLookAgainAfter{60000};
// More of them are compacted as one range: each range costs a few files.
constexpr size_t kMaxRanges = 256;

// The families whose keys end with a passage, with what their keys of the collection begin with.
std::vector<std::pair<Family, uint32_t>> FamiliesByPassage(const View& view, CollectionId c) {
  std::vector<std::pair<Family, uint32_t>> families = {
      {Family::kPassages, c}, {Family::kForward, c}, {Family::kVectors, c}};
  for (const auto& [name, state] : view.collections) {
    if (state->id != c) continue;
    for (SpaceId space : SpacesOf(*state)) {
      if (space != c) families.emplace_back(Family::kVectors, space);
    }
  }
  return families;
}

}  // namespace

// Keys of one family, [begin, end); "" for both: all of them.
struct Eraser::KeyRange {
  Family family;
  std::string begin, end;
};

// A `gone` record.
struct Eraser::Gone {
  std::string key;
  CollectionId collection = 0;
  RevisionKey revision = 0;  // 0: the whole collection, or the whole space of that number
  std::vector<PassageRange> passages;
};

Eraser::Eraser(StoreCore* core, Sealer* sealer, TermKeeper* keeper)
    : core_(core), sealer_(sealer), keeper_(keeper) {
  Note();
  if (!core->options.background || core->options.erase_within.count() == 0) return;
  worker_.Start(std::min<std::chrono::milliseconds>(kLookAgainAfter, core->options.erase_within),
                [this] { return RunInBackground(); });
}

void Eraser::Note() {
  std::lock_guard lock(note_mutex_);
  if (noted_ || core_->options.erase_within.count() == 0) return;
  const auto scan = core_->kv->Scan(Family::kMeta, GonePrefix(), PrefixEnd(GonePrefix()), nullptr);
  if (!scan->Valid()) return;
  const auto stored = core_->kv->Get(Family::kMeta, kEraseBy, nullptr);
  noted_ = stored.ok() && stored->has_value();
  if (!noted_) {
    const auto within =
        std::chrono::duration_cast<std::chrono::microseconds>(core_->options.erase_within);
    std::string value;
    AppendFixed<int64_t>(&value, core_->clock->UnixMicros() + within.count());
    KvBatch batch;
    batch.Put(Family::kMeta, kEraseBy, value);
    // A failure costs time only: the next commit notes it again.
    noted_ = core_->kv->Write(batch, Durability::kBuffered).ok();
  }
  worker_.Wake();
}

bool Eraser::IsNoted() {
  std::lock_guard lock(note_mutex_);
  return noted_;
}

Result<bool> Eraser::IsDue() {
  ASSIGN_OR_RETURN(const auto stored, core_->kv->Get(Family::kMeta, kEraseBy, nullptr));
  if (!stored) return false;
  int64_t by = 0;
  if (stored->size() != sizeof(by)) return Damaged("time by which deleted bytes must be gone");
  std::memcpy(&by, stored->data(), sizeof(by));
  return core_->clock->UnixMicros() >= by;
}

Result<std::vector<Eraser::Gone>> Eraser::ReadGone() const {
  std::vector<Gone> all;
  const auto scan = core_->kv->Scan(Family::kMeta, GonePrefix(), PrefixEnd(GonePrefix()), nullptr);
  for (; scan->Valid(); scan->Next()) {
    ASSIGN_OR_RETURN(const DeadKeyParts parts,
                     ParseDeadKey(scan->key().substr(GonePrefix().size())));
    Gone gone{std::string(scan->key()), parts.collection, parts.revision, {}};
    ASSIGN_OR_RETURN(gone.passages, DecodeRanges(scan->value()));
    all.push_back(std::move(gone));
  }
  RETURN_IF_ERROR(scan->status());
  return all;
}

Status Eraser::RunInBackground() {
  ASSIGN_OR_RETURN(const bool due, IsDue());
  // Looked at again after a while; nothing to be done about it before.
  if (!due) return IsNoted() ? Unavailable("not yet") : OkStatus();
  const Status erased = EraseNow(Context());
  if (!erased.ok() && !worker_.stopping()) {
    LogWarning(StrCat("deleted bytes have not left the files yet: ", erased.message()));
  }
  return erased;
}

Status Eraser::EraseDue(const Context& ctx) {
  ASSIGN_OR_RETURN(const bool due, IsDue());
  return due ? EraseNow(ctx) : OkStatus();
}

Status Eraser::EraseNow(const Context& ctx) {
  std::lock_guard one_at_a_time(run_mutex_);
  ASSIGN_OR_RETURN(const std::vector<Gone> gone, ReadGone());
  if (gone.empty()) return OkStatus();
  RETURN_IF_ERROR(Erase(gone, ctx));
  RETURN_IF_ERROR(Forget(gone));
  Note();  // of what went meanwhile
  return OkStatus();
}

Status Eraser::Erase(const std::vector<Gone>& gone, const Context& ctx) {
  RETURN_IF_ERROR(keeper_->Clean(ctx));
  RETURN_IF_ERROR(sealer_->DropDead(ctx));
  // Old views hold what they see; the present one is to see nothing of it.
  const uint64_t written = core_->kv->Sequence();
  core_->committer->Republish([&](View* view) { view->snapshot = core_->kv->Snapshot(); });
  RETURN_IF_ERROR(core_->kv->WaitForReaders(written, ctx));
  RETURN_IF_ERROR(core_->kv->Flush());
  return Compact(gone, ctx);
}

void Eraser::AddRangesOf(const Gone& gone, const View& view, std::vector<KeyRange>* ranges) {
  const CollectionId c = gone.collection;
  if (gone.revision == 0) {
    for (Family family : {Family::kText, Family::kPassages, Family::kVectors, Family::kForward}) {
      ranges->push_back({family, CollectionPrefix(c), CollectionPrefix(c + 1)});
    }
    return;
  }
  const auto families = FamiliesByPassage(view, c);
  ranges->push_back(
      {Family::kText, TextKey(c, gone.revision, 0), TextKey(c, gone.revision + 1, 0)});
  for (const PassageRange& range : gone.passages) {
    for (const auto& [family, prefix] : families) {
      ranges->push_back(
          {family, PassageKey(prefix, range.first), PassageKey(prefix, range.first + range.count)});
    }
  }
}

Status Eraser::Compact(const std::vector<Gone>& gone, const Context& ctx) {
  size_t passage_ranges = 0;
  for (const Gone& one : gone) passage_ranges += 1 + one.passages.size();
  std::vector<KeyRange> ranges;
  if (passage_ranges > kMaxRanges) {
    for (Family family : {Family::kText, Family::kPassages, Family::kVectors, Family::kForward}) {
      ranges.push_back({family, "", ""});
    }
  } else {
    const auto view = core_->committer->Current();
    for (const Gone& one : gone) AddRangesOf(one, *view, &ranges);
  }
  // Of these it is not known where in them something went, or they are small.
  for (Family family : {Family::kMeta, Family::kCatalog, Family::kDocuments, Family::kStaged,
                        Family::kPostings, Family::kDead}) {
    ranges.push_back({family, "", ""});
  }
  for (const KeyRange& range : ranges) {
    RETURN_IF_ERROR(ctx.Check());
    if (worker_.stopping()) return Cancelled("the store is being closed");
    RETURN_IF_ERROR(core_->kv->Compact(range.family, range.begin, range.end));
  }
  return core_->kv->WaitForOldFiles(ctx);
}

Status Eraser::Forget(const std::vector<Gone>& gone) {
  std::lock_guard lock(note_mutex_);
  KvBatch batch;
  for (const Gone& one : gone) batch.Delete(Family::kMeta, one.key);
  batch.Delete(Family::kMeta, kEraseBy);
  RETURN_IF_ERROR(core_->kv->Write(batch, Durability::kSynced));
  noted_ = false;
  return OkStatus();
}

}  // namespace vade
