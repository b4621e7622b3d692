// Memory that grows and is never copied: scratch whose old contents are of no interest. 64-byte
// aligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

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

// An object of a free list, given back at the end.
template <typename T>
class Borrowed {
 public:
  Borrowed(std::mutex* mutex, std::vector<std::unique_ptr<T>>* free) : mutex_(mutex), free_(free) {
    std::lock_guard lock(*mutex_);
    if (free_->empty()) {
      object_ = std::make_unique<T>();
    } else {
      object_ = std::move(free_->back());
      free_->pop_back();
    }
  }
  ~Borrowed() {
    std::lock_guard lock(*mutex_);
    free_->push_back(std::move(object_));
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  T* operator->() { return object_.get(); }
  T& operator*() { return *object_; }

 private:
  std::mutex* mutex_;
  std::vector<std::unique_ptr<T>>* free_;
  std::unique_ptr<T> object_;
};

}  // namespace vade
