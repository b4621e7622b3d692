// A backend whose buffers cannot be touched outside its operations: between them the pages behind
// every buffer have no access rights, as memory of another device would not. Code that passes the
// tests on it treats handles as handles. It computes what CpuBackend computes.
#pragma once

#include <sys/mman.h>

#include <set>

#include "model/cpu_backend.h"

namespace vade {

class GuardedBackend final : public Backend {
 public:
  explicit GuardedBackend(ThreadPool* pool) : inner_(pool) {}
  ~GuardedBackend() override { Protect(PROT_READ | PROT_WRITE); }

  // How often the gates were opened: proves that a test went through here.
  int operations() const { return operations_; }
  // Where a careless caller would reach; not accessible.
  const uint8_t* MemoryBehind(BufferHandle buffer) const {
    return inner_.HostMemory(buffer).data();
  }

  Result<BufferHandle> NewBuffer(uint64_t bytes) override {
    auto buffer = inner_.NewBuffer(bytes);
    if (buffer.ok()) {
      buffers_.insert(buffer->id);
      Protect(PROT_NONE);
    }
    return buffer;
  }
  void FreeBuffer(BufferHandle buffer) override {
    buffers_.erase(buffer.id);
    inner_.FreeBuffer(buffer);
  }
  Status Upload(BufferHandle to, uint64_t offset, std::span<const uint8_t> bytes) override {
    const Gate gate(this);
    return inner_.Upload(to, offset, bytes);
  }
  Status Download(BufferHandle from, uint64_t offset, std::span<uint8_t> bytes) override {
    const Gate gate(this);
    return inner_.Download(from, offset, bytes);
  }
  Result<MatrixHandle> AddMatrix(const kernels::PackedMatrix& matrix) override {
    return inner_.AddMatrix(matrix);
  }
  Result<TableHandle> AddTable(TensorType type, std::span<const uint8_t> bytes, uint64_t rows,
                               uint64_t cols) override {
    return inner_.AddTable(type, bytes, rows, cols);
  }
  Result<VectorHandle> AddVector(std::span<const float> values) override {
    return inner_.AddVector(values);
  }

  Status Embed(TableHandle table, std::span<const int32_t> tokens, BufferHandle x) override {
    const Gate gate(this);
    return inner_.Embed(table, tokens, x);
  }
  Status NormProject(const NormProjectArgs& args) override {
    const Gate gate(this);
    return inner_.NormProject(args);
  }
  Status StoreKeysValues(const StoreArgs& args) override {
    const Gate gate(this);
    return inner_.StoreKeysValues(args);
  }
  Status Attend(const AttendArgs& args) override {
    const Gate gate(this);
    return inner_.Attend(args);
  }
  Status ProjectAdd(MatrixHandle matrix, BufferHandle in, int rows, BufferHandle x) override {
    const Gate gate(this);
    return inner_.ProjectAdd(matrix, in, rows, x);
  }
  Status FeedForward(const FeedForwardArgs& args) override {
    const Gate gate(this);
    return inner_.FeedForward(args);
  }
  Status LogProbabilities(BufferHandle logits, int width, std::span<const int32_t> targets,
                          std::span<float> out) override {
    const Gate gate(this);
    return inner_.LogProbabilities(logits, width, targets, out);
  }
  Status KeepRows(BufferHandle buffer, int width, std::span<const int32_t> keep) override {
    const Gate gate(this);
    return inner_.KeepRows(buffer, width, keep);
  }
  Status CopyOut(const TokenArgs& args, std::span<uint8_t> out) override {
    const Gate gate(this);
    return inner_.CopyOut(args, out);
  }
  Status CopyIn(const TokenArgs& args, std::span<const uint8_t> in) override {
    const Gate gate(this);
    return inner_.CopyIn(args, in);
  }
  Status CopyPage(const AttentionShape& shape, BufferHandle pages, int32_t from,
                  int32_t to) override {
    const Gate gate(this);
    return inner_.CopyPage(shape, pages, from, to);
  }
  Status ClearPages(const AttentionShape& shape, BufferHandle buffer,
                    std::span<const int32_t> pages) override {
    const Gate gate(this);
    return inner_.ClearPages(shape, buffer, pages);
  }

 private:
  class Gate {
   public:
    explicit Gate(GuardedBackend* backend) : backend_(backend) {
      ++backend_->operations_;
      backend_->Protect(PROT_READ | PROT_WRITE);
    }
    ~Gate() { backend_->Protect(PROT_NONE); }

   private:
    GuardedBackend* backend_;
  };

  void Protect(int rights) {
    for (int32_t id : buffers_) {
      const std::span<uint8_t> memory = inner_.HostMemory(BufferHandle{id});
      VADE_CHECK(mprotect(memory.data(), memory.size(), rights) == 0,
                 "buffers are mappings of their own");
    }
  }

  CpuBackend inner_;
  std::set<int32_t> buffers_;
  int operations_ = 0;
};

}  // namespace vade
