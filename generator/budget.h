// What goes into a prompt, counted with the model's own tokenizer.
//
// Reserved first: prefix, the user's system text, question, template tokens and the answer: all
// that it may have, but no more than a quarter of the context, so that a generous limit does not
// drive the passages out. Then earlier turns, newest first, whole turns, at most history_tokens.
// Then whole passages in rank order; one that does not fit is listed in `omitted` with reason
// "budget" and the next is tried: nothing is ever cut. A passage whose score is more than
// passage_gap below the best is "weaker" and stays out: where one passage stands out, its rivals
// cost reading time and mislead small models (docs/performance.md).
#pragma once

#include <span>
#include <vector>

#include "generator/generator.h"
#include "generator/prompt.h"

namespace vade {

struct BudgetLimits {
  int max_prompt_tokens = 4096;
  int history_tokens = 2048;
  int context_tokens = 8192;  // prompt and answer together
  double passage_gap = 0;     // see GeneratorOptions
  int max_readings = 10;
};

struct PromptPlan {
  PromptLanguage language = PromptLanguage::kEnglish;
  Tokens prefix;             // shared by every question of the language
  Tokens rest;               // blocks, turns, question, template tokens
  std::vector<size_t> used;  // indices into request.hits; label n is used[n - 1]
  std::vector<Omission> omitted;
  size_t history_turns = 0;  // of the newest, that are in the prompt
  int answer_tokens = 0;     // what the answer may have: max_tokens, or what the context has left
};

Omission Omit(const Hit& hit, std::string_view reason);

// Passages read one after the other in one prompt. INVALID_ARGUMENT, with the numbers, when the
// reserved parts alone exceed the budget.
Result<PromptPlan> PlanPrompt(const GenerateRequest& request, const BudgetLimits& limits,
                              const PromptWriter& writer);

// Passages that are each asked alone: `prefix | block | suffix` for every block.
struct ReadingPlan {
  PromptLanguage language = PromptLanguage::kEnglish;
  Tokens prefix;
  std::vector<Tokens> blocks;   // of hits[used[i]]
  Tokens suffix;                // turns, system text, question, template tokens
  PromptWriter::Span question;  // the question's own tokens in the suffix
  std::vector<size_t> used;
  bool far_too = false;  // reads those too whose score is more than passage_gap below the best
  std::vector<Omission> omitted;
  size_t history_turns = 0;
  int answer_tokens = 0;  // what the answer may have behind the longest of them
};

// Of these hits (indices, best first) the first max_readings; a passage that does not fit by itself
// is omitted ("budget"). Errors as above.
Result<ReadingPlan> PlanReading(const GenerateRequest& request, std::span<const size_t> hits,
                                const BudgetLimits& limits, const PromptWriter& writer);

}  // namespace vade
