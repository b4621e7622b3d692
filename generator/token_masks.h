// Which tokens may come in which state of a grammar: the automaton of one grammar with the trie of
// one vocabulary, and the masks that were worked out so far. Shared by all constraints of the
// grammar, under one lock.
//
// What is kept is bounded: beyond kMaxBytes a new Generation begins, and each constraint brings its
// own state over when it comes next; an old one lives until the last constraint has left it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "generator/grammar_automaton.h"
#include "generator/token_trie.h"

namespace vade {

class TokenMasks {
 public:
  using Mask = TokenTrie::Mask;
  using StateId = GrammarAutomaton::StateId;

  static constexpr size_t kMaxBytes = 24 << 20;

  struct Generation {
    explicit Generation(std::shared_ptr<const GrammarProgram> program)
        : automaton(std::move(program)) {}
    GrammarAutomaton automaton;
    std::unordered_map<StateId, std::shared_ptr<const Mask>> masks;
    std::unordered_map<StateId, StateId> after_ordinary;  // see AfterOrdinary()
  };
  // Where an answer stands.
  struct Position {
    std::shared_ptr<Generation> generation;
    StateId state = GrammarAutomaton::kDead;
  };

  TokenMasks(std::shared_ptr<const GrammarProgram> program, std::shared_ptr<const TokenTrie> trie,
             size_t max_bytes = kMaxBytes);

  Position Start();
  std::shared_ptr<const Mask> MaskAt(Position* position);
  // Behind the piece of a token that the mask at `position` allows and that is none of ends().
  void Advance(std::string_view piece, Position* position);

  const std::shared_ptr<const Mask>& ends() const { return ends_; }
  const std::shared_ptr<const TokenTrie>& trie() const { return trie_; }

 private:
  void Renew(Position* position);
  Mask Walk(Generation* generation, StateId state) const;
  bool IsOrdinaryText(Generation* generation, StateId state) const;
  StateId AfterOrdinary(Generation* generation, StateId state) const;

  const std::shared_ptr<const GrammarProgram> program_;
  const std::shared_ptr<const TokenTrie> trie_;
  const size_t max_bytes_;
  const std::shared_ptr<const Mask> ends_;
  const std::vector<std::string> samples_;  // of ordinary code points, each kind of bytes once
  std::mutex mutex_;
  std::shared_ptr<Generation> current_;
};

}  // namespace vade
