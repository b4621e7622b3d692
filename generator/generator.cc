// The whole path of an answer: hits -> plan of the prompt -> tokens of the engine -> text ->
// citations. The caller's thread does all but the decoding, so a slow sink delays its own answer
// only.
#include "generator/generator.h"

#include <algorithm>
#include <chrono>

#include "base/strings.h"
#include "base/trace.h"
#include "base/unicode.h"
#include "generator/answer_text.h"
#include "generator/answer_writer.h"
#include "generator/citations.h"
#include "generator/generator_impl.h"
#include "generator/grammar.h"
#include "generator/pump.h"
#include "generator/refusal.h"
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
    return Unimplemented(
        StrCat("answer mode '", ModeName(request.mode), "' is not implemented; use mode 'direct'"));
  }
  if (StripAsciiWhitespace(request.question).empty()) {
    return InvalidArgument("the question is empty; ask something");
  }
  if (request.strict && request.form.kind != AnswerForm::Kind::kFree) {
    return InvalidArgument(
        "an answer of a given form cannot be strict: leaving sentences out would break the form");
  }
  return CheckSampling(request.sampling);
}

// Null for a free answer.
Result<std::unique_ptr<TokenConstraint>> ConstraintOf(const AnswerForm& form,
                                                      const Tokenizer* tokenizer) {
  Result<std::shared_ptr<const Grammar>> grammar = std::shared_ptr<const Grammar>();
  switch (form.kind) {
    case AnswerForm::Kind::kFree: return std::unique_ptr<TokenConstraint>();
    case AnswerForm::Kind::kJson: grammar = Grammar::AnyJson(); break;
    case AnswerForm::Kind::kJsonSchema: grammar = Grammar::FromJsonSchema(form.definition); break;
    case AnswerForm::Kind::kGrammar: grammar = Grammar::FromText(form.definition); break;
  }
  RETURN_IF_ERROR(grammar.status());
  return Constrain(*std::move(grammar), tokenizer);
}

bool AllBelow(const std::vector<Hit>& hits, double min_dense_score) {
  for (const Hit& hit : hits) {
    if (hit.dense_score >= min_dense_score) return false;
  }
  return true;
}

std::function<void()> MarkFirstToken(const Context& ctx) {
  return [trace = ctx.trace()] {
    if (trace != nullptr) trace->SetTime("first_token", trace->ElapsedMs());
  };
}

AnswerText::Marks MarksOf(bool formed) {
  return formed ? AnswerText::Marks::kText : AnswerText::Marks::kTakenOut;
}

AnswerWriter::Delivery DeliveryOf(const GenerateRequest& request) {
  return request.strict ? AnswerWriter::Delivery::kStrict : AnswerWriter::Delivery::kStreaming;
}

// A passage that by itself answers at this probability is asked too, where the best one does; of
// the two the newer is believed. (Of 160 questions of xquad it is reached by a passage that does
// not answer in two.)
constexpr double kVouches = 0.8;

// The answer goes on from the best passage; where the model declines or is unsure there, from the
// next best one that answers too.
constexpr size_t kTriedPassages = 2;

// Below this probability that any of the passages answers, more are read before the model is asked
// to write.
constexpr double kEnough = 0.5;

// A model that is held to a form cannot decline; that it would have is read off its first token.
constexpr double kDeclines = 0.5;

}  // namespace

Generator::Generator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Generator::~Generator() = default;

Result<std::unique_ptr<Generator>> Generator::Create(Decoder* decoder,
                                                     const GeneratorOptions& options) {
  ASSIGN_OR_RETURN(const ChatTemplate* chat, decoder->chat_template());
  return std::unique_ptr<Generator>(new Generator(std::make_unique<Impl>(decoder, chat, options)));
}

Result<Answer> Generator::Generate(const GenerateRequest& request, const GenerateSink& sink,
                                   const Context& ctx) {
  auto answer = impl_->Generate(request, sink, ctx);
  impl_->Count(answer);
  if (answer.ok()) {
    AddCount(ctx, "readings", static_cast<int64_t>(answer->readings.size()));
    AddCount(ctx, "rounds", answer->rounds);
    AddCount(ctx, "prompt_tokens", static_cast<int64_t>(answer->usage.prompt_tokens));
    AddCount(ctx, "cached_tokens", static_cast<int64_t>(answer->usage.cached_tokens));
  }
  return answer;
}

GeneratorCounts Generator::counts() const {
  GeneratorCounts counts;
  {
    std::lock_guard lock(impl_->counts_mutex);
    counts = impl_->ended;
  }
  counts.engine = impl_->engine.counts();
  const KeptBlocks& kept = impl_->engine.kept_blocks();
  counts.kept_blocks = kept.blocks();
  counts.kept_bytes = kept.bytes();
  counts.kept_turns = kept.turns();
  counts.kept_turn_bytes = kept.turn_bytes();
  counts.kept_budget_bytes = kept.budget_bytes();
  return counts;
}

void Generator::Impl::Count(const Result<Answer>& answer) {
  std::lock_guard lock(counts_mutex);
  AnswerEnd end = answer.ok() ? AnswerEnd::kAnswered : AnswerEnd::kFailed;
  if (answer.ok() && answer->abstained) {
    const auto name = std::find(kAnswerEndNames.begin(), kAnswerEndNames.end(), answer->reason);
    if (name != kAnswerEndNames.end()) end = static_cast<AnswerEnd>(name - kAnswerEndNames.begin());
  }
  ++ended.ends[static_cast<size_t>(end)];
  if (!answer.ok() || answer->usage.prompt_tokens == 0) return;
  ++(answer->rounds > 0 ? ended.asked_alone : ended.asked_together);
  if (answer->joined > 0) ++ended.joined;
  ended.rounds += static_cast<uint64_t>(answer->rounds);
  ended.readings += answer->readings.size();
}

Result<Answer> Generator::Impl::Generate(const GenerateRequest& request, const GenerateSink& sink,
                                         const Context& ctx) {
  RETURN_IF_ERROR(CheckRequest(request));
  RETURN_IF_ERROR(ctx.Check());
  const double min_score = options.min_dense_score;
  if (request.hits.empty()) return Abstain(request, "no_passages", {}, sink, ctx);
  if (min_score > 0 && AllBelow(request.hits, min_score)) {
    Answer answer;
    for (const Hit& hit : request.hits) {
      answer.omitted.push_back(Omit(hit, "irrelevant"));
    }
    return Abstain(request, "irrelevant", std::move(answer), sink, ctx);
  }
  ASSIGN_OR_RETURN(auto constraint, ConstraintOf(request.form, &decoder->tokenizer()));
  if (options.reading == ReadingMode::kAlone) {
    ReadingRounds rounds(&reader, &writer, Limits(), CalibrationOf(decoder->info().name), &request);
    ASSIGN_OR_RETURN(const bool pays, rounds.Plan());
    if (pays) return ReadAlone(request, &rounds, std::move(constraint), sink, ctx);
  }
  if (request.first_hits == 0 || request.first_hits >= request.hits.size())
    return ReadTogether(request, std::move(constraint), sink, ctx);
  GenerateRequest first = request;
  first.hits.resize(request.first_hits);
  return ReadTogether(first, std::move(constraint), sink, ctx);
}

Result<uint64_t> Generator::Warm(const WarmRequest& request, const Context& ctx) {
  constexpr size_t kTogether = 4;
  const PromptWriter& writer = impl_->writer;
  uint64_t total = 0;
  for (PromptLanguage language : {PromptLanguage::kEnglish, PromptLanguage::kChinese}) {
    GenerateRequest some;
    some.collection = request.collection;
    some.commit = request.commit;
    ReadingPlan plan;
    plan.prefix = writer.Prefix(language);
    plan.suffix = {writer.Question("", language).front()};
    auto flush = [&]() -> Status {
      ASSIGN_OR_RETURN(const uint64_t read, impl_->reader.Warm(some, plan, ctx));
      total += read;
      some.hits.clear();
      plan.blocks.clear();
      plan.used.clear();
      return OkStatus();
    };
    const size_t most = impl_->Limits().max_prompt_tokens;
    for (const Hit& hit : request.hits) {
      if (LanguageOf(hit.passage.text) != language) continue;
      Tokens block = writer.Block(hit);
      if (plan.prefix.size() + block.size() + 1 > most) continue;  // no question reads it either
      plan.used.push_back(some.hits.size());
      plan.blocks.push_back(std::move(block));
      some.hits.push_back(hit);
      if (some.hits.size() == kTogether) RETURN_IF_ERROR(flush());
    }
    RETURN_IF_ERROR(flush());
  }
  return total;
}

void Generator::Forget(uint32_t collection, const std::string& document_id) {
  impl_->engine.kept_blocks().Forget(collection, document_id);
}

void Generator::ForgetAll() { impl_->engine.kept_blocks().Clear(); }

Result<Answer> Generator::Impl::ReadTogether(const GenerateRequest& request,
                                             std::unique_ptr<TokenConstraint> constraint,
                                             const GenerateSink& sink, const Context& ctx) {
  ASSIGN_OR_RETURN(PromptPlan plan, PlanPrompt(request, Limits(), writer));
  Beginning beginning = BeginTogether(request, std::move(plan), std::move(constraint));
  if (beginning.used.empty())
    return Abstain(request, "no_passages", std::move(beginning.answer), sink, ctx);
  return Refuse(request, Write(request, std::move(beginning), sink, ctx), sink, ctx);
}

Generator::Impl::Beginning Generator::Impl::BeginTogether(
    const GenerateRequest& request, PromptPlan plan,
    std::unique_ptr<TokenConstraint> constraint) const {
  Beginning beginning;
  beginning.min_confidence = options.min_confidence;
  beginning.answer.omitted = std::move(plan.omitted);
  beginning.answer.considered = request.hits.size();
  beginning.used = std::move(plan.used);
  if (beginning.used.empty()) return beginning;
  beginning.answer.usage.prompt_tokens = plan.prefix.size() + plan.rest.size();
  EngineJob& job = beginning.job;
  job.prefix = std::move(plan.prefix);
  job.rest = std::move(plan.rest);
  job.watched = writer.DeclineTokens(plan.language);
  job.origin.block.collection = request.collection;
  job.origin.asker = AskerOf(request);
  job.constraint = std::move(constraint);
  job.sampling = request.sampling;
  job.sampling.max_tokens = plan.answer_tokens;
  return beginning;
}

// The question behind each passage; the answer goes on from the passage that answers best. Where
// the model declines or is unsure there, from the next best one that answers too, and where that
// is all, more passages are read.
Result<Answer> Generator::Impl::ReadAlone(const GenerateRequest& request, ReadingRounds* rounds,
                                          std::unique_ptr<TokenConstraint> constraint,
                                          const GenerateSink& sink, const Context& ctx) {
  // A form is written once: what the constraint has seen cannot be taken back.
  const bool formed = constraint != nullptr;
  std::string reason = "model_declined";
  bool untried = true;
  std::vector<size_t> joined_hits;  // that were tried together
  do {
    RETURN_IF_ERROR(rounds->Read(ctx));
    if (ctx.trace() != nullptr) ctx.trace()->AddTime("prefill", rounds->prefill_ms());
    if (rounds->more() && rounds->answerable() < kEnough) continue;
    ASSIGN_OR_RETURN(auto plan, PlanJoin(request, *rounds));
    if (plan && plan->hits != joined_hits) {
      joined_hits = plan->hits;
      ASSIGN_OR_RETURN(auto joined,
                       WriteJoined(*std::move(plan), rounds->Facts(), &constraint, sink, ctx));
      if (joined && (!joined->abstained || formed))
        return Refuse(request, *std::move(joined), sink, ctx);
      if (joined) rounds->SetUsage(joined->usage);
    }
    for (size_t tried = 0; tried < kTriedPassages; ++tried) {
      if (untried) rounds->PutNewestFirst(kVouches);
      const double answers = rounds->next_answers();
      if (answers == 0 || (tried == 0 ? rounds->abstains() : answers < kAnswers)) break;
      const bool sure = untried && answers >= kSureReading;
      untried = false;
      auto written = WriteFromNext(request, rounds, {sure, std::move(constraint)}, sink, ctx);
      const bool held_back = written.ok() && written->abstained;
      if (!held_back || formed) return Refuse(request, std::move(written), sink, ctx);
      reason = written->reason;
    }
  } while (rounds->more());
  return Abstain(request, reason, rounds->Facts(), sink, ctx);
}

Result<Answer> Generator::Impl::WriteFromNext(const GenerateRequest& request, ReadingRounds* rounds,
                                              Attempt attempt, const GenerateSink& sink,
                                              const Context& ctx) {
  const bool formed = attempt.constraint != nullptr;
  const bool vouched = rounds->next_answers() >= kVouches;
  Beginning beginning;
  EngineJob& job = beginning.job;
  job.from = rounds->Take();
  beginning.answer = rounds->Facts();
  beginning.used = rounds->Support();
  beginning.min_confidence = attempt.sure ? 0 : options.min_confidence;
  // Where the reading has decided, the first token does not say otherwise. A form may have such a
  // word among its own.
  if (attempt.sure && !formed) job.from->Ban(rounds->watched());
  job.watched = rounds->watched();
  job.constraint = std::move(attempt.constraint);
  job.sampling = request.sampling;
  job.sampling.max_tokens = rounds->answer_tokens();
  Other other;
  if (vouched && !formed) {
    ASSIGN_OR_RETURN(other, AskAnother(rounds, ctx));
  }
  ASSIGN_OR_RETURN(Answer answer, Write(request, std::move(beginning), sink, ctx));
  if (other.opinion && !answer.abstained)
    RETURN_IF_ERROR(AddOther(request, std::move(other), &answer));
  return answer;
}

Result<Generator::Impl::Other> Generator::Impl::AskAnother(ReadingRounds* rounds,
                                                           const Context& ctx) {
  Other other;
  other.answers = rounds->next_answers();
  if (other.answers < kVouches) return other;
  auto block = rounds->Take();
  other.hit = rounds->last_taken();
  ASSIGN_OR_RETURN(other.opinion, SecondOpinion::Start(&engine, &decoder->tokenizer(),
                                                       std::move(block), rounds->watched(), ctx));
  return other;
}

// Two that agree are wrong together only where each is.
Status Generator::Impl::AddOther(const GenerateRequest& request, Other other, Answer* answer) {
  ASSIGN_OR_RETURN(std::string text, other.opinion->Text());
  const Comparison comparison = Compare(answer->text, text);
  if (comparison == Comparison::kUnknown) return OkStatus();
  const bool agrees = comparison == Comparison::kSame;
  if (agrees) answer->confidence = 1 - (1 - answer->confidence) * (1 - other.answers);
  const Hit& hit = request.hits[other.hit];
  answer->others.push_back({.passage_id = hit.passage.id,
                            .document_id = hit.passage.document_id,
                            .text = std::move(text),
                            .valid_from = hit.valid_from,
                            .agrees = agrees});
  return OkStatus();
}

Result<Answer> Generator::Impl::Refuse(const GenerateRequest& request, Result<Answer> answer,
                                       const GenerateSink& sink, const Context& ctx) {
  if (!answer.ok() || !answer->abstained) return answer;
  const std::string reason = answer->reason;
  return Abstain(request, reason, *std::move(answer), sink, ctx);
}

Result<Answer> Generator::Impl::Abstain(const GenerateRequest& request, std::string_view reason,
                                        Answer answer, const GenerateSink& sink,
                                        const Context& ctx) {
  AnswerWriter refusal(nullptr, &sink, AnswerWriter::Delivery::kStreaming, MarkFirstToken(ctx));
  if (!refusal.Refuse(RefusalText(request.question))) return SinkIsGone();
  answer.text = refusal.text();
  answer.abstained = true;
  answer.reason = reason;
  answer.confidence = 0;
  return answer;
}

Result<Answer> Generator::Impl::Write(const GenerateRequest& request, Beginning beginning,
                                      const GenerateSink& sink, const Context& ctx) {
  EngineJob& job = beginning.job;
  Answer answer = std::move(beginning.answer);
  const bool formed = job.constraint != nullptr, goes_on = job.from != nullptr;
  std::vector<const Hit*> passages;
  for (size_t index : beginning.used) passages.push_back(&request.hits[index]);
  const auto started = std::chrono::steady_clock::now();
  job.ctx = ctx.WithTrace(nullptr);
  ASSIGN_OR_RETURN(auto streams, engine.StartSeveral(std::move(job)));
  const Citer citer(request.question, std::move(passages));
  AnswerText text(request.sampling.stop, MarksOf(formed));
  AnswerWriter out(&citer, &sink, DeliveryOf(request), MarkFirstToken(ctx));
  // Where passages were read alone, their readings have judged for the form too.
  Pump pump(decoder->tokenizer(), streams[0].get(), &text, &out,
            formed && !goes_on ? 1 - kDeclines : beginning.min_confidence, formed);
  RETURN_IF_ERROR(pump.Run());

  const StreamFacts facts = streams[0]->facts();
  const double all_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count();
  if (ctx.trace() != nullptr) {
    if (!goes_on) ctx.trace()->AddTime("prefill", facts.prefill_ms);
    ctx.trace()->AddTime("decode", std::max(0.0, goes_on ? all_ms : all_ms - facts.prefill_ms));
  }
  if (!goes_on) answer.usage.cached_tokens += facts.cached_tokens;
  answer.usage.completion_tokens = pump.tokens();
  answer.usage.draft_accepted = facts.held_tokens;
  // A stop string in front of everything leaves nothing, which is no refusal.
  const bool stopped_at_once = text.stopped() && out.empty_reply();
  auto hold_back = [&](std::string_view reason) {
    answer.abstained = true;
    answer.reason = reason;
    return std::move(answer);
  };
  if (out.refused() && !stopped_at_once) return hold_back("model_declined");
  if (pump.doubtful()) {
    const bool declined =
        formed || JudgeReply(pump.withheld(), /*complete=*/true) == RefusalVerdict::kRefusal;
    return hold_back(declined ? "model_declined" : "uncertain");
  }
  if (out.dropped_all()) return hold_back("unsupported");
  if (facts.cause == StopCause::kMaxTokens && !text.stopped()) answer.reason = "max_tokens";
  answer.text = out.text();
  answer.citations = out.citations();
  answer.confidence = pump.confidence();
  if (request.sampling.top_logprobs > 0) answer.tokens = pump.choices();
  for (size_t i = 1; i < streams.size(); ++i) {
    ASSIGN_OR_RETURN(const uint64_t tokens,
                     WriteAlternative(request, citer, formed, streams[i].get(), &answer));
    answer.usage.completion_tokens += tokens;
  }
  return answer;
}

Result<uint64_t> Generator::Impl::WriteAlternative(const GenerateRequest& request,
                                                   const Citer& citer, bool formed,
                                                   TokenStream* stream, Answer* answer) {
  const GenerateSink nobody;
  AnswerText text(request.sampling.stop, MarksOf(formed));
  AnswerWriter out(&citer, &nobody, DeliveryOf(request), nullptr);
  Pump pump(decoder->tokenizer(), stream, &text, &out, /*min_confidence=*/0, formed);
  RETURN_IF_ERROR(pump.Run());
  Alternative other;
  const bool stopped_at_once = text.stopped() && out.empty_reply();
  if (out.refused() && !stopped_at_once) {
    other.reason = "model_declined";
  } else {
    other.text = out.text();
    other.citations = out.citations();
    other.confidence = pump.confidence();
    if (stream->facts().cause == StopCause::kMaxTokens && !text.stopped())
      other.reason = "max_tokens";
    if (out.dropped_all()) other.reason = "unsupported";
  }
  answer->alternatives.push_back(std::move(other));
  return pump.tokens();
}

}  // namespace vade
