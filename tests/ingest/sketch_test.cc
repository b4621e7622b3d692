// Texts that say nearly the same are told by their sketches.
#include "ingest/sketch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/strings.h"
#include "ingest/ingest.h"
#include "ingest/job.h"
#include "ingest/near_documents.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/memory_store.h"

namespace vade {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> RandomWords(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::string> words;
  for (size_t i = 0; i < count; ++i) words.push_back(StrCat("word", random() % 100000));
  return words;
}

// The exact likeness: of runs of five words.
double Exact(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto runs = [](const std::vector<std::string>& words) {
    std::set<std::string> all;
    for (size_t i = 0; i + 5 <= words.size(); ++i) {
      all.insert(Join(
          {words.begin() + static_cast<long>(i), words.begin() + static_cast<long>(i) + 5}, " "));
    }
    return all;
  };
  const auto of_a = runs(a), of_b = runs(b);
  size_t both = 0;
  for (const std::string& run : of_a) both += of_b.count(run);
  return static_cast<double>(both) / static_cast<double>(of_a.size() + of_b.size() - both);
}

TEST(Sketches, EstimateTheShareOfCommonRuns) {
  const auto words = RandomWords(2000, 1);
  for (const size_t changed : {0, 5, 20, 60, 200, 2000}) {
    auto other = words;
    const auto fresh = RandomWords(2000, 2);
    for (size_t i = 0; i < changed; ++i) other[i * (2000 / changed)] = fresh[i];
    const auto a = SketchOf(Join(words, " ")), b = SketchOf(Join(other, " "));
    ASSERT_TRUE(a && b);
    EXPECT_NEAR(Likeness(*a, *b), Exact(words, other), 0.17) << changed << " words are others";
  }
}

TEST(Sketches, SeeWordsAndNothingElse) {
  const auto words = RandomWords(100, 3);
  EXPECT_EQ(SketchOf(Join(words, " ")), SketchOf("# " + Join(words, ",\n\t")));
  EXPECT_EQ(SketchOf(Join(words, " ")), SketchOf(Join(words, " \xC2\xA0")));
  std::string upper = Join(words, " ");
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  EXPECT_EQ(SketchOf(upper), SketchOf(Join(words, " ")));
}

TEST(Sketches, TellChineseTextsApartByCharacter) {
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += i % 3 == 0 ? "假期" : i % 3 == 1 ? "每年三十天" : "请提前申请";
  const auto a = SketchOf(text), b = SketchOf(text + "谢谢"),
             c = SketchOf(std::string(text.rbegin(), text.rend()));
  ASSERT_TRUE(a && b);
  EXPECT_GT(Likeness(*a, *b), 0.6);
  if (c) {
    EXPECT_LT(Likeness(*a, *c), 0.3);  // not text at all any more
  }
}

TEST(Sketches, AreNotMadeOfAFewWords) {
  EXPECT_EQ(SketchOf(""), std::nullopt);
  EXPECT_EQ(SketchOf("only a few words"), std::nullopt);
  EXPECT_EQ(SketchOf(std::string(10000, '-')), std::nullopt);
}

TEST(Sketches, OfTextsThatAreAlikeShareABand) {
  int missed = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto words = RandomWords(500, seed);
    auto other = words;
    for (size_t i = 0; i < 10; ++i) other[i * 50] = "changed";  // .82 alike
    const auto a = BandsOf(*SketchOf(Join(words, " "))), b = BandsOf(*SketchOf(Join(other, " ")));
    bool common = false;
    for (size_t i = 0; i < a.size(); ++i) common = common || a[i] == b[i];
    missed += !common;
  }
  EXPECT_LE(missed, 2);
}

class NearDuplicates : public ::testing::Test {
 protected:
  Result<PutResult> Put(const std::string& id, const std::vector<std::string>& words) {
    PutRequest request;
    request.info.id = id;
    request.bytes = Join(words, " ");
    return Ingestor(&store_, &embedder_, {}).Put(std::move(request), {});
  }
  std::string Nearest(const std::string& id) {
    const auto near = NearDocuments(&store_, "default").Nearest(id);
    if (!near.ok()) return near.status().ToString();
    return *near ? (*near)->id : "(none)";
  }
  static std::vector<std::string> WithChanges(std::vector<std::string> words, size_t count) {
    for (size_t i = 0; i < count; ++i) words[i * words.size() / count] = StrCat("changed", i);
    return words;
  }

  testing::MemoryStore store_;
  HashingEmbedder embedder_;
  const std::vector<std::string> words_ = RandomWords(1000, 7);
};

TEST_F(NearDuplicates, AreFoundFromBothSidesAndNoted) {
  ASSERT_TRUE(Put("first", words_).ok());
  ASSERT_TRUE(Put("unlike", RandomWords(1000, 8)).ok());
  const auto second = Put("second", WithChanges(words_, 5));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->outcome, IngestOutcome::kCreated) << "it is a document as any other";
  EXPECT_THAT(second->note, HasSubstr("nearly the same as 'first'"));
  EXPECT_EQ(Nearest("first"), "second");
  EXPECT_EQ(Nearest("second"), "first");
  EXPECT_EQ(Nearest("unlike"), "(none)");
  EXPECT_EQ(Nearest("missing"), "(none)");
}

TEST_F(NearDuplicates, AreTheNearestOfAllAndNotTheSameBytes) {
  ASSERT_TRUE(Put("a", words_).ok());
  ASSERT_TRUE(Put("b", WithChanges(words_, 15)).ok());
  ASSERT_TRUE(Put("c", WithChanges(words_, 2)).ok());
  ASSERT_TRUE(Put("same", words_).ok());
  EXPECT_EQ(Nearest("a"), "c");
  EXPECT_EQ(Nearest("same"), "c");
}

TEST_F(NearDuplicates, GoWithTheirDocumentsAndChangeWithThem) {
  ASSERT_TRUE(Put("first", words_).ok());
  ASSERT_TRUE(Put("second", WithChanges(words_, 5)).ok());
  ASSERT_TRUE(Put("second", RandomWords(1000, 9)).ok());
  EXPECT_EQ(Nearest("first"), "(none)");
  ASSERT_TRUE(Put("third", WithChanges(words_, 5)).ok());
  EXPECT_EQ(Nearest("first"), "third");
  const std::vector<std::string> ids = {"third"};
  ASSERT_TRUE(store_.DeleteDocuments("default", ids, {}).ok());
  EXPECT_EQ(Nearest("first"), "(none)") << "even before its sketch is forgotten";
  ASSERT_TRUE(NearDocuments(&store_, "default").Forget(ids).ok());
  const auto left = store_.ListNotes("default", "", "", 1000);
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(left->size(), 2 * (1 + kSketchBands));
}

TEST_F(NearDuplicates, LendTheirVectorsToANewDocument) {
  std::vector<std::string> words;
  for (size_t i = 0; i < 3000; ++i) {
    words.push_back(StrCat("word", i % 700, i % 12 == 11 ? "." : ""));
    if (i % 300 == 299) words.back() += StrCat("\n\n## Section ", i, "\n\n");
  }
  ASSERT_TRUE(Put("old.md", words).ok());
  const size_t before = embedder_.embedded();
  words[1500] = "changed";
  ASSERT_TRUE(Put("new.md", words).ok());
  const size_t fresh = embedder_.embedded() - before;
  std::vector<float> vectors;
  const auto document = store_.GetDocument("default", "new.md");
  const auto passages = store_.GetPassages("default", "new.md", &vectors);
  ASSERT_TRUE(document.ok() && passages.ok());
  EXPECT_GT(passages->size(), 8u);
  EXPECT_LE(fresh, 2u) << "of " << passages->size() << " passages";
  const size_t limit = SplitOptionsOf({}, embedder_).passage_tokens;
  const std::string title = EmbeddedTitle(document->info.title, limit, CounterOf(embedder_));
  for (size_t i = 0; i < passages->size(); ++i) {
    const auto row = vectors.begin() + static_cast<long>(i * 64);
    EXPECT_EQ(std::vector<float>(row, row + 64),
              embedder_.EmbedOne(EmbeddingText(title, (*passages)[i])))
        << i;
  }
}

}  // namespace
}  // namespace vade
