#include "generator/second_opinion.h"

#include <gtest/gtest.h>

#include <string>

namespace vade {
namespace {

TEST(SecondOpinion, TheSameInOtherWordsAgrees) {
  EXPECT_EQ(Compare("46", "46 times"), Comparison::kSame);
  EXPECT_EQ(Compare("The Pilot's Rest.", "the pilot's rest"), Comparison::kSame);
  EXPECT_EQ(Compare("four weeks", "4 weeks long"), Comparison::kSame);
  EXPECT_EQ(Compare("十五元", "15 yuan"), Comparison::kSame);
}

TEST(SecondOpinion, AnotherNumberOrNameIsAConflict) {
  EXPECT_EQ(Compare("25 days", "27 days"), Comparison::kDifferent);
  EXPECT_EQ(Compare("Ambrose Finn", "Marit Skerrow"), Comparison::kDifferent);
  EXPECT_EQ(Compare("陆行舟", "林望潮"), Comparison::kDifferent);
}

TEST(SecondOpinion, WhatCannotBeComparedIsNoConflict) {
  EXPECT_EQ(Compare("Lu Xingzhou", "陆行舟"), Comparison::kUnknown);
  EXPECT_EQ(Compare("", "27 days"), Comparison::kUnknown);
  EXPECT_EQ(Compare("...", "27 days"), Comparison::kUnknown);
  EXPECT_EQ(Compare(std::string(200, 'x'), "27 days"), Comparison::kUnknown);
}

}  // namespace
}  // namespace vade
