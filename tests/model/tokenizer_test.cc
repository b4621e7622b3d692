#include "model/tokenizer.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "model/pretokenizer.h"
#include "tests/testing/tiny_vocabulary.h"

namespace vade {
namespace {

using testing::TinyVocabulary;
using Ids = std::vector<int32_t>;
using Words = std::vector<std::string>;

std::unique_ptr<Tokenizer> Make(const TinyVocabulary& vocabulary) {
  return Tokenizer::FromGguf(*vocabulary.File()).value();
}

Words Split(PreTokenizer kind, std::string_view text) {
  Words words;
  WordSplitter splitter(kind, text);
  for (std::string_view word; splitter.Next(&word);) words.emplace_back(word);
  return words;
}

TEST(PreTokenizer, Qwen2CutsAsItsModelWasTrained) {
  const auto split = [](std::string_view text) { return Split(PreTokenizer::kQwen2, text); };
  EXPECT_EQ(split("Hello, world!"), (Words{"Hello", ",", " world", "!"}));
  EXPECT_EQ(split("it's THEY'RE we'll"), (Words{"it", "'s", " THEY", "'RE", " we", "'ll"}));
  EXPECT_EQ(split("a  b"), (Words{"a", " ", " b"}));
  EXPECT_EQ(split("a\n\n  b"), (Words{"a", "\n\n", " ", " b"}));
  EXPECT_EQ(split("a \n \n\tb"), (Words{"a", " \n \n", "\tb"}));
  EXPECT_EQ(split("x = 1234"), (Words{"x", " =", " ", "1", "2", "3", "4"}));
  EXPECT_EQ(split("f(x);\n\n"), (Words{"f", "(x", ");\n\n"}));
  EXPECT_EQ(split("end  "), (Words{"end", "  "}));
  EXPECT_EQ(split("'x' ' '"), (Words{"'x", "'", " '", " '"}));
  EXPECT_EQ(split("中文，ok"), (Words{"中文", "，ok"}));
  EXPECT_EQ(split("\xc2\xa0letter"), (Words{"\xc2\xa0letter"}));  // a no-break space joins a word
  EXPECT_EQ(split(""), Words{});
}

TEST(PreTokenizer, SmolLmTakesDigitsOutFirst) {
  const auto split = [](std::string_view text) { return Split(PreTokenizer::kSmolLm, text); };
  EXPECT_EQ(split("Hello, world!"), (Words{"Hello", ",", " world", "!"}));
  EXPECT_EQ(split("it's THEY'RE"), (Words{"it", "'s", " THEY", "'", "RE"}));
  EXPECT_EQ(split("at   5 o'clock"), (Words{"at", "   ", "5", " o", "'", "clock"}));
  EXPECT_EQ(split("v12x"), (Words{"v", "1", "2", "x"}));
  EXPECT_EQ(split("a \n b"), (Words{"a", " \n", " b"}));
  EXPECT_EQ(split("a\n\nb"), (Words{"a", "\n", "\n", "b"}));
  EXPECT_EQ(split("a;\n"), (Words{"a", ";", "\n"}));
  EXPECT_EQ(split("end  "), (Words{"end", "  "}));
}

TEST(PreTokenizer, WordsFollowOneAnotherWithoutGaps) {
  std::mt19937 random(7);
  const std::string_view pieces[] = {"a", "'s", "'",  " ",  "\n",       "\r", "\t",
                                     "5", "é",  "中", "，", "\xc2\xa0", "!"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += pieces[random() % std::size(pieces)];
    for (const PreTokenizer kind : {PreTokenizer::kQwen2, PreTokenizer::kSmolLm}) {
      std::string joined;
      for (const std::string& word : Split(kind, text)) {
        EXPECT_FALSE(word.empty());
        joined += word;
      }
      ASSERT_EQ(joined, text);
    }
  }
}

TEST(BpeTokenizer, MergesInTheOrderInWhichTheyWereLearnt) {
  const auto tokenizer = Make({.merges = {{"l", "a"}, {"m", "p"}, {"la", "mp"}, {"a", "m"}}});
  EXPECT_EQ(tokenizer->Encode("lamp", Special::kText), (Ids{258}));
  EXPECT_EQ(tokenizer->Encode("lam", Special::kText), (Ids{256, 'm'}));
  EXPECT_EQ(tokenizer->Encode("am", Special::kText), (Ids{259}));
  EXPECT_EQ(tokenizer->Count("lamp lam"), 4u);  // lamp, space, la, m
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a lamp\n", Special::kText)), "a lamp\n");
}

TEST(BpeTokenizer, EqualPairsMergeFromTheLeft) {
  const auto tokenizer = Make({.merges = {{"a", "a"}, {"aa", "aa"}}});
  EXPECT_EQ(tokenizer->Encode("aaa", Special::kText), (Ids{256, 'a'}));
  EXPECT_EQ(tokenizer->Encode("aaaaaaa", Special::kText), (Ids{257, 256, 'a'}));
}

// The specification: look at all pairs, merge the first of the lowest rank, again.
std::vector<std::string> MergeNaively(std::string_view word, const TinyVocabulary& vocabulary) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  for (;;) {
    size_t best_rank = vocabulary.merges.size(), best = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (vocabulary.merges[rank].first == parts[i] &&
            vocabulary.merges[rank].second == parts[i + 1]) {
          best_rank = rank;
          best = i;
        }
      }
    }
    if (best_rank == vocabulary.merges.size()) return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + best + 1);
  }
}

TEST(BpeTokenizer, ShortAndLongWordsMergeAsSpecified) {
  const TinyVocabulary vocabulary = {.merges = {{"a", "b"},
                                                {"b", "a"},
                                                {"ab", "ab"},
                                                {"c", "ab"},
                                                {"a", "a"},
                                                {"ba", "c"},
                                                {"abab", "c"},
                                                {"aa", "b"},
                                                {"c", "c"}}};
  const auto tokenizer = Make(vocabulary);
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    std::string word;
    const size_t length = 1 + random() % 90;  // both sides of the border between the two ways
    for (size_t i = 0; i < length; ++i) word.push_back(static_cast<char>('a' + random() % 3));
    std::vector<std::string> pieces;
    for (const int32_t id : tokenizer->Encode(word, Special::kText))
      pieces.emplace_back(tokenizer->Piece(id));
    ASSERT_EQ(pieces, MergeNaively(word, vocabulary)) << word;
  }
}

TEST(BpeTokenizer, ALongWordTakesLittleMoreThanLinearTime) {
  const auto tokenizer = Make({.merges = {{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}}});
  const std::string text(1 << 20, 'a');
  const std::clock_t start = std::clock();  // of this process: others may be busy
  const Ids ids = tokenizer->Encode(text, Special::kText);
  EXPECT_EQ(ids.size(), text.size() / 8);
  // Quadratic time would be hours; the limit leaves room for sanitizers.
  EXPECT_LT((std::clock() - start) / CLOCKS_PER_SEC, 30);
}

TEST(BpeTokenizer, ControlTokensAreFoundOnlyWhenAskedFor) {
  const auto tokenizer = Make({.controls = {"<|im_end|>", "<|im"}, .user_defined = {"<tool>"}});
  const int32_t end = 256, im = 257, tool = 258;
  EXPECT_EQ(tokenizer->Encode("a<|im_end|>b", Special::kParse), (Ids{'a', end, 'b'}));
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a<|im_end|>b", Special::kText)), "a<|im_end|>b");
  for (const int32_t id : tokenizer->Encode("<|im_end|>", Special::kText)) EXPECT_LT(id, 256);
  EXPECT_EQ(tokenizer->Encode("<|im<tool>", Special::kParse), (Ids{im, tool}));
  EXPECT_EQ(tokenizer->Encode("x<tool>", Special::kText), (Ids{'x', tool}));
  EXPECT_TRUE(tokenizer->IsControl(end));
  EXPECT_FALSE(tokenizer->IsControl(tool));
  EXPECT_TRUE(tokenizer->IsEnd(end));
  EXPECT_FALSE(tokenizer->IsEnd(im));
  EXPECT_EQ(tokenizer->Piece(end), "");
  EXPECT_EQ(tokenizer->Piece(tool), "<tool>");
  EXPECT_EQ(tokenizer->FindControl("<|im_end|>"), end);
  EXPECT_EQ(tokenizer->FindControl("<tool>"), -1);
  EXPECT_EQ(tokenizer->bos(), -1);
}

TEST(BpeTokenizer, IdsOutsideTheVocabularyAreHarmless) {
  const auto tokenizer = Make({});
  for (const int32_t id : {-1, 256, 1 << 30, -(1 << 30)}) {
    EXPECT_EQ(tokenizer->Piece(id), "");
    EXPECT_FALSE(tokenizer->IsControl(id));
    EXPECT_FALSE(tokenizer->IsEnd(id));
  }
}

TEST(BpeTokenizer, InvalidBytesBecomeTheReplacementCharacter) {
  const auto tokenizer = Make({});
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a\xff"
                                                "b",
                                                Special::kText)),
            "a\xef\xbf\xbd"
            "b");
}

TEST(Tokenizer, UnknownKindsAreRefusedByName) {
  const auto status = [](const TinyVocabulary& v) {
    return Tokenizer::FromGguf(*v.File()).status();
  };
  EXPECT_EQ(status({.model = "bert"}).code(), StatusCode::kUnimplemented);
  EXPECT_NE(status({.model = "bert"}).message().find("'bert'"), std::string::npos);
  EXPECT_EQ(status({.pre = "llama-bpe"}).code(), StatusCode::kUnimplemented);
  EXPECT_NE(status({.pre = "llama-bpe"}).message().find("'llama-bpe'"), std::string::npos);
}

TEST(Tokenizer, IncompleteVocabulariesAreRefused) {
  GgufWriter writer;
  writer.SetString("tokenizer.ggml.model", "gpt2");
  writer.SetString("tokenizer.ggml.pre", "qwen2");
  const auto open = [&] { return GgufFile::FromBytes(writer.Build().value(), "x").value(); };
  EXPECT_EQ(Tokenizer::FromGguf(*open()).status().code(), StatusCode::kInvalidArgument);
  const std::string_view tokens[] = {"a", "b"};
  writer.SetStrings("tokenizer.ggml.tokens", tokens);
  EXPECT_EQ(Tokenizer::FromGguf(*open()).status().code(), StatusCode::kInvalidArgument);
  writer.SetUint("tokenizer.ggml.eos_token_id", 2);
  const Status status = Tokenizer::FromGguf(*open()).status();
  EXPECT_NE(status.message().find("eos_token_id is 2"), std::string::npos) << status.ToString();
}

// A Unigram vocabulary; ids are places in the list.
std::unique_ptr<Tokenizer> MakeUnigram(const std::vector<std::pair<std::string, float>>& pieces) {
  std::vector<std::string_view> tokens = {"<unk>", "</s>"};
  std::vector<float> scores = {0, 0};
  std::vector<int32_t> types = {2, 3};
  for (const auto& [text, score] : pieces) {
    tokens.push_back(text);
    scores.push_back(score);
    types.push_back(1);
  }
  GgufWriter writer;
  writer.SetString("tokenizer.ggml.model", "t5");
  writer.SetStrings("tokenizer.ggml.tokens", tokens);
  writer.SetFloats("tokenizer.ggml.scores", scores);
  writer.SetInts("tokenizer.ggml.token_type", types);
  writer.SetUint("tokenizer.ggml.unknown_token_id", 0);
  writer.SetUint("tokenizer.ggml.eos_token_id", 1);
  const uint32_t from[] = {1, 10, 0xfb01}, ends[] = {0, 1, 3}, to[] = {32, 'f', 'i'};
  writer.SetUints("vade.normalizer.code_points", from);
  writer.SetUints("vade.normalizer.ends", ends);
  writer.SetUints("vade.normalizer.replacements", to);
  return Tokenizer::FromGguf(*GgufFile::FromBytes(writer.Build().value(), "x").value()).value();
}

TEST(UnigramTokenizer, TheBestSumOfScoresWins) {
  const auto tokenizer =
      MakeUnigram({{"▁a", -1}, {"b", -1}, {"▁ab", -3}, {"▁", -5}, {"bc", -1.5f}, {"c", -2}});
  EXPECT_EQ(tokenizer->Encode("ab", Special::kText), (Ids{2, 3}));        // -2 beats -3
  EXPECT_EQ(tokenizer->Encode("abc", Special::kText), (Ids{2, 6}));       // -2.5 beats -4 and -5
  EXPECT_EQ(tokenizer->Encode("a  ab", Special::kText), (Ids{2, 2, 3}));  // spaces collapse
  EXPECT_EQ(tokenizer->Encode(" a", Special::kText), (Ids{2}));
  EXPECT_EQ(tokenizer->Encode("a ", Special::kText), (Ids{2, 5}));
  EXPECT_EQ(tokenizer->Encode("", Special::kText), Ids{});
  EXPECT_EQ(tokenizer->Decode(Ids{2, 3, 2}), " ab a");
}

TEST(UnigramTokenizer, TextIsNormalisedFirst) {
  const auto tokenizer =
      MakeUnigram({{"▁fi", -1}, {"▁é", -1}, {"▁", -3}, {"f", -2}, {"i", -2}, {"e", -2}});
  EXPECT_EQ(tokenizer->Encode("\xef\xac\x81", Special::kText), (Ids{2}));  // the ligature fi
  EXPECT_EQ(tokenizer->Encode("\x01"
                              "f\x01i\n",
                              Special::kText),
            (Ids{2, 4}));
  EXPECT_EQ(tokenizer->Encode("e\xcc\x81", Special::kText), (Ids{3}));  // composed first
  EXPECT_EQ(tokenizer->Encode("\x01", Special::kText), Ids{});
}

TEST(UnigramTokenizer, UnknownCharactersAreOneToken) {
  const auto tokenizer = MakeUnigram({{"▁", -3}, {"a", -2}});
  EXPECT_EQ(tokenizer->Encode("a\xe4\xb8\xad\xe6\x96\x87"
                              "a",
                              Special::kText),
            (Ids{2, 3, 0, 3}));
  EXPECT_EQ(tokenizer->Encode("a</s>", Special::kParse), (Ids{2, 3, 1}));
  EXPECT_TRUE(tokenizer->IsEnd(1));
  EXPECT_EQ(tokenizer->eos(), 1);
}

TEST(UnigramTokenizer, PiecesMayHoldSpacesInside) {
  const auto tokenizer = MakeUnigram({{"▁a▁b", -1}, {"▁a", -2}, {"▁b", -2}, {"▁c", -2}});
  EXPECT_EQ(tokenizer->Encode("a b c", Special::kText), (Ids{2, 5}));
  EXPECT_EQ(tokenizer->Encode("a c b", Special::kText), (Ids{3, 5, 4}));
}

TEST(UnigramTokenizer, ALongTextTakesLinearTime) {
  const auto tokenizer = MakeUnigram({{"▁", -3}, {"a", -2}, {"aa", -3}, {"aaaaaaaa", -5}});
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(tokenizer->Count(text), 1 + text.size() / 8);
}

}  // namespace
}  // namespace vade
