#include "generator/reading_rounds.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "generator/joining.h"

namespace vade {
namespace {

// Blocks held at a time: the best, and the next best where the model declines behind that.
constexpr size_t kHeldBlocks = 2;

constexpr int kMostRounds = 2;

// Hits are in the order of their scores.
double LeadOf(const std::vector<Hit>& hits) {
  return hits.size() < 2 ? 0 : std::max(0.0, hits[0].score - hits[1].score);
}

}  // namespace

ReadingRounds::ReadingRounds(const Reader* reader, const PromptWriter* writer,
                             const BudgetLimits& limits, const ReadingCalibration& calibration,
                             const GenerateRequest* request)
    : reader_(reader),
      writer_(writer),
      limits_(limits),
      calibration_(calibration),
      request_(request) {}

Result<bool> ReadingRounds::Plan() {
  const size_t first = request_->first_hits;
  considered_ = first == 0 ? request_->hits.size() : std::min(first, request_->hits.size());
  std::vector<size_t> hits(considered_);
  for (size_t i = 0; i < considered_; ++i) hits[i] = i;
  ASSIGN_OR_RETURN(plan_, PlanReading(*request_, hits, limits_, *writer_));
  watched_ = writer_->DeclineTokens(plan_.language);
  return !plan_.used.empty() && reader_->Pays(*request_, plan_);
}

Status ReadingRounds::Read(const Context& ctx) {
  if (rounds_ > 0) {
    const std::vector<size_t> unread = Unread();
    considered_ = request_->hits.size();
    if (request_->on_further && !request_->on_further())
      return Cancelled("the receiver of the answer wants no more of it");
    ASSIGN_OR_RETURN(plan_, PlanReading(*request_, unread, limits_, *writer_));
    plan_.far_too = true;
  }
  ++rounds_;
  prefill_ms_ = 0;
  over_budget_.insert(over_budget_.end(), plan_.omitted.begin(), plan_.omitted.end());
  if (plan_.used.empty()) return OkStatus();
  if (calibration_.question_gain == 0) plan_.question = {};
  ASSIGN_OR_RETURN(auto readings, reader_->Read(*request_, plan_, watched_, ctx));
  usage_.prompt_tokens += readings.bare_prompt_tokens;
  usage_.cached_tokens += readings.bare_cached_tokens;
  for (PassageReading& r : readings.passages) {
    usage_.prompt_tokens += r.block->prompt_tokens;
    usage_.cached_tokens += r.block->cached_tokens;
    ones_.push_back({.hit = r.hit,
                     .kept = r.kept,
                     .reading = {.decline_probability = r.block->watched_probability,
                                 .question_gain = r.question_gain,
                                 .score = request_->hits[r.hit].score,
                                 .lead = r.hit == 0 ? LeadOf(request_->hits) : 0},
                     .block = std::move(r.block)});
  }
  if (!readings.passages.empty()) prefill_ms_ = ones_.back().block->prefill_ms;
  std::vector<Reading> said;
  for (const One& one : ones_) said.push_back(one.reading);
  choice_ = ChooseReading(said, calibration_);
  KeepLikeliest();
  return OkStatus();
}

std::vector<size_t> ReadingRounds::Unread() const {
  std::vector<size_t> unread;
  for (size_t i = 0; i < request_->hits.size(); ++i) {
    const bool was_read =
        std::any_of(ones_.begin(), ones_.end(), [i](const One& one) { return one.hit == i; });
    const bool too_long =
        std::any_of(over_budget_.begin(), over_budget_.end(), [&](const Omission& omission) {
          return omission.passage_id == request_->hits[i].passage.id;
        });
    if (!was_read && !too_long) unread.push_back(i);
  }
  return unread;
}

bool ReadingRounds::more() const { return rounds_ < kMostRounds && !Unread().empty(); }

void ReadingRounds::KeepLikeliest() {
  size_t held = 0;
  for (size_t i : choice_.order) {
    if (ones_[i].block && ++held > kHeldBlocks) ones_[i].block.reset();
  }
}

double ReadingRounds::answerable() const {
  double taken = 0;
  for (size_t i = 0; i < ones_.size(); ++i) taken += ones_[i].taken ? choice_.probabilities[i] : 0;
  return taken < 1 ? (choice_.answerable - taken) / (1 - taken) : 0;
}

double ReadingRounds::Answers(const One& one) const {
  return AnswersProbability(one.reading, choice_.best_score, calibration_);
}

// Indices of those that can be taken, the next first.
std::vector<size_t> ReadingRounds::Left() const {
  std::vector<size_t> left;
  for (size_t i : choice_.order) {
    if (ones_[i].block) left.push_back(i);
  }
  return left;
}

double ReadingRounds::next_answers() const {
  const std::vector<size_t> left = Left();
  return left.empty() ? 0 : Answers(ones_[left[0]]);
}

void ReadingRounds::PutNewestFirst(double vouches) {
  const std::vector<size_t> left = Left();
  if (left.size() < 2) return;
  auto since = [&](size_t i) { return ParseRfc3339(request_->hits[ones_[i].hit].valid_from); };
  const bool both = Answers(ones_[left[0]]) >= vouches && Answers(ones_[left[1]]) >= vouches;
  if (!both) return;
  const auto first = since(left[0]), second = since(left[1]);
  if (!first.ok() || !second.ok() || *second <= *first) return;
  std::vector<size_t>& order = choice_.order;
  std::iter_swap(std::find(order.begin(), order.end(), left[0]),
                 std::find(order.begin(), order.end(), left[1]));
}

std::unique_ptr<ReadBlock> ReadingRounds::Take() {
  const std::vector<size_t> left = Left();
  if (left.empty()) return nullptr;
  last_taken_ = left[0];
  ones_[last_taken_].taken = true;
  return std::move(ones_[last_taken_].block);
}

std::vector<size_t> ReadingRounds::Support() const {
  std::vector<size_t> hits = {ones_[last_taken_].hit};
  for (size_t i : choice_.order) {
    if (i != last_taken_ && Answers(ones_[i]) >= kAnswers) hits.push_back(ones_[i].hit);
  }
  return hits;
}

std::vector<size_t> ReadingRounds::Helping() const {
  std::vector<Reading> said;
  for (const One& one : ones_) said.push_back(one.reading);
  std::vector<size_t> hits;
  for (size_t i : HelpingReadings(said, choice_)) hits.push_back(ones_[i].hit);
  std::sort(hits.begin(), hits.end());
  return hits;
}

double ReadingRounds::best_answers() const {
  double best = 0;
  for (const One& one : ones_) best = std::max(best, Answers(one));
  return best;
}

Answer ReadingRounds::Facts() const {
  Answer answer;
  answer.usage = usage_;
  answer.considered = considered_;
  answer.rounds = rounds_;
  answer.omitted = over_budget_;
  for (size_t i : Unread()) {
    if (i < considered_) answer.omitted.push_back(Omit(request_->hits[i], "weaker"));
  }
  for (size_t i : choice_.order) {
    const One& one = ones_[i];
    const Hit& hit = request_->hits[one.hit];
    answer.readings.push_back({.passage_id = hit.passage.id,
                               .document_id = hit.passage.document_id,
                               .answers = Answers(one),
                               .kept = one.kept,
                               .decline_probability = one.reading.decline_probability,
                               .question_gain = one.reading.question_gain,
                               .score_gap = choice_.best_score - one.reading.score,
                               .lead = one.reading.lead});
    const bool supports = answer.readings.size() == 1 || Answers(one) >= kAnswers;
    if (!supports) answer.omitted.push_back(Omit(hit, "declined"));
  }
  return answer;
}

}  // namespace vade
