// The encoder on an NVIDIA GPU: the network of encoder.cc over the operations of
// kernels/cuda/encoder_operations.h. Weights are the processor's packed ones, byte for byte. All
// memory is taken when it is made, so a batch cannot run out of it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/cuda/arena.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/encoder_operations.h"
#include "model/cuda_staging.h"
#include "model/cuda_uploads.h"
#include "model/device_encoder.h"

namespace vade {

class CudaEncoder final : public DeviceEncoder {
 public:
  // `weights` are copied. memory_bytes: at most; 0: nine tenths of what is free.
  static Result<std::unique_ptr<CudaEncoder>> Create(std::unique_ptr<kernels::cuda::Device> device,
                                                     const EncoderWeights& weights, Pooling pooling,
                                                     uint64_t memory_bytes);
  ~CudaEncoder() override;

  size_t batch_tokens() const override { return batch_tokens_; }
  Result<std::vector<float>> Embed(std::span<const std::vector<int32_t>> texts) override;

 private:
  struct Layer {
    kernels::cuda::ProductMatrix qkv[3], output, up, down;
    kernels::cuda::EncoderNorm attention_norm, output_norm;
  };
  // What a batch works in, for batch_tokens_ tokens.
  struct Scratch {
    float *x = nullptr, *y = nullptr;  // [tokens, dim]
    float* wide = nullptr;             // [tokens, max(3 dim, ff)]
    kernels::cuda::CodesOut codes;     // of dim or ff columns
    kernels::cuda::HeadCodes heads;    // without what changes from batch to batch
    uint8_t* arrays = nullptr;
    float* vectors = nullptr;  // [texts, dim]
  };
  // A batch's arrays on the device.
  struct Batch {
    uint32_t rows = 0, columns = 0, text_count = 0, item_count = 0;
    const int32_t *tokens = nullptr, *places = nullptr;
    const kernels::cuda::TextSpan* texts = nullptr;
    const kernels::cuda::TextQueries* items = nullptr;
  };

  CudaEncoder(std::unique_ptr<kernels::cuda::Device> device, const EncoderConfig& config,
              Pooling pooling, uint64_t budget_bytes);
  Status TakeWeights(const EncoderWeights& weights);
  Status TakeScratch();
  uint64_t ScratchBytes(size_t tokens) const;
  template <typename T>
  Result<T*> Take(uint64_t count, const std::string& what);
  Result<const uint8_t*> Copy(std::span<const uint8_t> bytes, const std::string& what);
  Result<const float*> Copy(const std::vector<float>& values, const std::string& what);
  Result<kernels::cuda::EncoderNorm> Copy(const EncoderWeights::Norm& norm);
  Result<kernels::cuda::ProductMatrix> Copy(const EncoderWeights::Linear& linear,
                                            uint32_t first_column);
  Result<Batch> PutArrays(std::span<const std::vector<int32_t>> texts);
  void Begin(const Batch& batch);
  void RunLayer(const Layer& layer, const Batch& batch);
  void Multiply(std::span<const kernels::cuda::ProductMatrix> matrices, uint32_t cols,
                const Batch& batch, float* y);

  std::unique_ptr<kernels::cuda::Device> device_;
  const EncoderConfig config_;
  const Pooling pooling_;
  kernels::cuda::Arena arena_;
  std::mutex mutex_;  // guards what follows
  CudaStaging staging_;
  CudaUploads uploads_;  // of the weights
  size_t batch_tokens_ = 0;

  TensorType table_type_ = TensorType::kF32;
  const uint8_t* table_ = nullptr;
  uint64_t table_bytes_ = 0;
  const float* positions_ = nullptr;
  kernels::cuda::EncoderNorm embedding_norm_;
  std::vector<Layer> layers_;
  Scratch scratch_;
};

}  // namespace vade
