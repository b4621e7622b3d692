#include "generator/second_opinion.h"

#include <utility>

#include "generator/answer_text.h"
#include "generator/refusal.h"
#include "generator/terms.h"

namespace vade {
namespace {

constexpr int kMostTokens = 48;

// Longer answers differ in words without differing in what they say.
constexpr size_t kMostComparedBytes = 120;

}  // namespace

Result<std::unique_ptr<SecondOpinion>> SecondOpinion::Start(Engine* engine,
                                                            const Tokenizer* tokenizer,
                                                            std::unique_ptr<ReadBlock> block,
                                                            const Tokens& banned,
                                                            const Context& ctx) {
  EngineJob job;
  block->Ban(banned);
  job.from = std::move(block);
  job.sampling.max_tokens = kMostTokens;
  job.ctx = ctx.WithTrace(nullptr);
  ASSIGN_OR_RETURN(auto stream, engine->Start(std::move(job)));
  return std::unique_ptr<SecondOpinion>(new SecondOpinion(tokenizer, std::move(stream)));
}

Result<std::string> SecondOpinion::Text() {
  AnswerText text({}, AnswerText::Marks::kTakenOut);
  std::string said;
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<SampledToken> token, stream_->Next());
    if (!token) break;
    said += text.Append(tokenizer_->Piece(token->id));
  }
  if (stream_->facts().cause == StopCause::kMaxTokens) return std::string();
  said += text.Finish();
  if (JudgeReply(said, /*complete=*/true) == RefusalVerdict::kRefusal) return std::string();
  return said;
}

Comparison Compare(std::string_view answer, std::string_view other) {
  if (answer.size() > kMostComparedBytes || other.size() > kMostComparedBytes)
    return Comparison::kUnknown;
  const std::string a = Skeleton(answer), b = Skeleton(other);
  if (a.empty() || b.empty()) return Comparison::kUnknown;
  if (ContainsWhole(a, b) || ContainsWhole(b, a)) return Comparison::kSame;
  const TermSet left = TermsOf(answer), right = TermsOf(other);
  if (!left.numbers.empty() && !right.numbers.empty())
    return left.numbers == right.numbers ? Comparison::kSame : Comparison::kDifferent;
  const bool one_script = left.bigrams.empty() == right.bigrams.empty();
  return one_script ? Comparison::kDifferent : Comparison::kUnknown;
}

}  // namespace vade
