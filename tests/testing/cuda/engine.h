// Runs CUDA kernels on the processor, thread by thread, and watches them: out-of-bounds and
// misaligned accesses, reads of unwritten memory, data races, barriers that not every thread
// reaches, warp operations that not every lane reaches.
//
//   Engine& engine = Engine::Get();
//   engine.Register(buffer.data(), bytes, Shadow::Begin::kWritten);
//   engine.Run({.grid = {2}, .block = {64}, .shared_bytes = 256, .name = "Kernel"}, [&] {...});
//   EXPECT_EQ(engine.TakeFaults(), "");
//
// Every thread of a block is a fiber that runs until it has to wait for others; blocks run one
// after the other. The first fault ends its launch: the waiting threads are unwound. One engine a
// process, used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/cuda/kernels_run.h"
#include "tests/testing/cuda/shadow.h"

namespace vade::emulation {

inline constexpr uint32_t kWarpLanes = 32;

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint32_t count() const { return x * y * z; }
};

struct LaunchShape {
  Dim3 grid, block;
  size_t shared_bytes = 0;
  const char* name = "kernel";
  Kernel* kernel = nullptr;  // of which is noted that it ran; null: of a test's own
};

// Memory that kernels may touch.
struct Region {
  uint8_t* begin = nullptr;
  size_t bytes = 0;
  bool alive = true;
  std::unique_ptr<Shadow> shadow;
};

// Where in a kernel's source something happens.
struct Site {
  const char* file = "";
  int line = 0;
  bool operator==(const Site& other) const {
    return line == other.line && std::strcmp(file, other.file) == 0;
  }
};
// As last parameters: where the call stands.
#define VADE_SITE_PARAMETERS const char *file = __builtin_FILE(), int line = __builtin_LINE()

// The thread that is running.
struct Thread {
  Dim3 thread_index, block_index;
  Access access;  // its place and its time
  uint32_t lane = 0, warp = 0;
};

// One value a lane, handed round between the lanes of a warp.
struct WarpExchange {
  static constexpr size_t kBytes = 32;
  uint8_t values[kWarpLanes][kBytes];
};

class Engine {
 public:
  static Engine& Get();

  // Memory that may be touched from now on, until Unregister. Regions must not overlap.
  void Register(void* begin, size_t bytes, Shadow::Begin contents);
  void Unregister(void* begin);
  // The region that holds all of [begin, begin + bytes); null when there is none.
  Region* Find(const void* begin, size_t bytes);

  void Run(const LaunchShape& shape, const std::function<void()>& kernel);

  // The faults since the last call, one a line: kernel, block, thread, what.
  std::string TakeFaults();
  void AddFault(const std::string& what);  // of the host
  uint64_t launches() const { return launches_; }
  // Every view of memory that is made for a kernel from now on goes to `views`; null: to nobody.
  using Views = std::vector<std::pair<const void*, size_t>>;
  void CollectViews(Views* views) { views_ = views; }
  void NoteView(const void* begin, size_t bytes) {
    if (views_) views_->emplace_back(begin, bytes);
  }

  // --- for the running thread ------------------------------------------------------------------
  const Thread& current() const { return *current_; }
  [[noreturn]] void Fail(const std::string& what);
  void Read(Region& region, const void* at, size_t bytes, Site site);
  void Write(Region& region, const void* at, size_t bytes, Site site, bool atomic = false);
  // The block's shared memory; fails when [offset, offset + bytes) is not within it.
  uint8_t* Shared(size_t offset, size_t bytes);
  void ReadShared(const void* at, size_t bytes, Site site);
  void WriteShared(const void* at, size_t bytes, Site site);
  void Barrier(Site site);
  // Hands `bytes` of every lane to all lanes of the warp; the result is valid until the next but
  // one exchange. `what` and the site must be those of all lanes.
  const WarpExchange& Exchange(const void* value, size_t bytes, const char* what, Site site);
  void SyncWarp(Site site);

 private:
  struct Fiber;
  struct WarpState;
  enum class Wait : uint8_t { kNone, kBarrier, kWarp, kDone };

  Engine();
  void RunBlock(const LaunchShape& shape, Dim3 block, const std::function<void()>& kernel);
  void RunFibers(uint32_t threads);
  bool Release(uint32_t threads);  // those whose wait is over; false when nobody can go on
  std::string Stuck(uint32_t threads) const;
  void Yield(Wait wait, const char* what, Site site);
  Access By(bool atomic = false) const;

  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<WarpState> warps_;
  std::map<uintptr_t, std::unique_ptr<Region>> regions_;
  std::vector<std::unique_ptr<Region>> dead_;
  std::vector<uint8_t> shared_;
  std::unique_ptr<Shadow> shared_shadow_;
  const std::function<void()>* kernel_ = nullptr;
  const LaunchShape* shape_ = nullptr;
  Thread* current_ = nullptr;
  Fiber* running_ = nullptr;
  bool failed_ = false;
  uint32_t next_block_ = 1, first_block_ = 1;
  uint64_t launches_ = 0;
  uint64_t writes_ = 0;  // of the launch, to global memory
  Views* views_ = nullptr;
  std::vector<std::string> faults_;
};

}  // namespace vade::emulation
