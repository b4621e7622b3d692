// Question -> ranked passages with scores.
//
//   Retriever retriever(&store, &embedder);
//   ASSIGN_OR_RETURN(Retrieved found, retriever.Retrieve({.question = "..."}, ctx));
//
// Thread-safe; owns nothing. The store may be a remote one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "index/passage.h"
#include "model/embedder.h"

namespace vade {

struct Query {
  std::string question = {};  // 1..kMaxQuestionBytes of UTF-8
  // What was asked before it in a conversation, oldest first; it may lean on that ("how tall is
  // it?"). The latest kMaxEarlierQuestions are searched for behind it too.
  std::vector<std::string> earlier = {};
  std::string collection = "default";
  int k = 5;                             // 1..1000
  std::string filter = {};               // "" = off
  std::string as_of = {};                // "" = now
  std::vector<std::string> groups = {};  // of the caller
  RankingOptions ranking = {};
  std::optional<double> mmr = {};      // takes the place of ranking.mmr
  std::optional<int> neighbours = {};  // joined to each hit on each side; 0 or not set = off
  bool explain = false;                // fills Retrieved::candidates
};

inline constexpr size_t kMaxQuestionBytes = 32 * 1024;
inline constexpr size_t kMaxEarlierQuestions = 4;

struct Retrieved {
  uint64_t commit = 0;
  uint32_t collection = 0;                 // its number in that view; 0: not known
  std::vector<Hit> hits;                   // best first; passages of the same text at most once
  std::vector<Explained> candidates = {};  // all that were compared, best first
};

class Retriever {
 public:
  Retriever(Store* store, Embedder* embedder) : store_(store), embedder_(embedder) {}

  // INVALID_ARGUMENT: empty or enormous question, k out of range. NOT_FOUND: unknown collection.
  // FAILED_PRECONDITION: the collection was made with another embedder. Stages: embed, search.
  Result<Retrieved> Retrieve(const Query& query, const Context& ctx) const;

 private:
  Store* store_;
  Embedder* embedder_;
};

}  // namespace vade
