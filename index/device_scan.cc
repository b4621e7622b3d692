#include "index/device_scan.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "base/strings.h"

namespace vade {

bool DeviceScan::Scan(const Source& source, size_t kept, uint32_t number, const Question& question,
                      Head* head) {
  if (kept < at_least_) return false;
  const kernels::HeldRows* rows = RowsOf(source);
  if (rows == nullptr) return false;
  std::vector<float> lifts;
  for (const uint16_t language : rows->labels()) lifts.push_back(question.LiftOfCodes(language));
  const size_t count = source.rows.count;
  const Bitmap bits = kept < count ? source.filter.Kept(count) : Bitmap();
  const auto found = scanner_->Best(
      *rows, {.code = question.code, .lifts = lifts, .kept = bits, .best = head->capacity()});
  if (!found.ok()) {
    GiveUp(found.status());
    return false;
  }
  // That what was deleted is not found rests on no device.
  const bool right = std::all_of(found->begin(), found->end(), [&](const auto& scored) {
    return scored.row < count && source.filter.Keeps(scored.row);
  });
  if (!right || found->size() < std::min(kept, head->capacity())) {
    GiveUp(Internal("it found rows that are not to be found, or too few"));
    return false;
  }
  for (const kernels::ScoredRow& scored : *found) head->Offer(scored.score, number, scored.row);
  return true;
}

// Null: the rows are not on the device, or not yet.
const kernels::HeldRows* DeviceScan::RowsOf(const Source& source) {
  const kernels::HeldRows* ready = source.device->ready_;
  if (ready != nullptr) return ready;
  Hold(source);
  return source.device->ready_;
}

void DeviceScan::Hold(const Source& source) {
  DeviceSlot& slot = *source.device;
  std::unique_lock lock(slot.mutex_, std::try_to_lock);
  if (!lock.owns_lock() || slot.rows_ || slot.never_) return;  // somebody is at it
  const uint64_t drops = *drops_;
  if (slot.refused_at_ == drops) return;  // nothing has left since
  const VectorRows& rows = source.rows;
  auto held = scanner_->Hold({.count = rows.count,
                              .dimension = rows.dimension,
                              .stride = rows.stride,
                              .codes = rows.codes,
                              .scales = rows.scales,
                              .labels = rows.languages});
  if (held.ok()) {
    slot.scanner_ = scanner_;
    slot.drops_ = drops_;
    slot.rows_ = *std::move(held);
    slot.ready_ = slot.rows_.get();
    return;
  }
  switch (held.status().code()) {
    case StatusCode::kResourceExhausted: slot.refused_at_ = drops; break;
    case StatusCode::kUnimplemented: slot.never_ = true; break;
    default: return GiveUp(held.status());
  }
  if (said_full_.exchange(true)) return;
  LogWarning(StrCat("some vectors are not searched on the GPU: ", held.status().message(),
                    "; the processor searches them"));
}

void DeviceScan::GiveUp(const Status& why) {
  if (!usable_.exchange(false)) return;
  LogWarning(StrCat("searching on the GPU failed: ", why.message(),
                    "; the processor searches from now on"));
}

}  // namespace vade
