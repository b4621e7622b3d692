// One micro-batch of a Forward: which rows it has and where each reads and writes, as plain host
// arrays.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/backend.h"
#include "model/kv_pool.h"

namespace vade {

// Rows of one sequence within a step: tokens [begin, end) of an item that grows `growth`.
struct StepPart {
  const KvGrowth* growth = nullptr;
  int first_index = 0;              // of token `begin` in the grown sequence
  std::span<const int32_t> tokens;  // those of [begin, end)
  std::span<const int32_t> wanted;  // indices into `tokens`, ascending, shifted by `wanted_shift`
  int wanted_shift = 0;
};

// The arrays are kept between steps; their addresses stay until the next Build().
class Step {
 public:
  static constexpr int kMaxRows = 512;

  // The parts together have at most kMaxRows tokens.
  void Build(std::span<const StepPart> parts);

  int rows() const { return static_cast<int>(tokens_.size()); }
  std::span<const int32_t> tokens() const { return tokens_; }
  std::span<const KvSlot> slots() const { return slots_; }
  std::span<const AttentionSpan> spans() const { return all_.spans; }

  // The rows whose logits are wanted, and the attention of these alone once they are in front.
  std::span<const int32_t> wanted() const { return wanted_; }
  std::span<const AttentionSpan> wanted_spans() const { return wanted_rows_.spans; }

 private:
  struct Queries {
    std::vector<int32_t> positions;
    std::vector<uint32_t> visible;
    std::vector<AttentionSpan> spans;
    void Clear();
    void Add(const KvGrowth& growth, int index);
    void Close(const KvGrowth& growth, size_t first_row);
  };

  std::vector<int32_t> tokens_;
  std::vector<KvSlot> slots_;
  std::vector<int32_t> wanted_;
  Queries all_, wanted_rows_;
};

}  // namespace vade
