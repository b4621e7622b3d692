#include "generator/joining.h"

#include <algorithm>
#include <array>
#include <string>

#include "generator/terms.h"

namespace vade {
namespace {

// As they stand in a skeleton: folded, without marks.
constexpr std::array<std::string_view, 8> kTogether = {"both",        "in common",     "the same",
                                                       "compared to", "compared with", "versus",
                                                       "vs",          "respectively"};
constexpr std::array<std::string_view, 8> kTogetherChinese = {"分别", "相比", "区别", "异同",
                                                              "共同", "两者", "还是", "比较"};
// Of two, one: behind "or" between names.
constexpr std::array<std::string_view, 5> kChoices = {"which", "who", "is", "are", "was"};

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

// "..., Max Cavalera or Billy Idol?": a name on each side of a bare "or".
bool ChoosesBetweenNames(std::string_view question) {
  for (size_t at = question.find(" or "); at != question.npos; at = question.find(" or ", at + 1)) {
    size_t word = question.substr(0, at).find_last_of(" ,") + 1;
    size_t next = question.find_first_not_of(' ', at + 4);
    // An article may stand before the second name, a mark behind the first.
    for (const std::string_view article : {"the ", "The ", "a ", "an "}) {
      if (next != question.npos && question.substr(next).starts_with(article))
        next += article.size();
    }
    if (next == question.npos || next >= question.size() || word >= at) continue;
    if (IsUpper(question[word]) && IsUpper(question[next])) return true;
  }
  return false;
}

}  // namespace

bool AsksForSeveral(std::string_view question) {
  const std::string skeleton = Skeleton(question);
  auto holds = [&](std::string_view words) { return ContainsWhole(skeleton, words); };
  if (std::any_of(kTogether.begin(), kTogether.end(), holds)) return true;
  auto has = [&](std::string_view part) { return question.find(part) != question.npos; };
  if (std::any_of(kTogetherChinese.begin(), kTogetherChinese.end(), has)) return true;
  return std::any_of(kChoices.begin(), kChoices.end(), holds) && ChoosesBetweenNames(question);
}

std::vector<size_t> HelpingReadings(std::span<const Reading> readings, const Choice& choice) {
  // Shares of the greatest gain, and nats a token: a passage about something else has about none.
  constexpr double kShare = 0.4, kLeast = 0.1;
  double greatest = 0;
  for (const Reading& reading : readings) greatest = std::max(greatest, reading.question_gain);
  std::vector<size_t> helping;
  for (size_t i = 0; i < readings.size(); ++i) {
    const double gain = readings[i].question_gain;
    if (gain >= kLeast && gain >= kShare * greatest) helping.push_back(i);
  }
  std::stable_sort(helping.begin(), helping.end(), [&](size_t a, size_t b) {
    return choice.probabilities[a] > choice.probabilities[b];
  });
  if (helping.size() > kMostJoined) helping.resize(kMostJoined);
  return helping;
}

}  // namespace vade
