// Keys and values of all sequences of a decoder: pages of kPageTokens tokens (all layers) in one
// buffer of the backend, counted references, a hard budget.
//
// A PagedSequence is a page table and the position of each of its tokens. Copies share pages; a
// page that somebody else also holds is copied before it is written (copy on write), so sharing is
// never visible. The pool is thread-safe; a sequence is not. Sequences must not outlive their pool.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/backend.h"
#include "model/decoder.h"

namespace vade {

class KvPool {
 public:
  // The budget must hold at least one page. The backend outlives the pool.
  static Result<std::unique_ptr<KvPool>> Create(Backend* backend, const AttentionShape& shape,
                                                uint64_t budget_bytes);
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  // `count` pages that the caller alone holds, or none and RESOURCE_EXHAUSTED.
  Result<std::vector<int32_t>> Acquire(int count);
  void Retain(std::span<const int32_t> pages);
  // A page that nobody holds any more is overwritten before it can be had again: what was read of a
  // document that is gone does not stay in memory. (Writing a page costs a hundredth of reading its
  // tokens, or less.)
  void Release(std::span<const int32_t> pages);
  bool IsShared(int32_t page) const;  // held more than once

  int capacity_pages() const { return static_cast<int>(references_.size()); }
  int free_pages() const;
  BufferHandle buffer() const { return buffer_; }
  const AttentionShape& shape() const { return shape_; }

 private:
  KvPool(Backend* backend, const AttentionShape& shape, BufferHandle buffer, int pages);

  Backend* backend_;
  AttentionShape shape_;
  BufferHandle buffer_;
  mutable std::mutex mutex_;
  std::vector<int32_t> references_;  // by page
  std::vector<int32_t> free_;        // a stack, the lowest page on top at first
};

class PagedSequence final : public Sequence {
 public:
  explicit PagedSequence(KvPool* pool) : pool_(pool) {}
  ~PagedSequence() override;
  PagedSequence(const PagedSequence&) = delete;
  PagedSequence& operator=(const PagedSequence&) = delete;

  int length() const override { return static_cast<int>(positions_.size()); }
  std::span<const int32_t> pages() const { return pages_; }
  std::span<const int32_t> positions() const { return positions_; }
  const KvPool* pool() const { return pool_; }
  KvSlot SlotOf(int index) const { return {pages_[index / kPageTokens], index % kPageTokens}; }

  // The first `length` tokens as a sequence of their own; needs no page until one of both is
  // written.
  std::unique_ptr<PagedSequence> Fork(int length) const;
  void Truncate(int length);

 private:
  friend class KvGrowth;
  KvPool* pool_;
  std::vector<int32_t> pages_;
  std::vector<int32_t> positions_;
};

// Tokens about to be appended to one sequence. Until Commit() the sequence is as it was; destroying
// the growth before gives the new pages back.
class KvGrowth {
 public:
  // Acquires the pages that are missing. RESOURCE_EXHAUSTED leaves everything as it was.
  static Result<std::unique_ptr<KvGrowth>> Begin(PagedSequence* sequence,
                                                 std::span<const int32_t> positions);
  ~KvGrowth();
  KvGrowth(const KvGrowth&) = delete;
  KvGrowth& operator=(const KvGrowth&) = delete;

  // The page to copy before anything is written, {from, to}; from is -1 when there is none.
  std::pair<int32_t, int32_t> copy() const { return copy_; }
  // The table and the positions as they will be.
  std::span<const int32_t> pages() const { return pages_; }
  std::span<const int32_t> positions() const { return positions_; }
  KvSlot SlotOf(int index) const;  // of the token at `index` of the grown sequence

  void Commit();

 private:
  KvGrowth(PagedSequence* sequence, std::span<const int32_t> positions);

  PagedSequence* sequence_;  // null once committed
  std::pair<int32_t, int32_t> copy_{-1, -1};
  std::vector<int32_t> pages_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> acquired_;
};

}  // namespace vade
