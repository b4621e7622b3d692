// Pages, references and the promise that sharing is never visible.
#include "model/kv_pool.h"

#include <gtest/gtest.h>

#include <numeric>

#include "model/cpu_backend.h"

namespace vade {
namespace {

class KvPoolTest : public ::testing::Test {
 protected:
  static AttentionShape Shape() {
    return {.heads = 2,
            .kv_heads = 1,
            .head_dim = 8,
            .rope_dims = 8,
            .kv_type = kernels::KvType::kF32,
            .layers = 2};
  }
  void MakePool(int pages) {
    pool_ = KvPool::Create(&backend_, Shape(), PageBytes(Shape()) * pages + 5).value();
  }
  // Appends tokens at the positions behind the last one; what Begin says when it fails.
  Status Append(PagedSequence* sequence, int count) {
    std::vector<int32_t> positions(count);
    std::iota(positions.begin(), positions.end(), sequence->length());
    ASSIGN_OR_RETURN(auto growth, KvGrowth::Begin(sequence, positions));
    growth->Commit();
    return OkStatus();
  }

  CpuBackend backend_{nullptr};
  std::unique_ptr<KvPool> pool_;
};

TEST_F(KvPoolTest, BudgetIsHardAndWholePages) {
  MakePool(3);
  EXPECT_EQ(pool_->capacity_pages(), 3);
  PagedSequence sequence(pool_.get());
  EXPECT_TRUE(Append(&sequence, 3 * kPageTokens).ok());
  EXPECT_EQ(Append(&sequence, 1).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(sequence.length(), 3 * kPageTokens);
}

TEST_F(KvPoolTest, APageThatNobodyHoldsIsCleared) {
  MakePool(2);
  const uint64_t bytes = PageBytes(Shape());
  auto first = std::make_unique<PagedSequence>(pool_.get());
  ASSERT_TRUE(Append(first.get(), 2 * kPageTokens).ok());
  const std::vector<uint8_t> full(2 * bytes, 0xAB);
  ASSERT_TRUE(backend_.Upload(pool_->buffer(), 0, full).ok());
  const int32_t shared = first->pages()[0], alone = first->pages()[1];
  const auto fork = first->Fork(kPageTokens);
  first.reset();
  std::vector<uint8_t> page(bytes);
  ASSERT_TRUE(backend_.Download(pool_->buffer(), shared * bytes, page).ok());
  EXPECT_EQ(page, std::vector<uint8_t>(bytes, 0xAB));
  ASSERT_TRUE(backend_.Download(pool_->buffer(), alone * bytes, page).ok());
  EXPECT_EQ(page, std::vector<uint8_t>(bytes, 0));
}

TEST_F(KvPoolTest, BudgetBelowOnePageIsRefused) {
  const auto pool = KvPool::Create(&backend_, Shape(), PageBytes(Shape()) - 1);
  EXPECT_EQ(pool.status().code(), StatusCode::kResourceExhausted);
}

TEST_F(KvPoolTest, FailedGrowthTakesNothing) {
  MakePool(2);
  PagedSequence sequence(pool_.get());
  ASSERT_TRUE(Append(&sequence, 5).ok());
  EXPECT_FALSE(Append(&sequence, 3 * kPageTokens).ok());
  EXPECT_EQ(pool_->free_pages(), 1);
  EXPECT_EQ(sequence.length(), 5);
}

TEST_F(KvPoolTest, AbandonedGrowthGivesItsPagesBack) {
  MakePool(4);
  PagedSequence sequence(pool_.get());
  {
    const std::vector<int32_t> positions = {0, 1, 2};
    auto growth = KvGrowth::Begin(&sequence, positions).value();
    EXPECT_EQ(pool_->free_pages(), 3);
    EXPECT_EQ(growth->positions().size(), 3u);
  }
  EXPECT_EQ(pool_->free_pages(), 4);
  EXPECT_EQ(sequence.length(), 0);
}

TEST_F(KvPoolTest, DestroyedSequencesGiveTheirPagesBack) {
  MakePool(4);
  {
    PagedSequence sequence(pool_.get());
    ASSERT_TRUE(Append(&sequence, 100).ok());
    EXPECT_EQ(pool_->free_pages(), 0);
  }
  EXPECT_EQ(pool_->free_pages(), 4);
}

TEST_F(KvPoolTest, ForkSharesPagesUntilOneIsWritten) {
  MakePool(6);
  PagedSequence sequence(pool_.get());
  ASSERT_TRUE(Append(&sequence, 2 * kPageTokens + 3).ok());
  auto fork = sequence.Fork(2 * kPageTokens + 3);
  EXPECT_EQ(pool_->free_pages(), 3);
  ASSERT_TRUE(Append(fork.get(), 1).ok());
  EXPECT_EQ(pool_->free_pages(), 2);
  EXPECT_TRUE(
      std::equal(fork->pages().begin(), fork->pages().begin() + 2, sequence.pages().begin()));
  EXPECT_NE(fork->pages()[2], sequence.pages()[2]);
}

TEST_F(KvPoolTest, GrowthNamesThePageToCopy) {
  MakePool(6);
  PagedSequence sequence(pool_.get());
  ASSERT_TRUE(Append(&sequence, 40).ok());
  auto fork = sequence.Fork(33);
  const std::vector<int32_t> positions = {33};
  {
    auto growth = KvGrowth::Begin(fork.get(), positions).value();
    EXPECT_EQ(growth->copy().first, sequence.pages()[1]);
    EXPECT_EQ(growth->copy().second, growth->pages()[1]);
    EXPECT_EQ(growth->SlotOf(33).page, growth->pages()[1]);
    EXPECT_EQ(growth->SlotOf(33).slot, 1);
  }
  fork->Truncate(32);  // a whole page: nothing to copy
  auto growth = KvGrowth::Begin(fork.get(), positions).value();
  EXPECT_EQ(growth->copy().first, -1);
}

TEST_F(KvPoolTest, LastHolderWritesWithoutACopy) {
  MakePool(6);
  auto sequence = std::make_unique<PagedSequence>(pool_.get());
  ASSERT_TRUE(Append(sequence.get(), 10).ok());
  auto fork = sequence->Fork(7);
  sequence.reset();
  ASSERT_TRUE(Append(fork.get(), 1).ok());
  EXPECT_EQ(pool_->free_pages(), 5);
}

TEST_F(KvPoolTest, TruncateReleasesPagesBehind) {
  MakePool(6);
  PagedSequence sequence(pool_.get());
  ASSERT_TRUE(Append(&sequence, 5 * kPageTokens).ok());
  sequence.Truncate(kPageTokens + 1);
  EXPECT_EQ(pool_->free_pages(), 4);
  EXPECT_EQ(sequence.length(), kPageTokens + 1);
  sequence.Truncate(0);
  EXPECT_EQ(pool_->free_pages(), 6);
}

TEST_F(KvPoolTest, ForkOfNothingIsEmpty) {
  MakePool(1);
  PagedSequence sequence(pool_.get());
  ASSERT_TRUE(Append(&sequence, 4).ok());
  auto fork = sequence.Fork(0);
  EXPECT_EQ(fork->length(), 0);
  EXPECT_TRUE(fork->pages().empty());
}

}  // namespace
}  // namespace vade
