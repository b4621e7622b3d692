// An answer that no passage has by itself: those that help are read in one prompt (docs/reading.md,
// "Several passages together").
#include <algorithm>
#include <utility>

#include "generator/generator_impl.h"
#include "generator/joining.h"

namespace vade {
namespace {

// As the readings were said to be, but for those that the answer now rests on.
void OmitAllBut(const std::vector<Hit>& used, Answer* facts) {
  std::erase_if(facts->omitted, [](const Omission& one) { return one.reason == "declined"; });
  for (const ReadingFact& reading : facts->readings) {
    const bool rests = std::any_of(used.begin(), used.end(), [&](const Hit& hit) {
      return hit.passage.id == reading.passage_id;
    });
    if (!rests) facts->omitted.push_back({reading.passage_id, reading.document_id, "declined"});
  }
}

}  // namespace

Result<std::optional<Generator::Impl::JoinPlan>> Generator::Impl::PlanJoin(
    const GenerateRequest& request, const ReadingRounds& rounds) const {
  const Joining joining = request.joining.value_or(options.joining);
  const bool detected = joining == Joining::kDetected && rounds.best_answers() < kSureReading &&
                        AsksForSeveral(request.question);
  if (joining != Joining::kAlways && !detected) return std::optional<JoinPlan>();
  JoinPlan plan;
  plan.hits = rounds.Helping();
  plan.request = request;
  plan.request.hits.clear();
  for (size_t hit : plan.hits) plan.request.hits.push_back(request.hits[hit]);
  BudgetLimits limits = Limits();
  limits.passage_gap = 0;  // they have been chosen
  ASSIGN_OR_RETURN(plan.prompt, PlanPrompt(plan.request, limits, writer));
  if (plan.prompt.used.size() < 2) return std::optional<JoinPlan>();
  return std::optional<JoinPlan>(std::move(plan));
}

Result<std::optional<Answer>> Generator::Impl::WriteJoined(
    JoinPlan plan, Answer facts, std::unique_ptr<TokenConstraint>* constraint,
    const GenerateSink& sink, const Context& ctx) {
  const bool formed = *constraint != nullptr;
  Beginning beginning = BeginTogether(plan.request, std::move(plan.prompt), std::move(*constraint));
  std::vector<Hit> used;
  for (size_t i : beginning.used) used.push_back(plan.request.hits[i]);
  OmitAllBut(used, &facts);
  facts.usage.prompt_tokens += beginning.answer.usage.prompt_tokens;
  facts.joined = used.size();
  beginning.answer = std::move(facts);
  bool told = false;
  const GenerateSink noting = [&](const GenerateEvent& event) {
    told = true;
    return !sink || sink(event);
  };
  auto written = Write(plan.request, std::move(beginning), noting, ctx);
  // The readings hold pages; an answer from one of them needs few more.
  const bool no_room = written.status().code() == StatusCode::kResourceExhausted;
  if (no_room && !told && !formed) return std::optional<Answer>();
  RETURN_IF_ERROR(written.status());
  return std::optional<Answer>(*std::move(written));
}

}  // namespace vade
