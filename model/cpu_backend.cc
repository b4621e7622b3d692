#include "model/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/strings.h"

namespace vade {

uint64_t PageBytes(const AttentionShape& shape) {
  return 2ull * shape.layers * shape.kv_heads * kPageTokens *
         kernels::KvBytes(shape.kv_type, shape.head_dim);
}

Result<uint64_t> TableRowBytes(TensorType type, uint64_t bytes, uint64_t rows, uint64_t cols) {
  const TensorTypeInfo& info = InfoOf(type);
  if (cols == 0 || cols % info.block_elements != 0) {
    return InvalidArgument(StrCat("a table of ", info.name, " rows needs whole blocks of ",
                                  info.block_elements, " values, got rows of ", cols));
  }
  const uint64_t row_bytes = cols / info.block_elements * info.block_bytes;
  if (bytes / row_bytes < rows) return InvalidArgument("a table's bytes end before its last row");
  return row_bytes;
}

CpuBackend::CpuBackend(ThreadPool* pool) : pool_(pool) {}

CpuBackend::~CpuBackend() {
  for (std::span<uint8_t> buffer : buffers_) {
    if (!buffer.empty()) munmap(buffer.data(), buffer.size());
  }
}

// A mapping of its own: large ones cost nothing until they are used, and go back to the system at
// once.
Result<BufferHandle> CpuBackend::NewBuffer(uint64_t bytes) {
  void* data = MAP_FAILED;
  if (bytes > 0 && bytes < (1ull << 46)) {
    data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1, 0);
  }
  if (data == MAP_FAILED) {
    return ResourceExhausted(
        StrCat("no memory for a buffer of ", bytes, " bytes; lower the budgets"));
  }
  const std::span<uint8_t> buffer(static_cast<uint8_t*>(data), bytes);
  auto free = std::find_if(buffers_.begin(), buffers_.end(), [](auto b) { return b.empty(); });
  if (free == buffers_.end()) free = buffers_.insert(free, std::span<uint8_t>());
  *free = buffer;
  return BufferHandle{static_cast<int32_t>(free - buffers_.begin())};
}

void CpuBackend::FreeBuffer(BufferHandle handle) {
  const std::span<uint8_t> buffer = HostMemory(handle);
  munmap(buffer.data(), buffer.size());
  buffers_[handle.id] = {};
}

std::span<uint8_t> CpuBackend::HostMemory(BufferHandle buffer) const {
  VADE_CHECK(buffer.id >= 0 && static_cast<size_t>(buffer.id) < buffers_.size() &&
                 !buffers_[buffer.id].empty(),
             "a handle is used while its buffer lives");
  return buffers_[buffer.id];
}

float* CpuBackend::Floats(BufferHandle handle, uint64_t count) const {
  const std::span<uint8_t> memory = HostMemory(handle);
  VADE_CHECK(count * sizeof(float) <= memory.size(), "buffers are made for the rows that they get");
  return reinterpret_cast<float*>(memory.data());
}

Status CpuBackend::Upload(BufferHandle to, uint64_t offset, std::span<const uint8_t> bytes) {
  const std::span<uint8_t> memory = HostMemory(to);
  if (offset > memory.size() || bytes.size() > memory.size() - offset) {
    return Internal("upload beyond the end of a buffer");
  }
  std::copy(bytes.begin(), bytes.end(), memory.begin() + offset);
  return OkStatus();
}

Status CpuBackend::Download(BufferHandle from, uint64_t offset, std::span<uint8_t> bytes) {
  const std::span<uint8_t> memory = HostMemory(from);
  if (offset > memory.size() || bytes.size() > memory.size() - offset) {
    return Internal("download beyond the end of a buffer");
  }
  std::copy_n(memory.begin() + offset, bytes.size(), bytes.begin());
  return OkStatus();
}

Result<MatrixHandle> CpuBackend::AddMatrix(const kernels::PackedMatrix& matrix) {
  matrices_.push_back(matrix);
  return MatrixHandle{static_cast<int32_t>(matrices_.size()) - 1};
}

Result<TableHandle> CpuBackend::AddTable(TensorType type, std::span<const uint8_t> bytes,
                                         uint64_t rows, uint64_t cols) {
  ASSIGN_OR_RETURN(const uint64_t row_bytes, TableRowBytes(type, bytes.size(), rows, cols));
  tables_.push_back({type, bytes, rows, cols, row_bytes});
  return TableHandle{static_cast<int32_t>(tables_.size()) - 1};
}

Result<VectorHandle> CpuBackend::AddVector(std::span<const float> values) {
  vectors_.emplace_back(values.begin(), values.end());
  return VectorHandle{static_cast<int32_t>(vectors_.size()) - 1};
}

const kernels::PackedMatrix& CpuBackend::Matrix(MatrixHandle handle) const {
  VADE_CHECK(handle.id >= 0 && static_cast<size_t>(handle.id) < matrices_.size(),
             "a matrix is added before it is used");
  return matrices_[handle.id];
}

std::span<const float> CpuBackend::Vector(VectorHandle handle) const {
  VADE_CHECK(handle.id >= 0 && static_cast<size_t>(handle.id) < vectors_.size(),
             "a vector is added before it is used");
  return vectors_[handle.id];
}

void CpuBackend::For(size_t count, size_t grain, RangeFunction f) const {
  if (count == 0) return;
  if (!pool_ || count <= grain) return f(0, count);
  pool_->ParallelFor(count, grain, f);
}

Status CpuBackend::Embed(TableHandle handle, std::span<const int32_t> tokens, BufferHandle x) {
  VADE_CHECK(handle.id >= 0 && static_cast<size_t>(handle.id) < tables_.size(),
             "a table is added before it is used");
  const Table& table = tables_[handle.id];
  float* out = Floats(x, tokens.size() * table.cols);
  for (int32_t token : tokens) {
    VADE_CHECK(token >= 0 && static_cast<uint64_t>(token) < table.rows,
               "tokens are checked on entry");
    Dequantize(table.type, table.bytes.data() + token * table.row_bytes, table.cols, out);
    out += table.cols;
  }
  return OkStatus();
}

Status CpuBackend::LogProbabilities(BufferHandle logits, int width,
                                    std::span<const int32_t> targets, std::span<float> out) {
  const auto& kernel = kernels::Active().vector;
  const float* rows = Floats(logits, targets.size() * static_cast<uint64_t>(width));
  For(targets.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (targets[i] < 0) continue;
      VADE_CHECK(targets[i] < width, "tokens are checked on entry");
      const float* row = rows + i * static_cast<size_t>(width);
      out[i] = row[targets[i]] - kernel.log_sum_exp(row, static_cast<size_t>(width));
    }
  });
  return OkStatus();
}

Status CpuBackend::KeepRows(BufferHandle buffer, int width, std::span<const int32_t> keep) {
  if (keep.empty()) return OkStatus();
  float* rows = Floats(buffer, (keep.back() + 1ull) * width);
  for (size_t i = 0; i < keep.size(); ++i) {
    if (static_cast<size_t>(keep[i]) == i) continue;
    std::memcpy(rows + i * width, rows + static_cast<size_t>(keep[i]) * width,
                width * sizeof(float));
  }
  return OkStatus();
}

Status CpuBackend::CopyPage(const AttentionShape& shape, BufferHandle pages, int32_t from,
                            int32_t to) {
  const uint64_t bytes = PageBytes(shape);
  const std::span<uint8_t> memory = HostMemory(pages);
  VADE_CHECK((std::max(from, to) + 1ull) * bytes <= memory.size(),
             "page numbers come from the pool");
  std::memcpy(memory.data() + to * bytes, memory.data() + from * bytes, bytes);
  return OkStatus();
}

Status CpuBackend::ClearPages(const AttentionShape& shape, BufferHandle buffer,
                              std::span<const int32_t> pages) {
  const uint64_t bytes = PageBytes(shape);
  const std::span<uint8_t> memory = HostMemory(buffer);
  for (int32_t page : pages) {
    VADE_CHECK((page + 1ull) * bytes <= memory.size(), "page numbers come from the pool");
    std::memset(memory.data() + page * bytes, 0, bytes);
  }
  return OkStatus();
}

}  // namespace vade
