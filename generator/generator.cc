// The whole path of an answer: hits -> plan of the prompt -> tokens of the engine -> text -> citations.
// The caller's thread does all but the decoding, so a slow sink delays its own answer only.
#include "generator/generator.h"

#include <cmath>

#include "base/strings.h"
#include "base/trace.h"
#include "base/unicode.h"
#include "generator/answer_text.h"
#include "generator/answer_writer.h"
#include "generator/budget.h"
#include "generator/citations.h"
#include "generator/engine.h"
#include "generator/prompt.h"
#include "generator/sampler.h"

namespace vade {
namespace {

std::string_view ModeName(AnswerMode mode) {
  switch (mode) {
    case AnswerMode::kDirect: return "direct";
    case AnswerMode::kCot: return "cot";
    case AnswerMode::kVote: return "vote";
    case AnswerMode::kDecompose: return "decompose";
  }
  return "unknown";
}

Status CheckRequest(const GenerateRequest& request) {
  if (request.mode != AnswerMode::kDirect) {
    return Unimplemented(StrCat("answer mode '", ModeName(request.mode),
                                "' is not implemented; use mode 'direct'"));
  }
  if (StripAsciiWhitespace(request.question).empty()) {
    return InvalidArgument("the question is empty; ask something");
  }
  return CheckSampling(request.sampling);
}

Status GoneAway() { return Cancelled("the receiver of the answer wants no more of it"); }

bool AllBelow(const std::vector<Hit>& hits, double min_dense_score) {
  for (const Hit& hit : hits) {
    if (hit.dense_score >= min_dense_score) return false;
  }
  return true;
}

// How sure the model was: the probability that it did not decline at its first token, times the geometric
// mean of the probabilities of the tokens that it chose. 0 for an answer that says that there is none.
class ConfidenceMeter {
 public:
  void Add(double probability) {
    log_sum_ += std::log(std::max(probability, 1e-9));
    ++tokens_;
  }
  uint64_t tokens() const { return tokens_; }
  double Confidence(double declined) const {
    if (tokens_ == 0) return 0;
    return (1 - declined) * std::exp(log_sum_ / static_cast<double>(tokens_));
  }

 private:
  double log_sum_ = 0;
  uint64_t tokens_ = 0;
};

}  // namespace

struct Generator::Impl {
  Impl(Decoder* d, const ChatTemplate* chat, const GeneratorOptions& o)
      : decoder(d), options(o), writer(&d->tokenizer(), chat),
        engine(d, {.max_active = o.max_active, .max_waiting = o.max_waiting}) {}

  Result<Answer> Abstain(const GenerateRequest& request, std::string_view reason, Answer answer,
                         const GenerateSink& sink, const Context& ctx);
  Result<Answer> Write(const GenerateRequest& request, PromptPlan plan, const GenerateSink& sink,
                       const Context& ctx);
  BudgetLimits Limits() const {
    return {options.max_prompt_tokens, options.history_tokens, decoder->info().context_tokens};
  }

  Decoder* const decoder;
  const GeneratorOptions options;
  const PromptWriter writer;
  Engine engine;
};

namespace {

std::function<void()> MarkFirstToken(const Context& ctx) {
  return [trace = ctx.trace()] {
    if (trace != nullptr) trace->SetTime("first_token", trace->ElapsedMs());
  };
}

// Tokens -> text -> writer, until the model, a stop string, a refusal or the sink ends it.
Status Pump(const Tokenizer& tokenizer, TokenStream* stream, AnswerText* text, AnswerWriter* writer,
            ConfidenceMeter* meter) {
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<StreamToken> token, stream->Next());
    if (!token) break;
    meter->Add(token->probability);
    const std::string more = text->Append(tokenizer.Piece(token->id));
    if (!writer->Append(more, text->marks())) return GoneAway();
    if (writer->refused() || text->stopped()) break;
  }
  if (writer->refused()) return OkStatus();
  const std::string rest = text->Finish();
  if (!writer->Append(rest, text->marks()) || !writer->Finish(text->marks())) return GoneAway();
  return OkStatus();
}

}  // namespace

Generator::Generator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Generator::~Generator() = default;

Result<std::unique_ptr<Generator>> Generator::Create(Decoder* decoder, const GeneratorOptions& options) {
  ASSIGN_OR_RETURN(const ChatTemplate* chat, decoder->chat_template());
  return std::unique_ptr<Generator>(new Generator(std::make_unique<Impl>(decoder, chat, options)));
}

Result<Answer> Generator::Generate(const GenerateRequest& request, const GenerateSink& sink,
                                   const Context& ctx) {
  RETURN_IF_ERROR(CheckRequest(request));
  RETURN_IF_ERROR(ctx.Check());
  const double min_score = impl_->options.min_dense_score;
  if (request.hits.empty()) return impl_->Abstain(request, "no_passages", {}, sink, ctx);
  if (min_score > 0 && AllBelow(request.hits, min_score)) {
    Answer answer;
    for (const Hit& hit : request.hits) {
      answer.omitted.push_back({hit.passage.id, hit.passage.document_id, "irrelevant"});
    }
    return impl_->Abstain(request, "irrelevant", std::move(answer), sink, ctx);
  }
  ASSIGN_OR_RETURN(PromptPlan plan, PlanPrompt(request, impl_->Limits(), impl_->writer));
  if (plan.used.empty()) {
    Answer answer;
    answer.omitted = std::move(plan.omitted);
    return impl_->Abstain(request, "no_passages", std::move(answer), sink, ctx);
  }
  return impl_->Write(request, std::move(plan), sink, ctx);
}

// `answer` holds what is known already: usage and omissions.
Result<Answer> Generator::Impl::Abstain(const GenerateRequest& request, std::string_view reason,
                                        Answer answer, const GenerateSink& sink, const Context& ctx) {
  AnswerWriter refusal(nullptr, &sink, AnswerWriter::Delivery::kStreaming, MarkFirstToken(ctx));
  if (!refusal.Refuse(RefusalText(request.question))) return GoneAway();
  answer.text = refusal.text();
  answer.abstained = true;
  answer.reason = reason;
  answer.confidence = 0;
  return answer;
}

Result<Answer> Generator::Impl::Write(const GenerateRequest& request, PromptPlan plan,
                                      const GenerateSink& sink, const Context& ctx) {
  std::vector<const Hit*> used;
  for (size_t index : plan.used) used.push_back(&request.hits[index]);

  Answer answer;
  answer.omitted = std::move(plan.omitted);
  answer.usage.prompt_tokens = plan.prefix.size() + plan.rest.size();
  const auto started = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(auto stream, engine.Start({std::move(plan.prefix), std::move(plan.rest), request.sampling,
                                              writer.DeclineTokens(plan.language), ctx.WithTrace(nullptr)}));
  const Citer citer(request.question, std::move(used));
  AnswerText text(request.sampling.stop);
  AnswerWriter out(&citer, &sink,
                   request.strict ? AnswerWriter::Delivery::kStrict : AnswerWriter::Delivery::kStreaming,
                   MarkFirstToken(ctx));
  ConfidenceMeter meter;
  RETURN_IF_ERROR(Pump(decoder->tokenizer(), stream.get(), &text, &out, &meter));

  const StreamFacts facts = stream->facts();
  const double all_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count();
  if (ctx.trace() != nullptr) {
    ctx.trace()->AddTime("prefill", facts.prefill_ms);
    ctx.trace()->AddTime("decode", std::max(0.0, all_ms - facts.prefill_ms));
  }
  answer.usage.cached_tokens = facts.cached_tokens;
  answer.usage.completion_tokens = meter.tokens();
  // A stop string in front of everything leaves nothing, which is no refusal.
  const bool stopped_at_once = text.stopped() && out.empty_reply();
  if (out.refused() && !stopped_at_once) return Abstain(request, "model_declined", std::move(answer), sink, ctx);
  if (out.dropped_all()) return Abstain(request, "unsupported", std::move(answer), sink, ctx);
  if (facts.cause == StopCause::kMaxTokens && !text.stopped()) answer.reason = "max_tokens";
  answer.text = out.text();
  answer.citations = out.citations();
  answer.confidence = meter.Confidence(facts.watched_probability);
  return answer;
}

}  // namespace vade
