#include "generator/pump.h"

#include <algorithm>
#include <cmath>

namespace vade {
namespace {

// What a beginning must show to be let through: at once when the model is this sure, else after so
// many tokens. Most answers that the documents hold pass at their first token.
constexpr double kSureConfidence = 0.8;
constexpr uint64_t kWithheldTokens = 8;

}  // namespace

Status SinkIsGone() { return Cancelled("the receiver of the answer wants no more of it"); }

void ConfidenceMeter::Add(double probability) {
  log_sum_ += std::log(std::max(probability, 1e-9));
  ++tokens_;
}

double ConfidenceMeter::Confidence(double declined) const {
  if (tokens_ == 0) return 0;
  return (1 - declined) * std::exp(log_sum_ / static_cast<double>(tokens_));
}

Pump::Pump(const Tokenizer& tokenizer, TokenStream* stream, AnswerText* text, AnswerWriter* writer,
           double min_confidence, bool formed)
    : tokenizer_(tokenizer),
      stream_(stream),
      text_(text),
      writer_(writer),
      min_confidence_(min_confidence),
      formed_(formed),
      open_(min_confidence_ <= 0) {}

Status Pump::Run() {
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<SampledToken> token, stream_->Next());
    if (!token) break;
    meter_.Add(token->probability);
    Note(*token);
    held_ += text_->Append(tokenizer_.Piece(token->id));
    if (!Pass(/*complete=*/text_->stopped())) return SinkIsGone();
    if (doubtful_ || writer_->refused() || text_->stopped()) break;
  }
  if (doubtful_ || writer_->refused()) return OkStatus();
  held_ += text_->Finish();
  if (!Pass(/*complete=*/true)) return SinkIsGone();
  if (doubtful_ || writer_->Finish(text_->marks())) return OkStatus();
  return SinkIsGone();
}

double Pump::confidence() const {
  const double declined = stream_->facts().watched_probability;
  return formed_ ? 1 - declined : meter_.Confidence(declined);
}

// Hands over what is held once the beginning has been judged. False when the sink wants no more.
bool Pump::Pass(bool complete) {
  if (!open_) {
    const bool decided = complete || formed_ || meter_.tokens() >= kWithheldTokens ||
                         confidence() >= kSureConfidence;
    if (!decided) return true;
    doubtful_ = confidence() < min_confidence_;
    open_ = !doubtful_;
    if (doubtful_) return true;
  }
  const bool wanted = writer_->Append(held_, text_->marks());
  held_.clear();
  return wanted;
}

void Pump::Note(const SampledToken& token) {
  if (token.alternatives.empty()) return;
  auto ranked = [&](int32_t id, double log_probability) {
    return TokenChoice::Ranked{id, std::string(tokenizer_.Piece(id)), log_probability};
  };
  TokenChoice& choice = choices_.emplace_back();
  choice.chosen = ranked(token.id, token.log_probability());
  for (const auto& [id, log_probability] : token.alternatives)
    choice.likeliest.push_back(ranked(id, log_probability));
}

}  // namespace vade
