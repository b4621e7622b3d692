// A store whose segments the GPU's scanner searches, over the emulated kernels: its answers are
// those of an exact search on the processor.
#include "model/cuda_scanner.h"
#include "tests/index/device_search.h"
#include "tests/testing/cuda/memory.h"

namespace vade {
namespace {

class CudaSearch : public DeviceSearch {
 protected:
  void SetUp() override {
    if (const auto why = testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
    DeviceSearch::SetUp();
    ASSERT_EQ(testing::DeviceFaults(), "");
    scanner_ = CudaScanner::Create(testing::NewDevice().value(), 64ull << 20).value();
    CreateOn(scanner_);
  }
  void TearDown() override {
    store_.reset();
    scanner_.reset();
    options_.scanner.reset();
    EXPECT_EQ(testing::DeviceFaults(), "");
  }
  std::shared_ptr<CudaScanner> scanner_;
};

TEST_F(CudaSearch, ThousandsOfRowsAreFoundAsOnTheProcessor) {
  PutDocuments(0, 60);
  Seal();
  EXPECT_EQ(Delete({"d1", "d12", "d25", "d40"}), 4u);
  PutDocuments(60, 3);  // in the tail
  ExpectTheProcessorsAnswers();
  EXPECT_GT(scanner_->used_bytes(), 0u);
}

TEST_F(CudaSearch, WhatIsPutAndDeletedAfterwardsIsFollowed) {
  PutDocuments(0, 20);
  Seal();
  const auto before = Answers();
  EXPECT_EQ(Delete({"d3", "d4"}), 2u);
  const auto after = Answers();
  EXPECT_NE(before, after);
  for (const std::string& line : after) {
    EXPECT_TRUE(line.substr(0, 3) != "d3." && line.substr(0, 3) != "d4.") << line;
  }
  PutDocuments(20, 20);
  Seal();
  ExpectTheProcessorsAnswers();
}

}  // namespace
}  // namespace vade
