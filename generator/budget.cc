#include "generator/budget.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"

namespace vade {
namespace {

void Append(Tokens* to, const Tokens& from) { to->insert(to->end(), from.begin(), from.end()); }

// As many of the newest turns as fit. Each is encoded once; the template tokens around it are
// counted at their greatest, so the result never exceeds `room`.
Tokens FitHistory(const GenerateRequest& request, size_t room, PromptLanguage language,
                  const PromptWriter& writer, size_t* turns) {
  const std::span<const ChatTemplate::Turn> all(request.history);
  size_t used = writer.MaxTransitionTokens();  // the return to the user's turn
  *turns = 0;
  while (*turns < all.size()) {
    const ChatTemplate::Turn& turn = all[all.size() - 1 - *turns];
    used += writer.Turn(turn, language).size() + writer.MaxTransitionTokens();
    if (used > room) break;
    ++*turns;
  }
  return writer.History(all.last(*turns), language);
}

Status CheckReserved(size_t prefix, size_t question, size_t system, int answer, int64_t room) {
  const size_t reserved = prefix + question + system;
  if (static_cast<int64_t>(reserved) <= room) return OkStatus();
  return InvalidArgument(StrCat("the question does not fit: instructions ", prefix, " + question ",
                                question, " + system text ", system, " = ", reserved,
                                " tokens, but the prompt may have ", std::max<int64_t>(room, 0),
                                " (", answer,
                                " more are kept for the answer); shorten the question, lower "
                                "max_tokens, or raise the prompt budget"));
}

// The score that a passage must have to be read beside the best one.
double LeastScore(const std::vector<Hit>& hits, double gap) {
  if (gap <= 0 || hits.empty()) return -std::numeric_limits<double>::infinity();
  double best = hits.front().score;
  for (const Hit& hit : hits) best = std::max(best, hit.score);
  return best - gap;
}

}  // namespace

Result<PromptPlan> PlanPrompt(const GenerateRequest& request, const BudgetLimits& limits,
                              const PromptWriter& writer) {
  PromptPlan plan;
  plan.language = LanguageOf(request.question);
  plan.prefix = writer.Prefix(plan.language);
  const Tokens question = writer.Question(request.question, plan.language);
  const Tokens system =
      writer.UserSystem(PromptWriter::WithForm(request.system, request.form, plan.language));
  const int kept = std::min(request.sampling.max_tokens, std::max(limits.context_tokens / 4, 1));

  int64_t room = std::min<int64_t>(limits.max_prompt_tokens, int64_t{limits.context_tokens} - kept);
  RETURN_IF_ERROR(CheckReserved(plan.prefix.size(), question.size(), system.size(), kept, room));
  room -= static_cast<int64_t>(plan.prefix.size() + question.size() + system.size());

  const size_t history_room = std::min<int64_t>(room, std::max(limits.history_tokens, 0));
  const Tokens history =
      FitHistory(request, history_room, plan.language, writer, &plan.history_turns);
  room -= static_cast<int64_t>(history.size());

  const double least_score = LeastScore(request.hits, limits.passage_gap);
  for (size_t i = 0; i < request.hits.size(); ++i) {
    const Passage& passage = request.hits[i].passage;
    if (request.hits[i].score < least_score) {
      plan.omitted.push_back({passage.id, passage.document_id, "weaker"});
      continue;
    }
    const Tokens label = writer.Label(static_cast<int>(plan.used.size()) + 1);
    const Tokens block = writer.Block(request.hits[i]);
    if (static_cast<int64_t>(label.size() + block.size()) > room) {
      plan.omitted.push_back({passage.id, passage.document_id, "budget"});
      continue;
    }
    Append(&plan.rest, label);
    Append(&plan.rest, block);
    plan.used.push_back(i);
    room -= static_cast<int64_t>(label.size() + block.size());
  }
  Append(&plan.rest, history);
  Append(&plan.rest, system);
  Append(&plan.rest, question);
  const int64_t left =
      limits.context_tokens - static_cast<int64_t>(plan.prefix.size() + plan.rest.size());
  plan.answer_tokens = static_cast<int>(std::min<int64_t>(request.sampling.max_tokens, left));
  return plan;
}

}  // namespace vade
