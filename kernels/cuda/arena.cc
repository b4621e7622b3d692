#include "kernels/cuda/arena.h"

#include <algorithm>

#include "base/strings.h"

namespace vade::kernels::cuda {

Arena::~Arena() {
  for (uint8_t* chunk : chunks_) device_->Free(chunk);
}

Result<uint8_t*> Arena::Allocate(uint64_t bytes, const std::string& what) {
  if (bytes == 0) return InvalidArgument(StrCat("no memory is asked for ", what));
  if (bytes > budget_) {
    return ResourceExhausted(StrCat(what, " needs ", bytes, " bytes of GPU memory, the budget is ",
                                    budget_, "; ", remedy_));
  }
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const auto fits = [&](const auto& piece) { return piece.second >= bytes; };
  auto piece = std::find_if(free_.begin(), free_.end(), fits);
  if (piece == free_.end()) {
    RETURN_IF_ERROR(Grow(bytes, what));
    piece = std::find_if(free_.begin(), free_.end(), fits);
  }
  uint8_t* at = piece->first;
  const uint64_t rest = piece->second - bytes;
  free_.erase(piece);
  if (rest > 0) free_[at + bytes] = rest;
  out_[at] = bytes;
  used_ += bytes;
  return at;
}

Status Arena::Grow(uint64_t bytes, const std::string& what) {
  const uint64_t left = budget_ - taken_;
  if (bytes > left) {
    return ResourceExhausted(StrCat(what, " needs ", bytes, " more bytes of GPU memory; ", taken_,
                                    " of the budget of ", budget_, " are taken; ", remedy_));
  }
  const uint64_t size = std::max(bytes, std::min(kChunkBytes, left));
  auto chunk = device_->Allocate(size);
  if (!chunk.ok()) return chunk.status().WithContext(what);
  chunks_.insert(*chunk);
  free_[*chunk] = size;
  taken_ += size;
  return OkStatus();
}

void Arena::Free(uint8_t* at) {
  const auto found = out_.find(at);
  VADE_CHECK(found != out_.end(), "a piece is given back once");
  uint64_t bytes = found->second;
  used_ -= bytes;
  out_.erase(found);
  device_->Forget(at, bytes);
  // Joined with what is free beside it, but not over the border of a chunk.
  auto next = free_.lower_bound(at);
  if (next != free_.end() && next->first == at + bytes && !chunks_.contains(next->first)) {
    bytes += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin() && !chunks_.contains(at)) {
    const auto before = std::prev(next);
    if (before->first + before->second == at) {
      before->second += bytes;
      return;
    }
  }
  free_[at] = bytes;
}

}  // namespace vade::kernels::cuda
