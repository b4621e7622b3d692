// Segments in the memory of a GPU, where all of their rows are looked at sooner than a graph is
// walked here. What it offers is what a scan of all codes offers; whatever the device cannot do, or
// fails at, is left to the processor.
//
// A segment's rows go there when it is first searched, and leave with the segment. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/status.h"
#include "index/device_slot.h"
#include "index/scan.h"
#include "kernels/row_scanner.h"

namespace vade {

class DeviceScan {
 public:
  // Where fewer rows than `at_least` may be found the processor is as fast.
  DeviceScan(std::shared_ptr<kernels::RowScanner> scanner, size_t at_least)
      : scanner_(std::move(scanner)), at_least_(at_least) {}

  // Whether Scan() may be worth a try.
  bool Wants(const Source& source, const Head& head) const {
    return usable_ && source.device && source.rows.count >= at_least_ &&
           head.capacity() <= scanner_->max_best();
  }

  // Offers the best rows of the source, as many as the head has places for. `kept`: how many its
  // filter keeps. False: nothing was offered, the processor is to search.
  bool Scan(const Source& source, size_t kept, uint32_t number, const Question& question,
            Head* head);

 private:
  const kernels::HeldRows* RowsOf(const Source& source);
  void Hold(const Source& source);
  void GiveUp(const Status& why);

  const std::shared_ptr<kernels::RowScanner> scanner_;
  const size_t at_least_;
  const std::shared_ptr<DeviceSlot::Counter> drops_ = std::make_shared<DeviceSlot::Counter>(0);
  std::atomic<bool> usable_{true}, said_full_{false};
};

}  // namespace vade
