// Copies to the device through a ring of buffers: the plan of every size, and that nothing waits
// for longer than its own buffer is busy. Over the fake device alone, which finds buffers that are
// filled too early and work that comes too early.
#include "model/cuda_uploads.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "tests/testing/cuda/engine.h"
#include "tests/testing/cuda/fake_device.h"

namespace vade {
namespace {

namespace cuda = kernels::cuda;
using testing::FakeDevice;

std::string Faults() { return emulation::Engine::Get().TakeFaults(); }

// Every byte goes once, in order; a slot is filled from the front and without overlap, and the next
// one is begun, from 0, only when it is full.
TEST(UploadPlan, CoversEverySizeFromEveryPlace) {
  const UploadRing ring = {.slots = 3, .slot_bytes = 1024};
  for (uint64_t used = 0; used <= ring.slot_bytes; used += kUploadAlignment) {
    for (uint64_t bytes = 0; bytes <= 4200; ++bytes) {
      UploadPlace place = {.slot = 2, .used = used}, at = place;
      uint64_t done = 0;
      for (const UploadPiece& piece : PlanUpload(ring, bytes, &place)) {
        if (at.used == ring.slot_bytes) at = {(at.slot + 1) % ring.slots, 0};
        ASSERT_EQ(piece.begin, done);
        ASSERT_EQ(piece.slot, at.slot);
        ASSERT_EQ(piece.at, at.used);
        ASSERT_GT(piece.bytes, 0u);
        ASSERT_LE(piece.at + piece.bytes, ring.slot_bytes);
        done += piece.bytes;
        at.used =
            (piece.at + piece.bytes + kUploadAlignment - 1) / kUploadAlignment * kUploadAlignment;
      }
      ASSERT_EQ(done, bytes) << "from " << used;
      ASSERT_EQ(place.slot, at.slot);
      ASSERT_EQ(place.used, at.used);
    }
  }
}

class CudaUploadsTest : public ::testing::Test {
 protected:
  static constexpr UploadRing kRing = {.slots = 3, .slot_bytes = 1024};
  static constexpr size_t kBytes = 16 << 10;

  void SetUp() override {
    ASSERT_EQ(Faults(), "");
    at_ = *device_.Allocate(kBytes);
    back_ = *device_.AllocateHost(kBytes);
    uploads_.emplace(&device_, kRing);
  }
  void TearDown() override {
    ASSERT_TRUE(device_.Synchronize().ok());
    uploads_.reset();
    EXPECT_EQ(device_.host_bytes(), kBytes) << "but for this test's own";
    device_.FreeHost(back_);
    device_.Free(at_);
    EXPECT_EQ(Faults(), "");
  }
  // Copies bytes that nobody has had before and forgets them at once, as callers may.
  std::vector<uint8_t> Copy(uint64_t offset, size_t count) {
    std::vector<uint8_t> bytes(count);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(next_++ * 167 >> 3);
    std::vector<uint8_t> lent = bytes;
    EXPECT_TRUE(uploads_->Copy(at_ + offset, lent).ok());
    std::fill(lent.begin(), lent.end(), 0);
    return bytes;
  }
  std::vector<uint8_t> Read(uint64_t offset, size_t count) {
    device_.CopyOut(back_, at_ + offset, count);
    EXPECT_TRUE(device_.Synchronize().ok());
    return {back_, back_ + count};
  }

  FakeDevice device_{1 << 20};
  std::optional<CudaUploads> uploads_;
  uint8_t *at_ = nullptr, *back_ = nullptr;
  uint64_t next_ = 1;
};

TEST_F(CudaUploadsTest, SizesOfAllKindsArriveWhole) {
  for (size_t count : {0, 1, 255, 256, 257, 1023, 1024, 1025, 3071, 3072, 3073, 9000, 16384}) {
    const auto bytes = Copy(0, count);
    EXPECT_EQ(Read(0, count), bytes) << count;
  }
}

TEST_F(CudaUploadsTest, WorkBeforeSeesWhatWasThereAndWorkBehindWhatCame) {
  const auto before = Copy(0, 2000);
  device_.CopyWithin(at_ + 8192, at_, 2000);
  const auto after = Copy(0, 2000);
  device_.CopyWithin(at_ + 12288, at_, 2000);
  EXPECT_EQ(Read(8192, 2000), before);
  EXPECT_EQ(Read(12288, 2000), after);
}

// The fake device ends an upload when somebody waits for it and not sooner.
TEST_F(CudaUploadsTest, OnlyABufferThatIsNeededAgainIsWaitedFor) {
  const auto first = Copy(0, 3072);
  EXPECT_EQ(device_.uploads_ended(), 0u) << "all buffers are on their way at once";
  const auto second = Copy(3072, 1);
  EXPECT_EQ(device_.uploads_ended(), 1u);
  const auto third = Copy(3328, 256);
  EXPECT_EQ(device_.uploads_ended(), 1u) << "small ones share a buffer";
  EXPECT_EQ(Read(0, 3072), first);
  EXPECT_EQ(Read(3072, 1), second);
  EXPECT_EQ(Read(3328, 256), third);
}

TEST_F(CudaUploadsTest, TheBuffersAreTakenOnceAndGivenBackOnRelease) {
  for (int i = 0; i < 50; ++i) Copy(0, 5000);
  EXPECT_EQ(device_.host_bytes(), kBytes + 3 * 1024);
  ASSERT_TRUE(device_.Synchronize().ok());
  uploads_->Release();
  EXPECT_EQ(device_.host_bytes(), kBytes);
  const auto again = Copy(100, 700);
  EXPECT_EQ(Read(100, 700), again);
}

}  // namespace
}  // namespace vade
