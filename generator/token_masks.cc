#include "generator/token_masks.h"

#include <algorithm>
#include <string>
#include <utility>

namespace vade {
namespace {

// Of one walk, as GrammarAutomaton::work(). A usual form stays below a hundredth of it; for one
// that was made ambiguous on purpose only the single bytes and what is known already are exact
// then, so that it can still be written, and a step costs a bounded time.
constexpr uint64_t kMaxWork = 4'000'000;
// A walk may overrun the limit of a generation by this factor before it is cut in the same way.
constexpr size_t kMaxOverrun = 4;

// Texts that stand for all ordinary code points. A grammar with more is not looked at this way.
constexpr size_t kMaxSamples = 4'000;

// The sequences of bytes in `ranges` from byte `at` on, one for each sequence of classes.
void AppendSamples(const GrammarProgram& program, std::span<const ByteRange> ranges,
                   std::string* sample, std::vector<std::string>* out) {
  if (sample->size() == ranges.size()) {
    if (out->size() < kMaxSamples) out->push_back(*sample);
    return;
  }
  const ByteRange range = ranges[sample->size()];
  for (int byte = range.first; byte <= range.last && out->size() < kMaxSamples; ++byte) {
    if (byte > range.first && program.byte_class[byte] == program.byte_class[byte - 1]) continue;
    sample->push_back(static_cast<char>(byte));
    AppendSamples(program, ranges, sample, out);
    sample->pop_back();
  }
}

std::vector<std::string> OrdinarySamples(const GrammarProgram& program) {
  std::vector<std::string> samples;
  std::string sample;
  for (const auto& ranges : Utf8Sequences(TokenTrie::OrdinaryCodePoints())) {
    AppendSamples(program, ranges, &sample, &samples);
  }
  if (samples.size() >= kMaxSamples) samples.clear();
  return samples;
}

}  // namespace

TokenMasks::TokenMasks(std::shared_ptr<const GrammarProgram> program,
                       std::shared_ptr<const TokenTrie> trie, size_t max_bytes)
    : program_(std::move(program)),
      trie_(std::move(trie)),
      max_bytes_(max_bytes),
      ends_(trie_, &trie_->ends()),
      samples_(OrdinarySamples(*program_)),
      current_(std::make_shared<Generation>(program_)) {}

TokenMasks::Position TokenMasks::Start() {
  std::lock_guard lock(mutex_);
  return {current_, current_->automaton.start()};
}

std::shared_ptr<const TokenMasks::Mask> TokenMasks::MaskAt(Position* position) {
  std::lock_guard lock(mutex_);
  Renew(position);
  auto& mask = position->generation->masks[position->state];
  if (mask == nullptr) {
    mask = std::make_shared<const Mask>(Walk(position->generation.get(), position->state));
  }
  return mask;
}

void TokenMasks::Advance(std::string_view piece, Position* position) {
  std::lock_guard lock(mutex_);
  position->state = position->generation->automaton.Next(position->state, piece);
}

void TokenMasks::Renew(Position* position) {
  const size_t bytes = current_->automaton.bytes() +
                       current_->masks.size() * (ends_->size() * sizeof(uint64_t) + 64);
  if (bytes > max_bytes_) current_ = std::make_shared<Generation>(program_);
  if (position->generation == current_) return;
  position->state = current_->automaton.Import(position->generation->automaton, position->state);
  position->generation = current_;
}

// Behind any ordinary code point, where they all lead to one state; else kDead.
TokenMasks::StateId TokenMasks::AfterOrdinary(Generation* generation, StateId state) const {
  const auto [known, is_new] =
      generation->after_ordinary.try_emplace(state, GrammarAutomaton::kDead);
  if (!is_new || samples_.empty()) return known->second;
  const StateId after = generation->automaton.Next(state, samples_[0]);
  for (const std::string& sample : samples_) {
    if (generation->automaton.Next(state, sample) != after) return GrammarAutomaton::kDead;
  }
  return known->second = after;
}

// Whether each of the tokens of ordinary() may come, whatever it holds.
bool TokenMasks::IsOrdinaryText(Generation* generation, StateId state) const {
  for (int run = 0; run < TokenTrie::kOrdinaryRun; ++run) {
    const StateId after = AfterOrdinary(generation, state);
    if (after == GrammarAutomaton::kDead) return false;
    if (after == state) return true;
    state = after;
  }
  return true;
}

TokenMasks::Mask TokenMasks::Walk(Generation* generation, StateId state) const {
  GrammarAutomaton& automaton = generation->automaton;
  const bool ordinary = IsOrdinaryText(generation, state);
  const PieceTree& tree = ordinary ? trie_->odd() : trie_->all();
  Mask mask = ordinary ? trie_->ordinary() : Mask(ends_->size());
  std::vector<StateId> path(tree.max_depth() + 1, state);  // by the number of bytes taken
  const uint64_t max_work = automaton.work() + kMaxWork;
  bool too_large = false;
  for (size_t node = 0; node < tree.size();) {
    const size_t depth = tree.depth(node);
    const bool affordable = depth == 0 || (automaton.work() < max_work && !too_large);
    const StateId next =
        affordable ? automaton.Next(path[depth], tree.byte(node)) : GrammarAutomaton::kDead;
    if (next == GrammarAutomaton::kDead) {
      node = tree.after(node);
      continue;
    }
    for (const int32_t id : tree.tokens(node)) mask[id / 64] |= uint64_t{1} << (id % 64);
    path[depth + 1] = next;
    too_large |= automaton.bytes() > kMaxBytes * kMaxOverrun;
    ++node;
  }
  const bool none = std::all_of(mask.begin(), mask.end(), [](uint64_t word) { return word == 0; });
  if (automaton.CanEnd(state) || none) {
    for (size_t i = 0; i < mask.size(); ++i) mask[i] |= (*ends_)[i];
  }
  return mask;
}

}  // namespace vade
