// An encoder in the memory of a GPU: token ids of texts -> unit vectors. Made by the GPU's library
// (cuda_library.h) from the weights that the processor has too, so that whatever fails there can be
// done here. Thread-safe: calls queue up.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/encoder_weights.h"

namespace vade {

// What a text counts for among others.
constexpr size_t PaddedTokens(size_t tokens) { return (tokens + 31) / 32 * 32; }

class DeviceEncoder {
 public:
  virtual ~DeviceEncoder() = default;

  // The PaddedTokens of one call's texts, at most.
  virtual size_t batch_tokens() const = 0;

  // [texts.size(), dim]. A text's vector is bit for bit the same whatever it is embedded with.
  // INVALID_ARGUMENT as of CheckTexts (encoder.h) and for too many texts; other errors are the
  // device's: nothing is to be expected of it any more.
  virtual Result<std::vector<float>> Embed(std::span<const std::vector<int32_t>> texts) = 0;
};

// Copies the weights to a device. UNAVAILABLE: there is none; RESOURCE_EXHAUSTED: they do not fit.
using OpenDeviceEncoder =
    std::function<Result<std::unique_ptr<DeviceEncoder>>(const EncoderWeights&, Pooling)>;

}  // namespace vade
