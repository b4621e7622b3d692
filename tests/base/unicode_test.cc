#include "base/unicode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

namespace vade {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr const char* kReplacement = "\xEF\xBF\xBD";

std::vector<std::string> Texts(std::string_view text, const std::vector<TextSpan>& spans) {
  std::vector<std::string> out;
  for (const TextSpan& span : spans)
    out.emplace_back(text.substr(span.begin, span.end - span.begin));
  return out;
}

std::string RandomBytes(std::mt19937& random, size_t size) {
  // Bytes that lead, continue or break UTF-8 sequences, so that all branches are met.
  static constexpr unsigned char kBytes[] = {'a',  0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xDF, 0xE0,
                                             0xE4, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
  std::string bytes;
  for (size_t i = 0; i < size; ++i)
    bytes.push_back(static_cast<char>(kBytes[random() % sizeof(kBytes)]));
  return bytes;
}

TEST(Utf8, EveryCodePointIsWrittenAndReadBack) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    AppendCodePoint(&text, c);
    size_t pos = 0;
    ASSERT_EQ(NextCodePoint(text, &pos), c);
    ASSERT_EQ(pos, text.size());
    ASSERT_TRUE(IsValidUtf8(text));
  }
}

TEST(Utf8, WhatIsNoCodePointIsWrittenAsReplacement) {
  for (char32_t c : {0xD800u, 0xDFFFu, 0x110000u, 0xFFFFFFFFu}) {
    std::string text;
    AppendCodePoint(&text, c);
    EXPECT_EQ(text, kReplacement);
  }
}

TEST(Utf8, IllFormedSequencesAreInvalid) {
  for (const char* bad :
       {"\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE4\xB8", "a\xE4"}) {
    EXPECT_FALSE(IsValidUtf8(bad)) << bad;
  }
  EXPECT_TRUE(IsValidUtf8("a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80"));
}

TEST(Utf8, EachMaximalIllFormedPartBecomesOneReplacement) {
  // The example of the Unicode standard, section 3.9.
  EXPECT_EQ(ReplaceInvalidUtf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
            std::string("a") + kReplacement + kReplacement + kReplacement + "b" + kReplacement +
                "c" + kReplacement + kReplacement + "d");
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"),
            std::string(kReplacement) + kReplacement + kReplacement);
  EXPECT_EQ(ReplaceInvalidUtf8("中文"), "中文");
}

TEST(Utf8, AnyBytesBecomeValid) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const std::string bytes = RandomBytes(random, random() % 12);
    const std::string text = ReplaceInvalidUtf8(bytes);
    ASSERT_TRUE(IsValidUtf8(text));
    ASSERT_EQ(CodePointCount(bytes), CodePointCount(text));
    ASSERT_EQ(IsValidUtf8(bytes), bytes == text);
  }
}

TEST(Utf8, FloorIsTheLastBoundaryAtOrBeforeThePosition) {
  std::mt19937 random(8);
  for (int round = 0; round < 2000; ++round) {
    const std::string bytes = RandomBytes(random, random() % 12);
    std::vector<size_t> boundaries = {0};
    for (size_t pos = 0; pos < bytes.size(); boundaries.push_back(pos)) NextCodePoint(bytes, &pos);
    for (size_t pos = 0; pos <= bytes.size(); ++pos) {
      const auto after = std::upper_bound(boundaries.begin(), boundaries.end(), pos);
      ASSERT_EQ(FloorToCodePoint(bytes, pos), *(after - 1)) << "round " << round << " at " << pos;
    }
    ASSERT_EQ(FloorToCodePoint(bytes, 99), bytes.size());
  }
}

TEST(Utf8, CompletePrefixWaitsForTheRestOfACharacter) {
  const std::string text = "a中😀";
  EXPECT_EQ(CompletePrefix(text.substr(0, 1)), 1u);
  EXPECT_EQ(CompletePrefix(text.substr(0, 2)), 1u);
  EXPECT_EQ(CompletePrefix(text.substr(0, 3)), 1u);
  EXPECT_EQ(CompletePrefix(text.substr(0, 4)), 4u);
  for (size_t size : {5, 6, 7}) EXPECT_EQ(CompletePrefix(text.substr(0, size)), 4u);
  EXPECT_EQ(CompletePrefix(text), 8u);
  EXPECT_EQ(CompletePrefix(""), 0u);
}

TEST(Utf8, CompletePrefixDoesNotWaitForWhatCannotBecomeACharacter) {
  EXPECT_EQ(CompletePrefix("\xED\xA0"), 2u);  // the start of a surrogate
  EXPECT_EQ(CompletePrefix("\x80\x80\x80\x80"), 4u);
  EXPECT_EQ(CompletePrefix("\xFF"), 1u);
}

TEST(Normalization, ComposesAndFolds) {
  EXPECT_EQ(Nfc("e\xCC\x81"), "é");
  EXPECT_EQ(Nfc("ﬁ"), "ﬁ");
  EXPECT_EQ(Nfkc("ﬁ Ａ１ ㎏"), "fi A1 kg");
  EXPECT_EQ(NfkcCaseFold("STRASSE ＡＢＣ"), NfkcCaseFold("straße abc"));
  EXPECT_EQ(NfkcCaseFold("ABC"), "abc");
  EXPECT_EQ(Nfc("\xE4x"), std::string(kReplacement) + "x");
}

TEST(Sentences, CoverTheTextWithoutGaps) {
  std::mt19937 random(9);
  for (int round = 0; round < 300; ++round) {
    std::string text = RandomBytes(random, random() % 40);
    text += "。a! b? \n\n";
    size_t end = 0;
    for (const TextSpan& span : Sentences(text)) {
      ASSERT_EQ(span.begin, end);
      ASSERT_LT(span.begin, span.end);
      end = span.end;
    }
    ASSERT_EQ(end, text.size());
  }
  EXPECT_TRUE(Sentences("").empty());
}

TEST(Sentences, ChineseEndsAtItsOwnPunctuation) {
  const std::string text = "他来了。你呢？太好了！“走吧。”他说。";
  EXPECT_THAT(Texts(text, Sentences(text)),
              ElementsAre("他来了。", "你呢？", "太好了！", "“走吧。”", "他说。"));
}

TEST(Sentences, EnglishDecimalsDoNotEndOne) {
  const std::string text = "It costs 3.14 euros. Who pays? You do!";
  EXPECT_THAT(Texts(text, Sentences(text)),
              ElementsAre("It costs 3.14 euros. ", "Who pays? ", "You do!"));
}

TEST(Words, HoldALetterADigitOrAnIdeograph) {
  const std::string text = "Don't -- panic, it's 3.14 ___ 😀 C++!";
  EXPECT_THAT(Texts(text, Words(text)), ElementsAre("Don't", "panic", "it's", "3.14", "C"));
}

TEST(Words, ChineseIsCutByTheDictionary) {
  const std::string text = "我们在北京大学学习。";
  EXPECT_THAT(Texts(text, Words(text)), ElementsAre("我们", "在", "北京", "大学", "学习"));
}

TEST(Words, OffsetsAreBytes) {
  EXPECT_THAT(Words("é a"), ElementsAre(TextSpan{0, 2}, TextSpan{3, 4}));
}

TEST(Words, ThreadsGetTheSameAnswer) {
  const std::string text = "我们在北京大学学习 machine learning。";
  const std::vector<TextSpan> expected = Words(text);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        EXPECT_EQ(Words(text), expected);
        EXPECT_EQ(Sentences(text).size(), 1u);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(Properties, FollowTheCategories) {
  EXPECT_TRUE(IsLetter(U'a') && IsLetter(U'中') && IsLetter(U'é') && !IsLetter(U'1'));
  EXPECT_TRUE(IsDigit(U'1') && IsDigit(U'Ⅷ') && IsDigit(U'½') && !IsDigit(U'a'));
  EXPECT_TRUE(IsWhitespace(U' ') && IsWhitespace(0x3000) && IsWhitespace(0xA0) &&
              !IsWhitespace(0x200B));
  EXPECT_TRUE(IsPunctuation(U'。') && IsPunctuation(U'+') && IsPunctuation(U'_') &&
              !IsPunctuation(U'a'));
  EXPECT_TRUE(IsHan(U'中') && IsHan(0x20000) && !IsHan(U'あ') && !IsHan(U'。'));
}

TEST(Properties, DominantScriptIsThatOfMostLetters) {
  EXPECT_EQ(DominantScript("What is 北京?"), Script::kLatin);
  EXPECT_EQ(DominantScript("北京在哪里 (Beijing)?北京在哪里?"), Script::kHan);
  EXPECT_EQ(DominantScript("Где Москва?"), Script::kOther);
  EXPECT_EQ(DominantScript("123 !?"), Script::kOther);
}

}  // namespace
}  // namespace vade
