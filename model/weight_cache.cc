// The pack of a model, one file; all numbers little-endian:
//
//   header, 64 bytes: "VADEPACK", u32 file version, u32 packing version, u64 file length,
//                     u64 table offset, u64 table length, u64 checksum of the table,
//                     u64 checksum of the 48 bytes so far, 8 zeros
//   table:            string fingerprint, u32 count, then for each matrix
//                     string name, u32 type, u32 format, u64 rows, u64 cols, u64 offset,
//                     u64 length, u64 checksum of its bytes,
//                     u64 checksum of its first and last 4096 bytes
//   matrices:         each at a multiple of 64, zeros between
//
// Strings are a varint length and bytes; checksums are XXH3. The checksum of a whole matrix is
// compared once, right after writing; opening compares only its ends, which finds files that were
// cut or torn. A pack that is older than its weight file is made anew.
#include "model/weight_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/threads.h"
#include "kernels/int8.h"

namespace vade {
namespace {

using kernels::kTileRows;
using kernels::PackedMatrix;

constexpr std::string_view kMagic = "VADEPACK";
constexpr uint32_t kFileVersion = 1;
constexpr size_t kHeaderBytes = 64;
constexpr size_t kEndBytes = 4096;
constexpr size_t kPieceBytes = 16 << 20;  // packed and written at a time

struct Entry {
  const WeightTensor* tensor = nullptr;
  PackedMatrix matrix;              // data is null until it is known where it lies
  uint64_t offset = 0, length = 0;  // in the pack
  uint64_t checksum = 0, ends_checksum = 0;
};

uint64_t EndsChecksum(std::span<const uint8_t> bytes) {
  const size_t n = std::min(bytes.size(), kEndBytes);
  std::string ends(reinterpret_cast<const char*>(bytes.data()), n);
  ends.append(reinterpret_cast<const char*>(bytes.data() + bytes.size() - n), n);
  return Checksum64(ends);
}

class Weights final : public PackedWeights {
 public:
  const PackedMatrix* Find(std::string_view name) const override {
    const auto found = matrices_.find(name);
    return found == matrices_.end() ? nullptr : &found->second;
  }
  uint64_t bytes() const override { return bytes_; }
  Origin origin() const override { return origin_; }

  void Add(const Entry& entry, const uint8_t* data) {
    PackedMatrix& matrix = matrices_[entry.tensor->name];
    matrix = entry.matrix;
    matrix.data = data;
    bytes_ += entry.length;
  }

  struct FreeBlock {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<uint8_t, FreeBlock>> blocks;  // origin kMemory
  std::unique_ptr<MappedFile> mapping;                      // the others
  Origin origin_ = Origin::kMemory;

 private:
  std::map<std::string, PackedMatrix, std::less<>> matrices_;
  uint64_t bytes_ = 0;
};

// Which matrices, how long each becomes. Sizes come from a checked file, whose tensors lie inside
// it.
Result<std::vector<Entry>> PlanEntries(const TensorFile& file,
                                       std::span<const WeightTensor* const> tensors,
                                       PackForm form) {
  std::vector<Entry> entries;
  for (const WeightTensor* tensor : tensors) {
    const TensorTypeInfo& info = InfoOf(tensor->type);
    if (tensor->shape.size() != 2 || tensor->rows() == 0 ||
        tensor->cols() % info.block_elements != 0) {
      return InvalidArgument(StrCat("weights file ", file.path(), ": tensor ", tensor->name,
                                    " is not a matrix of whole ", info.name,
                                    " blocks; convert it again"));
    }
    Entry entry;
    entry.tensor = tensor;
    const kernels::Format format = form == PackForm::kInt8Rows
                                       ? kernels::Format::kInt8Rows
                                       : kernels::PackedFormat(tensor->type);
    entry.matrix = {format, tensor->rows(), tensor->cols(), nullptr};
    entry.length = kernels::PackedBytes(entry.matrix.format, entry.matrix.rows, entry.matrix.cols);
    entries.push_back(entry);
  }
  return entries;
}

void For(ThreadPool* pool, size_t count, RangeFunction f) {
  if (pool) {
    pool->ParallelFor(count, std::max<size_t>(1, count / (8 * pool->threads())), f);
  } else {
    f(0, count);
  }
}

// Tiles [begin, end) of a tensor to `out`, which holds just these.
void PackPiece(const Entry& entry, size_t begin, size_t end, ThreadPool* pool, uint8_t* out) {
  const WeightTensor& tensor = *entry.tensor;
  const size_t row_bytes = tensor.bytes.size() / tensor.rows();
  const uint8_t* rows = tensor.bytes.data() + begin * kTileRows * row_bytes;
  const size_t count = std::min<size_t>(tensor.rows(), end * kTileRows) - begin * kTileRows;
  For(pool, end - begin, [&](size_t first, size_t last) {
    const auto pack = entry.matrix.format == kernels::Format::kInt8Rows ? kernels::PackInt8Tiles
                                                                        : kernels::PackTiles;
    pack(tensor.type, rows, count, tensor.cols(), first, last, out);
  });
}

Result<std::unique_ptr<PackedWeights>> PackToMemory(const std::vector<Entry>& entries,
                                                    ThreadPool* pool) {
  auto weights = std::make_unique<Weights>();
  for (const Entry& entry : entries) {
    auto* block = static_cast<uint8_t*>(std::aligned_alloc(64, (entry.length + 63) / 64 * 64));
    if (!block) {
      return ResourceExhausted(StrCat("no memory for ", entry.length,
                                      " bytes of packed weights; use a smaller "
                                      "model or give a folder for packed weights"));
    }
    weights->blocks.emplace_back(block);
    PackPiece(entry, 0, entry.matrix.TileCount(), pool, block);
    weights->Add(entry, block);
  }
  return std::unique_ptr<PackedWeights>(std::move(weights));
}

// --- the file ------------------------------------------------------------------------------------

std::string TableOf(const TensorFile& file, const std::vector<Entry>& entries) {
  std::string table;
  AppendString(&table, file.fingerprint());
  AppendFixed<uint32_t>(&table, static_cast<uint32_t>(entries.size()));
  for (const Entry& e : entries) {
    AppendString(&table, e.tensor->name);
    AppendFixed<uint32_t>(&table, static_cast<uint32_t>(e.tensor->type));
    AppendFixed<uint32_t>(&table, static_cast<uint32_t>(e.matrix.format));
    for (uint64_t number : {uint64_t{e.matrix.rows}, uint64_t{e.matrix.cols}, e.offset, e.length,
                            e.checksum, e.ends_checksum}) {
      AppendFixed<uint64_t>(&table, number);
    }
  }
  return table;
}

std::string HeaderOf(std::string_view table, uint64_t file_length) {
  std::string header(kMagic);
  AppendFixed<uint32_t>(&header, kFileVersion);
  AppendFixed<uint32_t>(&header, kernels::kPackingVersion);
  AppendFixed<uint64_t>(&header, file_length);
  AppendFixed<uint64_t>(&header, kHeaderBytes);
  AppendFixed<uint64_t>(&header, table.size());
  AppendFixed<uint64_t>(&header, Checksum64(table));
  AppendFixed<uint64_t>(&header, Checksum64(header));
  header.resize(kHeaderBytes);
  return header;
}

// The table's length does not depend on the checksums in it, so offsets are known before they are.
uint64_t PlaceEntries(const TensorFile& file, std::vector<Entry>& entries) {
  uint64_t end = kHeaderBytes + TableOf(file, entries).size();
  for (Entry& entry : entries) {
    entry.offset = (end + 63) / 64 * 64;
    end = entry.offset + entry.length;
  }
  return end;
}

// A file aside that is removed unless it is put in place. One name, guarded by the pack's lock:
// what a crash leaves behind is overwritten by the next attempt.
class AsideFile {
 public:
  explicit AsideFile(const std::string& target)
      : path_(target + ".tmp"),
        fd_(open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {}
  ~AsideFile() {
    if (fd_ < 0) return;
    close(fd_);
    if (!kept_) unlink(path_.c_str());
  }
  AsideFile(const AsideFile&) = delete;
  AsideFile& operator=(const AsideFile&) = delete;

  const std::string& path() const { return path_; }

  Status Write(uint64_t offset, std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Problem("write");
      bytes = bytes.subspan(n);
      offset += n;
    }
    return OkStatus();
  }
  Status Open() const { return fd_ < 0 ? Problem("create") : OkStatus(); }
  Status Sync() const { return fsync(fd_) == 0 ? OkStatus() : Problem("flush"); }
  Status PutInPlace(const std::string& target) {
    if (rename(path_.c_str(), target.c_str()) != 0) return Problem("rename");
    kept_ = true;
    return OkStatus();
  }

 private:
  Status Problem(std::string_view what) const {
    return Unavailable(StrCat("cannot ", what, " ", path_, ": ", std::strerror(errno)));
  }
  std::string path_;
  int fd_;
  bool kept_ = false;
};

// Whether the pack was made after the weights were last written. The fingerprint alone does not
// tell: it samples, and a file that was repaired in place may agree in every sample.
bool IsFresh(const std::string& pack, const std::string& weights) {
  std::error_code error;
  const auto packed = std::filesystem::last_write_time(pack, error);
  if (error) return false;
  const auto written = std::filesystem::last_write_time(weights, error);
  return !error && packed >= written;
}

// Weights that a wrong clock dated into the future must not be packed at every start.
void DateNotBefore(const std::string& pack, const std::string& weights) {
  std::error_code ignored;
  if (IsFresh(pack, weights)) return;
  std::filesystem::last_write_time(pack, std::filesystem::last_write_time(weights, ignored),
                                   ignored);
}

// Writes one matrix in bounded pieces; `pieces` gets the checksum of each.
Status WriteEntry(const Entry& entry, ThreadPool* pool, AsideFile& aside,
                  std::vector<uint8_t>& buffer, std::vector<uint64_t>& pieces) {
  const size_t tile_bytes = entry.matrix.TileBytes();
  const size_t tiles = entry.matrix.TileCount();
  const size_t step = std::max<size_t>(1, kPieceBytes / tile_bytes);
  for (size_t begin = 0; begin < tiles; begin += step) {
    const size_t end = std::min(tiles, begin + step);
    buffer.resize((end - begin) * tile_bytes);
    PackPiece(entry, begin, end, pool, buffer.data());
    pieces.push_back(Checksum64(std::span<const uint8_t>(buffer)));
    RETURN_IF_ERROR(aside.Write(entry.offset + begin * tile_bytes, buffer));
  }
  return OkStatus();
}

// Compares what the file holds with what was packed, and takes the checksums for the table.
Status VerifyWritten(const MappedFile& written, std::vector<Entry>& entries,
                     const std::vector<uint64_t>& pieces) {
  size_t next = 0;
  for (Entry& entry : entries) {
    const auto bytes = written.bytes().subspan(entry.offset, entry.length);
    const size_t tile_bytes = entry.matrix.TileBytes();
    const size_t step = std::max<size_t>(1, kPieceBytes / tile_bytes) * tile_bytes;
    for (size_t at = 0; at < bytes.size(); at += step) {
      const auto piece = bytes.subspan(at, std::min(step, bytes.size() - at));
      if (Checksum64(piece) != pieces[next++]) {
        return DataLoss(
            StrCat(written.path(), ": what was written does not read back; check the disk"));
      }
    }
    entry.checksum = Checksum64(bytes);
    entry.ends_checksum = EndsChecksum(bytes);
  }
  return OkStatus();
}

Status WritePack(const TensorFile& file, std::vector<Entry>& entries, const std::string& path,
                 ThreadPool* pool) {
  AsideFile aside(path);
  RETURN_IF_ERROR(aside.Open());
  const uint64_t length = PlaceEntries(file, entries);
  std::vector<uint8_t> buffer;
  std::vector<uint64_t> pieces;
  for (const Entry& entry : entries) {
    RETURN_IF_ERROR(WriteEntry(entry, pool, aside, buffer, pieces));
  }
  ASSIGN_OR_RETURN(auto written, MappedFile::Open(aside.path()));
  if (written->bytes().size() != length)
    return DataLoss(StrCat(aside.path(), " is shorter than written"));
  RETURN_IF_ERROR(VerifyWritten(*written, entries, pieces));
  const std::string table = TableOf(file, entries);
  const std::string front = HeaderOf(table, length) + table;
  RETURN_IF_ERROR(aside.Write(0, {reinterpret_cast<const uint8_t*>(front.data()), front.size()}));
  RETURN_IF_ERROR(aside.Sync());
  DateNotBefore(aside.path(), file.path());
  return aside.PutInPlace(path);
}

// One line of the table against what is expected; false when it differs or the bytes do not agree.
bool ReadEntry(ByteReader& reader, std::span<const uint8_t> bytes, Entry& entry) {
  std::string_view name;
  uint32_t type = 0, format = 0;
  uint64_t rows = 0, cols = 0, length = 0;
  if (!reader.ReadString(&name) || !reader.Read(&type) || !reader.Read(&format) ||
      !reader.Read(&rows) || !reader.Read(&cols) || !reader.Read(&entry.offset) ||
      !reader.Read(&length) || !reader.Read(&entry.checksum) ||
      !reader.Read(&entry.ends_checksum)) {
    return false;
  }
  if (name != entry.tensor->name || type != static_cast<uint32_t>(entry.tensor->type) ||
      format != static_cast<uint32_t>(entry.matrix.format) || rows != entry.matrix.rows ||
      cols != entry.matrix.cols || length != entry.length) {
    return false;
  }
  if (entry.offset % 64 != 0 || entry.offset > bytes.size() ||
      length > bytes.size() - entry.offset) {
    return false;
  }
  return EndsChecksum(bytes.subspan(entry.offset, length)) == entry.ends_checksum;
}

struct Header {
  uint32_t file_version = 0, packing_version = 0;
  uint64_t file_length = 0, table_offset = 0, table_length = 0, table_checksum = 0,
           header_checksum = 0;
};

bool ReadHeader(std::span<const uint8_t> bytes, Header& h) {
  if (bytes.size() < kHeaderBytes) return false;
  ByteReader reader(bytes.first(kHeaderBytes));
  std::string_view magic;
  return reader.ReadBytes(kMagic.size(), &magic) && magic == kMagic &&
         reader.Read(&h.file_version) && reader.Read(&h.packing_version) &&
         reader.Read(&h.file_length) && reader.Read(&h.table_offset) &&
         reader.Read(&h.table_length) && reader.Read(&h.table_checksum) &&
         reader.Read(&h.header_checksum) && h.header_checksum == Checksum64(bytes.first(48)) &&
         h.file_version == kFileVersion && h.packing_version == kernels::kPackingVersion &&
         h.file_length == bytes.size() && h.table_offset == kHeaderBytes &&
         h.table_length <= bytes.size() - kHeaderBytes;
}

// Null when there is no pack of these matrices in good order; the caller then makes one.
std::unique_ptr<Weights> OpenPack(const TensorFile& file, std::vector<Entry> entries,
                                  const std::string& path) {
  if (!IsFresh(path, file.path())) return nullptr;
  auto mapping = MappedFile::Open(path);
  if (!mapping.ok()) return nullptr;
  const std::span<const uint8_t> bytes = (*mapping)->bytes();
  Header header;
  if (!ReadHeader(bytes, header)) return nullptr;
  const auto table = bytes.subspan(header.table_offset, header.table_length);
  if (Checksum64(table) != header.table_checksum) return nullptr;
  ByteReader reader(table);
  std::string_view fingerprint;
  uint32_t count = 0;
  if (!reader.ReadString(&fingerprint) || fingerprint != file.fingerprint() ||
      !reader.Read(&count) || count != entries.size()) {
    return nullptr;
  }
  auto weights = std::make_unique<Weights>();
  for (Entry& entry : entries) {
    if (!ReadEntry(reader, bytes, entry)) return nullptr;
    weights->Add(entry, bytes.data() + entry.offset);
  }
  (*mapping)->WillNeed(0, bytes.size());
  weights->mapping = std::move(*mapping);
  return weights;
}

// Held while a pack is made. Another process that makes the same one is waited for: its work is
// ours.
Result<std::unique_ptr<FileLock>> LockPack(const std::string& path) {
  for (int tries = 0;; ++tries) {
    auto lock = FileLock::Acquire(path + ".lock");
    if (lock.ok() || lock.status().code() != StatusCode::kUnavailable || tries == 600) return lock;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

Result<std::unique_ptr<Weights>> MakePack(const TensorFile& file, std::vector<Entry>& entries,
                                          const std::string& path, const PackOptions& options) {
  RETURN_IF_ERROR(MakeDirectories(options.cache_dir));
  ASSIGN_OR_RETURN(auto lock, LockPack(path));
  if (auto weights = OpenPack(file, entries, path)) return weights;
  LogInfo(StrCat("repacking the weights of ", file.path(), " to ", path));
  RETURN_IF_ERROR(WritePack(file, entries, path, options.pool));
  auto weights = OpenPack(file, entries, path);
  if (!weights) return DataLoss(StrCat(path, " cannot be read back; check the disk"));
  return weights;
}

}  // namespace

std::string PackPath(const TensorFile& file, const std::string& cache_dir) {
  return JoinPath(cache_dir, StrCat(file.fingerprint(), ".pack"));
}

Result<std::unique_ptr<PackedWeights>> PackWeights(const TensorFile& file,
                                                   std::span<const WeightTensor* const> matrices,
                                                   const PackOptions& options) {
  ASSIGN_OR_RETURN(std::vector<Entry> entries, PlanEntries(file, matrices, options.form));
  if (!options.cache_dir.empty()) {
    const std::string path = PackPath(file, options.cache_dir);
    if (auto weights = OpenPack(file, entries, path)) {
      weights->origin_ = PackedWeights::Origin::kMapped;
      return std::unique_ptr<PackedWeights>(std::move(weights));
    }
    auto made = MakePack(file, entries, path, options);
    if (made.ok()) {
      file.DropPages();
      (*made)->origin_ = PackedWeights::Origin::kPacked;
      return std::unique_ptr<PackedWeights>(std::move(*made));
    }
    LogWarning(StrCat("packed weights stay in memory and are made again at the next start: ",
                      made.status().message(), "; free some space or choose another folder"));
  }
  auto weights = PackToMemory(entries, options.pool);
  file.DropPages();
  return weights;
}

}  // namespace vade
