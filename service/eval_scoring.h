// How answers and rankings are scored: exact match, F1, containment (SQuAD's rules for English;
// characters for Chinese), recall, reciprocal rank, discounted gain. Pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace vade {

// Tokens after normalisation. English: lower case, no ASCII punctuation, no words a/an/the, white
// space splits. `lang` "zh", "zh-Hant", "ja" and their like: NFKC, lower case, no white space,
// punctuation or symbols; each Han, kana or Hangul character is a token, and so is each run of
// other letters and digits.
std::vector<std::string> ScoringTokens(std::string_view text, std::string_view lang);

struct AnswerScore {
  double em = 0;        // 1 when the tokens equal those of an answer
  double f1 = 0;        // over the bags of tokens, the best of the answers
  double contains = 0;  // 1 when an answer's tokens occur in a row
};
AnswerScore ScoreAnswer(std::string_view prediction, const std::vector<std::string>& answers,
                        std::string_view lang);

struct RankingScore {
  double recall_at_1 = 0, recall_at_5 = 0, recall_at_10 = 0, ndcg_at_10 = 0, mrr_at_10 = 0;
};
// `ranked` holds each document once, best first. `grades`: relevant documents, at least one.
RankingScore ScoreRanking(const std::vector<std::string>& ranked,
                          const std::map<std::string, int>& grades);

}  // namespace vade
