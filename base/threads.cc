#include "base/threads.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <thread>
#include <vector>

namespace vade {
namespace {

// A loop of a decoder step follows the last one within microseconds: waiting this long before
// sleeping saves the system calls of a wake-up, and no more than this is ever spent on waiting.
constexpr std::chrono::microseconds kPause{20};

// Loops that run at once. Further callers do their whole loop alone, which is always correct.
constexpr size_t kSlots = 16;

using Word = std::atomic<uint32_t>;
static_assert(sizeof(Word) == 4 && Word::is_always_lock_free, "a futex is a plain 32-bit word");

void FutexWait(Word& word, uint32_t expected) {  // may return early: callers check again
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void FutexWake(Word& word, int threads) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

void CpuPause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until done() or until `limit` has passed; says which.
template <typename Done>
bool PauseUntil(std::chrono::nanoseconds limit, Done done) {
  if (limit.count() == 0) return done();
  const auto end = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      CpuPause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

// One loop that workers may help. The pool owns the slots, so a worker may look at one at any time;
// the loop's own fields are read only between Enter() and Leave(), while the caller keeps them
// alive.
struct alignas(64) Slot {
  static constexpr uint32_t kOpen = 1u << 31;             // workers may enter
  static constexpr uint32_t kCallerSleeps = 1u << 30;     // the last to leave wakes the caller
  static constexpr uint32_t kInside = kCallerSleeps - 1;  // mask: workers inside

  std::atomic<bool> taken{false};
  Word state{0};
  std::atomic<size_t> next_piece{0};
  size_t pieces = 0, count = 0, grain = 0;
  const RangeFunction* function = nullptr;

  bool Enter() {
    uint32_t seen = state.load(std::memory_order_relaxed);
    while (seen & kOpen) {
      if (state.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }

  void Leave() {
    if (state.fetch_sub(1, std::memory_order_acq_rel) == (kCallerSleeps | 1)) FutexWake(state, 1);
  }

  // Runs pieces until none is left, then closes the slot: who came too late need not look.
  void Work() {
    for (;;) {
      const size_t piece = next_piece.fetch_add(1, std::memory_order_relaxed);
      if (piece >= pieces) break;
      const size_t begin = piece * grain;
      (*function)(begin, begin + std::min(grain, count - begin));
    }
    state.fetch_and(~kOpen, std::memory_order_relaxed);
  }

  // Waits until every worker has left. Precondition: closed.
  void AwaitWorkers(std::chrono::nanoseconds pause) {
    const auto empty = [&] { return (state.load(std::memory_order_acquire) & kInside) == 0; };
    if (PauseUntil(pause, empty)) return;
    state.fetch_or(kCallerSleeps, std::memory_order_relaxed);
    for (;;) {
      const uint32_t seen = state.load(std::memory_order_acquire);
      if ((seen & kInside) == 0) return;
      FutexWait(state, seen);
    }
  }
};

}  // namespace

struct ThreadPool::Impl {
  int threads = 1;
  std::chrono::nanoseconds pause{0};
  std::array<Slot, kSlots> slots;
  alignas(64) Word epoch{0};  // counts openings of slots; idle workers sleep on it
  alignas(64) Word sleepers{0};
  std::atomic<bool> stopping{false};
  std::vector<std::thread> workers;

  void RunWorker();
  Slot* EnterOpenSlot();
  void SleepUntilChanged(uint32_t seen);
  Slot* TakeSlot();
  void Wake(size_t wanted);
};

// The open loop with the fewest workers, so that several callers share them; nullptr when none is
// open.
Slot* ThreadPool::Impl::EnterOpenSlot() {
  for (;;) {
    Slot* best = nullptr;
    uint32_t fewest = UINT32_MAX;
    for (Slot& slot : slots) {
      const uint32_t state = slot.state.load(std::memory_order_relaxed);
      if ((state & Slot::kOpen) == 0 || (state & Slot::kInside) >= fewest) continue;
      best = &slot;
      fewest = state & Slot::kInside;
    }
    if (best == nullptr || best->Enter()) return best;
  }
}

void ThreadPool::Impl::RunWorker() {
  for (;;) {
    const uint32_t seen = epoch.load(std::memory_order_seq_cst);
    if (stopping.load(std::memory_order_seq_cst)) return;
    if (Slot* slot = EnterOpenSlot()) {
      slot->Work();
      slot->Leave();
      continue;
    }
    const auto changed = [&] { return epoch.load(std::memory_order_acquire) != seen; };
    if (!PauseUntil(pause, changed)) SleepUntilChanged(seen);
  }
}

// Either this thread sees the new epoch, or the opener sees it among the sleepers: both are
// seq_cst.
void ThreadPool::Impl::SleepUntilChanged(uint32_t seen) {
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  if (epoch.load(std::memory_order_seq_cst) == seen) FutexWait(epoch, seen);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
}

Slot* ThreadPool::Impl::TakeSlot() {
  for (Slot& slot : slots) {
    if (!slot.taken.load(std::memory_order_relaxed) &&
        !slot.taken.exchange(true, std::memory_order_acquire)) {
      return &slot;
    }
  }
  return nullptr;
}

void ThreadPool::Impl::Wake(size_t wanted) {
  epoch.fetch_add(1, std::memory_order_seq_cst);
  const size_t asleep = sleepers.load(std::memory_order_seq_cst);
  if (asleep > 0) FutexWake(epoch, static_cast<int>(std::min(wanted, asleep)));
}

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  impl_->threads = std::max(threads, 1);
  // With fewer cores than threads a waiting thread would take the core that the working one needs.
  if (impl_->threads <= UsableCores()) impl_->pause = kPause;
  for (int i = 1; i < impl_->threads; ++i) {
    impl_->workers.emplace_back([impl = impl_.get()] { impl->RunWorker(); });
  }
}

ThreadPool::~ThreadPool() {
  impl_->stopping.store(true, std::memory_order_seq_cst);
  impl_->Wake(INT_MAX);
  for (std::thread& worker : impl_->workers) worker.join();
}

int ThreadPool::threads() const { return impl_->threads; }

void ThreadPool::ParallelFor(size_t count, size_t grain, RangeFunction f) {
  if (count == 0) return;
  grain = std::clamp<size_t>(grain, 1, count);
  const size_t pieces = (count - 1) / grain + 1;
  Slot* slot = pieces > 1 && impl_->threads > 1 ? impl_->TakeSlot() : nullptr;
  if (slot == nullptr) {
    for (size_t piece = 0; piece < pieces; ++piece) {
      const size_t begin = piece * grain;
      f(begin, begin + std::min(grain, count - begin));
    }
    return;
  }
  slot->pieces = pieces;
  slot->count = count;
  slot->grain = grain;
  slot->function = &f;
  slot->next_piece.store(0, std::memory_order_relaxed);
  slot->state.store(Slot::kOpen, std::memory_order_release);
  impl_->Wake(std::min<size_t>(pieces - 1, static_cast<size_t>(impl_->threads - 1)));
  slot->Work();
  slot->AwaitWorkers(impl_->pause);
  slot->state.store(0, std::memory_order_relaxed);
  slot->taken.store(false, std::memory_order_release);
}

}  // namespace vade
