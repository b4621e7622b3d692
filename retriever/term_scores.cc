#include "retriever/term_scores.h"

#include <libstemmer.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/language.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr double kK1 = 1.2;
constexpr double kB = 0.75;

// Scripts that do not put spaces between words: pairs of characters serve as terms.
bool WritesWithoutSpaces(char32_t c) {
  return IsHan(c) || (c >= 0x3040 && c <= 0x30FF) || (c >= 0xAC00 && c <= 0xD7AF) ||
         (c >= 0x0E00 && c <= 0x0E7F);
}

std::string EnglishStem(const std::string& word) {
  // A stemmer has state: one a thread.
  thread_local const std::unique_ptr<sb_stemmer, void (*)(sb_stemmer*)> stemmer(
      sb_stemmer_new("english", "UTF_8"), sb_stemmer_delete);
  if (!stemmer) return word;
  const sb_symbol* stem =
      sb_stemmer_stem(stemmer.get(), reinterpret_cast<const sb_symbol*>(word.data()),
                      static_cast<int>(word.size()));
  if (!stem) return word;
  return {reinterpret_cast<const char*>(stem),
          static_cast<size_t>(sb_stemmer_length(stemmer.get()))};
}

class TermReader {
 public:
  explicit TermReader(std::vector<std::string>* out) : out_(out) {}

  void Read(std::string_view text) {
    const std::string folded = NfkcCaseFold(text);
    for (size_t pos = 0; pos < folded.size();) {
      const size_t at = pos;
      const char32_t c = NextCodePoint(folded, &pos);
      if (WritesWithoutSpaces(c)) {
        EndWord();
        const std::string character = folded.substr(at, pos - at);
        if (!previous_.empty()) out_->push_back(previous_ + character);
        previous_ = character;
        continue;
      }
      previous_.clear();
      if (IsLetter(c) || IsDigit(c)) {
        word_.append(folded, at, pos - at);
      } else {
        EndWord();
      }
    }
    EndWord();
    previous_.clear();
  }

 private:
  void EndWord() {
    if (word_.empty()) return;
    out_->push_back(EnglishStem(word_));
    word_.clear();
  }

  std::vector<std::string>* out_;
  std::string word_;
  std::string previous_;
};

std::vector<std::string> TermsOf(const Hit& hit) {
  std::vector<std::string> terms;
  TermReader reader(&terms);
  // A Markdown title is often the first heading: said once.
  if (hit.passage.heading_path.rfind(hit.title, 0) != 0) reader.Read(hit.title);
  reader.Read(hit.passage.heading_path);
  reader.Read(hit.passage.text);
  return terms;
}

}  // namespace

std::vector<double> TermScores(std::string_view question, const std::vector<Hit>& candidates) {
  std::vector<std::string> asked;
  TermReader(&asked).Read(question);
  std::unordered_map<std::string, double> document_frequency;
  for (const std::string& term : asked) document_frequency[term] = 0;

  // Counts of the question's terms in each candidate, and its length.
  std::vector<std::unordered_map<std::string, double>> counts(candidates.size());
  std::vector<double> lengths(candidates.size());
  double total_length = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const std::vector<std::string> terms = TermsOf(candidates[i]);
    for (const std::string& term : terms) {
      if (document_frequency.count(term) > 0) ++counts[i][term];
    }
    for (const auto& [term, count] : counts[i]) ++document_frequency[term];
    lengths[i] = static_cast<double>(terms.size());
    total_length += lengths[i];
  }

  const double n = static_cast<double>(candidates.size());
  const double mean_length = std::max(1.0, total_length / std::max(1.0, n));
  std::vector<double> scores(candidates.size(), 0.0);
  for (size_t i = 0; i < candidates.size(); ++i) {
    for (const auto& [term, count] : counts[i]) {
      const double df = document_frequency[term];
      const double idf = std::log(1 + (n - df + 0.5) / (df + 0.5));
      const double norm = kK1 * (1 - kB + kB * lengths[i] / mean_length);
      scores[i] += idf * count * (kK1 + 1) / (count + norm);
    }
  }
  return scores;
}

namespace {

// "" when no hit is in the question's language: then none has an advantage of words. A question is
// nearest to passages of its own language, which settles what a few words leave open.
std::string LanguageOf(std::string_view question, const std::vector<Hit>& hits) {
  const auto nearest = std::max_element(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) {
    return a.dense_score < b.dense_score;
  });
  const std::string language =
      LanguageName(DetectLanguage(question, ParseLanguage(nearest->passage.language)));
  const bool shared = std::any_of(hits.begin(), hits.end(),
                                  [&](const Hit& hit) { return hit.passage.language == language; });
  return shared ? language : "";
}

bool Differs(const std::string& a, const std::string& b) {
  return !a.empty() && !b.empty() && a != b;
}

}  // namespace

void FuseTermScores(std::string_view question, double weight, std::vector<Hit>* hits) {
  if (hits->empty()) return;
  const std::vector<double> terms = TermScores(question, *hits);
  const double best_terms = *std::max_element(terms.begin(), terms.end());
  const std::string language = LanguageOf(question, *hits);
  double low = hits->front().score, high = low;
  for (const Hit& hit : *hits) {
    low = std::min(low, hit.score);
    high = std::max(high, hit.score);
  }
  const double span = std::max(high - low, kLeastDenseSpan);
  for (size_t i = 0; i < hits->size(); ++i) {
    Hit& hit = (*hits)[i];
    const double dense = 1 - (high - hit.score) / span;
    double words = best_terms > 0 ? terms[i] / best_terms : 0;
    if (best_terms > 0 && Differs(hit.passage.language, language)) words = std::max(words, dense);
    hit.term_score = terms[i];
    hit.score = (1 - weight) * dense + weight * words;
  }
  std::stable_sort(hits->begin(), hits->end(),
                   [](const Hit& a, const Hit& b) { return a.score > b.score; });
}

}  // namespace vade
