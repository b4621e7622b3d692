// Texts -> unit vectors. Implemented by the encoder here and by a hashing fake in the tests; could
// be served by another machine. Thread-safe: calls from several threads are allowed and may be
// batched.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "kernels/kernels.h"
#include "model/device_choice.h"
#include "model/device_encoder.h"

namespace vade {

class ThreadPool;

enum class EmbedRole { kQuery, kPassage };  // e5 puts "query: " or "passage: " in front

class Embedder {
 public:
  virtual ~Embedder() = default;

  // Identity of the vector space: name and fingerprint of the weights. Collections remember it.
  virtual const std::string& id() const = 0;
  virtual int dimension() const = 0;
  virtual int max_tokens() const = 0;  // of one text, prefix and end tokens included
  virtual size_t CountTokens(std::string_view text) const = 0;  // of the bare text

  // [texts.size(), dimension] row by row, each of unit length. A text longer than max_tokens() is
  // read up to there. CANCELLED or DEADLINE_EXCEEDED when the context says so between batches.
  virtual Result<std::vector<float>> Embed(std::span<const std::string_view> texts, EmbedRole role,
                                           const Context& ctx) = 0;
};

struct EmbedderOptions {
  ThreadPool* pool = nullptr;  // not owned, outlives the embedder; null: the caller's thread alone
  std::string packed_cache_dir =
      {};  // where repacked weights are kept; "" keeps them in memory only
  // kAuto: passages on the GPU, once there are enough of them to open one; questions on the
  // processor. kCuda: both on the GPU, or an error. What the GPU fails at is done on the processor,
  // with a warning.
  DeviceChoice device = DeviceChoice::kCpu;
  GpuOptions gpu = {};
  OpenDeviceEncoder open_device = nullptr;  // null: the GPU of `gpu`, by its library
};

// A GGUF encoder file (architecture "bert"; made by `vade models convert`), or a folder in the
// Hugging Face layout or the model.safetensors in it (model/encoder_folder.h). UNIMPLEMENTED names
// others.
Result<std::unique_ptr<Embedder>> LoadEmbedder(const std::string& path,
                                               const EmbedderOptions& options);

}  // namespace vade
