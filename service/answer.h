// Question -> cited answer: retrieval and generation joined, the whole path in one screen
// (answer.cc). Knows nothing of protobuf; the gRPC service, the command line, eval and bench all
// call this.
//
// Thread-safe; owns nothing.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "generator/generator.h"
#include "retriever/retriever.h"

namespace vade {

struct AskRequest {
  Query query;                              // question, collection, k, filter, as_of, groups
  std::vector<ChatTemplate::Turn> history;  // earlier turns, oldest first
  bool search_as_asked = false;             // not together with the questions of the history
  std::string system;
  AnswerMode mode = AnswerMode::kDirect;
  std::optional<Joining> joining;  // nothing: as the service is set up
  bool strict = false;
  Sampling sampling;
  AnswerForm form;
};

struct AskReply {
  Retrieved retrieved;  // what was asked for, or what was read where that is more
  Answer answer;
};

// Where an answer's events go while it is made. Any of them may be null.
struct AskObserver {
  // Of the hits that were asked for, and once more, with all, where further ones have to be read.
  // False asks to stop.
  std::function<bool(const Retrieved&)> on_retrieved;
  GenerateSink on_event;  // false asks to stop
};

class Answerer {
 public:
  // `further_passages`: of GeneratorOptions.
  Answerer(const Retriever* retriever, Generator* generator, int further_passages)
      : retriever_(retriever), generator_(generator), further_passages_(further_passages) {}

  // Stages of retriever and generator, then "total". Errors are theirs.
  Result<AskReply> Ask(const AskRequest& request, const AskObserver& observer,
                       const Context& ctx) const;

 private:
  const Retriever* retriever_;
  Generator* generator_;
  int further_passages_;
};

}  // namespace vade
