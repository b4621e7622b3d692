#include "service/answer.h"

#include "base/trace.h"

namespace vade {

Result<AskReply> Answerer::Ask(const AskRequest& request, const AskObserver& observer,
                               const Context& ctx) const {
  ASSIGN_OR_RETURN(Retrieved retrieved, retriever_->Retrieve(request.query, ctx));
  if (observer.on_retrieved && !observer.on_retrieved(retrieved)) {
    return Cancelled("the client went away before the answer began");
  }

  GenerateRequest generate;
  generate.question = request.query.question;
  generate.hits = retrieved.hits;
  generate.collection = retrieved.collection;
  generate.commit = retrieved.commit;
  generate.history = request.history;
  generate.system = request.system;
  generate.mode = request.mode;
  generate.strict = request.strict;
  generate.sampling = request.sampling;
  generate.form = request.form;
  ASSIGN_OR_RETURN(Answer answer, generator_->Generate(generate, observer.on_event, ctx));

  if (Trace* trace = ctx.trace()) trace->SetTime("total", trace->ElapsedMs());
  return AskReply{std::move(retrieved), std::move(answer)};
}

}  // namespace vade
