#include "ingest/scan_spool.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "base/strings.h"

namespace vade {

Status ScanSpool::Reserve(uint64_t bytes, uint64_t* begin) {
  const std::lock_guard lock(mutex_);
  if (!file_) {
    std::error_code none;
    const std::string directory = options_.directory.empty()
                                      ? std::filesystem::temp_directory_path(none).string()
                                      : options_.directory;
    if (none) return Unavailable("there is no folder for temporary files; set TMPDIR to one");
    ASSIGN_OR_RETURN(file_, SpoolFile::Create(directory, options_.spare_disk_bytes));
  }
  if (bytes > options_.most_bytes - end_) {
    return ResourceExhausted(StrCat("more than ", options_.most_bytes >> 20,
                                    " MiB wait for OCR; wait until some are read"));
  }
  *begin = end_;
  end_ += bytes;
  ++pieces_;
  return OkStatus();
}

void ScanSpool::Release(uint64_t begin, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (end_ == begin + bytes) end_ = begin;
  if (--pieces_ > 0) return;
  // Where that fails, what stands there is written over.
  (void)file_->Clear();
  end_ = 0;
}

Result<std::function<Result<std::string>()>> ScanSpool::Keep(std::string_view bytes) {
  uint64_t begin = 0;
  RETURN_IF_ERROR(Reserve(bytes.size(), &begin));
  const std::shared_ptr<ScanSpool> piece(
      this, [begin, size = bytes.size()](ScanSpool* spool) { spool->Release(begin, size); });
  RETURN_IF_ERROR(file_->WriteAt(begin, bytes));
  return std::function<Result<std::string>()>(
      [piece, begin, size = bytes.size()] { return piece->file_->ReadAt(begin, size); });
}

}  // namespace vade
