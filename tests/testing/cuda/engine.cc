#include "tests/testing/cuda/engine.h"

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/strings.h"

#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace vade::emulation {
namespace {

struct Unwind {};  // thrown through a thread that is to end

constexpr size_t kStackBytes = 128 << 10;

// Boost.Context hands stacks to an allocator of this form; ours knows where they lie, which the
// address sanitizer must be told at each switch.
struct OwnStack {
  std::shared_ptr<std::vector<char>> memory = std::make_shared<std::vector<char>>(kStackBytes);
  boost::context::stack_context allocate() {
    boost::context::stack_context stack;
    stack.size = kStackBytes;
    stack.sp = memory->data() + kStackBytes;
    return stack;
  }
  void deallocate(boost::context::stack_context&) {}
};

}  // namespace

// A thread of the block at hand: kept over blocks and launches.
struct Engine::Fiber {
  Thread thread;
  Wait wait = Wait::kDone;
  const char* what = "";  // it waits for
  Site site;
  bool unwinding = false;

  OwnStack stack;
  boost::context::fiber context, scheduler;
#if defined(__SANITIZE_ADDRESS__)
  const void* caller_stack = nullptr;
  size_t caller_bytes = 0;
  void* fake_caller = nullptr;
  void* fake_fiber = nullptr;
#endif
#if defined(__SANITIZE_THREAD__)
  void* tsan_fiber = __tsan_create_fiber(0);
  void* tsan_caller = nullptr;
#endif

  explicit Fiber(Engine* engine)
      : context(std::allocator_arg, stack, [this, engine](boost::context::fiber&& from) {
          Entered();
          scheduler = std::move(from);
          while (true) {
            try {
              if (!unwinding) (*engine->kernel_)();
            } catch (const Unwind&) {
            }
            wait = Wait::kDone;
            Leave();
          }
          return std::move(scheduler);
        }) {}

  void Resume() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake_caller, stack.memory->data(), kStackBytes);
#endif
#if defined(__SANITIZE_THREAD__)
    tsan_caller = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(tsan_fiber, 0);
#endif
    context = std::move(context).resume();
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_caller, nullptr, nullptr);
#endif
  }

  // Back to the scheduler, until it resumes this thread.
  void Leave() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake_fiber, caller_stack, caller_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(tsan_caller, 0);
#endif
    scheduler = std::move(scheduler).resume();
    Entered();
  }

  void Entered() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_fiber, &caller_stack, &caller_bytes);
#endif
  }
};

struct Engine::WarpState {
  WarpExchange exchange[2];  // of alternate exchanges: the slow lanes still read the one before
  uint32_t count = 0;        // exchanges so far
  uint32_t arrived = 0;      // lanes at the present one
};

Engine& Engine::Get() {
  static Engine* engine = new Engine();  // never ended: its threads are parked on their stacks
  return *engine;
}

Engine::Engine() = default;

// --- memory
// ----------------------------------------------------------------------------------------

void Engine::Register(void* begin, size_t bytes, Shadow::Begin contents) {
  if (bytes == 0) return;
  const auto at = reinterpret_cast<uintptr_t>(begin);
  const auto next = regions_.upper_bound(at);
  const bool overlaps =
      (next != regions_.end() && next->first < at + bytes) ||
      (next != regions_.begin() && std::prev(next)->first + std::prev(next)->second->bytes > at);
  VADE_CHECK(!overlaps, "memory is registered once");
  auto region = std::make_unique<Region>();
  region->begin = static_cast<uint8_t*>(begin);
  region->bytes = bytes;
  region->shadow = std::make_unique<Shadow>(bytes, contents);
  regions_[at] = std::move(region);
}

// What kernels still hold of it says so when it is touched.
void Engine::Unregister(void* begin) {
  const auto found = regions_.find(reinterpret_cast<uintptr_t>(begin));
  VADE_CHECK(found != regions_.end(), "what is unregistered was registered");
  found->second->alive = false;
  found->second->shadow.reset();
  dead_.push_back(std::move(found->second));
  regions_.erase(found);
}

Region* Engine::Find(const void* begin, size_t bytes) {
  const auto at = reinterpret_cast<uintptr_t>(begin);
  auto next = regions_.upper_bound(at);
  if (next == regions_.begin()) return nullptr;
  Region& region = *std::prev(next)->second;
  const size_t offset = at - reinterpret_cast<uintptr_t>(region.begin);
  return offset <= region.bytes && bytes <= region.bytes - offset ? &region : nullptr;
}

Access Engine::By(bool atomic) const {
  Access by = current_->access;
  by.atomic = atomic;
  return by;
}

namespace {
std::string At(Site site) {
  const char* slash = std::strrchr(site.file, '/');
  return StrCat(" (", slash ? slash + 1 : site.file, ":", site.line, ")");
}
}  // namespace

void Engine::Read(Region& region, const void* at, size_t bytes, Site site) {
  if (!region.alive) Fail(StrCat("read of memory that was given back", At(site)));
  const size_t offset = static_cast<const uint8_t*>(at) - region.begin;
  const std::string wrong = region.shadow->Read(offset, bytes, By(), first_block_);
  if (!wrong.empty()) Fail(StrCat("global memory, ", wrong, At(site)));
}

void Engine::Write(Region& region, const void* at, size_t bytes, Site site, bool atomic) {
  if (!region.alive) Fail(StrCat("write to memory that was given back", At(site)));
  const size_t offset = static_cast<const uint8_t*>(at) - region.begin;
  const std::string wrong = region.shadow->Write(offset, bytes, By(atomic), first_block_);
  if (!wrong.empty()) Fail(StrCat("global memory, ", wrong, At(site)));
  ++writes_;
}

uint8_t* Engine::Shared(size_t offset, size_t bytes) {
  if (offset > shape_->shared_bytes || bytes > shape_->shared_bytes - offset) {
    Fail(StrCat("shared memory [", offset, ", ", offset + bytes, ") of ", shape_->shared_bytes,
                " bytes"));
  }
  return shared_.data() + offset;
}

void Engine::ReadShared(const void* at, size_t bytes, Site site) {
  const size_t offset = static_cast<const uint8_t*>(at) - shared_.data();
  const std::string wrong = shared_shadow_->Read(offset, bytes, By(), first_block_);
  if (!wrong.empty()) Fail(StrCat("shared memory, ", wrong, At(site)));
}

void Engine::WriteShared(const void* at, size_t bytes, Site site) {
  const size_t offset = static_cast<const uint8_t*>(at) - shared_.data();
  const std::string wrong = shared_shadow_->Write(offset, bytes, By(), first_block_);
  if (!wrong.empty()) Fail(StrCat("shared memory, ", wrong, At(site)));
}

// --- faults
// ----------------------------------------------------------------------------------------

void Engine::Fail(const std::string& what) {
  const Dim3 b = current_->block_index, t = current_->thread_index;
  AddFault(StrCat(shape_->name, ", block ", b.x, ",", b.y, ",", b.z, ", thread ", t.x, ": ", what));
  failed_ = true;
  throw Unwind();
}

void Engine::AddFault(const std::string& what) { faults_.push_back(what); }

std::string Engine::TakeFaults() {
  std::string all = Join(faults_, "\n");
  faults_.clear();
  return all;
}

// --- running
// ---------------------------------------------------------------------------------------

void Engine::Run(const LaunchShape& shape, const std::function<void()>& kernel) {
  ++launches_;
  const uint32_t threads = shape.block.count();
  if (threads == 0 || threads > 1024 || threads % kWarpLanes != 0 || shape.grid.count() == 0) {
    return AddFault(StrCat(shape.name, ": a launch of ", shape.grid.count(), " blocks of ", threads,
                           " threads; whole warps, 32 to 1024 threads are wanted"));
  }
  if (shape.shared_bytes > (227u << 10)) {
    return AddFault(StrCat(shape.name, ": ", shape.shared_bytes, " bytes of shared memory"));
  }
  kernel_ = &kernel;
  shape_ = &shape;
  failed_ = false;
  writes_ = 0;
  first_block_ = next_block_;
  Dim3 at;
  for (at.z = 0; at.z < shape.grid.z && !failed_; ++at.z) {
    for (at.y = 0; at.y < shape.grid.y && !failed_; ++at.y) {
      for (at.x = 0; at.x < shape.grid.x && !failed_; ++at.x) RunBlock(shape, at, kernel);
    }
  }
  dead_.clear();
  // Blocks that end at once, and what went wrong, prove nothing.
  if (shape.kernel && writes_ > 0 && !failed_) shape.kernel->ran = true;
}

void Engine::RunBlock(const LaunchShape& shape, Dim3 block, const std::function<void()>&) {
  const uint32_t threads = shape.block.count();
  while (fibers_.size() < threads) fibers_.push_back(std::make_unique<Fiber>(this));
  warps_.assign(threads / kWarpLanes, WarpState());
  shared_.assign(shape.shared_bytes, 0xcd);
  shared_shadow_ = std::make_unique<Shadow>(shape.shared_bytes, Shadow::Begin::kUnwritten);
  const uint32_t serial = next_block_++;
  for (uint32_t i = 0; i < threads; ++i) {
    Fiber& fiber = *fibers_[i];
    fiber.thread = Thread();
    fiber.thread.thread_index = {i % shape.block.x, i / shape.block.x % shape.block.y,
                                 i / (shape.block.x * shape.block.y)};
    fiber.thread.block_index = block;
    fiber.thread.access = {.block = serial, .thread = static_cast<uint16_t>(i)};
    fiber.thread.lane = i % kWarpLanes;
    fiber.thread.warp = i / kWarpLanes;
    fiber.wait = Wait::kNone;
    fiber.unwinding = false;
  }
  RunFibers(threads);
}

// Round after round: everyone who can runs until he waits.
void Engine::RunFibers(uint32_t threads) {
  bool any = true;
  while (any) {
    for (uint32_t i = 0; i < threads; ++i) {
      Fiber& fiber = *fibers_[i];
      if (fiber.wait != Wait::kNone) continue;
      fiber.unwinding = failed_;
      running_ = &fiber;
      current_ = &fiber.thread;
      fiber.Resume();
    }
    running_ = nullptr;
    any = Release(threads);
  }
}

bool Engine::Release(uint32_t threads) {
  uint32_t done = 0, at_barrier = 0;
  bool any = false, one_site = true;
  Site site;
  for (uint32_t i = 0; i < threads; ++i) {
    Fiber& fiber = *fibers_[i];
    if (fiber.wait == Wait::kDone) ++done;
    if (fiber.wait == Wait::kNone) any = true;  // an exchange let it go on
    if (fiber.wait == Wait::kBarrier) {
      one_site = at_barrier == 0 || (one_site && fiber.site == site);
      site = fiber.site;
      ++at_barrier;
    }
  }
  if (done == threads) return false;
  if (!any && !failed_ && (at_barrier != threads || !one_site)) {
    const Dim3 b = fibers_[0]->thread.block_index;
    AddFault(StrCat(shape_->name, ", block ", b.x, ",", b.y, ",", b.z, ": ", Stuck(threads)));
    failed_ = true;
  }
  if (!any || failed_) {
    for (uint32_t i = 0; i < threads; ++i) {
      Fiber& fiber = *fibers_[i];
      if (fiber.wait == Wait::kDone) continue;
      if (fiber.wait == Wait::kBarrier) ++fiber.thread.access.barriers;
      fiber.wait = Wait::kNone;
    }
  }
  return true;
}

// Who waits where, for the message.
std::string Engine::Stuck(uint32_t threads) const {
  std::map<std::string, uint32_t> places;
  for (uint32_t i = 0; i < threads; ++i) {
    const Fiber& fiber = *fibers_[i];
    const bool done = fiber.wait == Wait::kDone;
    ++places[done ? "at the end" : StrCat("in ", fiber.what, At(fiber.site))];
  }
  std::vector<std::string> parts;
  for (const auto& [place, count] : places) parts.push_back(StrCat(count, " threads ", place));
  return "divergent barrier: " + Join(parts, ", ");
}

void Engine::Yield(Wait wait, const char* what, Site site) {
  Fiber& fiber = *running_;
  fiber.wait = wait;
  fiber.what = what;
  fiber.site = site;
  fiber.Leave();
  if (fiber.unwinding) throw Unwind();
}

void Engine::Barrier(Site site) { Yield(Wait::kBarrier, "__syncthreads", site); }

const WarpExchange& Engine::Exchange(const void* value, size_t bytes, const char* what, Site site) {
  VADE_CHECK(bytes <= WarpExchange::kBytes, "lanes hand round a few registers");
  Fiber& fiber = *running_;
  WarpState& warp = warps_[fiber.thread.warp];
  const WarpExchange* exchange = &warp.exchange[warp.count % 2];
  std::memcpy(warp.exchange[warp.count % 2].values[fiber.thread.lane], value, bytes);
  if (++warp.arrived < kWarpLanes) {
    Yield(Wait::kWarp, what, site);
    return *exchange;
  }
  // The last lane: all others wait here, for the same.
  for (uint32_t i = 0; i < kWarpLanes; ++i) {
    const Fiber& other = *fibers_[fiber.thread.warp * kWarpLanes + i];
    if (&other == &fiber) continue;
    if (!(other.site == site) || std::strcmp(other.what, what) != 0) {
      Fail(StrCat("divergent warp: one lane in ", what, At(site), ", another in ", other.what,
                  At(other.site)));
    }
  }
  warp.arrived = 0;
  ++warp.count;
  for (uint32_t i = 0; i < kWarpLanes; ++i) {
    Fiber& other = *fibers_[fiber.thread.warp * kWarpLanes + i];
    if (&other != &fiber) other.wait = Wait::kNone;
  }
  return *exchange;
}

void Engine::SyncWarp(Site site) {
  const uint8_t nothing = 0;
  Exchange(&nothing, 1, "__syncwarp", site);
  ++current_->access.warp_syncs;
}

}  // namespace vade::emulation
