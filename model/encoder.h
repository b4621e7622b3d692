// The encoder network: token ids of several texts -> one vector a token.
//
// The rows of all texts lie one after the other in one matrix, without padding; only attention
// looks at one text at a time. Everything that is multiplied is rounded to 8 bits (kernels/int8.h):
// a row by itself, the values of attention for each text. So a text's vectors are bit for bit the
// same whatever else is in the batch and however many threads there are.
// Thread-safe: each Run() borrows scratch of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/encoder_weights.h"

namespace vade {

class ThreadPool;

// INVALID_ARGUMENT for an empty or too long text and for an id outside the vocabulary.
Status CheckTexts(const EncoderConfig& config, std::span<const std::vector<int32_t>> texts);

class Encoder {
 public:
  // The pool is not owned and outlives the encoder; null: the caller's thread alone.
  Encoder(std::unique_ptr<const EncoderWeights> weights, ThreadPool* pool);
  ~Encoder();

  const EncoderConfig& config() const { return weights_->config; }
  const EncoderWeights& weights() const { return *weights_; }

  // kPool shares the rows and heads out over the pool: for one batch at a time. kCaller is for
  // callers that run several batches at once themselves.
  enum class Threads : uint8_t { kPool, kCaller };

  // Final vectors [sum of lengths, dim]. Each text has 1 to config().positions ids.
  // Errors are those of CheckTexts.
  Result<std::vector<float>> Run(std::span<const std::vector<int32_t>> texts,
                                 Threads threads = Threads::kPool) const;

 private:
  struct Workspace;  // of one Run()
  struct Scratch;    // of one piece of it
  class Pass;

  std::unique_ptr<const EncoderWeights> weights_;
  ThreadPool* pool_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> workspaces_;  // those not borrowed
  mutable std::vector<std::unique_ptr<Scratch>> scratch_;
};

}  // namespace vade
