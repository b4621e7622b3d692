#include "index/question_terms.h"

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "base/trace.h"
#include "base/unicode.h"

namespace vade {
namespace {

// What an inflected word counts beside its stem. Tuned on examples/corpus-questions and
// cmrc2018_trial, as are the constants of term_search.h: from 0 to 1 it moves little.
constexpr double kWordBesideStem = 0.3;
// A list of terms takes a few microseconds to fetch.
constexpr uint64_t kScoredOneByOne = 1024;
constexpr size_t kBytesTogether = 64 << 10;

std::vector<std::string> TermsOf(std::string_view text,
                                 const std::vector<LanguageCode>& languages) {
  TermCollector collector(languages);
  collector.Add(text);
  std::vector<std::string> terms;
  for (TermCount& one : collector.Take().terms) terms.push_back(std::move(one.term));
  return terms;
}

}  // namespace

std::vector<AskedTerm> AskedTerms(std::string_view question,
                                  const std::vector<LanguageCode>& languages) {
  const std::string_view read =
      question.substr(0, FloorToCodePoint(question, kQuestionBytesForTerms));
  const std::vector<std::string> words = TermsOf(read, {});
  std::map<std::string, double> shares;
  for (const std::string& term : TermsOf(read, languages)) shares[term] = 1;
  for (const std::string& word : words) {
    const std::vector<std::string> forms = TermsOf(word, languages);
    const bool inflected = std::any_of(forms.begin(), forms.end(), [&](const std::string& form) {
      return !std::binary_search(words.begin(), words.end(), form);
    });
    if (inflected) shares[word] = kWordBesideStem;
  }
  std::vector<AskedTerm> asked;
  for (const auto& [term, share] : shares) asked.push_back({term, share});
  return asked;
}

// A copy that stays where it is: a string never grows beyond what it has reserved.
std::string_view QuestionTerms::Keep(std::string_view bytes) {
  if (bytes_.empty() || bytes_.back().capacity() - bytes_.back().size() < bytes.size()) {
    bytes_.emplace_back().reserve(std::max(kBytesTogether, bytes.size()));
  }
  std::string& last = bytes_.back();
  last.append(bytes);
  return std::string_view(last).substr(last.size() - bytes.size());
}

Status QuestionTerms::ReadBlocks(KvIterator* scan, std::string_view term, QueryTerm* out) {
  const std::string prefix = PostingsPrefix(state_.id, term);
  for (scan->Seek(prefix); scan->Valid() && scan->key().starts_with(prefix); scan->Next()) {
    ASSIGN_OR_RETURN(const PostingsKeyParts key, ParsePostingsKey(scan->key()));
    ASSIGN_OR_RETURN(const PostingBlock block, DecodePostingBlock(key.first, Keep(scan->value())));
    if (!out->blocks.empty() && block.first <= out->blocks.back().last) {
      return Damaged("block of postings");
    }
    out->blocks.push_back(block);
    ++blocks_;
  }
  return scan->status();
}

Status QuestionTerms::Read(std::string_view question, const Context& ctx) {
  const double passages = static_cast<double>(state_.info.passage_count);
  statistics_.passages = state_.info.passage_count;
  if (passages > 0) statistics_.mean_length = static_cast<double>(state_.word_count) / passages;
  std::vector<LanguageCode> languages;
  for (const auto& [language, sum] : state_.sums.by_language()) languages.push_back(language);
  const auto scan = kv_.Scan(Family::kPostings, CollectionPrefix(state_.id),
                             CollectionPrefix(state_.id + 1), snapshot_);
  for (AskedTerm& asked : AskedTerms(question, languages)) {
    RETURN_IF_ERROR(ctx.Check());
    QueryTerm term;
    RETURN_IF_ERROR(ReadBlocks(scan.get(), asked.term, &term));
    if (term.blocks.empty()) continue;
    uint64_t with_term = 0;
    for (const PostingBlock& block : term.blocks) with_term += block.count;
    term.weight = asked.share * TermWeight(statistics_, with_term);
    words_.push_back(std::move(asked.term));
    terms_.push_back(std::move(term));
  }
  return OkStatus();
}

Result<std::vector<TermHit>> QuestionTerms::Best(size_t k, const Admission& admission,
                                                 const Context& ctx) const {
  if (admission.kept && admission.kept->count() <= kScoredOneByOne) {
    return BestOfFew(k, admission, ctx);
  }
  AdmissionCursor cursor(admission, state_.live);
  const auto keeps = [&](PassageId id) { return cursor.Admits(id); };
  TermSearchCounts counts;
  ASSIGN_OR_RETURN(auto hits, BestByTerms(terms_, statistics_, k, keeps, ctx, &counts));
  AddCount(ctx, "blocks", static_cast<int64_t>(blocks_));
  AddCount(ctx, "blocks_decoded", static_cast<int64_t>(counts.decoded));
  return hits;
}

// Where a filter keeps few, going through the blocks of common words costs more than the lists of
// what it keeps.
Result<std::vector<TermHit>> QuestionTerms::BestOfFew(size_t k, const Admission& admission,
                                                      const Context& ctx) const {
  std::vector<TermHit> hits;
  AdmissionCursor cursor(admission, state_.live);
  for (const PassageRange& range : admission.kept->ranges()) {
    RETURN_IF_ERROR(ctx.Check());
    for (uint64_t i = 0; i < range.count; ++i) {
      const PassageId id = range.first + i;
      if (!cursor.Admits(id)) continue;
      ASSIGN_OR_RETURN(const double score, ScoreOf(id));
      if (score > 0) hits.push_back({id, score});
    }
  }
  std::sort(hits.begin(), hits.end(), [](const TermHit& a, const TermHit& b) {
    return a.score != b.score ? a.score > b.score : a.id < b.id;
  });
  if (hits.size() > k) hits.resize(k);
  return hits;
}

Result<double> QuestionTerms::ScoreOf(PassageId id) const {
  if (terms_.empty()) return 0.0;
  ASSIGN_OR_RETURN(const auto bytes,
                   kv_.Get(Family::kForward, PassageKey(state_.id, id), snapshot_));
  if (!bytes) return DataLoss(StrCat("passage ", id, " has no list of terms; run vade verify"));
  ASSIGN_OR_RETURN(const TermList list, DecodeTerms(*bytes));
  const TermScore score_of(statistics_);
  double score = 0;
  auto at = list.terms.begin();
  for (size_t i = 0; i < terms_.size(); ++i) {
    at = std::lower_bound(at, list.terms.end(), words_[i],
                          [](const TermCount& a, const std::string& b) { return a.term < b; });
    if (at == list.terms.end()) break;
    if (at->term != words_[i]) continue;
    score += terms_[i].weight * score_of(at->count, std::max(1u, list.length));
  }
  return score;
}

}  // namespace vade
