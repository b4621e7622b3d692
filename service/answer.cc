#include "service/answer.h"

#include <string>
#include <vector>

#include "base/trace.h"

namespace vade {
namespace {

Retrieved FirstOf(Retrieved found, size_t count) {
  if (found.hits.size() > count) found.hits.resize(count);
  return found;
}

std::vector<std::string> QuestionsOf(const std::vector<ChatTemplate::Turn>& history) {
  std::vector<std::string> questions;
  for (const ChatTemplate::Turn& turn : history) {
    if (turn.role == Role::kUser) questions.push_back(turn.content);
  }
  return questions;
}

}  // namespace

Result<AskReply> Answerer::Ask(const AskRequest& request, const AskObserver& observer,
                               const Context& ctx) const {
  Query query = request.query;
  // A number out of range stays as it is and is refused.
  if (query.k > 0) query.k += further_passages_;
  if (!request.search_as_asked) query.earlier = QuestionsOf(request.history);
  ASSIGN_OR_RETURN(const Retrieved all, retriever_->Retrieve(query, ctx));
  Retrieved retrieved = FirstOf(all, static_cast<size_t>(request.query.k));
  if (observer.on_retrieved && !observer.on_retrieved(retrieved)) {
    return Cancelled("the client went away before the answer began");
  }

  GenerateRequest generate;
  generate.question = request.query.question;
  generate.hits = all.hits;
  generate.first_hits = retrieved.hits.size();
  generate.on_further = [&] { return !observer.on_retrieved || observer.on_retrieved(all); };
  generate.collection = retrieved.collection;
  generate.commit = retrieved.commit;
  generate.groups = request.query.groups;
  generate.history = request.history;
  generate.system = request.system;
  generate.mode = request.mode;
  generate.joining = request.joining;
  generate.strict = request.strict;
  generate.sampling = request.sampling;
  generate.form = request.form;
  ASSIGN_OR_RETURN(Answer answer, generator_->Generate(generate, observer.on_event, ctx));
  if (answer.considered > retrieved.hits.size()) retrieved = all;

  if (Trace* trace = ctx.trace()) trace->SetTime("total", trace->ElapsedMs());
  return AskReply{std::move(retrieved), std::move(answer)};
}

}  // namespace vade
