#include "model/scratch.h"

#include <cstdlib>

#include "base/status.h"

namespace vade {

void ScratchBytes::Free::operator()(uint8_t* p) const { std::free(p); }

uint8_t* ScratchBytes::Get(size_t bytes) {
  if (bytes > size_) {
    const size_t rounded = (bytes + 4095) / 4096 * 4096;
    data_.reset();
    data_.reset(static_cast<uint8_t*>(std::aligned_alloc(64, rounded)));
    VADE_CHECK(data_ != nullptr, "scratch is bounded by the step, so the system is out of memory");
    size_ = rounded;
  }
  return data_.get();
}

}  // namespace vade
