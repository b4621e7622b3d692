// The words of one question against one view: the blocks of its terms, the best passages by them,
// and the score of any other passage.
//
// One thread at a time. Borrows the database and the state.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/admission.h"
#include "index/kv.h"
#include "index/term_search.h"
#include "index/view.h"

namespace vade {

// Of a question's text, from its beginning: as much as an embedder reads of it.
inline constexpr size_t kQuestionBytesForTerms = 2048;

// A term of a question, and how much its match counts.
struct AskedTerm {
  std::string term;
  double share = 1;
};
// Each word as it stands and as its stem in each of these languages. Where both differ the stem
// counts wholly, since it is found wherever the word is, and the word itself as a part on top.
std::vector<AskedTerm> AskedTerms(std::string_view question,
                                  const std::vector<LanguageCode>& languages);

class QuestionTerms {
 public:
  QuestionTerms(const Kv& kv, KvSnapshot snapshot, const CollectionState& state)
      : kv_(kv), snapshot_(std::move(snapshot)), state_(state) {}

  // Reads the blocks of the question's terms.
  Status Read(std::string_view question, const Context& ctx);
  // The best k passages of those that are admitted.
  Result<std::vector<TermHit>> Best(size_t k, const Admission& admission, const Context& ctx) const;
  // Of one passage, by its own list of terms.
  Result<double> ScoreOf(PassageId id) const;

 private:
  Result<std::vector<TermHit>> BestOfFew(size_t k, const Admission& admission,
                                         const Context& ctx) const;
  std::string_view Keep(std::string_view bytes);
  Status ReadBlocks(KvIterator* scan, std::string_view term, QueryTerm* out);

  const Kv& kv_;
  const KvSnapshot snapshot_;
  const CollectionState& state_;
  TermStatistics statistics_;
  std::deque<std::string> bytes_;  // what the blocks point into, many in one
  size_t blocks_ = 0;
  std::vector<std::string> words_;  // of terms_, same order, ascending
  std::vector<QueryTerm> terms_;
};

}  // namespace vade
