#include "generator/grammar.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "generator/code_points.h"
#include "tests/generator/form_checks.h"
#include "tests/testing/scripted_decoder.h"

namespace vade {
namespace {

using testing::ByteTokenizer;
using testing::WhyRefused;

std::shared_ptr<const Grammar> Read(std::string_view text) {
  auto grammar = Grammar::FromText(text);
  EXPECT_TRUE(grammar.ok()) << grammar.status().ToString() << " in\n" << text;
  return grammar.ok() ? *grammar : nullptr;
}

std::string Error(std::string_view text) {
  auto grammar = Grammar::FromText(text);
  return grammar.ok() ? "OK" : grammar.status().ToString();
}

// Of `texts` those that the grammar takes: byte by byte through a constraint, which has to agree
// with Matches().
std::vector<std::string> Taken(std::string_view grammar_text,
                               const std::vector<std::string>& texts) {
  const auto grammar = Read(grammar_text);
  if (grammar == nullptr) return {};
  const ByteTokenizer tokenizer;
  std::vector<std::string> taken;
  for (const std::string& text : texts) {
    const std::string refused = WhyRefused(*Constrain(grammar, &tokenizer), tokenizer, text);
    EXPECT_EQ(refused.empty(), grammar->Matches(text)) << text << ": " << refused;
    if (refused.empty()) taken.push_back(text);
  }
  return taken;
}

using Texts = std::vector<std::string>;

TEST(GrammarText, ALiteralMatchesItselfOnly) {
  EXPECT_EQ(Taken(R"(root ::= "ab")", {"ab", "a", "abc", "b", ""}), Texts{"ab"});
}

TEST(GrammarText, EscapesNameCodePoints) {
  EXPECT_EQ(Taken(R"(root ::= "\n\t\r\"\\\x41\u00e9\U0001F600" [\]\-\^])",
                  {"\n\t\r\"\\Aé😀]", "\n\t\r\"\\Aé😀-", "\n\t\r\"\\Aé😀^", "\n\t\r\"\\Aé😀\\"}),
            (Texts{"\n\t\r\"\\Aé😀]", "\n\t\r\"\\Aé😀-", "\n\t\r\"\\Aé😀^"}));
}

TEST(GrammarText, AClassIsASetOfCodePointsNotOfBytes) {
  EXPECT_EQ(
      Taken("root ::= [a-cé一-三]", {"a", "c", "d", "é", "è", "一", "丁", "三", "四", "\xC3"}),
      (Texts{"a", "c", "é", "一", "丁", "三"}));
}

TEST(GrammarText, ANegatedClassLeavesWholeCodePoints) {
  EXPECT_EQ(
      Taken("root ::= [^aé]", {"a", "b", "é", "è", "😀", "\xC3", "\xED\xA0\x80", "\xFF", "ab"}),
      (Texts{"b", "è", "😀"}));
}

TEST(GrammarText, APointIsAnyCodePoint) {
  EXPECT_EQ(Taken("root ::= .", {"", "a", "\n", "一", "\x80", "ab"}), (Texts{"a", "\n", "一"}));
}

TEST(GrammarText, AlternativesMayBeEmptyAndGoOverLines) {
  EXPECT_EQ(Taken("root ::= \"a\" # one\n  | b\n  |\nb ::= \"bb\"", {"", "a", "bb", "b", "abb"}),
            (Texts{"", "a", "bb"}));
}

TEST(GrammarText, RepetitionsCount) {
  const Texts texts = {"", "x", "xx", "xxx", "xxxx", "xxxxx", "xxxxxxxxx"};
  EXPECT_EQ(Taken("root ::= \"x\"*", texts), texts);
  EXPECT_EQ(Taken("root ::= \"x\"+", texts), Texts(texts.begin() + 1, texts.end()));
  EXPECT_EQ(Taken("root ::= \"x\"?", texts), (Texts{"", "x"}));
  EXPECT_EQ(Taken("root ::= \"x\"{2}", texts), Texts{"xx"});
  EXPECT_EQ(Taken("root ::= \"x\"{0}", texts), Texts{""});
  EXPECT_EQ(Taken("root ::= \"x\"{2,4}", texts), (Texts{"xx", "xxx", "xxxx"}));
  EXPECT_EQ(Taken("root ::= \"x\"{3,}", texts), (Texts{"xxx", "xxxx", "xxxxx", "xxxxxxxxx"}));
  EXPECT_EQ(Taken("root ::= (\"x\" \"x\"){1,2}", texts), (Texts{"xx", "xxxx"}));
  EXPECT_EQ(Taken("root ::= (\"x\"{2}){2}", texts), Texts{"xxxx"});
  EXPECT_EQ(Taken("root ::= ((\"x\"*)*)+", texts), texts);
}

TEST(GrammarText, RulesNestWithoutABound) {
  const std::string grammar = "root ::= \"(\" root \")\" | \"x\"";
  const std::string open(300, '('), close(300, ')');
  EXPECT_EQ(Taken(grammar, {"x", "(x)", "((x))", "((x)", "(x))", open + "x" + close,
                            open + "x" + close + ")"}),
            (Texts{"x", "(x)", "((x))", open + "x" + close}));
}

TEST(GrammarText, RightRecursionOfAnyLengthIsNoNesting) {
  const auto grammar = Read("root ::= \"a\" root | \"b\"");
  EXPECT_TRUE(grammar->Matches(StrCat(std::string(100'000, 'a'), "b")));
  EXPECT_FALSE(grammar->Matches(std::string(100'000, 'a')));
}

TEST(GrammarText, AnAmbiguousGrammarTakesEveryReading) {
  // Each way to split the text is another stack; they are merged where they meet.
  const std::string grammar =
      "root ::= list \";\"\nlist ::= item list | item\n"
      "item ::= \"a\" | \"a\" \"a\" | \"(\" list \")\" | \"(\" list \"]\"";
  EXPECT_EQ(
      Taken(grammar, {StrCat(std::string(60, 'a'), ";"), "((a)aa];", "(a;", "((((aa)]))a;", ";"}),
      (Texts{StrCat(std::string(60, 'a'), ";"), "((a)aa];", "((((aa)]))a;"}));
}

TEST(GrammarText, StacksThatDifferBelowStayApart) {
  const std::string grammar =
      "root ::= \"<\" x \"1\" | \"<\" y \"2\"\n"
      "x ::= w \"!\"\ny ::= w \"?\"\nw ::= \"a\" w | \"b\"";
  EXPECT_EQ(Taken(grammar, {"<aab!1", "<aab?2", "<aab!2", "<aab?1"}), (Texts{"<aab!1", "<aab?2"}));
}

TEST(GrammarText, ErrorsNameTheirPlace) {
  EXPECT_EQ(Error("root ::= \"a\"\nb ::= c"),
            "INVALID_ARGUMENT: grammar 2:7: no rule is named 'c'");
  EXPECT_EQ(Error("a ::= \"x\""), "INVALID_ARGUMENT: grammar: no rule is named 'root'");
  EXPECT_EQ(Error(""), "INVALID_ARGUMENT: grammar: no rule is named 'root'");
  EXPECT_EQ(Error("root ::= \"a\"\nroot ::= \"b\""),
            "INVALID_ARGUMENT: grammar 2:1: the rule 'root' is defined twice");
  EXPECT_EQ(Error("root ::= \"a"), "INVALID_ARGUMENT: grammar 1:10: the literal has no end");
  EXPECT_EQ(Error("root ::= [a"), "INVALID_ARGUMENT: grammar 1:10: the class has no end");
  EXPECT_EQ(Error("root ::= []"), "INVALID_ARGUMENT: grammar 1:10: no character is in this class");
  EXPECT_EQ(Error("root ::= [z-a]"), "INVALID_ARGUMENT: grammar 1:14: the range goes backwards");
  EXPECT_EQ(Error("root ::= (\"a\""), "INVALID_ARGUMENT: grammar 1:14: expected )");
  EXPECT_EQ(Error("root ::= \"a\")"),
            "INVALID_ARGUMENT: grammar 1:13: expected a rule, or a part of one");
  EXPECT_EQ(Error("root ::= \"\\q\""), "INVALID_ARGUMENT: grammar 1:11: unknown escape");
  EXPECT_EQ(Error("root ::= \"\\uD800\""),
            "INVALID_ARGUMENT: grammar 1:17: the escape before this names no code point");
  EXPECT_EQ(Error("root ::= *"),
            "INVALID_ARGUMENT: grammar 1:10: expected a literal, a class, a group or the name of a "
            "rule");
  EXPECT_EQ(Error("root \"a\""),
            "INVALID_ARGUMENT: grammar 1:6: expected ::= after the name 'root'");
  EXPECT_EQ(Error("root ::= \"a\"**"),
            "INVALID_ARGUMENT: grammar 1:14: a part is repeated twice; put a group around the "
            "inner one");
  EXPECT_EQ(Error("root ::= \"a\"{3,2}"),
            "INVALID_ARGUMENT: grammar 1:18: the counts of the repetition are swapped");
  EXPECT_EQ(Error("root ::= \"a\\"), "INVALID_ARGUMENT: grammar 1:12: unknown escape");
  EXPECT_EQ(Error("root ::= \"\xFF\""), "INVALID_ARGUMENT: the grammar is not UTF-8");
}

TEST(GrammarText, LeftRecursionIsRefused) {
  const std::string refused = "refers to itself before any text (left recursion)";
  for (const char* text : {
           "root ::= root \"a\" | \"b\"",
           "root ::= b \"x\" | \"y\"\nb ::= root \"z\" | \"w\"",
           "root ::= e root \"a\" | \"b\"\ne ::= \"e\"?",
           "root ::= (root \"a\")* \"b\"",
           "root ::= e e root | \"b\"\ne ::= f\nf ::= | \"f\"",
       }) {
    EXPECT_NE(Error(text).find(refused), std::string::npos) << text << ": " << Error(text);
  }
}

TEST(GrammarText, ARuleThatCannotEndIsRefused) {
  EXPECT_EQ(Error("root ::= \"a\" root"),
            "INVALID_ARGUMENT: 'root' can never come to an end; give it an alternative that does "
            "not need itself");
  EXPECT_NE(Error("root ::= a | \"x\"\na ::= \"a\" b\nb ::= \"b\" a").find("can never come to an"),
            std::string::npos);
}

TEST(GrammarText, HostileGrammarsGiveOneClearError) {
  const std::string deep = StrCat("root ::= ", std::string(100'000, '('));
  EXPECT_NE(Error(deep).find("groups are nested more than 100 deep"), std::string::npos);
  EXPECT_NE(Error("root ::= \"a\"{999999999}").find("a count is at most 20000"), std::string::npos);
  EXPECT_NE(Error("root ::= \"a\"{99999999999999999999}").find("a count is at most 20000"),
            std::string::npos);
  std::string wide = "root ::= ";
  for (int i = 0; i < 20; ++i) wide += StrCat("[a-c", i, "]{20000} ");
  EXPECT_NE(Error(wide).find("RESOURCE_EXHAUSTED: the grammar needs more than 200000 states"),
            std::string::npos);
  EXPECT_NE(Error(std::string(300 << 10, ' ')).find("at most 262144 are read"), std::string::npos);
  std::string alternatives = "root ::= \"z\"";
  for (int i = 0; i < 5000; ++i) alternatives += " | \"a\"? \"b\"";
  EXPECT_NE(Error(alternatives).find("too many alternatives at its beginning"), std::string::npos);
}

TEST(GrammarText, NestedRepetitionsDoNotMultiplyStates) {
  const auto grammar = Read("root ::= (((\"ab\"){50}){50}){50}");
  EXPECT_FALSE(grammar->Matches("ab"));
  std::string text;
  for (int i = 0; i < 125'000; ++i) text += "ab";
  EXPECT_TRUE(grammar->Matches(text));
  EXPECT_FALSE(grammar->Matches(text + "ab"));
}

TEST(GrammarText, StatesThatExplodeStayBounded) {
  // The 14th letter from the end is an a: as an automaton of its own it has 2^14 states.
  const auto grammar = Read("root ::= [ab]* \"a\" [ab]{13}");
  std::string text;
  std::mt19937 random(1);
  for (int i = 0; i < 50'000; ++i) text += random() % 2 ? 'a' : 'b';
  text[text.size() - 14] = 'a';
  EXPECT_TRUE(grammar->Matches(text));
  text[text.size() - 14] = 'b';
  EXPECT_FALSE(grammar->Matches(text));
}

TEST(GrammarText, BeyondTheDeepestNestingNothingIsAllowed) {
  const auto grammar = Read("root ::= \"(\" root \")\" | \"x\"");
  const std::string open(5'000, '('), close(5'000, ')');
  EXPECT_FALSE(grammar->Matches(open + "x" + close));
}

TEST(CodePointSet, SequencesSpellExactlyItsCodePoints) {
  const CodePointSet sets[] = {
      CodePointSet::All(),
      CodePointSet({{'a', 'f'}, {0x7E, 0x81}}),
      CodePointSet({{0x7FE, 0x1234}, {0xFFFE, 0x10403}}),
      CodePointSet({{0xD000, 0xE7FF}, {0x3F, 0x3F}, {0x10FFFE, 0x110005}}),
      CodePointSet({{0x80, 0x10FFFF}}).Minus(CodePointSet({{0x3041, 0x30FE}})),
  };
  for (const CodePointSet& set : sets) {
    const auto sequences = Utf8Sequences(set);
    size_t spelled = 0, members = 0;
    for (const auto& sequence : sequences) {
      size_t product = 1;
      for (const ByteRange range : sequence) product *= range.last - range.first + 1;
      spelled += product;
    }
    for (char32_t c = 0; c <= 0x10FFFF; ++c) {
      if (!set.Contains(c)) continue;
      ++members;
      std::string utf8;
      AppendCodePoint(&utf8, c);
      const bool found = std::any_of(sequences.begin(), sequences.end(), [&](const auto& sequence) {
        if (sequence.size() != utf8.size()) return false;
        for (size_t i = 0; i < utf8.size(); ++i) {
          const auto byte = static_cast<uint8_t>(utf8[i]);
          if (byte < sequence[i].first || byte > sequence[i].last) return false;
        }
        return true;
      });
      ASSERT_TRUE(found) << static_cast<uint32_t>(c);
    }
    // All members are spelled, and no more texts than members: so nothing else is.
    EXPECT_EQ(spelled, members);
  }
}

TEST(CodePointSet, NegationIsWithoutSurrogates) {
  EXPECT_EQ(CodePointSet({{0, 0xD7FF}}).Negated().ranges(),
            (std::vector<CodePointRange>{{0xE000, 0x10FFFF}}));
  EXPECT_TRUE(CodePointSet::All().Negated().empty());
  EXPECT_EQ(CodePointSet().Negated().ranges(), CodePointSet::All().ranges());
}

}  // namespace
}  // namespace vade
