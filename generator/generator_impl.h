// The inside of the generator: generator.cc has the path of an answer, generator_join.cc that of
// one from several passages in one prompt. Private to the generator.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "generator/budget.h"
#include "generator/citations.h"
#include "generator/engine.h"
#include "generator/generator.h"
#include "generator/prompt.h"
#include "generator/reader.h"
#include "generator/reading_rounds.h"
#include "generator/second_opinion.h"

namespace vade {

// A passage that by itself answers at this probability vouches for the answer: nothing of it is
// withheld until more is known. (Not the probability that any passage answers: where two share it,
// the likelier may still be the wrong one.) Below, the model may still decline by its own word: a
// passage about the right thing that lacks what is asked for makes the question likely too.
inline constexpr double kSureReading = 0.6;

struct Generator::Impl {
  Impl(Decoder* d, const ChatTemplate* chat, const GeneratorOptions& o)
      : decoder(d),
        options(o),
        writer(&d->tokenizer(), chat),
        engine(d, {.max_active = o.max_active,
                   .max_waiting = o.max_waiting,
                   .guessed_tokens = o.guessed_tokens,
                   .kept_bytes = o.kept_bytes,
                   .block_files = o.block_files,
                   .turns_kept_for = o.turns_kept_for}),
        reader(&engine, o.passage_gap) {}

  Result<Answer> Generate(const GenerateRequest& request, const GenerateSink& sink,
                          const Context& ctx);
  void Count(const Result<Answer>& answer);
  Result<Answer> Abstain(const GenerateRequest& request, std::string_view reason, Answer answer,
                         const GenerateSink& sink, const Context& ctx);
  Result<Answer> ReadTogether(const GenerateRequest& request,
                              std::unique_ptr<TokenConstraint> constraint, const GenerateSink& sink,
                              const Context& ctx);
  Result<Answer> ReadAlone(const GenerateRequest& request, ReadingRounds* rounds,
                           std::unique_ptr<TokenConstraint> constraint, const GenerateSink& sink,
                           const Context& ctx);
  struct Attempt {
    bool sure = false;                            // the reading has decided that there is an answer
    std::unique_ptr<TokenConstraint> constraint;  // null: none
  };
  // generator_join.cc: several of the passages that were asked alone, in one prompt.
  struct JoinPlan {
    std::vector<size_t> hits;  // of the request
    GenerateRequest request;   // with those alone
    PromptPlan prompt;
  };
  // Nothing where it is not wanted, or fewer than two would help.
  Result<std::optional<JoinPlan>> PlanJoin(const GenerateRequest& request,
                                           const ReadingRounds& rounds) const;
  // `facts` of what was read before. Nothing when there is no room for an answer without a form.
  Result<std::optional<Answer>> WriteJoined(JoinPlan plan, Answer facts,
                                            std::unique_ptr<TokenConstraint>* constraint,
                                            const GenerateSink& sink, const Context& ctx);
  // Goes on from the likeliest passage that was not tried.
  Result<Answer> WriteFromNext(const GenerateRequest& request, ReadingRounds* rounds,
                               Attempt attempt, const GenerateSink& sink, const Context& ctx);
  // An answer about to be written.
  struct Beginning {
    EngineJob job;
    std::vector<size_t> used;   // hits in the order of their labels
    Answer answer;              // what is known of it already
    double min_confidence = 0;  // as GeneratorOptions::min_confidence
  };
  // Where the model declines or is not sure, nothing is sent, and the answer has abstained without
  // a text: Refuse() ends it, or another passage is tried.
  Result<Answer> Write(const GenerateRequest& request, Beginning beginning,
                       const GenerateSink& sink, const Context& ctx);
  // Of passages that are read in one prompt.
  Beginning BeginTogether(const GenerateRequest& request, PromptPlan plan,
                          std::unique_ptr<TokenConstraint> constraint) const;
  // A second passage that vouches for an answer, while it is being asked. No opinion: there is
  // none.
  struct Other {
    std::unique_ptr<SecondOpinion> opinion;
    size_t hit = 0;
    double answers = 0;
  };
  // Another of several answers, from its stream. Returns how many tokens it took.
  Result<uint64_t> WriteAlternative(const GenerateRequest& request, const Citer& citer, bool formed,
                                    TokenStream* stream, Answer* answer);
  Result<Other> AskAnother(ReadingRounds* rounds, const Context& ctx);
  Status AddOther(const GenerateRequest& request, Other other, Answer* answer);
  Result<Answer> Refuse(const GenerateRequest& request, Result<Answer> answer,
                        const GenerateSink& sink, const Context& ctx);
  BudgetLimits Limits() const {
    return {options.max_prompt_tokens, options.history_tokens, decoder->info().context_tokens,
            options.passage_gap};
  }

  Decoder* const decoder;
  const GeneratorOptions options;
  const PromptWriter writer;
  Engine engine;
  const Reader reader;
  mutable std::mutex counts_mutex;
  GeneratorCounts ended;  // without what the engine counts
};

}  // namespace vade
