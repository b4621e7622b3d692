#include "generator/budget.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

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

Omission Omit(const Hit& hit, std::string_view reason) {
  return {hit.passage.id, hit.passage.document_id, std::string(reason)};
}

namespace {

// What stands around the passages, the same for both ways of reading, and the room left for them.
struct Frame {
  PromptLanguage language = PromptLanguage::kEnglish;
  Tokens prefix, suffix;
  PromptWriter::Span question;  // in the suffix
  size_t history_turns = 0;
  int64_t room = 0;
};

Result<Frame> PlanFrame(const GenerateRequest& request, const BudgetLimits& limits,
                        const PromptWriter& writer) {
  Frame frame;
  frame.language = LanguageOf(request.question);
  frame.prefix = writer.Prefix(frame.language);
  const Tokens question = writer.Question(request.question, frame.language);
  const Tokens system =
      writer.UserSystem(PromptWriter::WithForm(request.system, request.form, frame.language));
  const int kept = std::min(request.sampling.max_tokens, std::max(limits.context_tokens / 4, 1));

  frame.room = std::min<int64_t>(limits.max_prompt_tokens, int64_t{limits.context_tokens} - kept);
  RETURN_IF_ERROR(
      CheckReserved(frame.prefix.size(), question.size(), system.size(), kept, frame.room));
  frame.room -= static_cast<int64_t>(frame.prefix.size() + question.size() + system.size());

  const size_t history_room = std::min<int64_t>(frame.room, std::max(limits.history_tokens, 0));
  frame.suffix = FitHistory(request, history_room, frame.language, writer, &frame.history_turns);
  frame.room -= static_cast<int64_t>(frame.suffix.size());
  Append(&frame.suffix, system);
  const PromptWriter::Span span = writer.QuestionSpan(request.question, frame.language);
  frame.question = {frame.suffix.size() + span.begin, frame.suffix.size() + span.end};
  Append(&frame.suffix, question);
  return frame;
}

int AnswerTokens(const GenerateRequest& request, const BudgetLimits& limits, size_t prompt) {
  const int64_t left = limits.context_tokens - static_cast<int64_t>(prompt);
  return static_cast<int>(std::min<int64_t>(request.sampling.max_tokens, left));
}

}  // namespace

Result<PromptPlan> PlanPrompt(const GenerateRequest& request, const BudgetLimits& limits,
                              const PromptWriter& writer) {
  ASSIGN_OR_RETURN(Frame frame, PlanFrame(request, limits, writer));
  PromptPlan plan;
  plan.language = frame.language;
  plan.prefix = std::move(frame.prefix);
  plan.history_turns = frame.history_turns;
  const double least_score = LeastScore(request.hits, limits.passage_gap);
  for (size_t i = 0; i < request.hits.size(); ++i) {
    if (request.hits[i].score < least_score) {
      plan.omitted.push_back(Omit(request.hits[i], "weaker"));
      continue;
    }
    const Tokens label = writer.Label(static_cast<int>(plan.used.size()) + 1);
    const Tokens block = writer.Block(request.hits[i]);
    if (static_cast<int64_t>(label.size() + block.size()) > frame.room) {
      plan.omitted.push_back(Omit(request.hits[i], "budget"));
      continue;
    }
    Append(&plan.rest, label);
    Append(&plan.rest, block);
    plan.used.push_back(i);
    frame.room -= static_cast<int64_t>(label.size() + block.size());
  }
  Append(&plan.rest, frame.suffix);
  plan.answer_tokens = AnswerTokens(request, limits, plan.prefix.size() + plan.rest.size());
  return plan;
}

Result<ReadingPlan> PlanReading(const GenerateRequest& request, std::span<const size_t> hits,
                                const BudgetLimits& limits, const PromptWriter& writer) {
  ASSIGN_OR_RETURN(Frame frame, PlanFrame(request, limits, writer));
  ReadingPlan plan;
  plan.language = frame.language;
  plan.history_turns = frame.history_turns;
  size_t longest = 0;
  for (size_t i : hits) {
    if (static_cast<int>(plan.used.size()) >= limits.max_readings) break;
    Tokens block = writer.Block(request.hits[i]);
    if (static_cast<int64_t>(block.size()) > frame.room) {
      plan.omitted.push_back(Omit(request.hits[i], "budget"));
      continue;
    }
    longest = std::max(longest, block.size());
    plan.blocks.push_back(std::move(block));
    plan.used.push_back(i);
  }
  plan.answer_tokens =
      AnswerTokens(request, limits, frame.prefix.size() + longest + frame.suffix.size());
  plan.prefix = std::move(frame.prefix);
  plan.suffix = std::move(frame.suffix);
  plan.question = frame.question;
  return plan;
}

}  // namespace vade
