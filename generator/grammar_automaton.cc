#include "generator/grammar_automaton.h"

#include <algorithm>

namespace vade {
namespace {

uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 32)) * 0x9E3779B97F4A7C15ull;
  return x ^ (x >> 29);
}

}  // namespace

size_t PairLists::Hash::operator()(uint32_t id) const {
  uint64_t hash = 0;
  for (const Pair& pair : lists->Get(id)) {
    hash = Mix(hash + (uint64_t{pair.first} << 32 | pair.second) + 0x632BE59BD9B4E019ull);
  }
  return hash;
}

bool PairLists::Equal::operator()(uint32_t a, uint32_t b) const {
  const auto left = lists->Get(a), right = lists->Get(b);
  return std::equal(left.begin(), left.end(), right.begin(), right.end());
}

// Appended first, so that the table need only know numbers; taken back when it was there.
uint32_t PairLists::Intern(std::span<const Pair> list) {
  const auto id = static_cast<uint32_t>(size());
  pairs_.insert(pairs_.end(), list.begin(), list.end());
  begins_.push_back(static_cast<uint32_t>(pairs_.size()));
  const auto [known, is_new] = ids_.insert(id);
  if (!is_new) {
    begins_.pop_back();
    pairs_.resize(begins_.back());
  }
  return *known;
}

GrammarAutomaton::GrammarAutomaton(std::shared_ptr<const GrammarProgram> program)
    : program_(std::move(program)),
      classes_(program_->class_byte.size()),
      reached_(program_->nodes.size()),
      done_(program_->nodes.size()) {
  InternStacks({});
  InternState({});
  const Pair bottom = {kBottom, 0};
  Reach(program_->start, InternStacks(std::span(&bottom, 1)));
  CloseOver();
  start_ = Collect();
}

GrammarAutomaton::StateId GrammarAutomaton::Next(StateId state, std::string_view bytes) {
  for (const char c : bytes) state = Next(state, static_cast<uint8_t>(c));
  return state;
}

GrammarAutomaton::StateId GrammarAutomaton::Compute(StateId state, uint8_t byte_class) {
  const uint8_t byte = program_->class_byte[byte_class];
  max_work_ = work_ + kMaxStepWork;
  for (const Pair& position : states_.Get(state)) {
    if (position.first == kEnd) continue;
    work_ += program_->EdgesOf(position.first).size();
    for (const auto& edge : program_->EdgesOf(position.first)) {
      if (edge.kind != GrammarProgram::EdgeKind::kBytes) continue;
      if (edge.first <= byte && byte <= edge.last) Reach(edge.target, position.second);
    }
  }
  CloseOver();
  const StateId next = Collect();
  next_[state * classes_ + byte_class] = next;
  return next;
}

void GrammarAutomaton::Reach(uint32_t node, StacksId stacks) {
  ++work_;
  const StacksId known = reached_[node];
  const StacksId merged = known == 0 ? stacks : Union(known, stacks);
  if (merged == known) return;
  if (known == 0) touched_.push_back(node);
  reached_[node] = merged;
  pending_.push_back(node);
}

// Goes over empty edges, into rules and out of them. It ends because rules are not left-recursive:
// without a byte, no stack can grow twice by the same call.
void GrammarAutomaton::CloseOver() {
  while (!pending_.empty() && !too_much_) {
    const uint32_t node = pending_.back();
    pending_.pop_back();
    const StacksId stacks = reached_[node];
    if (done_[node] == stacks) continue;
    done_[node] = stacks;
    if (program_->nodes[node].is_end) Leave(stacks);
    for (const auto& edge : program_->EdgesOf(node)) {
      using Kind = GrammarProgram::EdgeKind;
      if (edge.kind == Kind::kEmpty || edge.kind == Kind::kTailCall) {
        Reach(edge.target, stacks);
      } else if (edge.kind == Kind::kCall && depth_[stacks] < kMaxStackDepth) {
        const Pair entry = {edge.next, stacks};
        Reach(edge.target, InternStacks(std::span(&entry, 1)));
      }
    }
    too_much_ = touched_.size() > kMaxPositions || work_ > max_work_;
  }
}

void GrammarAutomaton::Leave(StacksId stacks) {
  const size_t count = stacks_.Get(stacks).size();
  for (size_t i = 0; i < count; ++i) {
    const Pair entry = stacks_.Get(stacks)[i];  // by value: reaching may move the lists
    if (entry.first == kBottom) {
      may_end_ = true;
    } else {
      Reach(entry.first, entry.second);
    }
  }
}

GrammarAutomaton::StateId GrammarAutomaton::Collect() {
  std::vector<Pair> positions;
  std::sort(touched_.begin(), touched_.end());
  for (const uint32_t node : touched_) {
    if (program_->nodes[node].reads) positions.push_back({node, reached_[node]});
    reached_[node] = done_[node] = 0;
  }
  if (may_end_) positions.push_back({kEnd, 0});
  if (too_much_) positions.clear();
  touched_.clear();
  pending_.clear();
  may_end_ = too_much_ = false;
  return InternState(positions);
}

GrammarAutomaton::StateId GrammarAutomaton::InternState(std::span<const Pair> positions) {
  const StateId id = states_.Intern(positions);
  if (id == can_end_.size()) {
    can_end_.push_back(!positions.empty() && positions.back().first == kEnd);
    next_.resize(next_.size() + classes_, id == kDead ? kDead : kUnknown);
  }
  return id;
}

GrammarAutomaton::StacksId GrammarAutomaton::InternStacks(std::span<const Pair> entries) {
  uint32_t depth = 0;
  for (const Pair& entry : entries) depth = std::max(depth, depth_[entry.second] + 1);
  const StacksId id = stacks_.Intern(entries);
  if (id == depth_.size()) depth_.push_back(depth);
  return id;
}

// Recursive as deep as the stacks are, which kMaxStackDepth bounds.
GrammarAutomaton::StacksId GrammarAutomaton::Union(StacksId a, StacksId b) {
  if (a == b || b == 0) return a;
  if (a == 0) return b;
  if (a > b) std::swap(a, b);
  const uint64_t key = uint64_t{a} << 32 | b;
  if (const auto found = unions_.find(key); found != unions_.end()) return found->second;
  const auto copy = [&](StacksId id) {
    const auto entries = stacks_.Get(id);
    return std::vector<Pair>(entries.begin(), entries.end());
  };
  const std::vector<Pair> left = copy(a), right = copy(b);
  work_ += left.size() + right.size();
  std::vector<Pair> both;
  for (size_t i = 0, j = 0; i < left.size() || j < right.size();) {
    if (j == right.size() || (i < left.size() && left[i].first < right[j].first)) {
      both.push_back(left[i++]);
    } else if (i == left.size() || right[j].first < left[i].first) {
      both.push_back(right[j++]);
    } else {
      both.push_back({left[i].first, Union(left[i].second, right[j].second)});
      ++i, ++j;
    }
  }
  return unions_[key] = InternStacks(both);
}

GrammarAutomaton::StateId GrammarAutomaton::Import(const GrammarAutomaton& other, StateId state) {
  std::unordered_map<StacksId, StacksId> known;
  std::vector<Pair> positions;
  for (const Pair& position : other.states_.Get(state)) {
    positions.push_back({position.first, ImportStacks(other, position.second, &known)});
  }
  return InternState(positions);
}

GrammarAutomaton::StacksId GrammarAutomaton::ImportStacks(
    const GrammarAutomaton& other, StacksId stacks, std::unordered_map<StacksId, StacksId>* known) {
  if (const auto found = known->find(stacks); found != known->end()) return found->second;
  std::vector<Pair> entries;
  for (const Pair& entry : other.stacks_.Get(stacks)) {
    entries.push_back({entry.first, ImportStacks(other, entry.second, known)});
  }
  return (*known)[stacks] = InternStacks(entries);
}

size_t GrammarAutomaton::bytes() const {
  return stacks_.bytes() + states_.bytes() + next_.size() * sizeof(StateId) + unions_.size() * 48 +
         program_->nodes.size() * 2 * sizeof(StacksId);
}

}  // namespace vade
