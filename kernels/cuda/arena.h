// Memory of one device under a budget: chunks taken from the device when they are needed, pieces of
// them handed out first fit. Giving back and asking again cost no wait for the device, because
// everything that uses a piece is queued on one stream.
//
// Not thread-safe. The device outlives the arena; pieces that are still out go with it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/status.h"
#include "kernels/cuda/device.h"

namespace vade::kernels::cuda {

class Arena {
 public:
  static constexpr uint64_t kAlignment = 256;
  static constexpr uint64_t kChunkBytes = 64ull << 20;  // or one piece, where that is larger

  static constexpr char kDecoderRemedy[] =
      "raise model.gpu_bytes, lower the key/value budget, or use a smaller model or --device cpu";

  // `remedy`: what helps against a budget that is too small, as half a sentence.
  Arena(Device* device, uint64_t budget_bytes, std::string remedy = kDecoderRemedy)
      : device_(device), budget_(budget_bytes), remedy_(std::move(remedy)) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 256-byte aligned. RESOURCE_EXHAUSTED names the budget and what would help; `what` says for
  // what.
  Result<uint8_t*> Allocate(uint64_t bytes, const std::string& what);
  void Free(uint8_t* at);

  uint64_t taken_bytes() const { return taken_; }  // of the device
  uint64_t used_bytes() const { return used_; }
  uint64_t budget_bytes() const { return budget_; }

 private:
  Status Grow(uint64_t bytes, const std::string& what);

  Device* device_;
  uint64_t budget_, taken_ = 0, used_ = 0;
  std::string remedy_;
  std::set<uint8_t*> chunks_;
  std::map<uint8_t*, uint64_t> free_;  // by address; neighbours of one chunk are joined
  std::map<uint8_t*, uint64_t> out_;
};

}  // namespace vade::kernels::cuda
