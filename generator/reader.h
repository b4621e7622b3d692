// Asks each passage alone (docs/reading.md): which passages are read for a question, from what is
// kept of them where something is, and what their first tokens say.
//
//   ASSIGN_OR_RETURN(auto readings, reader.Read(request, plan, declines, ctx));
//   readings.passages[0].block->watched_probability   // that this passage does not answer
//
// Thread-safe. Owns nothing. Results hold pages of the decoder: go on from one and let the others
// go at once.
#pragma once

#include <memory>
#include <vector>

#include "generator/budget.h"
#include "generator/engine.h"

namespace vade {

struct PassageReading {
  size_t hit = 0;     // index into the request's hits
  bool kept = false;  // its keys and values were at hand
  // How much likelier the question's tokens are behind the passage than without one: nats a token,
  // in the mean. 0 where the plan names none.
  double question_gain = 0;
  std::unique_ptr<ReadBlock> block;
};

struct PassageReadings {
  std::vector<PassageReading> passages;
  // Of the question read without a passage, which the gains are measured against; 0: it was not.
  uint64_t bare_prompt_tokens = 0, bare_cached_tokens = 0;
};

Asker AskerOf(const GenerateRequest& request);

class Reader {
 public:
  // `passage_gap` as in GeneratorOptions: passages further below the best score are read only where
  // that costs little, because they are kept.
  Reader(Engine* engine, double passage_gap) : engine_(engine), passage_gap_(passage_gap) {}

  // Whether reading the passages alone costs no more than twice as much as reading them together; a
  // long history behind every passage may cost many times that.
  bool Pays(const GenerateRequest& request, const ReadingPlan& plan) const;

  // In the order of the hits; those far below the best of the request, or, when pages run out, the
  // last of them, are not read. Errors as those of Engine::Read().
  Result<PassageReadings> Read(const GenerateRequest& request, const ReadingPlan& plan,
                               const Tokens& watched, const Context& ctx) const;

  // Reads those of the plan's blocks that are not kept, and keeps them. Returns how many.
  Result<uint64_t> Warm(const GenerateRequest& request, const ReadingPlan& plan,
                        const Context& ctx) const;

 private:
  struct Candidate;
  std::vector<Candidate> Choose(const GenerateRequest& request, const ReadingPlan& plan) const;
  Result<std::vector<std::unique_ptr<ReadBlock>>> Ask(const GenerateRequest& request,
                                                      const ReadingPlan& plan,
                                                      const std::vector<Candidate>& candidates,
                                                      ReadJob job) const;

  Engine* const engine_;
  const double passage_gap_;
};

}  // namespace vade
