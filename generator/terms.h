// A text as a set of terms, for matching an answer with its passages: words (case folded, plural
// "s" stripped) where words have spaces between them, character bigrams where they have not
// (Chinese, Japanese, Thai), and numbers by value ("1,200" = "1200", "four" = "4", "十四" = "14").
// Pure functions; hostile text is allowed (ill-formed bytes read as U+FFFD).
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace vade {

struct TermSet {
  std::set<std::string> words;  // and numbers by value
  std::set<std::string> bigrams;
  std::set<std::string> numbers;  // every reading: digits, number words, months
  std::set<std::string> digits;   // only those written in digits
  std::set<std::string> names;    // capitalised words that do not open the text; folded
};
TermSet TermsOf(std::string_view text);

// How much a term tells, 0..1: little for "the" and "is", and for bigrams with a particle in them.
double TermWeight(const std::string& term);
// A bigram that no passage has may only be the seam of two words.
bool IsBigram(std::string_view term);

// Letters and digits, folded, one blank between words, none beside ideographs: two texts that read
// the same have the same skeleton.
std::string Skeleton(std::string_view text);

// True when `needle` occurs in `hay` and does not begin or end inside a word. Both are skeletons.
bool ContainsWhole(std::string_view hay, std::string_view needle);

}  // namespace vade
