// What the GPU's backend does on a device that cannot do everything: over the fake one alone.
#include <gtest/gtest.h>

#include "model/cuda_backend.h"
#include "model/transformer.h"
#include "tests/model/transformer_fixture.h"
#include "tests/testing/cuda/engine.h"
#include "tests/testing/cuda/fake_device.h"

namespace vade {
namespace {

using testing::LastLogits;
using testing::Must;
using testing::RandomTokens;

TEST(CudaRefusals, WhereNoGraphCanBeRecordedStepsAreLaunchedKernelByKernel) {
  ASSERT_EQ(emulation::Engine::Get().TakeFaults(), "");
  const testing::TempDir dir;
  const std::string path = dir.File("model.gguf");
  ASSERT_TRUE(testing::TinyModel().Write(path).ok());
  DecoderOptions options = testing::SmallOptions(kernels::KvType::kF16);
  options.kv_budget_bytes = 1 << 20;
  const auto answer = [&](bool refuses, GraphCounts* counts) {
    auto device = std::make_unique<testing::FakeDevice>(256ull << 20);
    if (refuses) device->RefuseCaptures();
    auto backend = Must(CudaBackend::Create(std::move(device), {.memory_bytes = 128ull << 20}));
    const CudaBackend* const counted = backend.get();
    const auto decoder = Must(LoadDecoderOn(std::move(backend), path, options));
    const auto sequence = Must(decoder->NewSequence());
    std::vector<float> all;
    for (int i = 0; i < 4; ++i) {
      const auto row = LastLogits(*decoder, *sequence, RandomTokens(1, 7));
      all.insert(all.end(), row.begin(), row.end());
    }
    *counts = counted->graph_counts();
    return all;
  };
  GraphCounts refused, recorded;
  EXPECT_TRUE(testing::SameBits(answer(true, &refused), answer(false, &recorded)));
  EXPECT_EQ(refused.launched, 0u);
  EXPECT_EQ(recorded.launched, 3u);
  EXPECT_EQ(emulation::Engine::Get().TakeFaults(), "");
}

TEST(CudaRefusals, PagesOfFourBitsAreTheProcessorsAndTheErrorSaysSo) {
  const testing::TempDir dir;
  const std::string path = dir.File("model.gguf");
  ASSERT_TRUE(testing::TinyModel{.width = 128}.Write(path).ok());
  const auto load = [&](kernels::KvType type) {
    auto backend = Must(CudaBackend::Create(std::make_unique<testing::FakeDevice>(256ull << 20),
                                            {.memory_bytes = 128ull << 20}));
    DecoderOptions options = testing::SmallOptions(type);
    options.kv_budget_bytes = 1 << 20;
    return LoadDecoderOn(std::move(backend), path, options);
  };
  EXPECT_TRUE(load(kernels::KvType::kQ8).ok());
  const Status refused = load(kernels::KvType::kQ4).status();
  EXPECT_EQ(refused.code(), StatusCode::kUnimplemented);
  for (const char* part : {"model.kv_type = q4", "GPU", "--device cpu", "q8"}) {
    EXPECT_NE(refused.message().find(part), std::string::npos) << refused.message();
  }
  EXPECT_EQ(emulation::Engine::Get().TakeFaults(), "");
}

}  // namespace
}  // namespace vade
