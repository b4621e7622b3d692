// The fake device finds what it is there to find, and the arena keeps to its budget.
#include "tests/testing/cuda/fake_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "kernels/cuda/arena.h"
#include "kernels/cuda/launch.cuh"
#include "tests/testing/cuda/engine.h"

namespace vade::kernels::cuda {
namespace {

using ::testing::HasSubstr;
using vade::testing::FakeDevice;

std::string Faults() { return emulation::Engine::Get().TakeFaults(); }

// Memory for copies.
class HostBytes {
 public:
  HostBytes(Device& device, size_t count, uint8_t value = 0)
      : device_(device), at_(*device.AllocateHost(count)), bytes_(at_, count) {
    std::fill(bytes_.begin(), bytes_.end(), value);
  }
  ~HostBytes() { device_.FreeHost(at_); }
  HostBytes(const HostBytes&) = delete;
  HostBytes& operator=(const HostBytes&) = delete;
  uint8_t* data() { return at_; }
  uint8_t& operator[](size_t i) { return bytes_[i]; }
  std::span<uint8_t> bytes() { return bytes_; }

 private:
  Device& device_;
  uint8_t* at_;
  std::span<uint8_t> bytes_;
};

class FakeDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(Faults(), ""); }
  std::vector<uint8_t> Read(const uint8_t* at, size_t bytes) {
    HostBytes out(*device_, bytes);
    device_->CopyOut(out.data(), at, bytes);
    EXPECT_TRUE(device_->Synchronize().ok());
    return {out.bytes().begin(), out.bytes().end()};
  }
  void Write(uint8_t* at, const std::vector<uint8_t>& bytes) {
    HostBytes in(*device_, bytes.size());
    std::copy(bytes.begin(), bytes.end(), in.data());
    device_->CopyIn(at, in.data(), bytes.size());
    EXPECT_TRUE(device_->Synchronize().ok());
  }
  std::unique_ptr<FakeDevice> device_ = std::make_unique<FakeDevice>(1 << 20);
};

TEST_F(FakeDeviceTest, WorkIsDoneWhenItIsWaitedForAndInOrder) {
  uint8_t* at = *device_->Allocate(64);
  HostBytes in(*device_, 64, 5), out(*device_, 64, 1);
  device_->CopyIn(at, in.data(), 64);
  device_->Clear(at + 32, 32);
  device_->CopyOut(out.data(), at, 64);
  EXPECT_NE(out[0], 5) << "before anybody waits";
  ASSERT_TRUE(device_->Synchronize().ok());
  EXPECT_EQ(out[0], 5);
  EXPECT_EQ(out[63], 0);
  device_->Free(at);
  EXPECT_EQ(Faults(), "");
}

TEST_F(FakeDeviceTest, HostMemoryThatChangesTooEarlyIsFound) {
  uint8_t* at = *device_->Allocate(64);
  HostBytes in(*device_, 64, 5);
  device_->CopyIn(at, in.data(), 64);
  in[3] = 6;
  ASSERT_TRUE(device_->Synchronize().ok());
  device_->Free(at);
  EXPECT_THAT(Faults(), HasSubstr("changed before it was copied"));
}

TEST_F(FakeDeviceTest, LifetimesAreChecked) {
  uint8_t* at = *device_->Allocate(64);
  device_->Clear(at, 64);
  device_->Free(at);
  EXPECT_THAT(Faults(), HasSubstr("while work is queued"));
  device_ = std::make_unique<FakeDevice>(1 << 20);
  Faults();
  at = *device_->Allocate(64);
  device_->Free(at);
  device_->Free(at);
  EXPECT_THAT(Faults(), HasSubstr("not out"));
  (void)device_->Allocate(64);
  device_.reset();
  EXPECT_THAT(Faults(), HasSubstr("leak: 64 bytes"));
}

TEST_F(FakeDeviceTest, CopiesBeyondABufferAndOfUnwrittenMemoryAreFound) {
  uint8_t* at = *device_->Allocate(64);
  HostBytes host(*device_, 128);
  device_->CopyIn(at, host.data(), 65);
  EXPECT_THAT(Faults(), HasSubstr("copy in of 65 bytes that no buffer holds"));
  device_->CopyOut(host.data(), at, 64);
  ASSERT_TRUE(device_->Synchronize().ok());
  EXPECT_THAT(Faults(), HasSubstr("nobody has written"));
  device_->Free(at);
}

TEST_F(FakeDeviceTest, CopiesFromAndToOtherMemoryOfTheHostAreFound) {
  uint8_t* at = *device_->Allocate(64);
  std::vector<uint8_t> pageable(64);
  device_->CopyIn(at, pageable.data(), 64);
  EXPECT_THAT(Faults(), HasSubstr("copy in of 64 bytes of the host that no buffer"));
  device_->CopyOut(pageable.data(), at, 64);
  EXPECT_THAT(Faults(), HasSubstr("copy out of 64 bytes of the host that no buffer"));
  device_->Upload(at, pageable.data(), 64);
  EXPECT_THAT(Faults(), HasSubstr("upload of 64 bytes of the host that no buffer"));
  HostBytes pinned(*device_, 63);
  device_->CopyIn(at, pinned.data(), 64);
  EXPECT_THAT(Faults(), HasSubstr("no buffer for copies holds"));
  ASSERT_TRUE(device_->Synchronize().ok());
  device_->Free(at);
}

class UploadTest : public FakeDeviceTest {
 protected:
  void SetUp() override {
    FakeDeviceTest::SetUp();
    at_ = *device_->Allocate(64);
    other_ = *device_->Allocate(64);
    event_ = *device_->NewEvent();
    Write(at_, std::vector<uint8_t>(64, 1));
    Write(other_, std::vector<uint8_t>(64, 2));
  }
  void TearDown() override {
    ASSERT_TRUE(device_->Synchronize().ok());
    host_.reset();
    device_->FreeEvent(event_);
    device_->Free(at_);
    device_->Free(other_);
    device_.reset();
    EXPECT_EQ(Faults(), "");
  }
  // 64 times 7 on the way to `at_`.
  void Upload() {
    if (!host_) host_ = std::make_unique<HostBytes>(*device_, 64, 7);
    device_->Upload(at_, host_->data(), 64);
  }
  uint8_t *at_ = nullptr, *other_ = nullptr;
  Event event_;
  std::unique_ptr<HostBytes> host_;
};

TEST_F(UploadTest, WorkThatWaitsForItsEventFindsIt) {
  device_->CopyWithin(other_, at_, 64);  // still sees what was there
  device_->Record(event_, Queue::kWork);
  device_->LetWait(Queue::kUploads, event_);
  Upload();
  device_->Record(event_, Queue::kUploads);
  device_->LetWait(Queue::kWork, event_);
  EXPECT_EQ(Read(other_, 64), std::vector<uint8_t>(64, 1));
  EXPECT_EQ(Read(at_, 64), std::vector<uint8_t>(64, 7));
  EXPECT_EQ(Faults(), "");
}

TEST_F(UploadTest, TheHostMayWaitForIt) {
  Upload();
  device_->Record(event_, Queue::kUploads);
  EXPECT_EQ(device_->uploads_ended(), 0u);
  ASSERT_TRUE(device_->WaitFor(event_).ok());
  EXPECT_EQ(device_->uploads_ended(), 1u);
  (*host_)[0] = 9;  // free again
  EXPECT_EQ(Read(at_, 64), std::vector<uint8_t>(64, 7));
  EXPECT_EQ(Faults(), "");
}

TEST_F(UploadTest, AStagingBufferThatIsFilledAgainTooEarlyIsFound) {
  Upload();
  device_->Record(event_, Queue::kUploads);
  (*host_)[5] = 8;
  ASSERT_TRUE(device_->WaitFor(event_).ok());
  EXPECT_THAT(Faults(), HasSubstr("changed before it was uploaded"));
}

TEST_F(UploadTest, WorkThatDoesNotWaitForItsEventIsFound) {
  Upload();
  device_->Record(event_, Queue::kUploads);  // and nobody waits
  device_->CopyWithin(other_, at_, 64);
  ASSERT_TRUE(device_->Synchronize().ok());
  EXPECT_THAT(Faults(), HasSubstr("copy of memory that nobody has written"));
}

TEST_F(UploadTest, AnUploadOverMemoryThatWorkStillReadsIsFound) {
  device_->CopyWithin(other_, at_, 64);
  Upload();  // does not wait for the copy
  ASSERT_TRUE(device_->Synchronize().ok());
  EXPECT_THAT(Faults(), HasSubstr("copy of memory that nobody has written"));
}

TEST_F(UploadTest, WorkThatWritesWhereAnUploadGoesIsFound) {
  Upload();
  device_->Clear(at_ + 32, 1);
  ASSERT_TRUE(device_->Synchronize().ok());
  EXPECT_THAT(Faults(), HasSubstr("written that an upload is on its way to"));
}

TEST_F(UploadTest, LifetimesOfEventsAndOfTheirBuffersAreChecked) {
  device_->LetWait(Queue::kWork, event_);
  EXPECT_THAT(Faults(), HasSubstr("never recorded"));
  (void)device_->WaitFor(event_);
  EXPECT_THAT(Faults(), HasSubstr("never recorded"));
  Upload();
  host_.reset();
  EXPECT_THAT(Faults(), HasSubstr("host memory is given back while work is queued"));
  uint8_t* more = *device_->Allocate(64);
  Upload();
  device_->Free(more);
  EXPECT_THAT(Faults(), HasSubstr("memory is given back while work is queued"));
}

TEST_F(FakeDeviceTest, EventsAndHostMemoryThatStayAreLeaks) {
  const Event event = *device_->NewEvent();
  device_->FreeEvent(event);
  device_->Record(event, Queue::kWork);
  EXPECT_THAT(Faults(), HasSubstr("recorded that is not there"));
  device_->FreeEvent(event);
  EXPECT_THAT(Faults(), HasSubstr("given back that is not there"));
  (void)device_->NewEvent();
  (void)device_->AllocateHost(48);
  device_.reset();
  EXPECT_THAT(Faults(), ::testing::AllOf(HasSubstr("leak: 1 events"),
                                         HasSubstr("leak: 48 bytes of the host")));
}

class GraphTest : public FakeDeviceTest {
 protected:
  // Zeros over the piece, recorded.
  Graph RecordClear(uint8_t* at, uint64_t bytes) {
    EXPECT_TRUE(device_->BeginCapture().ok());
    device_->Clear(at, bytes);
    return *device_->EndCapture();
  }
};

TEST_F(GraphTest, RecordedWorkIsDoneAtEachLaunchAndNotBefore) {
  uint8_t* at = *device_->Allocate(4);
  Write(at, {1, 2, 3, 4});
  const Graph graph = RecordClear(at + 1, 2);
  EXPECT_THAT(Read(at, 4), ::testing::ElementsAre(1, 2, 3, 4));
  device_->Launch(graph);
  EXPECT_THAT(Read(at, 4), ::testing::ElementsAre(1, 0, 0, 4));
  Write(at, {5, 6, 7, 8});
  device_->Launch(graph);
  EXPECT_THAT(Read(at, 4), ::testing::ElementsAre(5, 0, 0, 8));
  device_->FreeGraph(graph);
  device_->Free(at);
  EXPECT_EQ(Faults(), "");
}

TEST_F(GraphTest, WhatNoGraphCanHoldIsFoundWhileItIsRecorded) {
  uint8_t* at = *device_->Allocate(64);
  HostBytes host(*device_, 64);
  ASSERT_TRUE(device_->BeginCapture().ok());
  device_->CopyIn(at, host.data(), 64);
  EXPECT_THAT(Faults(), HasSubstr("host memory is copied while a graph is recorded"));
  device_->CopyOut(host.data(), at, 64);
  EXPECT_THAT(Faults(), HasSubstr("copied to the host while a graph is recorded"));
  device_->Upload(at, host.data(), 64);
  EXPECT_THAT(Faults(), HasSubstr("host memory is copied while a graph is recorded"));
  (void)device_->Synchronize();
  EXPECT_THAT(Faults(), HasSubstr("waited for while a graph is recorded"));
  uint8_t* other = *device_->Allocate(64);
  EXPECT_THAT(Faults(), HasSubstr("allocated while a graph is recorded"));
  EXPECT_FALSE(device_->BeginCapture().ok());
  device_->FreeGraph(*device_->EndCapture());
  EXPECT_FALSE(device_->EndCapture().ok());
  device_->Free(other);
  device_->Free(at);
  EXPECT_EQ(Faults(), "");
}

TEST_F(GraphTest, AGraphOutlivesNoneOfItsMemory) {
  uint8_t* at = *device_->Allocate(64);
  const Graph graph = RecordClear(at, 64);
  device_->Free(at);
  device_->Launch(graph);
  EXPECT_THAT(Faults(), HasSubstr("launched whose memory was given back"));
  device_->FreeGraph(graph);

  device_ = std::make_unique<FakeDevice>(4 << 20);
  Arena arena(device_.get(), 1 << 20);
  uint8_t* piece = *arena.Allocate(64, "a piece");
  const Graph of_piece = RecordClear(piece, 64);
  arena.Free(piece);
  piece = *arena.Allocate(64, "the same memory");
  device_->Launch(of_piece);
  EXPECT_THAT(Faults(), HasSubstr("launched whose memory was given back"));
  Read(piece, 64);
  EXPECT_THAT(Faults(), HasSubstr("nobody has written")) << "what an arena got back is gone";
  device_->FreeGraph(of_piece);
}

TEST_F(GraphTest, LifetimesOfGraphsAreChecked) {
  uint8_t* at = *device_->Allocate(64);
  Graph graph = RecordClear(at, 64);
  device_->Launch(graph);
  device_->FreeGraph(graph);
  EXPECT_THAT(Faults(), HasSubstr("a graph is given back while work is queued"));
  ASSERT_TRUE(device_->Synchronize().ok());
  device_->FreeGraph(graph);
  EXPECT_THAT(Faults(), HasSubstr("given back that is not there"));
  device_->Launch(graph);
  EXPECT_THAT(Faults(), HasSubstr("launched that is not there"));
  (void)RecordClear(at, 64);
  device_->Free(at);
  device_.reset();
  EXPECT_THAT(Faults(), HasSubstr("leak: 1 graphs"));
}

TEST_F(FakeDeviceTest, FullDeviceRefuses) {
  EXPECT_EQ(device_->Allocate((1 << 20) + 1).status().code(), StatusCode::kResourceExhausted);
}

class ArenaTest : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(Faults(), ""); }
  FakeDevice device_{200ull << 20};
};

TEST_F(ArenaTest, PiecesAreAlignedApartAndUsedAgain) {
  Arena arena(&device_, 100 << 20);
  uint8_t* a = *arena.Allocate(100, "a");
  uint8_t* b = *arena.Allocate(300, "b");
  uint8_t* c = *arena.Allocate(1, "c");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % Arena::kAlignment, 0u);
  EXPECT_EQ(b - a, 256);
  EXPECT_EQ(c - b, 512);
  EXPECT_EQ(arena.used_bytes(), 1024u);
  arena.Free(a);
  arena.Free(b);  // joined with a
  EXPECT_EQ(*arena.Allocate(700, "d"), a);
}

TEST_F(ArenaTest, BudgetHoldsAndItsErrorSaysWhatHelps) {
  Arena arena(&device_, 100 << 20);
  ASSERT_TRUE(arena.Allocate(60 << 20, "weights").ok());
  const auto more = arena.Allocate(50 << 20, "keys and values");
  ASSERT_EQ(more.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(more.status().message(), HasSubstr("keys and values"));
  EXPECT_THAT(more.status().message(), HasSubstr("model.gpu_bytes"));
  EXPECT_LE(arena.taken_bytes(), arena.budget_bytes());
  EXPECT_TRUE(arena.Allocate(30 << 20, "less").ok());
  EXPECT_FALSE(arena.Allocate(0, "nothing").ok());
}

TEST_F(ArenaTest, FullDeviceIsSaidWithWhatItWasFor) {
  Arena arena(&device_, 1ull << 40);
  const auto piece = arena.Allocate(300ull << 20, "a weight matrix");
  ASSERT_EQ(piece.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(piece.status().message(), HasSubstr("a weight matrix: the emulated device is full"));
}

TEST_F(ArenaTest, ManyRandomPiecesNeverOverlapAndAllComeBack) {
  Arena arena(&device_, 150ull << 20);
  std::mt19937 random(3);
  std::map<uint8_t*, uint64_t> out;
  for (int i = 0; i < 4000; ++i) {
    if (out.size() > 40 || (!out.empty() && random() % 3 == 0)) {
      auto piece = std::next(out.begin(), static_cast<long>(random() % out.size()));
      arena.Free(piece->first);
      out.erase(piece);
      continue;
    }
    const uint64_t bytes = 1 + random() % (3 << 20);
    const auto at = arena.Allocate(bytes, "a piece");
    ASSERT_TRUE(at.ok()) << at.status().message();
    const auto next = out.lower_bound(*at);
    ASSERT_TRUE(next == out.end() || *at + bytes <= next->first);
    ASSERT_TRUE(next == out.begin() || std::prev(next)->first + std::prev(next)->second <= *at);
    out[*at] = bytes;
  }
  for (const auto& [at, bytes] : out) arena.Free(at);
  EXPECT_EQ(arena.used_bytes(), 0u);
  const uint64_t taken = arena.taken_bytes();
  ASSERT_TRUE(arena.Allocate(Arena::kChunkBytes, "a whole chunk again").ok());
  EXPECT_EQ(arena.taken_bytes(), taken) << "everything was joined";
}

}  // namespace
}  // namespace vade::kernels::cuda
