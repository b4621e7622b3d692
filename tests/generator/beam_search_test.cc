#include "generator/beam_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace vade {
namespace {

// A language of letters: what may follow a beginning, and how probable it is. '.' ends an answer.
using Language = std::map<std::string, std::map<char, double>>;

std::string Text(const std::vector<SampledToken>& tokens) {
  std::string text;
  for (const SampledToken& token : tokens) text += static_cast<char>(token.id);
  return text;
}

BeamRow RowOf(const std::map<char, double>& next, size_t offered) {
  BeamRow row;
  std::vector<std::pair<double, char>> ranked;
  for (const auto& [letter, p] : next) ranked.emplace_back(-p, letter);
  std::sort(ranked.begin(), ranked.end());
  for (const auto& [minus_p, letter] : ranked) {
    if (row.tokens.size() == offered) break;
    row.tokens.push_back({{.id = letter, .probability = -minus_p}, std::log(-minus_p)});
    row.ends.push_back(letter == '.');
  }
  return row;
}

// Runs a search to its end; beams that the language does not know end.
BeamSearch::Ended Search(const Language& language, size_t width, size_t max_tokens = 16,
                         size_t* steps = nullptr) {
  BeamSearch search(width, max_tokens);
  std::vector<std::string> beams = {""};
  while (!search.done()) {
    std::vector<BeamRow> rows;
    for (const std::string& beam : beams) {
      const auto it = language.find(beam);
      rows.push_back(RowOf(it == language.end() ? std::map<char, double>{{'.', 1}} : it->second,
                           search.offered()));
    }
    std::vector<std::string> next;
    for (const BeamStep& step : search.Advance(rows))
      next.push_back(beams[step.parent] + static_cast<char>(step.token));
    EXPECT_LE(next.size(), width);
    EXPECT_EQ(next.size(), search.running());
    beams = std::move(next);
    if (steps != nullptr) ++*steps;
  }
  return search.best();
}

// The likeliest first letter leads into unlikely words.
const Language kGarden = {{"", {{'a', .6}, {'b', .4}}},
                          {"a", {{'x', .3}, {'y', .3}, {'z', .3}, {'.', .1}}},
                          {"b", {{'c', 1.0}}}};

TEST(BeamSearch, WithOneBeamIsGreedy) { EXPECT_EQ(Text(Search(kGarden, 1).tokens), "ax"); }

TEST(BeamSearch, FindsALikelierAnswerBehindALessLikelyBeginning) {
  const auto best = Search(kGarden, 2);
  EXPECT_EQ(Text(best.tokens), "bc");
  EXPECT_NEAR(best.score, std::log(.4) / 3, 1e-12) << "the mean over two tokens and the end";
  EXPECT_FALSE(best.cut);
}

TEST(BeamSearch, ComparesAnswersOfDifferentLengthsByTheMeanAToken) {
  // Ending at once: log .4; going on: (log .6 + log .9 + log 1) / 3.
  const Language language = {{"", {{'.', .4}, {'a', .6}}}, {"a", {{'b', .9}, {'.', .1}}}};
  EXPECT_EQ(Text(Search(language, 2).tokens), "ab");
}

TEST(BeamSearch, IsCutAtMaxTokensAndSaysSo) {
  const auto best = Search(kGarden, 2, 1);
  EXPECT_EQ(Text(best.tokens), "a");
  EXPECT_TRUE(best.cut);
}

TEST(BeamSearch, MaySayNothingAtAll) {
  const auto best = Search({{"", {{'.', .9}, {'a', .1}}}, {"a", {{'b', .1}, {'.', .01}}}}, 2, 4);
  EXPECT_EQ(Text(best.tokens), "");
  EXPECT_FALSE(best.cut);
}

TEST(BeamSearch, EndsWhenNothingCanBeChosen) {
  BeamSearch search(3, 8);
  EXPECT_TRUE(search.Advance({BeamRow{}}).empty());
  ASSERT_TRUE(search.done());
  EXPECT_EQ(Text(search.best().tokens), "");
}

TEST(BeamSearch, StopsOnceNoRunningBeamIsBetterThanThoseThatEnded) {
  Language language = {{"", {{'a', .9}, {'b', .1}}}, {"a", {{'.', .98}, {'x', .02}}}};
  size_t steps = 0;
  EXPECT_EQ(Text(Search(language, 2, 100, &steps).tokens), "a");
  EXPECT_LT(steps, 6u);
}

TEST(BeamSearch, TiesGoToTheBeamAndTokenThatComeFirst) {
  const Language language = {{"", {{'a', .5}, {'b', .5}}}};
  EXPECT_EQ(Text(Search(language, 2).tokens), "a");
}

}  // namespace
}  // namespace vade
