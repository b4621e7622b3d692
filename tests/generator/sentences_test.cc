#include "generator/sentences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vade {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  for (const TextSpan& span : ReaderSentences(text)) {
    parts.push_back(text.substr(span.begin, span.end - span.begin));
  }
  return parts;
}

TEST(ReaderSentences, CodeIsNotCutAtItsSigns) {
  EXPECT_THAT(Split("Use `println!` to print. It ends with `foo();` then."),
              ElementsAre("Use `println!` to print. ", "It ends with `foo();` then."));
  EXPECT_THAT(Split("What does `a? b: c` do? It picks."),
              ElementsAre("What does `a? b: c` do? ", "It picks."));
}

TEST(ReaderSentences, AnOpenBacktickReachesNoFurtherThanItsLine) {
  EXPECT_THAT(Split("A stray ` sign! Still here.\nA new line. Another."),
              ElementsAre("A stray ` sign! Still here.\n", "A new line. ", "Another."));
}

TEST(ReaderSentences, WhatStandsBeforeTheEndOfCodeIsTheSameWhenMoreFollows) {
  const std::string whole = "First one. Use `println!` or `panic!` here. Last one.";
  const std::vector<TextSpan> all = ReaderSentences(whole);
  ASSERT_EQ(all.size(), 3u);
  // While the code is open, no border lies inside it.
  const std::string cut = whole.substr(0, whole.find("panic!") + 6);
  const std::vector<TextSpan> now = ReaderSentences(cut);
  ASSERT_EQ(now.size(), 2u);
  EXPECT_EQ(now[1].begin, all[1].begin);
}

TEST(ReaderSentences, AbbreviationsAndInitialsEndNoSentence) {
  EXPECT_THAT(Split("Dr. Skerrow met J. Smith. They spoke."),
              ElementsAre("Dr. Skerrow met J. Smith. ", "They spoke."));
}

}  // namespace
}  // namespace vade
