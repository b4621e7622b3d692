// The encoder network: token ids of several texts -> one vector a token.
//
// The rows of all texts lie one after the other in one matrix, without padding; only attention
// looks at one text at a time. Every sum has an order of its own length alone, so a text's vectors
// are bit for bit the same whatever else is in the batch and however many threads there are.
// Thread-safe: Run() keeps its scratch to itself.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/encoder_weights.h"

namespace vade {

class ThreadPool;

class Encoder {
 public:
  // The pool is not owned and outlives the encoder; null: the caller's thread alone.
  Encoder(std::unique_ptr<const EncoderWeights> weights, ThreadPool* pool);

  const EncoderConfig& config() const { return weights_->config; }

  // Final vectors [sum of lengths, dim]. Each text has 1 to config().positions ids.
  // INVALID_ARGUMENT for an empty or too long text and for an id outside the vocabulary.
  Result<std::vector<float>> Run(std::span<const std::vector<int32_t>> texts) const;

 private:
  std::unique_ptr<const EncoderWeights> weights_;
  ThreadPool* pool_;
};

}  // namespace vade
