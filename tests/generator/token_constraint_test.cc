#include <gtest/gtest.h>

#include <thread>

#include "base/strings.h"
#include "generator/grammar.h"
#include "generator/grammar_text.h"
#include "generator/json_forms.h"
#include "generator/token_masks.h"
#include "generator/token_trie.h"
#include "tests/generator/form_checks.h"
#include "tests/testing/scripted_decoder.h"

namespace vade {
namespace {

using testing::ByteTokenizer;
using testing::IsAllowed;
using testing::RandomAnswer;
using testing::WhyRefused;

std::unique_ptr<TokenConstraint> Constrained(std::string_view grammar, const Tokenizer& tokenizer) {
  auto constraint = Constrain(Grammar::FromText(grammar).value(), &tokenizer);
  EXPECT_TRUE(constraint.ok()) << constraint.status().ToString();
  return *std::move(constraint);
}

// The pieces of what is allowed, "." for an end, sorted by id.
std::string Allowed(TokenConstraint& constraint, const Tokenizer& tokenizer) {
  std::vector<std::string> pieces;
  EXPECT_EQ(constraint.Allowed().size(), (tokenizer.vocab_size() + 63u) / 64);
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!IsAllowed(constraint, id)) continue;
    pieces.push_back(tokenizer.IsEnd(id) ? "." : std::string(tokenizer.Piece(id)));
  }
  return Join(pieces, " ");
}

void Take(TokenConstraint& constraint, const Tokenizer& tokenizer, std::string_view text) {
  for (const int32_t id : tokenizer.Encode(text, Special::kText)) {
    const Status status = constraint.Accept(id);
    ASSERT_TRUE(status.ok()) << status.ToString() << " in " << text;
  }
}

TEST(TokenConstraint, ATokenMaySpanSeveralSymbols) {
  const ByteTokenizer tokenizer({"ab", "bc", "abc", "abcd", "b1", "c1"});
  auto constraint =
      Constrained("root ::= a [b] (\"c\" number)?\na ::= \"a\"\nnumber ::= [0-9]+", tokenizer);
  EXPECT_EQ(Allowed(*constraint, tokenizer), "a ab abc");
  Take(*constraint, tokenizer, "a");
  EXPECT_EQ(Allowed(*constraint, tokenizer), "b bc");
  Take(*constraint, tokenizer, "b");
  EXPECT_EQ(Allowed(*constraint, tokenizer), "c . . c1");
  Take(*constraint, tokenizer, "c1");
  EXPECT_EQ(Allowed(*constraint, tokenizer), "0 1 2 3 4 5 6 7 8 9 . .");
}

TEST(TokenConstraint, ACodePointMayBeSplitOverTokens) {
  // U+4E00 is E4 B8 80, U+4E8C is E4 BA 8C, U+00E9 is C3 A9.
  const ByteTokenizer tokenizer({"\xE4\xB8", "\xB8\x80", "\x80x", "\xBA\x8C"});
  auto constraint = Constrained("root ::= [一é] \"x\"", tokenizer);
  EXPECT_EQ(Allowed(*constraint, tokenizer), "\xC3 \xE4 \xE4\xB8");
  auto other = constraint->Clone();
  Take(*constraint, tokenizer, "\xE4");
  EXPECT_EQ(Allowed(*constraint, tokenizer), "\xB8 \xB8\x80");
  Take(*other, tokenizer, "\xE4\xB8");
  EXPECT_EQ(Allowed(*other, tokenizer), "\x80 \x80x");
}

TEST(TokenConstraint, WhatIsNotAllowedChangesNothing) {
  const ByteTokenizer tokenizer({"ab"});
  auto constraint = Constrained("root ::= \"ab\"", tokenizer);
  for (const int32_t id : {int32_t{'b'}, ByteTokenizer::kImStart, ByteTokenizer::kImEnd, -1,
                           tokenizer.vocab_size(), 1 << 30}) {
    EXPECT_EQ(constraint->Accept(id).code(), StatusCode::kInternal) << id;
  }
  EXPECT_EQ(Allowed(*constraint, tokenizer), "a ab");
}

TEST(TokenConstraint, AfterTheEndOnlyTheEndIsAllowed) {
  const ByteTokenizer tokenizer;
  auto constraint = Constrained("root ::= \"a\"*", tokenizer);
  EXPECT_EQ(Allowed(*constraint, tokenizer), "a . .");
  ASSERT_TRUE(constraint->Accept(ByteTokenizer::kImEnd).ok());
  EXPECT_EQ(Allowed(*constraint, tokenizer), ". .");
  EXPECT_FALSE(constraint->Accept('a').ok());
  EXPECT_TRUE(constraint->Accept(ByteTokenizer::kEndOfText).ok());
}

TEST(TokenConstraint, ClonesGoOnByThemselves) {
  const ByteTokenizer tokenizer;
  auto first = Constrained("root ::= \"a\" (\"b\" \"1\" | \"c\" \"2\")", tokenizer);
  Take(*first, tokenizer, "a");
  auto second = first->Clone();
  Take(*first, tokenizer, "b");
  EXPECT_EQ(Allowed(*second, tokenizer), "b c");
  Take(*second, tokenizer, "c");
  EXPECT_EQ(Allowed(*first, tokenizer), "1");
  EXPECT_EQ(Allowed(*second, tokenizer), "2");
  first.reset();
  Take(*second, tokenizer, "2");
  EXPECT_EQ(Allowed(*second, tokenizer), ". .");
}

TEST(TokenConstraint, ItOutlivesTheGrammarAndTheTokenizer) {
  std::unique_ptr<TokenConstraint> constraint;
  {
    const ByteTokenizer tokenizer({"ab"});
    constraint = Constrained("root ::= \"ab\"+", tokenizer);
  }
  const ByteTokenizer tokenizer({"ab"});
  Take(*constraint, tokenizer, "abab");
  EXPECT_EQ(Allowed(*constraint, tokenizer), "a . . ab");
}

// A vocabulary without the bytes that a form may need.
class FewTokens : public ByteTokenizer {
 public:
  explicit FewTokens(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string_view Piece(int32_t id) const override {
    const bool known = id < 256 && bytes_.find(static_cast<char>(id)) != std::string::npos;
    return known ? ByteTokenizer::Piece(id) : "";
  }

 private:
  const std::string bytes_;
};

TEST(TokenConstraint, WhereNoTokenFitsTheAnswerMayEnd) {
  const FewTokens tokenizer("ab");
  auto constraint = Constrained("root ::= \"ac\" | \"b\"", tokenizer);
  EXPECT_EQ(Allowed(*constraint, tokenizer), "a b");
  Take(*constraint, tokenizer, "a");
  EXPECT_EQ(Allowed(*constraint, tokenizer), ". .");
  EXPECT_TRUE(constraint->Accept(ByteTokenizer::kImEnd).ok());
}

class NoEnd : public ByteTokenizer {
 public:
  bool IsEnd(int32_t) const override { return false; }
};

TEST(TokenConstraint, AVocabularyWithoutAnEndIsRefused) {
  const NoEnd tokenizer;
  const auto constraint = Constrain(Grammar::FromText("root ::= \"a\"").value(), &tokenizer);
  EXPECT_EQ(constraint.status().code(), StatusCode::kFailedPrecondition);
}

TEST(TokenConstraint, EqualPiecesAreAllowedTogether) {
  const ByteTokenizer tokenizer({"a", "ab", "ab", ""});
  auto constraint = Constrained("root ::= \"ab\"", tokenizer);
  EXPECT_EQ(Allowed(*constraint, tokenizer), "a a ab ab");
}

TEST(TokenConstraint, OneGrammarServesVocabulariesOfEverySize) {
  const auto grammar = Grammar::FromText("root ::= \"ab\"").value();
  for (int words = 0; words < 7; ++words) {
    std::vector<std::string> more(words * 40, "zz");
    more.push_back("ab");
    const ByteTokenizer tokenizer(more);
    auto constraint = Constrain(grammar, &tokenizer).value();
    EXPECT_EQ(Allowed(*constraint, tokenizer), "a ab") << words;
  }
}

TEST(TokenConstraint, ManyThreadsShareAGrammar) {
  const ByteTokenizer tokenizer({"{\"", "\":", "[1", "}}", "\"a\"", ", \""});
  const auto grammar = Grammar::AnyJson().value();
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 20; ++i) {
        bool ended = false;
        auto constraint = Constrain(grammar, &tokenizer).value();
        const std::string text = RandomAnswer(*constraint, tokenizer, random, &ended);
        if (ended) wrong[t] += !nlohmann::json::accept(text);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(TokenConstraint, AnAmbiguousFormIsAnsweredInBoundedTime) {
  // Tokens of a's and b's lead to a state each: the walk is cut, single bytes stay exact.
  std::vector<std::string> words;
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string word;
    for (int k = 0; k < 40; ++k) word += random() % 2 ? 'a' : 'b';
    words.push_back(word);
  }
  const ByteTokenizer tokenizer(std::move(words));
  auto constraint = Constrained("root ::= [ab]* \"a\" [ab]{200}", tokenizer);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(IsAllowed(*constraint, 'a'));
    EXPECT_TRUE(IsAllowed(*constraint, 'b'));
    EXPECT_FALSE(IsAllowed(*constraint, 'c'));
    ASSERT_TRUE(constraint->Accept('a').ok());
  }
}

TEST(TokenMasks, WhatIsForgottenIsFoundAgain) {
  GrammarBuilder builder;
  ASSERT_TRUE(AddJsonRules(&builder).ok());
  const auto program = std::make_shared<const GrammarProgram>(
      CompileGrammar(builder, builder.Declare(kJsonValue)).value());
  const ByteTokenizer tokenizer({"[[", "]]", "{\"", "\":"});
  const auto trie = TokenTrie::Shared(tokenizer);
  TokenMasks keeps(program, trie), forgets(program, trie, 0);
  auto kept = keeps.Start(), forgotten = forgets.Start();
  for (const char c : std::string(R"({"a":[[1,{"b":"x\u00e9y"}],[[[]]]],"c":-1.5e3})")) {
    EXPECT_EQ(*keeps.MaskAt(&kept), *forgets.MaskAt(&forgotten)) << c;
    keeps.Advance(std::string_view(&c, 1), &kept);
    forgets.Advance(std::string_view(&c, 1), &forgotten);
  }
  EXPECT_EQ(*keeps.MaskAt(&kept), *keeps.ends());
  EXPECT_EQ(*forgets.MaskAt(&forgotten), *keeps.ends());
}

TEST(TokenMasks, AMaskIsWhatTryingEachTokenGives) {
  // Ordinary and odd pieces of all lengths around the limit of a run, some cut inside of a code
  // point; forms where all, some or none of the ordinary characters may come.
  std::vector<std::string> words;
  for (int length = 1; length <= 20; ++length) {
    for (const char* unit : {"a", "é", "日", "😀", " ", "\\", "\"", "\n", "1"}) {
      std::string word;
      for (int i = 0; i < length; ++i) word += unit;
      words.push_back(word);
      words.push_back(word + "\"");
      words.push_back(word + "\xE6");
      words.push_back("x" + word);
      words.push_back("\xA5" + word);
    }
  }
  const ByteTokenizer tokenizer(std::move(words));
  const auto trie = TokenTrie::Shared(tokenizer);
  for (const char* text : {
           R"(root ::= "<" [^"\\\x00-\x1F]* "\"" .)",
           R"(root ::= "<" [^"\\\x00-\x1F]{0,24} "\"")",
           R"(root ::= "<" [^"\\\x00-\x1F1]* "1")",
           R"(root ::= "<" ([^"日] | "日" "日"+)* "\"")",
           R"(root ::= "<" ([^"é]* | [^"a]* "\"" "\""+))",
           R"(root ::= "<" [\x00-\x7F]*)",
       }) {
    GrammarBuilder builder;
    ASSERT_TRUE(AddGrammarText(text, &builder).ok()) << text;
    const auto program = std::make_shared<const GrammarProgram>(
        CompileGrammar(builder, builder.Declare("root")).value());
    TokenMasks masks(program, trie);
    GrammarAutomaton automaton(program);
    auto position = masks.Start();
    std::string taken;
    for (const std::string piece :
         {"", "<", "a", "é", "aaa", "\xE6\x97", "\xA5", " xyz", "日日", "z"}) {
      if (automaton.Next(automaton.start(), taken + piece) == GrammarAutomaton::kDead) continue;
      taken += piece;
      masks.Advance(piece, &position);
      const auto state = automaton.Next(automaton.start(), taken);
      const auto mask = masks.MaskAt(&position);
      for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
        if (tokenizer.IsControl(id)) continue;
        const bool fits = automaton.Next(state, tokenizer.Piece(id)) != GrammarAutomaton::kDead;
        EXPECT_EQ((*mask)[id / 64] >> (id % 64) & 1, fits)
            << text << " after '" << taken << "': '" << tokenizer.Piece(id) << "'";
      }
    }
  }
}

TEST(PieceTree, HoldsAllPiecesInOrder) {
  const std::vector<std::pair<std::string_view, int32_t>> pieces = {
      {"a", 3}, {"ab", 9}, {"abc", 1}, {"abd", 7}, {"abd", 8}, {"b", 2}, {"xyz", 5}};
  const PieceTree tree(pieces);
  std::string path;
  std::vector<std::pair<std::string, int32_t>> found;
  for (size_t node = 0; node < tree.size(); ++node) {
    path.resize(tree.depth(node));
    path += static_cast<char>(tree.byte(node));
    for (const int32_t id : tree.tokens(node)) found.emplace_back(path, id);
    const size_t after = tree.after(node);
    for (size_t below = node + 1; below < after; ++below) {
      EXPECT_GT(tree.depth(below), tree.depth(node));
    }
    EXPECT_TRUE(after == tree.size() || tree.depth(after) <= tree.depth(node));
  }
  EXPECT_EQ(found, (std::vector<std::pair<std::string, int32_t>>(pieces.begin(), pieces.end())));
  EXPECT_EQ(tree.size(), 8u);
  EXPECT_EQ(tree.max_depth(), 3u);
}

TEST(TokenTrie, TellsOrdinaryTokensFromOddOnes) {
  const ByteTokenizer tokenizer(
      {"word", " 日本", "a\"", "\n", "\xE6\x97", "12345678901234567", ""});
  const TokenTrie trie(tokenizer);
  std::string ordinary;
  for (int32_t id = ByteTokenizer::kFirstWord; id < tokenizer.vocab_size(); ++id) {
    ordinary += trie.ordinary()[id / 64] >> (id % 64) & 1 ? 'o' : '-';
    EXPECT_EQ(trie.piece(id), tokenizer.Piece(id));
  }
  EXPECT_EQ(ordinary, "oo-----");
  EXPECT_TRUE(trie.IsEnd(ByteTokenizer::kImEnd));
  EXPECT_FALSE(trie.IsEnd(ByteTokenizer::kImStart));
}

TEST(TokenTrie, IsSharedByEqualVocabulariesOnly) {
  const ByteTokenizer a({"one"}), b({"one"}), c({"two"});
  const auto trie = TokenTrie::Shared(a);
  EXPECT_EQ(TokenTrie::Shared(b), trie);
  EXPECT_NE(TokenTrie::Shared(c), trie);
  EXPECT_EQ(TokenTrie::Shared(a), trie);
}

}  // namespace
}  // namespace vade
