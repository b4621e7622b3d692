// Whether and how an embedder uses a GPU: opened when it is worth it, given up when it fails.
// Private to model/embedder.cc and its tests. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "base/status.h"
#include "model/device_encoder.h"
#include "model/embedder.h"

namespace vade {

class EmbedDevice {
 public:
  // Fewer tokens than this are no reason to open a GPU, which takes as long as the processor takes
  // for some 4,000 of them.
  static constexpr size_t kTokensToOpen = 4096;

  // Opens it at once when options.device is kCuda; an error then says why not.
  static Result<std::unique_ptr<EmbedDevice>> Create(const EmbedderOptions& options,
                                                     const EncoderWeights& weights,
                                                     Pooling pooling);

  // The encoder for `tokens` of that role; null: the processor is to do it.
  DeviceEncoder* For(EmbedRole role, size_t tokens);

  // It failed: whoever asks from now on is given none.
  void GiveUp(const Status& why);

 private:
  EmbedDevice(const EmbedderOptions& options, const EncoderWeights& weights, Pooling pooling);
  Status Open();

  const DeviceChoice choice_;
  const OpenDeviceEncoder open_;
  const EncoderWeights& weights_;
  const Pooling pooling_;
  std::mutex mutex_;  // guards opening
  std::unique_ptr<DeviceEncoder> encoder_;
  std::atomic<bool> opened_{false}, usable_{true};
};

}  // namespace vade
