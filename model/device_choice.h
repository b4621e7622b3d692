// Where a decoder computes: the processor or a GPU.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vade {

enum class DeviceChoice : uint8_t {
  kAuto,  // the GPU when there is one that can, else the processor
  kCpu,
  kCuda  // the GPU, or an error
};
std::string_view DeviceChoiceName(DeviceChoice choice);  // "auto", "cpu", "cuda"
std::optional<DeviceChoice> ParseDeviceChoice(std::string_view name);

struct GpuOptions {
  int device = 0;             // as the driver counts them
  uint64_t memory_bytes = 0;  // at most; 0: nine tenths of what is free
  // Steps of few rows are recorded once for each of their shapes, then launched by one call.
  bool graphs = true;
};

}  // namespace vade
