// Bytes that come and go piece by piece: what is too large to be held whole.
//
//   ASSIGN_OR_RETURN(auto file, AtomicFile::Create(path));
//   RETURN_IF_ERROR(file->Write(bytes));      // any number
//   RETURN_IF_ERROR(file->Finish());          // now it is there, whole; without it, nothing is
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace vade {

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status Write(std::string_view bytes) = 0;
};

// Bytes that can be read more than once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Into `out`, at most `size` of them; 0 at the end.
  virtual Result<size_t> Read(char* out, size_t size) = 0;
  virtual Status Rewind() = 0;
};

// A file that is written beside its name and appears under it at once. Readable by its owner alone.
class AtomicFile : public ByteSink {
 public:
  static Result<std::unique_ptr<AtomicFile>> Create(const std::string& path);
  ~AtomicFile() override;  // removes what was not finished
  Status Write(std::string_view bytes) override;
  // Flushes to the disk and renames over what stands there.
  Status Finish();

 private:
  AtomicFile(std::string path, std::string temporary, int fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}
  const std::string path_, temporary_;
  int fd_;
  bool finished_ = false;
};

// A regular file, from its beginning to its end.
class FileSource : public ByteSource {
 public:
  static Result<std::unique_ptr<FileSource>> Open(const std::string& path);
  ~FileSource() override;
  Result<size_t> Read(char* out, size_t size) override;
  Status Rewind() override;

 private:
  FileSource(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  const std::string path_;
  int fd_;
};

// What arrives once and must be read twice: a file without a name, which goes with the process.
class SpoolFile : public ByteSink, public ByteSource {
 public:
  // In `directory`, of whose disk at least `spare_bytes` stay free: RESOURCE_EXHAUSTED else.
  static Result<std::unique_ptr<SpoolFile>> Create(const std::string& directory,
                                                   uint64_t spare_bytes);
  ~SpoolFile() override;
  Status Write(std::string_view bytes) override;  // at the end; Rewind() before reading
  Result<size_t> Read(char* out, size_t size) override;
  Status Rewind() override;

  // Pieces at places that the caller keeps account of, instead of the above. On any threads at a
  // time, for different bytes.
  Status WriteAt(uint64_t begin, std::string_view bytes);
  Result<std::string> ReadAt(uint64_t begin, size_t size) const;  // DATA_LOSS where it is shorter
  Status Clear();                                                 // gives its disk back

 private:
  SpoolFile(std::string directory, uint64_t spare_bytes, int fd)
      : directory_(std::move(directory)), spare_bytes_(spare_bytes), fd_(fd) {}
  Status CheckRoomFor(uint64_t bytes) const;
  const std::string directory_;
  const uint64_t spare_bytes_;
  int fd_;
};

// Bytes in memory, which it borrows.
class StringSource : public ByteSource {
 public:
  explicit StringSource(std::string_view bytes) : bytes_(bytes) {}
  Result<size_t> Read(char* out, size_t size) override;
  Status Rewind() override {
    at_ = 0;
    return OkStatus();
  }

 private:
  const std::string_view bytes_;
  size_t at_ = 0;
};

class StringSink : public ByteSink {
 public:
  Status Write(std::string_view bytes) override {
    bytes_.append(bytes);
    return OkStatus();
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace vade
