// A segment's place for its rows on a device (device_scan.h fills it). Destroyed with the segment,
// by whichever thread lets go of the last view that has it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "kernels/row_scanner.h"

namespace vade {

class DeviceSlot {
 public:
  DeviceSlot() = default;
  ~DeviceSlot() {
    if (!rows_) return;
    rows_.reset();
    ++*drops_;
  }
  DeviceSlot(const DeviceSlot&) = delete;
  DeviceSlot& operator=(const DeviceSlot&) = delete;

 private:
  friend class DeviceScan;
  using Counter = std::atomic<uint64_t>;

  std::mutex mutex_;                              // of who fills it
  std::shared_ptr<kernels::RowScanner> scanner_;  // outlives the rows
  std::shared_ptr<Counter> drops_;                // counts rows that have left the device
  std::unique_ptr<kernels::HeldRows> rows_;
  std::atomic<const kernels::HeldRows*> ready_{nullptr};
  uint64_t refused_at_ = UINT64_MAX;  // what drops_ was when there was no room
  bool never_ = false;                // the device cannot take such rows
};

}  // namespace vade
