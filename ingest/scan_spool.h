// Bytes of files that wait for OCR and cannot be had again, in one file without a name: a run takes
// one descriptor for all of them. Pieces are put behind each other; the file is cleared when none
// of them waits any more.
//
//   ScanSpool spool({.directory = "", .most_bytes = 4ull << 30, .spare_disk_bytes = 1ull << 30});
//   ASSIGN_OR_RETURN(file.read_again, spool.Keep(bytes));
//
// Thread-safe; outlives what Keep() returns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "base/streams.h"

namespace vade {

struct ScanSpoolOptions {
  std::string directory;          // "": that of temporary files
  uint64_t most_bytes = 0;        // of the file
  uint64_t spare_disk_bytes = 0;  // that stay free on its disk
};

class ScanSpool {
 public:
  explicit ScanSpool(ScanSpoolOptions options) : options_(std::move(options)) {}

  // What reads them again; they are kept until it and its copies are gone. RESOURCE_EXHAUSTED when
  // there is no room, and what else stands in the way of writing.
  Result<std::function<Result<std::string>()>> Keep(std::string_view bytes);

 private:
  Status Reserve(uint64_t bytes, uint64_t* begin);
  void Release(uint64_t begin, uint64_t bytes);

  const ScanSpoolOptions options_;
  std::mutex mutex_;                 // guards what follows; pieces are written and read without it
  std::unique_ptr<SpoolFile> file_;  // made for the first piece
  uint64_t end_ = 0;                 // of the pieces
  uint64_t pieces_ = 0;              // that wait
};

}  // namespace vade
