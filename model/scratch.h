// Memory that grows and is never copied: scratch whose old contents are of no interest. 64-byte
// aligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vade {

class ScratchBytes {
 public:
  uint8_t* Get(size_t bytes);
  float* Floats(size_t count) { return reinterpret_cast<float*>(Get(count * sizeof(float))); }

 private:
  struct Free {
    void operator()(uint8_t* p) const;
  };
  std::unique_ptr<uint8_t, Free> data_;
  size_t size_ = 0;
};

}  // namespace vade
