// What a passage's language adds to its cosine, and how it is given back, so that passages of one
// language never bury those of another.
//
// An embedder's vectors carry the language of the text: a question is nearer to every passage of
// its own language than to most of another. The mean vector of a language's passages holds that
// part, so the question's cosine with it is taken off each cosine (mean-centring). What is left
// tells how much better a passage fits than passages of its language do in general.
//
// Plain values. Sums are exact, whatever the order of commits: equal states give equal scores.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/language.h"
#include "index/vectors.h"

namespace vade {

// For each language, the number of rows and the sum of their float16 vectors. Components are
// multiples of 2^-24, so doubles add them without rounding up to half a billion rows.
class LanguageSums {
 public:
  struct Sum {
    uint64_t count = 0;
    std::vector<double> components;
    friend bool operator==(const Sum&, const Sum&) = default;
  };

  void Add(const VectorRows& rows, size_t slot) { Move(rows, slot, 1); }
  void Subtract(const VectorRows& rows, size_t slot) { Move(rows, slot, -1); }
  const std::map<LanguageCode, Sum>& by_language() const { return sums_; }
  friend bool operator==(const LanguageSums&, const LanguageSums&) = default;

 private:
  void Move(const VectorRows& rows, size_t slot, int sign);
  std::map<LanguageCode, Sum> sums_;
};

// What to add to the cosine of one question with passages of each language: nothing for the
// language that the question is nearest to, more for the others. With one language: nothing.
class LanguageLift {
 public:
  LanguageLift(const LanguageSums& sums, std::span<const float> question);
  float Of(LanguageCode language) const;
  bool none() const { return lifts_.size() < 2; }  // Of() is 0 for every language

 private:
  struct Lift {
    LanguageCode language;
    float lift;
  };
  std::vector<Lift> lifts_;
};

}  // namespace vade
