// A folder with a file of every format, each with a fact of its own: ingested, each fact finds its
// document.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/made_files.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

// Facts that share no words but "measures": made of syllables, so that no file has them by chance.
std::vector<std::string> Facts(size_t count) {
  static const char* const kSyllables[] = {"bel", "var", "mon", "tig", "rus", "kel", "dor", "fam"};
  const auto word = [](size_t number) {
    return StrCat(kSyllables[number / 64 % 8], kSyllables[number / 8 % 8], kSyllables[number % 8]);
  };
  std::vector<std::string> facts;
  for (size_t i = 0; i < count; ++i) {
    facts.push_back(StrCat("The ", word(3 * i), " ", word(3 * i + 1), " measures ", 400 + 7 * i,
                           " ", word(3 * i + 2)));
  }
  return facts;
}

TEST(EveryFormat, IsFoundByWhatItSays) {
  const testing::TempDir folder, data;
  const std::vector<std::string> facts = Facts(22);
  const auto files = testing::OneOfEach(facts);
  ASSERT_EQ(files.size(), facts.size()) << "a fact a file";
  for (const auto& [name, bytes] : files) folder.Write(name, bytes);
  auto store = OpenStore(data.path(), {});
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  HashingEmbedder embedder(512);
  IngestOptions options;
  options.parser_path = VADE_PARSE_BINARY;
  auto report =
      Ingestor(store->get(), &embedder, options).IngestPaths({folder.path()}, nullptr, {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  for (const IngestError& error : report->errors) ADD_FAILURE() << error.source << error.reason;
  EXPECT_EQ(report->created, files.size());

  for (size_t i = 0; i < facts.size(); ++i) {
    SearchRequest request;
    request.collection = "default";
    request.question = facts[i];
    request.vector = embedder.EmbedOne(facts[i]);
    request.k = 1;
    auto found = (*store)->Search(request, {});
    ASSERT_TRUE(found.ok() && !found->hits.empty()) << facts[i];
    const Hit& hit = found->hits[0];
    EXPECT_TRUE(hit.passage.document_id.starts_with(files[i].first))
        << facts[i] << " was found in " << hit.passage.document_id;
    EXPECT_NE(hit.passage.text.find(facts[i]), std::string::npos) << hit.passage.text;
    if (files[i].first == "d.pdf") {
      EXPECT_EQ(hit.passage.page, 1u) << "the passage begins on the first page";
    }
  }
}

}  // namespace
}  // namespace vade
