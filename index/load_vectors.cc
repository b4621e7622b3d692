// At open: which slots of which segments stand for current passages, and a tail of the passages
// that are in none. A segment that is damaged, foreign or newer than the database is removed; one
// that cannot be opened for another reason (files, memory, permissions) stays for the next open.
// What either held is read from the database.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/bytes.h"
#include "base/log.h"
#include "base/strings.h"
#include "index/open.h"

namespace vade {
namespace {

namespace fs = std::filesystem;

// Rebuilt vectors go to a segment without a graph when there are this many, so that memory stays
// bounded; the sealer then gives it a graph.
constexpr size_t kRebuiltRows = 65536;

// "17.seg" -> 17; 0 for anything else.
uint64_t SegmentNumber(const std::string& name) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const std::string_view rest(end, name.data() + name.size() - end);
  return error == std::errc() && rest == ".seg" ? number : 0;
}

// Numbers of the segments in a folder, newest first. Unfinished files are removed.
std::vector<uint64_t> ListSegments(const std::string& folder) {
  std::vector<uint64_t> numbers;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (const uint64_t number = SegmentNumber(name)) {
      numbers.push_back(number);
    } else if (name.find(".seg.tmp") != std::string::npos) {
      std::error_code ignored;
      fs::remove(it->path(), ignored);
    }
  }
  std::sort(numbers.rbegin(), numbers.rend());
  return numbers;
}

class VectorLoader {
 public:
  VectorLoader(StoreCore* core, const std::vector<LiveRange>& live, uint64_t commit,
               CollectionState* state)
      : core_(core),
        live_(live),
        commit_(commit),
        state_(state),
        rebuilt_(static_cast<size_t>(state->info.dimension)) {
    for (const LiveRange& l : live_) {
      starts_.push_back(total_);
      total_ += l.range.count;
    }
    covered_.resize(total_);
  }

  Status Run() {
    for (uint64_t number : ListSegments(core_->SegmentDirectory(state_->space))) {
      uint64_t next = core_->next_segment;  // others may be taking numbers
      while (number >= next && !core_->next_segment.compare_exchange_weak(next, number + 1)) {
      }
      TakeSegment(number);
    }
    return ReadUncovered();
  }

 private:
  void TakeSegment(uint64_t number);
  bool Match(SegmentState* segment);
  Status ReadUncovered();
  struct Scans {
    std::unique_ptr<KvIterator> vectors, passages;
  };
  Status ReadRange(const LiveRange& live, size_t start, const Scans& scans);
  void SealRebuilt();

  StoreCore* const core_;
  const std::vector<LiveRange>& live_;
  const uint64_t commit_;
  CollectionState* const state_;
  std::vector<size_t> starts_;  // position of each range's first passage
  size_t total_ = 0, covered_count_ = 0;
  std::vector<bool> covered_;  // by position: the passage has a slot
  VectorBuffer rebuilt_;
};

void VectorLoader::TakeSegment(uint64_t number) {
  const std::string path = core_->SegmentPath(state_->space, number);
  auto opened = OpenSegment(path, number, core_->OwnerOf(*state_, commit_));
  if (opened.ok()) {
    SegmentState segment{*opened, nullptr, 0};
    if (Match(&segment)) {
      state_->segments.insert(state_->segments.begin(), std::move(segment));
      return;
    }
  } else {
    LogWarning(StrCat(opened.status().message(), "; its vectors are read from the database"));
    if (opened.status().code() != StatusCode::kDataLoss) return;
  }
  (void)RemoveFile(path);
}

// Marks the slots that stand for no current passage, or for one that a newer segment has already.
// Both sides ascend, so one pass does it. False when nothing is left.
bool VectorLoader::Match(SegmentState* segment) {
  const VectorRows& rows = segment->segment->rows();
  std::vector<size_t> dead, positions;
  size_t at = 0;
  for (size_t slot = 0; slot < rows.count; ++slot) {
    const PassageId id = rows.ids[slot];
    while (at < live_.size() && id >= live_[at].range.first + live_[at].range.count) ++at;
    const bool current = at < live_.size() && id >= live_[at].range.first &&
                         rows.group_sets[slot] == live_[at].group_set;
    const size_t position = current ? starts_[at] + (id - live_[at].range.first) : 0;
    if (!current || covered_[position]) {
      dead.push_back(slot);
    } else {
      covered_[position] = true;
      ++covered_count_;
    }
  }
  KillSlots(segment, dead);
  return dead.size() < rows.count;
}

// Goes to the key, which most often is the next one.
Result<bool> Find(KvIterator* scan, const std::string& key) {
  if (scan->Valid() && scan->key() < key) scan->Next();
  if (!scan->Valid() || scan->key() != key) scan->Seek(key);
  RETURN_IF_ERROR(scan->status());
  return scan->Valid() && scan->key() == key;
}

Status VectorLoader::ReadRange(const LiveRange& live, size_t start, const Scans& scans) {
  const size_t vector_bytes = static_cast<size_t>(state_->info.dimension) * sizeof(uint16_t);
  std::vector<uint16_t> halves(vector_bytes / sizeof(uint16_t));
  for (uint64_t i = 0; i < live.range.count; ++i) {
    if (covered_[start + i]) continue;
    const PassageId id = live.range.first + i;
    ASSIGN_OR_RETURN(const bool found, Find(scans.vectors.get(), PassageKey(state_->space, id)));
    if (!found || scans.vectors->value().size() != vector_bytes) {
      LogError(StrCat("passage ", id, " has no vector; run vade verify"));
      continue;
    }
    std::memcpy(halves.data(), scans.vectors->value().data(), vector_bytes);
    ASSIGN_OR_RETURN(const bool described, Find(scans.passages.get(), PassageKey(state_->id, id)));
    // A record that is missing or damaged costs the language only; verify names it.
    const auto record =
        described ? DecodePassage(scans.passages->value()) : Result<PassageRecord>(PassageRecord());
    const LanguageCode language = record.ok() ? record->language : kUnknownLanguage;
    rebuilt_.AppendHalves({id, live.group_set, language}, halves.data());
    if (rebuilt_.size() == kRebuiltRows) SealRebuilt();
  }
  return OkStatus();
}

Status VectorLoader::ReadUncovered() {
  if (covered_count_ == total_) return OkStatus();
  const auto scan = [this](Family family, uint32_t prefix) {
    return core_->kv->Scan(family, CollectionPrefix(prefix), CollectionPrefix(prefix + 1), nullptr);
  };
  const Scans scans{scan(Family::kVectors, state_->space), scan(Family::kPassages, state_->id)};
  for (size_t i = 0; i < live_.size(); ++i) RETURN_IF_ERROR(ReadRange(live_[i], starts_[i], scans));
  AppendToTail(&state_->tail, rebuilt_.rows());
  return OkStatus();
}

void VectorLoader::SealRebuilt() {
  const uint64_t number = core_->next_segment++;
  const std::string path = core_->SegmentPath(state_->space, number);
  const SegmentOwner owner = core_->OwnerOf(*state_, commit_);
  const VectorRows rows = rebuilt_.rows();
  Status status =
      CheckRoomForDerived(core_->directory, EstimateSegmentBytes(rows.count, rows.dimension, {}));
  if (status.ok()) status = MakeDirectories(core_->SegmentDirectory(state_->space));
  if (status.ok()) status = WriteSegment(path, owner, rows, {});
  if (status.ok()) {
    auto opened = OpenSegment(path, number, owner);
    status = opened.status();
    if (opened.ok()) state_->segments.push_back({*opened, nullptr, 0});
  }
  if (!status.ok()) {
    LogWarning(StrCat("vectors are kept in memory: ", status.message()));
    (void)RemoveFile(path);
    AppendToTail(&state_->tail, rows);
  }
  rebuilt_.Clear();
}

}  // namespace

Status LoadVectors(StoreCore* core, const std::vector<LiveRange>& live, uint64_t commit,
                   CollectionState* state) {
  RETURN_IF_ERROR(VectorLoader(core, live, commit, state).Run());
  state->sums = SumLiveRows(*state);
  return OkStatus();
}

void RemoveStraySegments(const StoreCore& core, const View& view) {
  const std::set<SpaceId> known = SpacesOf(view);
  std::error_code error;
  const std::string root = JoinPath(core.directory, "vectors");
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    const bool stray = std::none_of(known.begin(), known.end(),
                                    [&](SpaceId space) { return StrCat(space) == name; });
    std::error_code ignored;
    if (stray) fs::remove_all(it->path(), ignored);
  }
}

}  // namespace vade
