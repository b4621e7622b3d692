#include "service/eval_scoring.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

bool IsAsciiPunctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

// Lower case and nothing else: a compatibility character ("²", "…") stays what it is, as in SQuAD's
// own script.
std::string LowerCase(std::string_view character) {
  if (character.size() == 1) return AsciiLower(character);
  return Nfkc(character) == character ? NfkcCaseFold(character) : std::string(character);
}

// Lower case, ASCII punctuation deleted, a blank for each of the words a, an, the. A word ends
// where letters and digits do, so that the article goes from “the quay” too.
std::string NormaliseEnglish(std::string_view text) {
  std::string out, word;
  const auto finish_word = [&] {
    out += word == "a" || word == "an" || word == "the" ? " " : word;
    word.clear();
  };
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    const char32_t c = NextCodePoint(text, &pos);
    if (c < 0x80 && IsAsciiPunctuation(static_cast<char>(c))) continue;
    std::string& target = IsLetter(c) || IsDigit(c) ? word : (finish_word(), out);
    if (IsWhitespace(c)) {
      target.push_back(' ');
    } else {
      target += LowerCase(text.substr(begin, pos - begin));
    }
  }
  finish_word();
  return out;
}

std::vector<std::string> EnglishTokens(std::string_view text) {
  std::vector<std::string> tokens;
  for (std::string& token : Split(NormaliseEnglish(text), ' ')) {
    if (!token.empty()) tokens.push_back(std::move(token));
  }
  return tokens;
}

bool StandsAlone(char32_t c) {
  return IsHan(c) || (c >= 0x3040 && c <= 0x30FF) || (c >= 0xAC00 && c <= 0xD7AF);
}

std::vector<std::string> ChineseTokens(std::string_view text) {
  const std::string folded = NfkcCaseFold(text);
  std::vector<std::string> tokens;
  bool in_run = false;
  for (size_t pos = 0; pos < folded.size();) {
    const char32_t c = NextCodePoint(folded, &pos);
    if (IsWhitespace(c) || IsPunctuation(c))
      continue;  // a run goes on: they are deleted, not separators
    const bool alone = StandsAlone(c);
    if (alone || !in_run) tokens.emplace_back();
    AppendCodePoint(&tokens.back(), c);
    in_run = !alone;
  }
  return tokens;
}

double F1(const std::vector<std::string>& prediction, const std::vector<std::string>& answer) {
  if (prediction.empty() || answer.empty()) return prediction.empty() && answer.empty() ? 1 : 0;
  std::map<std::string_view, int> counts;
  for (const std::string& token : answer) ++counts[token];
  int common = 0;
  for (const std::string& token : prediction) {
    if (auto it = counts.find(token); it != counts.end() && it->second > 0) {
      --it->second;
      ++common;
    }
  }
  return 2.0 * common / static_cast<double>(prediction.size() + answer.size());
}

double GainOf(const std::map<std::string, int>& grades, const std::string& id) {
  const auto it = grades.find(id);
  return it == grades.end() ? 0 : it->second;
}

double RecallAt(size_t k, const std::vector<std::string>& ranked,
                const std::map<std::string, int>& grades) {
  size_t found = 0;
  for (size_t i = 0; i < std::min(k, ranked.size()); ++i) found += grades.count(ranked[i]);
  return static_cast<double>(found) / static_cast<double>(grades.size());
}

}  // namespace

std::vector<std::string> ScoringTokens(std::string_view text, std::string_view lang) {
  const std::string_view language = lang.substr(0, lang.find_first_of("-_"));
  return language == "zh" || language == "ja" ? ChineseTokens(text) : EnglishTokens(text);
}

AnswerScore ScoreAnswer(std::string_view prediction, const std::vector<std::string>& answers,
                        std::string_view lang) {
  const auto tokens = ScoringTokens(prediction, lang);
  AnswerScore best;
  for (const std::string& answer : answers) {
    const auto wanted = ScoringTokens(answer, lang);
    best.em = std::max(best.em, tokens == wanted ? 1.0 : 0.0);
    best.f1 = std::max(best.f1, F1(tokens, wanted));
    const bool inside = !wanted.empty() && std::search(tokens.begin(), tokens.end(), wanted.begin(),
                                                       wanted.end()) != tokens.end();
    best.contains = std::max(best.contains, inside ? 1.0 : 0.0);
  }
  return best;
}

RankingScore ScoreRanking(const std::vector<std::string>& ranked,
                          const std::map<std::string, int>& grades) {
  RankingScore score;
  score.recall_at_1 = RecallAt(1, ranked, grades);
  score.recall_at_5 = RecallAt(5, ranked, grades);
  score.recall_at_10 = RecallAt(10, ranked, grades);
  double gain = 0;
  for (size_t i = 0; i < std::min<size_t>(10, ranked.size()); ++i) {
    const double here = GainOf(grades, ranked[i]);
    gain += here / std::log2(static_cast<double>(i) + 2);
    if (here > 0 && score.mrr_at_10 == 0) score.mrr_at_10 = 1.0 / static_cast<double>(i + 1);
  }
  std::vector<int> ideal;
  for (const auto& [id, grade] : grades) ideal.push_back(grade);
  std::sort(ideal.rbegin(), ideal.rend());
  double best = 0;
  for (size_t i = 0; i < std::min<size_t>(10, ideal.size()); ++i) {
    best += ideal[i] / std::log2(static_cast<double>(i) + 2);
  }
  score.ndcg_at_10 = best > 0 ? gain / best : 0;
  return score;
}

}  // namespace vade
