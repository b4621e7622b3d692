#include "model/step.h"

namespace vade {

void Step::Queries::Clear() {
  positions.clear();
  visible.clear();
  spans.clear();
  positions.reserve(kMaxRows);  // spans point into both
  visible.reserve(kMaxRows);
}

void Step::Queries::Add(const KvGrowth& growth, int index) {
  positions.push_back(growth.positions()[index]);
  visible.push_back(static_cast<uint32_t>(index) + 1);
}

// Ends the rows of one sequence; they began at first_row.
void Step::Queries::Close(const KvGrowth& growth, size_t first_row) {
  const size_t count = visible.size() - first_row;
  if (count == 0) return;
  const size_t keys = visible.back();
  spans.push_back({.first_row = static_cast<int>(first_row),
                   .row_count = static_cast<int>(count),
                   .visible = std::span(visible).subspan(first_row, count),
                   .row_positions = std::span(positions).subspan(first_row, count),
                   .pages = growth.pages().first((keys + kPageTokens - 1) / kPageTokens),
                   .key_positions = growth.positions().first(keys)});
}

void Step::Build(std::span<const StepPart> parts) {
  tokens_.clear();
  slots_.clear();
  wanted_.clear();
  all_.Clear();
  wanted_rows_.Clear();
  for (const StepPart& part : parts) {
    const size_t first_row = tokens_.size(), first_wanted = wanted_.size();
    for (size_t i = 0; i < part.tokens.size(); ++i) {
      const int index = part.first_index + static_cast<int>(i);
      tokens_.push_back(part.tokens[i]);
      slots_.push_back(part.growth->SlotOf(index));
      all_.Add(*part.growth, index);
    }
    for (int32_t wanted : part.wanted) {
      const int row = wanted - part.wanted_shift;
      wanted_.push_back(static_cast<int32_t>(first_row) + row);
      wanted_rows_.Add(*part.growth, part.first_index + row);
    }
    VADE_CHECK(tokens_.size() <= kMaxRows, "steps are cut to this size by the caller");
    all_.Close(*part.growth, first_row);
    wanted_rows_.Close(*part.growth, first_wanted);
  }
}

}  // namespace vade
