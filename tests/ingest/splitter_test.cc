#include "ingest/splitter.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/document.h"
#include "tests/testing/hashing_embedder.h"

namespace vade {
namespace {

size_t CountWords(std::string_view text) {
  static const HashingEmbedder embedder;
  return embedder.CountTokens(text);
}

struct Split {
  std::vector<Passage> passages;
  std::string title;
};

Split SplitText(std::string_view text, std::string_view type, const SplitOptions& options,
                std::string_view title = "") {
  Splitter splitter(text, type, title, options, CountWords);
  Split split{{}, splitter.embedded_title()};
  for (Passage passage; splitter.Next(&passage);) {
    passage.text = text.substr(passage.begin, passage.end - passage.begin);
    split.passages.push_back(std::move(passage));
  }
  return split;
}

// One line a passage: headings and text, line ends as "|".
std::string Render(std::string_view text, const SplitOptions& options,
                   std::string_view type = kMarkdownType) {
  std::string out;
  for (const Passage& passage : SplitText(text, type, options).passages) {
    std::string shown = passage.text;
    for (char& c : shown) c = c == '\n' ? '|' : c;
    out += StrCat("[", passage.heading_path, "] ", shown, "\n");
  }
  return out;
}

std::string Words(std::string_view word, int count) {
  std::string out(word);
  for (int i = 1; i < count; ++i) out += StrCat(" ", word);
  return out + ".";
}

bool SpaceOnly(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    if (!IsWhitespace(NextCodePoint(text, &pos))) return false;
  }
  return true;
}

// What the header promises for every text.
void CheckPromises(std::string_view text, std::string_view type, const SplitOptions& options,
                   std::string_view title) {
  const Split split = SplitText(text, type, options, title);
  uint64_t covered = 0, last_begin = 0;
  for (size_t i = 0; i < split.passages.size(); ++i) {
    const Passage& passage = split.passages[i];
    ASSERT_EQ(passage.ordinal, i);
    ASSERT_LT(passage.begin, passage.end);
    ASSERT_LE(passage.end, text.size());
    ASSERT_EQ(FloorToCodePoint(text, passage.begin), passage.begin);
    ASSERT_EQ(FloorToCodePoint(text, passage.end), passage.end);
    if (i > 0) {
      ASSERT_GT(passage.begin, last_begin) << "passage " << i;
      ASSERT_GT(passage.end, covered) << "passage " << i;
    }
    if (passage.begin > covered) {
      ASSERT_TRUE(SpaceOnly(text.substr(covered, passage.begin - covered)))
          << "before passage " << i;
    }
    const std::string embedded = EmbeddingText(split.title, passage.heading_path, passage.text);
    ASSERT_LE(CountWords(embedded), options.passage_tokens) << embedded;
    ASSERT_LE(passage.end - passage.begin, options.passage_tokens * kMaxBytesPerToken);
    last_begin = passage.begin;
    covered = passage.end;
  }
  ASSERT_TRUE(SpaceOnly(text.substr(covered))) << "at the end";
}

TEST(Splitter, KeepsAShortDocumentWhole) {
  EXPECT_EQ(Render("# A\n\nText.\n", {}), "[A] # A||Text.\n");
  EXPECT_EQ(Render("", {}), "");
  EXPECT_EQ(Render(" \n\n", {}), "");
  EXPECT_EQ(Render("# Only\n## headings\n", {}), "[Only > headings] # Only|## headings\n");
}

TEST(Splitter, CutsAtHeadingsAndTellsTheirPath) {
  const std::string body = Words("x", 70);
  const std::string text =
      StrCat("# A\n", body, "\n## B\n", body, "\n### C\n", body, "\n## D\n", body, "\n");
  EXPECT_EQ(Render(text, {}), StrCat("[A] # A|", body, "\n[A > B] ## B|", body,
                                     "\n[A > B > C] ### C|", body, "\n[A > D] ## D|", body, "\n"));
}

TEST(Splitter, JoinsShortSectionsButNotAcrossTopLevelHeadings) {
  EXPECT_EQ(Render("# A\n## B\nb.\n## C\nc.\n# D\nd.\n", {}),
            "[A] # A|## B|b.|## C|c.\n[D] # D|d.\n");
}

TEST(Splitter, JoinsAShortTailToTheWholeSectionBeforeIt) {
  const std::string body = Words("x", 70);
  EXPECT_EQ(Render(StrCat("# A\n## B\n", body, "\n## C\nc.\n"), {}),
            StrCat("[A] # A|## B|", body, "|## C|c.\n"));
}

TEST(Splitter, PutsTheHeadingWithWhatFollowsHoweverLong) {
  const std::string text = StrCat("## B\n\n", Words("x", 500), "\n");
  const auto passages = SplitText(text, kMarkdownType, {.passage_tokens = 100}).passages;
  ASSERT_GE(passages.size(), 5u);
  EXPECT_TRUE(passages[0].text.starts_with("## B\n\nx x")) << passages[0].text;
  for (const Passage& passage : passages) EXPECT_EQ(passage.heading_path, "B");
}

TEST(Splitter, CutsBetweenParagraphsRatherThanInThem) {
  const std::string p1 = StrCat(Words("a", 10), " ", Words("b", 20)),
                    p2 = StrCat(Words("c", 15), " ", Words("d", 15));
  EXPECT_EQ(Render(StrCat(p1, "\n\n", p2, "\n"), {.passage_tokens = 50, .overlap_tokens = 0}),
            StrCat("[] ", p1, "\n[] ", p2, "\n"));
}

TEST(Splitter, RepeatsWholeSentencesOfTheSameSectionOnly) {
  std::string text = "## A\n";
  for (int i = 0; i < 12; ++i) text += StrCat("S", i, " ", Words("w", 9), " ");
  text += "\n## B\n";
  const size_t section = text.size() - 5;
  for (int i = 12; i < 24; ++i) text += StrCat("S", i, " ", Words("w", 9), " ");
  const SplitOptions options{.passage_tokens = 60, .overlap_tokens = 12};
  const auto passages = SplitText(text, kMarkdownType, options).passages;
  ASSERT_GE(passages.size(), 4u);
  size_t repeated = 0;
  for (size_t i = 1; i < passages.size(); ++i) {
    if (passages[i].begin >= passages[i - 1].end) continue;
    ++repeated;
    EXPECT_EQ(text[passages[i].begin], 'S') << "overlap begins at a sentence";
    EXPECT_LE(CountWords(text.substr(passages[i].begin, passages[i - 1].end - passages[i].begin)),
              12u);
    EXPECT_NE(passages[i].begin, section);
  }
  EXPECT_GE(repeated, 2u);
  for (const Passage& passage : passages) {
    EXPECT_FALSE(passage.begin < section && passage.end > section)
        << "a passage over both sections";
  }
}

TEST(Splitter, SentencesGoOnOverLineEnds) {
  // Wrapped prose: a cut must come at a full stop, not at a line's end.
  std::string text;
  for (int i = 0; i < 20; ++i)
    text += StrCat("Alpha beta\ngamma delta epsilon\nzeta number ", i, ".\n");
  for (const Passage& p :
       SplitText(text, kPlainTextType, {.passage_tokens = 40, .overlap_tokens = 0}).passages) {
    EXPECT_TRUE(p.text.starts_with("Alpha")) << p.text;
    EXPECT_TRUE(p.text.ends_with(".")) << p.text;
  }
}

TEST(Splitter, NeverCutsACodeLineOrARowThatFits) {
  std::string text = "Here it is:\n\n~~~~\n```\n";
  for (int i = 0; i < 60; ++i) text += StrCat("    line(", i, ", a, b, c);\n");
  text += "```\n~~~~\n\n| n | square |\n|---|---|\n";
  for (int i = 0; i < 60; ++i) text += StrCat("| ", i, " | ", i * i, " |\n");
  const auto passages = SplitText(text, kMarkdownType, {.passage_tokens = 50}).passages;
  ASSERT_GE(passages.size(), 5u);
  for (const Passage& passage : passages) {
    EXPECT_TRUE(passage.begin == 0 || text[passage.begin - 1] == '\n') << passage.text;
    EXPECT_TRUE(passage.end == text.size() || text[passage.end] == '\n') << passage.text;
  }
}

TEST(Splitter, CutsAnEndlessLineAtWords) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += StrCat("word", i, " ");
  for (const Passage& passage : SplitText(text, kPlainTextType, {.passage_tokens = 64}).passages) {
    EXPECT_TRUE(passage.text.starts_with("word")) << passage.text.substr(0, 20);
    EXPECT_TRUE(passage.text.back() >= '0' && passage.text.back() <= '9');
    EXPECT_TRUE(passage.end == text.size() || text[passage.end] == ' ');
  }
}

TEST(Splitter, CutsChineseAtSentences) {
  const std::string sentence =
      "\xE8\xBF\x99\xE6\x98\xAF\xE4\xB8\x80\xE4\xB8\xAA\xE5\x8F\xA5\xE5\xAD\x90\xE3\x80\x82";
  std::string text;
  for (int i = 0; i < 60; ++i) text += sentence;
  const auto passages =
      SplitText(text, kPlainTextType, {.passage_tokens = 60, .overlap_tokens = 10}).passages;
  ASSERT_GE(passages.size(), 6u);
  for (const Passage& passage : passages) {
    EXPECT_TRUE(passage.text.starts_with("\xE8\xBF\x99"));
    EXPECT_TRUE(passage.text.ends_with("\xE3\x80\x82"));
  }
}

TEST(Splitter, KeepsMarksWithTheirLetters) {
  std::string text;  // one word of 3000 letters, each with an accent of its own
  for (int i = 0; i < 3000; ++i) text += "e\xCC\x81";
  for (const Passage& p : SplitText(text, kPlainTextType, {.passage_tokens = 64}).passages)
    EXPECT_EQ(p.text[0], 'e');
}

TEST(Splitter, LeavesOutATitleOrHeadingsThatWouldFillThePassage) {
  const std::string text =
      StrCat("# ", Words("outer", 9), "\n## ", Words("inner", 5), "\n", Words("x", 40), "\n");
  const Split split = SplitText(text, kMarkdownType, {.passage_tokens = 20}, Words("title", 12));
  EXPECT_EQ(split.title, "");
  EXPECT_EQ(split.passages.back().heading_path, Words("inner", 5));
  CheckPromises(text, kMarkdownType, {.passage_tokens = 20}, Words("title", 12));
}

TEST(EmbeddingText, HasTheHeadingsElseTheTitleBeyondTheFirstPassage) {
  Passage passage;
  passage.text = "x";
  EXPECT_EQ(EmbeddingText("T", passage), "x");
  passage.ordinal = 1;
  EXPECT_EQ(EmbeddingText("T", passage), "T\nx");
  EXPECT_EQ(EmbeddingText("", passage), "x");
  passage.heading_path = "A > B";
  EXPECT_EQ(EmbeddingText("T", passage), "A > B\nx");
  passage.ordinal = 0;
  EXPECT_EQ(EmbeddingText("T", passage), "A > B\nx");
}

std::string RandomText(std::mt19937* random, size_t pieces) {
  static constexpr std::string_view kPieces[] = {
      "\n",
      "\n",
      "\n\n",
      " ",
      " ",
      "word ",
      "Sentence ends. ",
      "# ",
      "## H\n",
      "### deep `x`\n",
      "- item ",
      "  - nested ",
      "1. ",
      "> ",
      "```\n",
      "~~~~\n",
      "| a | b |\n|---|---|\n",
      "| 1 | 2 |\n",
      "<!-- ",
      "-->",
      "<pre>",
      "</pre>",
      "---\n",
      "===\n",
      "    code\n",
      "\t",
      "\xE4\xB8\xAD\xE6\x96\x87\xE5\x8F\xA5\xE5\xAD\x90\xE3\x80\x82",
      "\xE3\x80\x80",
      "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7",
      "e\xCC\x81",
      "\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA",
      "\xD8\xB9\xD8\xB1\xD8\xA8\xD9\x8A ",
      "\xE2\x80\xA8",
      "a: b\n",
      "{#x}",
      "\\",
      "`",
      "*",
      "[l](u)",
      "3.14 e.g. Dr. X? "};
  std::string text;
  for (size_t i = 0; i < pieces; ++i) {
    const std::string_view piece = kPieces[(*random)() % std::size(kPieces)];
    const size_t times = (*random)() % 40 == 0 ? (*random)() % 300 : 1;
    for (size_t t = 0; t < times; ++t) text += piece;
  }
  return text;
}

TEST(Splitter, KeepsItsPromisesForRandomTexts) {
  for (uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    std::mt19937 random(seed);
    const std::string text = RandomText(&random, 20 + random() % 400);
    SplitOptions options;
    options.passage_tokens = 16 + random() % 200;
    options.overlap_tokens = random() % 60;
    options.least_tokens = random() % 80;
    const auto type = seed % 4 == 0 ? kPlainTextType : kMarkdownType;
    CheckPromises(text, type, options, seed % 3 == 0 ? "A title of the document" : "");
    if (HasFatalFailure()) return;
  }
}

TEST(Splitter, TakesTimeLinearInTextsMadeToBeSlow) {
  for (std::string_view piece : {"# a\n", "a", " ", "a. ", "a\n\n", "- a\n", "## a\nb\n", "```\n",
                                 "| a |\n|-|\n", "\xCC\x81", "    a\n"}) {
    std::string text;
    while (text.size() < 1'000'000) text += piece;
    CheckPromises(text, kMarkdownType, {}, "T");
    if (HasFatalFailure()) FAIL() << piece;
  }
}

struct Statistics {
  size_t files = 0, passages = 0, tiny = 0;
  double mean_words = 0;
};

Statistics SplitFolder(const std::string& folder) {
  Statistics out;
  const Status walked = WalkFiles(
      folder,
      [&](const FileEntry& entry) -> Status {
        ASSIGN_OR_RETURN(std::string bytes, ReadFile(entry.path, 16 << 20));
        ASSIGN_OR_RETURN(ParsedDocument document, ParseDocument(bytes, entry.path, ""));
        CheckPromises(document.text, document.mime_type, {}, document.title);
        ++out.files;
        for (const Passage& passage :
             SplitText(document.text, document.mime_type, {}, document.title).passages) {
          const size_t words = CountWords(passage.text);
          ++out.passages;
          out.tiny += words < 32;
          out.mean_words += static_cast<double>(words);
        }
        return OkStatus();
      },
      nullptr);
  EXPECT_TRUE(walked.ok()) << walked.ToString();
  out.mean_words /= static_cast<double>(out.passages);
  return out;
}

TEST(Splitter, MakesPassagesOfUsefulSizeFromARealManual) {
  const std::string root = VADE_SOURCE_DIR "/../shared/data/docs_rustbook/";
  if (!IsDirectory(root)) GTEST_SKIP() << "no ../shared/data/docs_rustbook";
  for (const std::string language : {"en", "zh"}) {
    const Statistics found = SplitFolder(root + language);
    std::printf("%s: %zu files, %zu passages, mean %.0f words, %zu under 32\n", language.c_str(),
                found.files, found.passages, found.mean_words, found.tiny);
    EXPECT_GT(found.files, 100u);
    EXPECT_GT(found.mean_words, 100.0) << language;
    EXPECT_LT(found.mean_words, 240.0) << language;
    EXPECT_LT(found.tiny * 20, found.passages) << language;
  }
}

TEST(Splitter, RowsWithoutTheirHeaderHaveItInTheirPath) {
  std::string table = "| Part | Shelf |\n| --- | --- |\n";
  for (int i = 0; i < 60; ++i) table += StrCat("| bolt", i, " | shelf", i, " |\n");
  const std::string text = StrCat("# Stock\n\nWhat lies where.\n\n", table, "\nThe end of it.\n");
  const SplitOptions options{.passage_tokens = 40, .overlap_tokens = 0, .least_tokens = 5};
  const Split split = SplitText(text, kMarkdownType, options);
  ASSERT_GT(split.passages.size(), 3u);
  EXPECT_EQ(split.passages.front().heading_path, "Stock") << "it has the header itself";
  for (size_t i = 1; i + 1 < split.passages.size(); ++i) {
    const Passage& passage = split.passages[i];
    EXPECT_EQ(passage.heading_path, "Stock > Part | Shelf");
    EXPECT_TRUE(passage.text.starts_with("| bolt")) << "whole rows: " << passage.text;
    EXPECT_TRUE(passage.text.ends_with(" |")) << passage.text;
    EXPECT_LE(CountWords(EmbeddingText("", passage)), options.passage_tokens);
  }
}

TEST(Splitter, AHeaderTooWideToRepeatIsNotRepeated) {
  std::string table = "|";
  for (int i = 0; i < 15; ++i) table += StrCat(" column", i, " |");
  table += "\n|" + std::string(15, '-') + "|\n";
  for (int i = 0; i < 20; ++i) table += StrCat("| a", i, " | b", i, " |\n");
  const SplitOptions options{.passage_tokens = 40, .overlap_tokens = 0, .least_tokens = 5};
  for (const Passage& passage : SplitText("# S\n\n" + table, kMarkdownType, options).passages) {
    EXPECT_EQ(passage.heading_path, "S");
  }
}

TEST(Splitter, CutsCodeBeforeADefinitionRatherThanWithinOne) {
  std::string code = "```\n";
  for (int i = 0; i < 6; ++i) {
    code += StrCat("def f", i, "(x):\n    a = x + 1\n\n    b = a + 2\n    return b\n\n");
  }
  const SplitOptions options{.passage_tokens = 22, .overlap_tokens = 0, .least_tokens = 2};
  const Split split = SplitText(code + "```\n", kMarkdownType, options);
  ASSERT_GT(split.passages.size(), 2u);
  for (size_t i = 1; i < split.passages.size(); ++i) {
    EXPECT_TRUE(split.passages[i].text.starts_with("def f")) << split.passages[i].text;
  }
}

TEST(Splitter, CutsSourceCodeAlongItsDefinitions) {
  std::string code = "#include <a>\n\nnamespace n {\n\n";
  for (int i = 0; i < 8; ++i) {
    code += StrCat("// Says what f", i, " does.\nint f", i,
                   "(int x) {\n  int a = x + 1;\n\n  int b = a + 2;\n\n  return b;\n}\n\n");
  }
  code += "}  // namespace n\n";
  const SplitOptions options{.passage_tokens = 36, .overlap_tokens = 8, .least_tokens = 4};
  const Split split = SplitText(code, kSourceCodeType, options);
  ASSERT_GE(split.passages.size(), 4u);
  for (size_t i = 1; i < split.passages.size(); ++i) {
    EXPECT_TRUE(split.passages[i].text.starts_with("// Says what f")) << split.passages[i].text;
  }
  CheckPromises(code, kSourceCodeType, options, "n.cc");
  CheckPromises("\n\n  indented\n\n}\n\n\tmore\n\n\nat the left", kSourceCodeType, options, "");
}

}  // namespace
}  // namespace vade
