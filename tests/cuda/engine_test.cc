// The emulation finds what it is there to find: each test seeds one fault into a small kernel and
// reads the message; beside each stands the right form, which passes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/cuda/launch.cuh"
#include "tests/testing/cuda/memory.h"

namespace vade::kernels::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using vade::testing::DeviceFaults;
using vade::testing::OnDevice;

constexpr LaunchPlan kOneBlock = {.block = 64, .shared_bytes = 256};

template <typename Kernel>
std::string Faults(Kernel kernel, LaunchPlan plan = kOneBlock) {
  static const Kernel* running;
  running = &kernel;
  void (*start)() = [] { (*running)(); };
  emulation::Engine::Get().Run({.grid = {plan.grid_x, plan.grid_y, 1},
                                .block = {plan.block, 1, 1},
                                .shared_bytes = plan.shared_bytes,
                                .name = "SeededKernel"},
                               start);
  return DeviceFaults();
}

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(DeviceFaults(), ""); }
  OnDevice<float> numbers_{std::vector<float>(64, 1.0f)};
  Global<float> global_{numbers_.get(), 64};
};

TEST_F(EngineTest, EveryThreadOfEveryBlockRunsOnce) {
  const OnDevice<int32_t> counts(std::vector<int32_t>(6 * 64));
  const Global<int32_t> count(counts.get(), 6 * 64);
  EXPECT_EQ(Faults(
                [&] {
                  const uint32_t block = blockIdx.y * 3 + blockIdx.x;
                  count[block * 64 + threadIdx.x] += 1;
                },
                {.grid_x = 3, .grid_y = 2, .block = 64}),
            "");
  EXPECT_EQ(counts.Read(), std::vector<int32_t>(6 * 64, 1));
}

TEST_F(EngineTest, GlobalAccessBehindTheBufferIsFound) {
  EXPECT_EQ(Faults([&] { global_[threadIdx.x] = 2.0f; }), "");
  EXPECT_THAT(Faults([&] { global_[threadIdx.x + 1] = 2.0f; }),
              AllOf(HasSubstr("SeededKernel"), HasSubstr("thread 63"),
                    HasSubstr("global access out of bounds")));
  EXPECT_THAT(Faults([&] { (void)static_cast<float>(global_[threadIdx.x - 1]); }),
              HasSubstr("out of bounds"));
}

TEST_F(EngineTest, ViewThatNoBufferHoldsIsFound) {
  const Global<float> beyond(numbers_.get(), 65);
  EXPECT_THAT(DeviceFaults(), HasSubstr("260 bytes that no buffer holds"));
}

TEST_F(EngineTest, BufferThatWasGivenBackIsFound) {
  auto gone = std::make_unique<OnDevice<float>>(std::vector<float>(64));
  const Global<float> view(gone->get(), 64);
  gone.reset();
  EXPECT_THAT(Faults([&] { view[threadIdx.x] = 1.0f; }), HasSubstr("given back"));
}

TEST_F(EngineTest, SharedAccessBehindTheArrayOrThePlanIsFound) {
  EXPECT_EQ(Faults([] { Shared<float>(0, 64)[threadIdx.x] = 1.0f; }), "");
  EXPECT_THAT(Faults([] { Shared<float>(0, 63)[threadIdx.x] = 1.0f; }),
              HasSubstr("shared access out of bounds"));
  EXPECT_THAT(Faults([] { Shared<float>(4, 64)[threadIdx.x] = 1.0f; }),
              HasSubstr("shared memory [4, 260) of 256 bytes"));
}

TEST_F(EngineTest, MisalignedAccessIsFound) {
  EXPECT_EQ(Faults([&] { (void)global_.Load<uint4>(16 * (threadIdx.x % 16)); }), "");
  EXPECT_THAT(Faults([&] { (void)global_.Load<uint4>(4 * (threadIdx.x % 8)); }),
              HasSubstr("misaligned access of 16 bytes"));
}

TEST_F(EngineTest, ReadOfUnwrittenMemoryIsFound) {
  EXPECT_THAT(Faults([] { (void)static_cast<float>(Shared<float>(0, 64)[threadIdx.x]); }),
              HasSubstr("shared memory, read of memory that nobody has written"));
  const OnDevice<float> fresh(64);
  const Global<float> view(fresh.get(), 64);
  EXPECT_THAT(Faults([&] { (void)static_cast<float>(view[threadIdx.x]); }),
              HasSubstr("global memory, read of memory that nobody has written"));
  EXPECT_EQ(Faults([&] { view[threadIdx.x] = 1.0f; }), "");
  EXPECT_EQ(Faults([&] { (void)static_cast<float>(view[threadIdx.x]); }), "");
}

TEST_F(EngineTest, SharedMemoryOfTheBlockBeforeIsNotInherited) {
  EXPECT_THAT(Faults(
                  [] {
                    const Shared<float> shared(0, 64);
                    if (blockIdx.x == 0) shared[threadIdx.x] = 1.0f;
                    (void)static_cast<float>(shared[threadIdx.x]);
                  },
                  {.grid_x = 2, .block = 64, .shared_bytes = 256}),
              HasSubstr("nobody has written"));
}

TEST_F(EngineTest, ReadOfANeighboursValueNeedsABarrier) {
  const auto kernel = [](bool barrier, bool warp_sync, uint32_t distance) {
    return [=] {
      const Shared<float> shared(0, 64);
      shared[threadIdx.x] = 0.0f;
      __syncthreads();
      shared[threadIdx.x] = 1.0f;
      if (barrier) __syncthreads();
      if (warp_sync) __syncwarp();
      (void)static_cast<float>(shared[threadIdx.x ^ distance]);
    };
  };
  EXPECT_THAT(Faults(kernel(false, false, 1)), HasSubstr("data race"));
  EXPECT_EQ(Faults(kernel(true, false, 1)), "");
  EXPECT_EQ(Faults(kernel(true, false, 32)), "");
  EXPECT_EQ(Faults(kernel(false, true, 1)), "");
  // A warp's own barrier says nothing about another warp.
  EXPECT_THAT(Faults(kernel(false, true, 32)), HasSubstr("data race"));
}

TEST_F(EngineTest, OverwritingWhatOthersStillReadNeedsABarrier) {
  const auto kernel = [](bool barrier) {
    return [=] {
      const Shared<float> shared(0, 64);
      if (threadIdx.x == 0) shared[0] = 1.0f;
      __syncthreads();
      (void)static_cast<float>(shared[0]);  // by all
      if (barrier) __syncthreads();
      if (threadIdx.x == 63) shared[0] = 2.0f;
    };
  };
  EXPECT_THAT(Faults(kernel(false)), AllOf(HasSubstr("data race"), HasSubstr("then write")));
  EXPECT_EQ(Faults(kernel(true)), "");
}

TEST_F(EngineTest, BlocksThatShareGlobalMemoryRace) {
  const LaunchPlan two = {.grid_x = 2, .block = 64};
  EXPECT_THAT(Faults([&] { global_[threadIdx.x] = 1.0f; }, two),
              AllOf(HasSubstr("data race"), HasSubstr("of another block")));
  EXPECT_THAT(Faults(
                  [&] {
                    if (blockIdx.x == 0) (void)static_cast<float>(global_[0]);
                    if (blockIdx.x == 1 && threadIdx.x == 0) global_[0] = 1.0f;
                  },
                  two),
              HasSubstr("data race"));
  EXPECT_EQ(Faults([&] { (void)static_cast<float>(global_[threadIdx.x]); }, two), "");
}

TEST_F(EngineTest, AtomicsNeedNoOrderAmongThemselves) {
  const OnDevice<int32_t> sum(std::vector<int32_t>(1));
  const Global<int32_t> view(sum.get(), 1);
  EXPECT_EQ(Faults([&] { view.AtomicAdd(0, 1); }, {.grid_x = 3, .block = 64}), "");
  EXPECT_EQ(sum.Read()[0], 192);
  EXPECT_THAT(Faults([&] {
                view.AtomicAdd(0, 1);
                (void)static_cast<int32_t>(view[0]);
              }),
              HasSubstr("data race"));
}

TEST_F(EngineTest, BarrierThatSomeThreadsMissIsFound) {
  EXPECT_THAT(Faults([] {
                if (threadIdx.x < 32) __syncthreads();
              }),
              AllOf(HasSubstr("divergent barrier"), HasSubstr("32 threads at the end"),
                    HasSubstr("32 threads in __syncthreads (engine_test.cc:")));
  const auto two_places = [] {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  };
  EXPECT_THAT(Faults(two_places), HasSubstr("divergent barrier"));
}

TEST_F(EngineTest, WarpOperationThatSomeLanesMissIsFound) {
  EXPECT_THAT(Faults([] {
                if (threadIdx.x % 2 == 0) __shfl_xor_sync(kAllLanes, 1, 2);
              }),
              AllOf(HasSubstr("divergent barrier"), HasSubstr("in __shfl_xor_sync")));
  EXPECT_THAT(Faults([] {
                if (threadIdx.x % 2 == 0) {
                  __shfl_xor_sync(kAllLanes, 1, 2);
                } else {
                  __ballot_sync(kAllLanes, true);
                }
              }),
              HasSubstr("divergent warp"));
  EXPECT_THAT(Faults([] { __shfl_xor_sync(0xffffu, 1, 2); }), HasSubstr("part of the lanes"));
}

TEST_F(EngineTest, ImpossibleLaunchesAreFound) {
  EXPECT_THAT(Faults([] {}, {.block = 48}), HasSubstr("whole warps"));
  EXPECT_THAT(Faults([] {}, {.block = 2048}), HasSubstr("whole warps"));
  EXPECT_THAT(Faults([] {}, {.grid_x = 0, .block = 32}), HasSubstr("0 blocks"));
  EXPECT_THAT(Faults([] {}, {.block = 32, .shared_bytes = 1 << 20}), HasSubstr("shared memory"));
}

TEST_F(EngineTest, AfterAFaultTheNextLaunchStartsClean) {
  EXPECT_NE(Faults([] {
              if (threadIdx.x == 0) return;
              __syncthreads();
            }),
            "");
  EXPECT_EQ(Faults([] { __syncthreads(); }), "");
}

TEST_F(EngineTest, ShufflesAndVotesGiveWhatTheManualSays) {
  const OnDevice<int32_t> out(std::vector<int32_t>(3 * 64));
  const Global<int32_t> view(out.get(), 3 * 64);
  ASSERT_EQ(Faults([&] {
              const int own = static_cast<int>(threadIdx.x);
              view[own] = __shfl_xor_sync(kAllLanes, own, 5);
              view[64 + own] = __shfl_sync(kAllLanes, own, 3);
              view[128 + own] = static_cast<int>(__ballot_sync(kAllLanes, own % 3 == 0));
            }),
            "");
  const auto values = out.Read();
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(values[i], i ^ 5);
    EXPECT_EQ(values[64 + i], i / 32 * 32 + 3);
    uint32_t votes = 0;
    for (int lane = 0; lane < 32; ++lane)
      votes |= ((i / 32 * 32 + lane) % 3 == 0 ? 1u : 0u) << lane;
    EXPECT_EQ(static_cast<uint32_t>(values[128 + i]), votes);
  }
}

// A product of 16 x 32 by 32 x 8 whose operands are spread over the lanes element by element, as
// the manual's figures do it.
TEST_F(EngineTest, TensorCoreProductIsTheMatrixProduct) {
  int8_t a[16][32], b[32][8];
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 32; ++k) a[i][k] = static_cast<int8_t>(i * 37 + k * 11 - 128);
  for (int k = 0; k < 32; ++k)
    for (int j = 0; j < 8; ++j) b[k][j] = static_cast<int8_t>(k * 53 - j * 29);
  const OnDevice<int32_t> wide(std::vector<int32_t>(16 * 8)), narrow(std::vector<int32_t>(16 * 8));
  const Global<int32_t> d32(wide.get(), 16 * 8), d16(narrow.get(), 16 * 8);
  const auto pack = [](auto element) {
    uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word |= uint32_t{static_cast<uint8_t>(element(i))} << (8 * i);
    return word;
  };
  ASSERT_EQ(Faults(
                [&] {
                  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
                  const auto left = [&](int row, int column) {
                    return pack([&](int i) { return a[row][column + i]; });
                  };
                  const auto right = [&](int row) {
                    return pack([&](int i) { return b[row + i][g]; });
                  };
                  const uint32_t fragment_a[4] = {left(g, 4 * t), left(g + 8, 4 * t),
                                                  left(g, 16 + 4 * t), left(g + 8, 16 + 4 * t)};
                  const uint32_t fragment_b[2] = {right(4 * t), right(16 + 4 * t)};
                  int whole[4] = {1, 1, 1, 1}, half[4] = {0, 0, 0, 0};
                  MmaS8K32(whole, fragment_a, fragment_b);
                  MmaS8K16(half, fragment_a[0], fragment_a[1], fragment_b[0]);
                  for (int i = 0; i < 4; ++i) {
                    const int at = (g + i / 2 * 8) * 8 + 2 * t + i % 2;
                    d32[at] = whole[i];
                    d16[at] = half[i];
                  }
                },
                {.block = 32}),
            "");
  const auto whole = wide.Read(), half = narrow.Read();
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      int sum = 0;
      for (int k = 0; k < 32; ++k) {
        sum += a[i][k] * b[k][j];
        if (k == 15) {
          EXPECT_EQ(half[i * 8 + j], sum);
        }
      }
      EXPECT_EQ(whole[i * 8 + j], sum + 1);
    }
  }
}

}  // namespace
}  // namespace vade::kernels::cuda
