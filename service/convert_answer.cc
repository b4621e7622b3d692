// An answer <-> its message; the rest of the messages is in convert_proto.cc.
#include "service/convert_proto.h"
#include "vade/v1/answer.pb.h"

namespace vade {
namespace {

void ToProto(const TokenChoice::Ranked& token, v1::RankedToken* out) {
  out->set_id(token.id);
  out->set_text(token.bytes);
  out->set_log_probability(token.log_probability);
}

TokenChoice::Ranked FromProto(const v1::RankedToken& in) {
  return {.id = in.id(), .bytes = in.text(), .log_probability = in.log_probability()};
}

}  // namespace

void ToProto(const Answer& answer, v1::Done* out) {
  out->set_answer(Utf8(answer.text));
  out->set_abstained(answer.abstained);
  out->set_reason(answer.reason);
  out->set_confidence(answer.confidence);
  for (const Citation& citation : answer.citations) ToProto(citation, out->add_citations());
  for (const Omission& omission : answer.omitted) {
    v1::Omission* added = out->add_omitted();
    added->set_passage_id(omission.passage_id);
    added->set_document_id(Utf8(omission.document_id));
    added->set_reason(omission.reason);
  }
  for (const ReadingFact& reading : answer.readings) {
    v1::Reading* added = out->add_readings();
    added->set_passage_id(reading.passage_id);
    added->set_document_id(Utf8(reading.document_id));
    added->set_answers(reading.answers);
    added->set_kept(reading.kept);
    added->set_decline_probability(reading.decline_probability);
    added->set_question_gain(reading.question_gain);
    added->set_score_gap(reading.score_gap);
    added->set_lead(reading.lead);
  }
  for (const OtherAnswer& other : answer.others) {
    v1::OtherAnswer* added = out->add_others();
    added->set_passage_id(other.passage_id);
    added->set_document_id(Utf8(other.document_id));
    added->set_text(Utf8(other.text));
    added->set_valid_from(other.valid_from);
    added->set_agrees(other.agrees);
  }
  for (const Alternative& one : answer.alternatives) {
    v1::Alternative* added = out->add_alternatives();
    added->set_text(Utf8(one.text));
    added->set_reason(one.reason);
    added->set_confidence(one.confidence);
    for (const Citation& citation : one.citations) ToProto(citation, added->add_citations());
  }
  for (const TokenChoice& choice : answer.tokens) {
    v1::TokenChoice* added = out->add_tokens();
    ToProto(choice.chosen, added->mutable_chosen());
    for (const TokenChoice::Ranked& ranked : choice.likeliest)
      ToProto(ranked, added->add_likeliest());
  }
  out->set_rounds(static_cast<uint32_t>(answer.rounds));
  out->set_joined(static_cast<uint32_t>(answer.joined));
  v1::Usage* usage = out->mutable_usage();
  usage->set_prompt_tokens(answer.usage.prompt_tokens);
  usage->set_cached_tokens(answer.usage.cached_tokens);
  usage->set_completion_tokens(answer.usage.completion_tokens);
  usage->set_draft_accepted(answer.usage.draft_accepted);
}

Answer FromProto(const v1::Done& in) {
  Answer answer;
  answer.text = in.answer();
  answer.abstained = in.abstained();
  answer.reason = in.reason();
  answer.confidence = in.confidence();
  for (const v1::Citation& citation : in.citations())
    answer.citations.push_back(FromProto(citation));
  for (const v1::Omission& one : in.omitted()) {
    answer.omitted.push_back({one.passage_id(), one.document_id(), one.reason()});
  }
  for (const v1::Reading& one : in.readings()) {
    answer.readings.push_back({.passage_id = one.passage_id(),
                               .document_id = one.document_id(),
                               .answers = one.answers(),
                               .kept = one.kept(),
                               .decline_probability = one.decline_probability(),
                               .question_gain = one.question_gain(),
                               .score_gap = one.score_gap(),
                               .lead = one.lead()});
  }
  for (const v1::OtherAnswer& one : in.others()) {
    answer.others.push_back(
        {one.passage_id(), one.document_id(), one.text(), one.valid_from(), one.agrees()});
  }
  for (const v1::Alternative& one : in.alternatives()) {
    Alternative& added = answer.alternatives.emplace_back();
    added.text = one.text();
    added.reason = one.reason();
    added.confidence = one.confidence();
    for (const v1::Citation& citation : one.citations())
      added.citations.push_back(FromProto(citation));
  }
  for (const v1::TokenChoice& one : in.tokens()) {
    TokenChoice& added = answer.tokens.emplace_back();
    added.chosen = FromProto(one.chosen());
    for (const v1::RankedToken& ranked : one.likeliest())
      added.likeliest.push_back(FromProto(ranked));
  }
  answer.rounds = static_cast<int>(in.rounds());
  answer.joined = in.joined();
  answer.usage = {.prompt_tokens = in.usage().prompt_tokens(),
                  .cached_tokens = in.usage().cached_tokens(),
                  .completion_tokens = in.usage().completion_tokens(),
                  .draft_accepted = in.usage().draft_accepted()};
  return answer;
}

}  // namespace vade
