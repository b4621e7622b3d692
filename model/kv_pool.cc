#include "model/kv_pool.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace vade {

Result<std::unique_ptr<KvPool>> KvPool::Create(Backend* backend, const AttentionShape& shape,
                                               uint64_t budget_bytes) {
  const uint64_t page_bytes = PageBytes(shape);
  const uint64_t pages = std::min<uint64_t>(budget_bytes / page_bytes, 1u << 24);
  if (pages == 0) {
    return ResourceExhausted(StrCat("key/value budget of ", budget_bytes,
                                    " bytes does not hold one page of ", page_bytes,
                                    " bytes; raise the budget"));
  }
  ASSIGN_OR_RETURN(BufferHandle buffer, backend->NewBuffer(pages * page_bytes));
  return std::unique_ptr<KvPool>(new KvPool(backend, shape, buffer, static_cast<int>(pages)));
}

KvPool::KvPool(Backend* backend, const AttentionShape& shape, BufferHandle buffer, int pages)
    : backend_(backend), shape_(shape), buffer_(buffer), references_(pages, 0), free_(pages) {
  for (int i = 0; i < pages; ++i) free_[i] = pages - 1 - i;
}

KvPool::~KvPool() { backend_->FreeBuffer(buffer_); }

Result<std::vector<int32_t>> KvPool::Acquire(int count) {
  std::lock_guard lock(mutex_);
  if (static_cast<size_t>(count) > free_.size()) {
    return ResourceExhausted(StrCat("the key/value cache is full: ", count, " more pages wanted, ",
                                    free_.size(), " of ", references_.size(),
                                    " free; end some sequences or raise the budget"));
  }
  std::vector<int32_t> pages(free_.rbegin(), free_.rbegin() + count);
  free_.resize(free_.size() - count);
  for (int32_t page : pages) references_[page] = 1;
  return pages;
}

void KvPool::Retain(std::span<const int32_t> pages) {
  std::lock_guard lock(mutex_);
  for (int32_t page : pages) ++references_[page];
}

void KvPool::Release(std::span<const int32_t> pages) {
  std::vector<int32_t> unheld;
  {
    std::lock_guard lock(mutex_);
    for (int32_t page : pages) {
      VADE_CHECK(references_[page] > 0, "a page is given back once for each reference");
      if (--references_[page] == 0) unheld.push_back(page);
    }
  }
  if (unheld.empty()) return;
  const Status cleared = backend_->ClearPages(shape_, buffer_, unheld);
  if (!cleared.ok()) LogError("a page of keys and values was not cleared: " + cleared.message());
  std::lock_guard lock(mutex_);
  free_.insert(free_.end(), unheld.begin(), unheld.end());
}

bool KvPool::IsShared(int32_t page) const {
  std::lock_guard lock(mutex_);
  return references_[page] > 1;
}

int KvPool::free_pages() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(free_.size());
}

PagedSequence::~PagedSequence() { pool_->Release(pages_); }

namespace {
size_t PagesFor(size_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }
}  // namespace

std::unique_ptr<PagedSequence> PagedSequence::Fork(int length) const {
  auto fork = std::make_unique<PagedSequence>(pool_);
  fork->pages_.assign(pages_.begin(), pages_.begin() + PagesFor(length));
  fork->positions_.assign(positions_.begin(), positions_.begin() + length);
  pool_->Retain(fork->pages_);
  return fork;
}

void PagedSequence::Truncate(int length) {
  const size_t keep = PagesFor(length);
  pool_->Release(std::span(pages_).subspan(keep));
  pages_.resize(keep);
  positions_.resize(length);
}

KvGrowth::KvGrowth(PagedSequence* sequence, std::span<const int32_t> positions)
    : sequence_(sequence), pages_(sequence->pages_), positions_(sequence->positions_) {
  positions_.insert(positions_.end(), positions.begin(), positions.end());
}

Result<std::unique_ptr<KvGrowth>> KvGrowth::Begin(PagedSequence* sequence,
                                                  std::span<const int32_t> positions) {
  std::unique_ptr<KvGrowth> growth(new KvGrowth(sequence, positions));
  const bool partial = sequence->length() % kPageTokens != 0;
  const bool copy = partial && sequence->pool_->IsShared(growth->pages_.back());
  const size_t missing =
      PagesFor(growth->positions_.size()) - growth->pages_.size() + (copy ? 1 : 0);
  ASSIGN_OR_RETURN(growth->acquired_, sequence->pool_->Acquire(static_cast<int>(missing)));
  auto next = growth->acquired_.begin();
  if (copy) {
    growth->copy_ = {growth->pages_.back(), *next};
    growth->pages_.back() = *next++;
  }
  growth->pages_.insert(growth->pages_.end(), next, growth->acquired_.end());
  return growth;
}

KvGrowth::~KvGrowth() {
  if (sequence_) sequence_->pool_->Release(acquired_);
}

KvSlot KvGrowth::SlotOf(int index) const {
  return {pages_[index / kPageTokens], index % kPageTokens};
}

void KvGrowth::Commit() {
  if (copy_.first >= 0) sequence_->pool_->Release({&copy_.first, 1});
  sequence_->pages_ = std::move(pages_);
  sequence_->positions_ = std::move(positions_);
  sequence_ = nullptr;
}

}  // namespace vade
