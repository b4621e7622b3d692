// A grammar running over bytes. A state is everything that the text so far may mean: a set of
// positions in the program, each with the set of stacks of rules that it came through. States and
// sets of stacks are numbered by their content and transitions are remembered, so that a step that
// was taken before is one look-up, and branching points for tokens cost nothing to keep.
//
// Sets of stacks are shared: a set is a list of (where to go on, set below), and two positions that
// meet are merged. So the number of positions never exceeds the size of the grammar, however
// ambiguous it is. What a grammar made to do harm could still blow up is cut: a text that nests
// deeper than kMaxStackDepth, is in more than kMaxPositions positions at once, or needs more than
// kMaxStepWork for one byte, is not accepted.
//
// It only grows: look at bytes() and Import() what is alive into a new one. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "generator/grammar_program.h"

namespace vade {

// Numbers lists of pairs by their content: equal lists, equal numbers, from 0 on.
class PairLists {
 public:
  struct Pair {
    uint32_t first = 0, second = 0;
    friend bool operator==(const Pair&, const Pair&) = default;
  };
  PairLists() : ids_(16, Hash{this}, Equal{this}) {}
  PairLists(const PairLists&) = delete;  // the table points here
  PairLists& operator=(const PairLists&) = delete;

  uint32_t Intern(std::span<const Pair> list);  // not of this object
  // Valid until the next Intern().
  std::span<const Pair> Get(uint32_t id) const {
    return std::span(pairs_).subspan(begins_[id], begins_[id + 1] - begins_[id]);
  }
  size_t size() const { return begins_.size() - 1; }
  size_t bytes() const { return pairs_.size() * sizeof(Pair) + begins_.size() * 48; }

 private:
  struct Hash {
    const PairLists* lists;
    size_t operator()(uint32_t id) const;
  };
  struct Equal {
    const PairLists* lists;
    bool operator()(uint32_t a, uint32_t b) const;
  };
  std::vector<Pair> pairs_;
  std::vector<uint32_t> begins_ = {0};  // one more than there are lists
  std::unordered_set<uint32_t, Hash, Equal> ids_;
};

class GrammarAutomaton {
 public:
  using StateId = uint32_t;
  static constexpr StateId kDead = 0;  // no text goes on from here, nor ends here
  static constexpr uint32_t kMaxStackDepth = 1024;
  static constexpr size_t kMaxPositions = 2048;
  static constexpr uint64_t kMaxStepWork = 1 << 17;

  explicit GrammarAutomaton(std::shared_ptr<const GrammarProgram> program);

  StateId start() const { return start_; }
  StateId Next(StateId state, uint8_t byte) {
    const StateId next = next_[state * classes_ + program_->byte_class[byte]];
    return next != kUnknown ? next : Compute(state, program_->byte_class[byte]);
  }
  StateId Next(StateId state, std::string_view bytes);
  bool CanEnd(StateId state) const { return can_end_[state]; }
  // What was worked out so far, in edges looked at and entries of stacks merged: some 10 ns each.
  uint64_t work() const { return work_; }

  // The state with the same meaning here. `other` runs the same program.
  StateId Import(const GrammarAutomaton& other, StateId state);

  size_t bytes() const;  // roughly what it holds

 private:
  using Pair = PairLists::Pair;
  using StacksId = uint32_t;
  static constexpr StateId kUnknown = ~StateId{0};
  static constexpr uint32_t kBottom = ~uint32_t{0};  // "where to go on" of the empty stack
  static constexpr uint32_t kEnd = ~uint32_t{0};     // "position" of a text that may end

  StateId Compute(StateId state, uint8_t byte_class);
  void Reach(uint32_t node, StacksId stacks);
  void CloseOver();
  void Leave(StacksId stacks);
  StateId Collect();
  StateId InternState(std::span<const Pair> positions);
  StacksId InternStacks(std::span<const Pair> entries);
  StacksId Union(StacksId a, StacksId b);
  StacksId ImportStacks(const GrammarAutomaton& other, StacksId stacks,
                        std::unordered_map<StacksId, StacksId>* known);

  const std::shared_ptr<const GrammarProgram> program_;
  const size_t classes_;

  PairLists stacks_;             // (node to go on at, stacks below), sorted; list 0 is empty
  std::vector<uint32_t> depth_;  // of sets of stacks: the deepest one
  std::unordered_map<uint64_t, StacksId> unions_;

  PairLists states_;           // (node, stacks), sorted by node; list 0 is kDead
  std::vector<StateId> next_;  // [states, classes]
  std::vector<bool> can_end_;
  StateId start_ = kDead;

  // Of the step that is being computed.
  std::vector<StacksId> reached_;  // by node; 0 = not reached
  std::vector<StacksId> done_;     // by node: what was propagated already
  std::vector<uint32_t> touched_, pending_;
  bool may_end_ = false, too_much_ = false;
  uint64_t work_ = 0, max_work_ = kMaxStepWork;  // of all steps; at which this one is given up
};

}  // namespace vade
