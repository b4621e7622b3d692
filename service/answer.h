// Question -> cited answer: retrieval and generation joined, the whole path in one screen
// (answer.cc). Knows nothing of protobuf; the gRPC service, the command line, eval and bench all
// call this.
//
// Thread-safe; owns nothing.
#pragma once

#include <functional>
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
  std::string system;
  AnswerMode mode = AnswerMode::kDirect;
  bool strict = false;
  Sampling sampling;
  AnswerForm form;
};

struct AskReply {
  Retrieved retrieved;
  Answer answer;
};

// Where an answer's events go while it is made. Any of them may be null.
struct AskObserver {
  std::function<bool(const Retrieved&)> on_retrieved;  // false asks to stop
  GenerateSink on_event;                               // false asks to stop
};

class Answerer {
 public:
  Answerer(const Retriever* retriever, Generator* generator)
      : retriever_(retriever), generator_(generator) {}

  // Stages of retriever and generator, then "total". Errors are theirs.
  Result<AskReply> Ask(const AskRequest& request, const AskObserver& observer,
                       const Context& ctx) const;

 private:
  const Retriever* retriever_;
  Generator* generator_;
};

}  // namespace vade
