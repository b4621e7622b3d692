#include "tests/testing/cuda/shadow.h"

#include <algorithm>
#include <cstdlib>

#include "base/strings.h"

namespace vade::emulation {
namespace {

constexpr uint32_t kWarp = 32;

bool SameWarp(const Access& a, const Access& b) {
  return a.block == b.block && a.thread / kWarp == b.thread / kWarp;
}

// Whether everything that was accessed like `before`, by anyone within `share` of it, comes before.
bool Ordered(const Access& before, Share share, const Access& now, uint32_t launch) {
  if (before.block < launch) return true;
  if (share == Share::kGrid || before.block != now.block) return false;
  if (before.barriers < now.barriers) return true;
  if (share == Share::kBlock || !SameWarp(before, now)) return false;
  if (before.warp_syncs < now.warp_syncs) return true;
  return share == Share::kThread && before.thread == now.thread;
}

Share ShareOf(const Access& a, const Access& b) {
  if (a.block != b.block) return Share::kGrid;
  if (!SameWarp(a, b)) return Share::kBlock;
  return a.thread == b.thread ? Share::kThread : Share::kWarp;
}

std::string Race(const char* earlier, const Access& before, const char* later, const Access& now) {
  return StrCat("data race: ", earlier, " of thread ", before.thread,
                before.block == now.block ? "" : " of another block", ", then ", later,
                " of thread ", now.thread, " with nothing between them");
}

}  // namespace

void Shadow::Free::operator()(Cell* cells) const { std::free(cells); }

Shadow::Shadow(size_t bytes, Begin begin)
    : cells_(static_cast<Cell*>(std::calloc(bytes, sizeof(Cell)))),
      size_(bytes),
      touched_(bytes / kBlock + 1) {
  if (begin == Begin::kWritten) HostWrites(0, bytes);
}

void Shadow::HostWrites(size_t offset, size_t bytes) {
  Touch(offset, bytes);
  for (size_t i = offset; i < offset + bytes; ++i) cells_[i].written = true;
}

void Shadow::Forget(size_t offset, size_t bytes) {
  const size_t end = offset + bytes;
  for (size_t at = offset; at < end;) {
    const size_t next = std::min(end, (at / kBlock + 1) * kBlock);
    if (touched_[at / kBlock]) std::fill(cells_.get() + at, cells_.get() + next, Cell());
    at = next;
  }
}

void Shadow::Touch(size_t offset, size_t bytes) {
  if (bytes == 0) return;
  for (size_t i = offset / kBlock; i <= (offset + bytes - 1) / kBlock; ++i) touched_[i] = true;
}

std::string Shadow::Read(size_t offset, size_t bytes, const Access& by, uint32_t launch) {
  for (size_t i = offset; i < offset + bytes; ++i) {
    Cell& cell = cells_[i];
    if (!cell.written) return "read of memory that nobody has written";
    if (!(cell.writer.atomic && by.atomic) && !Ordered(cell.writer, Share::kThread, by, launch)) {
      return Race("write", cell.writer, "read", by);
    }
    if (Ordered(cell.reader, cell.readers, by, launch)) {
      cell.readers = Share::kThread;
    } else {
      cell.readers = std::max(cell.readers, ShareOf(cell.reader, by));
    }
    cell.reader = by;
  }
  return "";
}

std::string Shadow::Write(size_t offset, size_t bytes, const Access& by, uint32_t launch) {
  Touch(offset, bytes);
  for (size_t i = offset; i < offset + bytes; ++i) {
    Cell& cell = cells_[i];
    if (!(cell.writer.atomic && by.atomic) && !Ordered(cell.writer, Share::kThread, by, launch)) {
      return Race("write", cell.writer, "write", by);
    }
    if (!(cell.reader.atomic && by.atomic) && !Ordered(cell.reader, cell.readers, by, launch)) {
      return Race("read", cell.reader, "write", by);
    }
    cell.writer = by;
    cell.written = true;
  }
  return "";
}

}  // namespace vade::emulation
