// The device that kernels and backend are tested on: emulated (memory_emulated.cc) or a real one
// (memory_device.cc). The same suites are linked with either.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/device.h"

namespace vade::testing {

// A device of its own for a backend.
Result<std::unique_ptr<kernels::cuda::Device>> NewDevice();

// Empty when there is a device to test on, else why not.
std::string WhyNoDevice();

// Where launches of a test go.
kernels::cuda::Stream DeviceStream();

void* NewDeviceBytes(size_t bytes);  // nothing is written there yet
void FreeDeviceBytes(void* at);
void ToDevice(void* to, const void* from, size_t bytes);
void FromDevice(void* to, const void* from, size_t bytes);
// Waits for all launches; what went wrong since the last call, "" where nothing did.
std::string DeviceFaults();

template <typename T>
class OnDevice {
 public:
  explicit OnDevice(size_t count)
      : count_(count), data_(static_cast<T*>(NewDeviceBytes(Bytes()))) {}
  explicit OnDevice(const std::vector<T>& values) : OnDevice(values.size()) {
    ToDevice(data_, values.data(), Bytes());
  }
  ~OnDevice() { FreeDeviceBytes(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  T* get() const { return data_; }
  size_t count() const { return count_; }
  std::vector<T> Read() const {
    std::vector<T> values(count_);
    FromDevice(values.data(), data_, Bytes());
    return values;
  }

 private:
  size_t Bytes() const { return count_ * sizeof(T); }
  size_t count_;
  T* data_;
};

}  // namespace vade::testing
