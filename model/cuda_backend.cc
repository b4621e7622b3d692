#include "model/cuda_backend.h"

#include <algorithm>
#include <bit>

#include "base/strings.h"

namespace vade {

namespace cuda = kernels::cuda;

namespace {

constexpr uint64_t kStagingBytes = 4ull << 20;
constexpr uint64_t kShareOfFreeTenths = 9;

}  // namespace

// --- memory
// ----------------------------------------------------------------------------------------

Result<std::unique_ptr<CudaBackend>> CudaBackend::Create(std::unique_ptr<cuda::Device> device,
                                                         const GpuOptions& options) {
  ASSIGN_OR_RETURN(cuda::DeviceInfo info, device->Describe());
  return std::unique_ptr<CudaBackend>(new CudaBackend(std::move(device), std::move(info), options));
}

CudaBackend::CudaBackend(std::unique_ptr<cuda::Device> device, cuda::DeviceInfo info,
                         const GpuOptions& options)
    : device_(std::move(device)),
      info_(std::move(info)),
      arena_(device_.get(), options.memory_bytes > 0 ? options.memory_bytes
                                                     : info_.free_bytes / 10 * kShareOfFreeTenths),
      staging_(device_.get(), kStagingBytes),
      uploads_(device_.get()),
      graphs_wanted_(options.graphs) {}

// Members give memory back; nothing may be at work on it.
CudaBackend::~CudaBackend() {
  DropGraphs();
  (void)device_->Synchronize();
  FreeDroppedGraphs();
}

Status CudaBackend::Queued() {
  if (staging_.NearlyFull() && !recording_) return Wait();
  return device_->Check();
}

Status CudaBackend::Wait() {
  if (recording_) return FailedPrecondition("a recorded step cannot wait");
  const Status status = device_->Synchronize();
  staging_.Reset();
  FreeDroppedGraphs();
  return status;
}

Result<CudaBackend::Memory> CudaBackend::Take(uint64_t bytes, const std::string& what) {
  ASSIGN_OR_RETURN(uint8_t * at, arena_.Allocate(bytes, what));
  return Memory{at, bytes};
}

// Recorded steps may name it.
void CudaBackend::GiveBack(Memory* memory) {
  DropGraphs();
  arena_.Free(memory->at);
  *memory = {};
}

Result<uint8_t*> CudaBackend::ScratchBytes(Scratch which, uint64_t bytes) {
  Memory& memory = scratch_[which];
  if (memory.bytes < bytes) {
    if (recording_) return FailedPrecondition("a recorded step cannot take more memory");
    if (memory.at) GiveBack(&memory);
    // With room to spare, for as long as there is: each growth ends the recorded steps.
    auto roomy = Take(std::bit_ceil(bytes), "a step's scratch");
    if (!roomy.ok()) roomy = Take(bytes, "a step's scratch");
    ASSIGN_OR_RETURN(memory, std::move(roomy));
  }
  return memory.at;
}

Result<CudaBackend::Memory> CudaBackend::Copy(std::span<const uint8_t> bytes,
                                              const std::string& what) {
  ASSIGN_OR_RETURN(const Memory memory, Take(bytes.size(), what));
  RETURN_IF_ERROR(uploads_.Copy(memory.at, bytes));
  return memory;
}

Result<BufferHandle> CudaBackend::NewBuffer(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (bytes == 0) return ResourceExhausted("a buffer of no bytes");
  ASSIGN_OR_RETURN(const Memory memory, Take(bytes, "a buffer"));
  device_->Clear(memory.at, bytes);
  auto free = std::find_if(buffers_.begin(), buffers_.end(), [](auto& b) { return !b.at; });
  if (free == buffers_.end()) free = buffers_.insert(free, Memory());
  *free = memory;
  return BufferHandle{static_cast<int32_t>(free - buffers_.begin())};
}

void CudaBackend::FreeBuffer(BufferHandle handle) {
  std::lock_guard lock(mutex_);
  (void)BufferOf(handle);
  GiveBack(&buffers_[static_cast<size_t>(handle.id)]);
}

CudaBackend::Memory CudaBackend::BufferOf(BufferHandle handle) const {
  VADE_CHECK(handle.id >= 0 && static_cast<size_t>(handle.id) < buffers_.size() &&
                 buffers_[static_cast<size_t>(handle.id)].at,
             "a handle is used while its buffer lives");
  return buffers_[static_cast<size_t>(handle.id)];
}

float* CudaBackend::Floats(BufferHandle handle, uint64_t count) const {
  const Memory memory = BufferOf(handle);
  VADE_CHECK(count * sizeof(float) <= memory.bytes, "buffers are made for the rows that they get");
  return reinterpret_cast<float*>(memory.at);
}

Status CudaBackend::Upload(BufferHandle to, uint64_t offset, std::span<const uint8_t> bytes) {
  std::lock_guard lock(mutex_);
  const Memory memory = BufferOf(to);
  if (offset > memory.bytes || bytes.size() > memory.bytes - offset) {
    return Internal("upload beyond the end of a buffer");
  }
  RETURN_IF_ERROR(uploads_.Copy(memory.at + offset, bytes));
  return Queued();
}

Status CudaBackend::Download(BufferHandle from, uint64_t offset, std::span<uint8_t> bytes) {
  std::lock_guard lock(mutex_);
  const Memory memory = BufferOf(from);
  if (offset > memory.bytes || bytes.size() > memory.bytes - offset) {
    return Internal("download beyond the end of a buffer");
  }
  return ReadBack(memory.at + offset, bytes);
}

Status CudaBackend::ReadBack(const uint8_t* from, std::span<uint8_t> to) {
  if (recording_) return FailedPrecondition("a recorded step cannot wait");
  if (to.empty()) return OkStatus();
  RETURN_IF_ERROR(staging_.ReadBack(from, to));
  FreeDroppedGraphs();
  return OkStatus();
}

// --- weights
// -----------------------------------------------------------------------------------------

Result<MatrixHandle> CudaBackend::AddMatrix(const kernels::PackedMatrix& matrix) {
  std::lock_guard lock(mutex_);
  const uint64_t bytes = kernels::PackedBytes(matrix.format, matrix.rows, matrix.cols);
  ASSIGN_OR_RETURN(const Memory data, Copy({matrix.data, bytes}, "a weight matrix"));
  matrices_.push_back({matrix.format, static_cast<uint32_t>(matrix.rows),
                       static_cast<uint32_t>(matrix.cols), data});
  RETURN_IF_ERROR(Queued());
  return MatrixHandle{static_cast<int32_t>(matrices_.size()) - 1};
}

Result<TableHandle> CudaBackend::AddTable(TensorType type, std::span<const uint8_t> bytes,
                                          uint64_t rows, uint64_t cols) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const uint64_t row_bytes, TableRowBytes(type, bytes.size(), rows, cols));
  ASSIGN_OR_RETURN(const Memory data, Copy(bytes.first(rows * row_bytes), "the embedding table"));
  tables_.push_back({type, rows, cols, data});
  RETURN_IF_ERROR(Queued());
  return TableHandle{static_cast<int32_t>(tables_.size()) - 1};
}

Result<VectorHandle> CudaBackend::AddVector(std::span<const float> values) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Memory data, Copy({reinterpret_cast<const uint8_t*>(values.data()),
                                            values.size() * sizeof(float)},
                                           "a weight vector"));
  vectors_.push_back({static_cast<uint32_t>(values.size()), data});
  RETURN_IF_ERROR(Queued());
  return VectorHandle{static_cast<int32_t>(vectors_.size()) - 1};
}

const CudaBackend::Matrix& CudaBackend::MatrixOf(MatrixHandle handle) const {
  VADE_CHECK(handle.id >= 0 && static_cast<size_t>(handle.id) < matrices_.size(),
             "a matrix is added before it is used");
  return matrices_[static_cast<size_t>(handle.id)];
}

const CudaBackend::Vector& CudaBackend::VectorOf(VectorHandle handle) const {
  VADE_CHECK(handle.id >= 0 && static_cast<size_t>(handle.id) < vectors_.size(),
             "a vector is added before it is used");
  return vectors_[static_cast<size_t>(handle.id)];
}

// --- operations
// ----------------------------------------------------------------------------------------

Status CudaBackend::Embed(TableHandle handle, std::span<const int32_t> tokens, BufferHandle x) {
  std::lock_guard lock(mutex_);
  VADE_CHECK(handle.id >= 0 && static_cast<size_t>(handle.id) < tables_.size(),
             "a table is added before it is used");
  const Table& table = tables_[static_cast<size_t>(handle.id)];
  for (int32_t token : tokens) {
    VADE_CHECK(token >= 0 && static_cast<uint64_t>(token) < table.rows,
               "tokens are checked on entry");
  }
  ASSIGN_OR_RETURN(const int32_t* device_tokens, Array("tokens", tokens));
  cuda::Embed({.type = table.type,
               .table = table.data.at,
               .table_bytes = table.data.bytes,
               .cols = static_cast<uint32_t>(table.cols),
               .tokens = device_tokens,
               .count = static_cast<uint32_t>(tokens.size()),
               .x = Floats(x, tokens.size() * table.cols)},
              device_->stream());
  return Queued();
}

// Prepares the rows once for each form that the matrices want, then multiplies those of one format
// together.
Status CudaBackend::Multiply(std::span<const Product> products, cuda::PrepareArgs x, float* y,
                             uint32_t y_stride, cuda::MultiplyArgs::Into into) {
  std::vector<bool> done(products.size());
  const kernels::Format* prepared = nullptr;
  for (size_t i = 0; i < products.size(); ++i) {
    if (done[i]) continue;
    const Matrix& first = *products[i].matrix;
    if (!prepared || !kernels::SamePreparedForm(*prepared, first.format)) {
      x.format = first.format;
      ASSIGN_OR_RETURN(x.out,
                       ScratchBytes(kPrepared, x.rows * kernels::PreparedBytes(x.format, x.cols)));
      cuda::Prepare(x, device_->stream());
      prepared = &first.format;
    }
    std::vector<cuda::ProductMatrix> together;
    for (size_t j = i; j < products.size() && together.size() < cuda::kMaxProducts; ++j) {
      const Product& p = products[j];
      if (done[j] || p.matrix->format != first.format) continue;
      VADE_CHECK(p.matrix->cols == x.cols, "shapes are checked when the weights are loaded");
      together.push_back({p.matrix->data.at, p.matrix->rows, p.bias ? FloatsOf(*p.bias) : nullptr,
                          p.first_column});
      done[j] = true;
    }
    cuda::Multiply({.format = first.format,
                    .cols = x.cols,
                    .matrices = together,
                    .x = x.out,
                    .tokens = x.rows,
                    .y = y,
                    .y_stride = y_stride,
                    .into = into},
                   device_->stream());
  }
  return Queued();
}

Status CudaBackend::NormProject(const NormProjectArgs& args) {
  if (args.rows == 0) return OkStatus();
  std::lock_guard lock(mutex_);
  const Vector& norm = VectorOf(args.norm);
  const auto rows = static_cast<uint32_t>(args.rows), first = static_cast<uint32_t>(args.first_row);
  std::vector<Product> products;
  uint32_t width = 0;
  for (const Projection& p : args.projections) {
    const Matrix& matrix = MatrixOf(p.matrix);
    products.push_back({&matrix, IsSet(p.bias) ? &VectorOf(p.bias) : nullptr, width});
    width += matrix.rows;
  }
  const float* x = Floats(args.x, uint64_t{first + rows} * norm.count);
  return Multiply(products,
                  {.x = x + size_t{first} * norm.count,
                   .rows = rows,
                   .cols = norm.count,
                   .x_stride = norm.count,
                   .norm = FloatsOf(norm),
                   .eps = args.eps},
                  Floats(args.out, uint64_t{rows} * width), width,
                  cuda::MultiplyArgs::Into::kReplace);
}

Status CudaBackend::ProjectAdd(MatrixHandle handle, BufferHandle in, int row_count,
                               BufferHandle x) {
  if (row_count == 0) return OkStatus();
  std::lock_guard lock(mutex_);
  const Matrix& matrix = MatrixOf(handle);
  const auto rows = static_cast<uint32_t>(row_count);
  const Product product = {&matrix, nullptr, 0};
  return Multiply({&product, 1},
                  {.x = Floats(in, uint64_t{rows} * matrix.cols),
                   .rows = rows,
                   .cols = matrix.cols,
                   .x_stride = matrix.cols},
                  Floats(x, uint64_t{rows} * matrix.rows), matrix.rows,
                  cuda::MultiplyArgs::Into::kAdd);
}

// Gate and up stand side by side in scratch; their product is made while it is rounded for the
// product with down. args.hidden is not needed.
Status CudaBackend::FeedForward(const FeedForwardArgs& args) {
  if (args.rows == 0) return OkStatus();
  std::lock_guard lock(mutex_);
  const Vector& norm = VectorOf(args.norm);
  const Matrix& gate = MatrixOf(args.gate);
  const Matrix& up = MatrixOf(args.up);
  const Matrix& down = MatrixOf(args.down);
  VADE_CHECK(gate.rows == up.rows && gate.rows == down.cols,
             "shapes are checked when the weights are loaded");
  const auto rows = static_cast<uint32_t>(args.rows);
  const uint32_t width = gate.rows;
  ASSIGN_OR_RETURN(uint8_t * scratch,
                   ScratchBytes(kGateUp, uint64_t{rows} * 2 * width * sizeof(float)));
  float* gate_up = reinterpret_cast<float*>(scratch);
  float* x = Floats(args.x, uint64_t{rows} * norm.count);
  const Product both[] = {{&gate, nullptr, 0}, {&up, nullptr, width}};
  RETURN_IF_ERROR(Multiply(both,
                           {.x = x,
                            .rows = rows,
                            .cols = norm.count,
                            .x_stride = norm.count,
                            .norm = FloatsOf(norm),
                            .eps = args.eps},
                           gate_up, 2 * width, cuda::MultiplyArgs::Into::kReplace));
  const Product last = {&down, nullptr, 0};
  return Multiply(
      {&last, 1},
      {.x = gate_up, .rows = rows, .cols = width, .x_stride = 2 * width, .up = gate_up + width}, x,
      down.rows, cuda::MultiplyArgs::Into::kAdd);
}

Status CudaBackend::LogProbabilities(BufferHandle logits, int width,
                                     std::span<const int32_t> targets, std::span<float> out) {
  std::lock_guard lock(mutex_);
  if (std::ranges::all_of(targets, [](int32_t t) { return t < 0; })) return OkStatus();
  for (int32_t target : targets) VADE_CHECK(target < width, "tokens are checked on entry");
  ASSIGN_OR_RETURN(const int32_t* device_targets, Array("targets", targets));
  ASSIGN_OR_RETURN(uint8_t * results, ScratchBytes(kResults, targets.size() * sizeof(float)));
  cuda::LogProbabilities({.logits = Floats(logits, targets.size() * static_cast<uint64_t>(width)),
                          .rows = static_cast<uint32_t>(targets.size()),
                          .width = static_cast<uint32_t>(width),
                          .targets = device_targets,
                          .out = reinterpret_cast<float*>(results)},
                         device_->stream());
  std::vector<float> all(targets.size());
  RETURN_IF_ERROR(ReadBack(results, {reinterpret_cast<uint8_t*>(all.data()), 4 * all.size()}));
  for (size_t i = 0; i < all.size(); ++i) {
    if (targets[i] >= 0) out[i] = all[i];
  }
  return OkStatus();
}

Status CudaBackend::KeepRows(BufferHandle buffer, int width, std::span<const int32_t> keep) {
  if (keep.empty()) return OkStatus();
  std::lock_guard lock(mutex_);
  const auto rows = static_cast<uint32_t>(keep.back() + 1);
  ASSIGN_OR_RETURN(const int32_t* device_keep, Array("keep", keep));
  cuda::KeepRows({.rows = Floats(buffer, uint64_t{rows} * static_cast<uint64_t>(width)),
                  .row_count = rows,
                  .width = static_cast<uint32_t>(width),
                  .keep = device_keep,
                  .kept = static_cast<uint32_t>(keep.size())},
                 device_->stream());
  return Queued();
}

}  // namespace vade
