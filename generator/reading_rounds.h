// Reads the passages of one question alone, in rounds, and says which one to answer from.
//
//   ReadingRounds rounds(&reader, &writer, limits, calibration, &request);
//   ASSIGN_OR_RETURN(const bool pays, rounds.Plan());
//   if (pays) ...
//   RETURN_IF_ERROR(rounds.Read(ctx));                     // the hits that search thinks most of
//   while (rounds.more() && rounds.answerable() < enough)  // then all the others
//     RETURN_IF_ERROR(rounds.Read(ctx));
//   std::unique_ptr<ReadBlock> best = rounds.Take();
//
// First the request's first hits are read, without those far below the best; that is enough for
// most questions. Where it is not, and before it is said that the documents hold no answer, the
// rest is read: search ranks by likeness, and a passage that says it in other words, or in another
// language, is often lower in its list.
//
// Owns the readings, not the request. Not thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "generator/budget.h"
#include "generator/generator.h"
#include "generator/reader.h"
#include "generator/reading.h"

namespace vade {

class ReadingRounds {
 public:
  ReadingRounds(const Reader* reader, const PromptWriter* writer, const BudgetLimits& limits,
                const ReadingCalibration& calibration, const GenerateRequest* request);

  // Of the first round. False: nothing to read, or reading together costs less. Errors: those of
  // PlanReading().
  Result<bool> Plan();

  // The next round. Errors: those of Reader::Read(). CANCELLED when on_further does not want it.
  Status Read(const Context& ctx);
  bool more() const;  // there is another round

  // That any passage answers that was not taken, given that those that were do not.
  double answerable() const;
  bool abstains() const { return Abstains(answerable(), calibration_); }  // too unlikely
  // How likely the next to be taken answers, were it the only one; 0: there is none.
  double next_answers() const;

  // The likeliest to answer of those that were not taken, or null. Of each round only the two
  // likeliest can be had: others may be waiting for the pages.
  std::unique_ptr<ReadBlock> Take();

  // Where the two that would be taken next each answer with `vouches` and both their documents say
  // since when they hold, the newer is taken first.
  void PutNewestFirst(double vouches);
  size_t last_taken() const { return ones_[last_taken_].hit; }  // index of the hit

  // Hits that may answer together, in the order of their rank (generator/joining.h).
  std::vector<size_t> Helping() const;
  double best_answers() const;  // how likely the likeliest answers, taken or not
  // What has been read so far, when others than these rounds have read too.
  void SetUsage(const Usage& usage) { usage_ = usage; }

  // Readings, omissions, usage and what was considered, as far as it went.
  Answer Facts() const;
  // Hits that support an answer from the passage taken last: that one, then all that likely answer.
  std::vector<size_t> Support() const;

  const Tokens& watched() const { return watched_; }         // the model's word for "not here"
  int answer_tokens() const { return plan_.answer_tokens; }  // what the answer may have
  double prefill_ms() const { return prefill_ms_; }          // of the last round

 private:
  struct One {
    size_t hit = 0;
    bool kept = false, taken = false;
    Reading reading;
    std::unique_ptr<ReadBlock> block;  // null: taken, or its pages were given back
  };
  std::vector<size_t> Unread() const;
  void KeepLikeliest();
  std::vector<size_t> Left() const;
  double Answers(const One& one) const;

  const Reader* const reader_;
  const PromptWriter* const writer_;
  const BudgetLimits limits_;
  const ReadingCalibration& calibration_;
  const GenerateRequest* const request_;
  ReadingPlan plan_;  // of the round to come, or the last
  Tokens watched_;
  std::vector<One> ones_;  // in the order in which they were read
  Choice choice_;          // over ones_
  std::vector<Omission> over_budget_;
  size_t considered_ = 0;  // hits
  size_t last_taken_ = 0;  // index into ones_
  int rounds_ = 0;
  Usage usage_;
  double prefill_ms_ = 0;
};

}  // namespace vade
