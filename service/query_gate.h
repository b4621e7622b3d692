// Questions come first: while some are at work, ingestion holds back.
//
// A QueryGate counts the questions; a PoliteEmbedder over the service's own embeds a few passages
// at a time while there are questions about, and waits before each few until none is at work,
// though never for long: under a steady stream of questions ingestion goes on at a fraction of its
// speed. Thread-safe; private to service/.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/context.h"
#include "base/status.h"
#include "model/embedder.h"

namespace vade {

class QueryGate {
 public:
  // A question is at work as long as it lives.
  class Query {
   public:
    explicit Query(QueryGate* gate) : gate_(gate) { gate_->Enter(); }
    ~Query() { gate_->Leave(); }
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;

   private:
    QueryGate* gate_;
  };

  // Whether one is at work or was a moment ago.
  bool AreAbout() const;
  // Returns when none is at work, or that much later.
  void AwaitNone(std::chrono::milliseconds patience) const;

 private:
  void Enter();
  void Leave();

  mutable std::mutex mutex_;
  mutable std::condition_variable none_;
  int at_work_ = 0;
  std::chrono::steady_clock::time_point last_{};  // when one ended
};

// Passages alone are polite: the embedding of a question passes through. Owns nothing.
class PoliteEmbedder final : public Embedder {
 public:
  PoliteEmbedder(Embedder* embedder, const QueryGate* gate) : embedder_(embedder), gate_(gate) {}

  const std::string& id() const override { return embedder_->id(); }
  int dimension() const override { return embedder_->dimension(); }
  int max_tokens() const override { return embedder_->max_tokens(); }
  size_t CountTokens(std::string_view text) const override { return embedder_->CountTokens(text); }
  Result<std::vector<float>> Embed(std::span<const std::string_view> texts, EmbedRole role,
                                   const Context& ctx) override;

 private:
  Embedder* const embedder_;
  const QueryGate* const gate_;
};

}  // namespace vade
