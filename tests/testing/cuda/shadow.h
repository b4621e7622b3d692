// What is known of every byte of an emulated memory: whether it was written, and who last wrote and
// read it at which point of the kernel. From that follow reads of bytes that nobody wrote and data
// races: two accesses to a byte, at least one of them a write, that nothing orders.
//
// Ordered are: accesses of one thread; of threads of a block with a __syncthreads between them; of
// lanes of a warp with a __syncwarp between them; and what earlier launches did. Blocks of one
// launch are never ordered, atomics among themselves need no order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace vade::emulation {

// Who accesses, and when.
struct Access {
  uint32_t block = 0;  // serial number over all launches; 0: nobody
  uint16_t thread = 0;
  bool atomic = false;
  uint32_t barriers = 0;    // __syncthreads passed
  uint32_t warp_syncs = 0;  // __syncwarp passed
};

enum class Share : uint8_t { kThread, kWarp, kBlock, kGrid };  // the smallest that holds all

class Shadow {
 public:
  enum class Begin : uint8_t { kUnwritten, kWritten };
  Shadow(size_t bytes, Begin begin);

  // Each returns what is wrong, empty when nothing is. `launch` is the first block of the launch.
  std::string Read(size_t offset, size_t bytes, const Access& by, uint32_t launch);
  std::string Write(size_t offset, size_t bytes, const Access& by, uint32_t launch);

  void HostWrites(size_t offset, size_t bytes);  // from now on these are written
  void Forget(size_t offset, size_t bytes);      // and these are not
  bool written(size_t offset) const { return cells_[offset].written; }
  size_t size() const { return size_; }

 private:
  struct Cell {
    Access writer, reader;
    Share readers = Share::kThread;  // of the readers that nothing orders, `reader` is the last
    bool written = false;
  };
  struct Free {
    void operator()(Cell* cells) const;
  };
  // From calloc: what is never touched of a large memory costs nothing. All zeros is a new cell.
  std::unique_ptr<Cell[], Free> cells_;
  size_t size_;
  // Of each kBlock bytes, whether any has ever been written: the others need not be forgotten.
  static constexpr size_t kBlock = 4096;
  std::vector<bool> touched_;
  void Touch(size_t offset, size_t bytes);
};

}  // namespace vade::emulation
