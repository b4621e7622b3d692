// Where the passages that were asked for do not answer, further ones are read, and the caller is
// told.
#include <gtest/gtest.h>

#include <vector>

#include "index/index.h"
#include "tests/service/service_fixture.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

class FurtherPassages : public ::testing::Test {
 protected:
  std::unique_ptr<LocalApi> Open(int further_passages) {
    LocalParts parts;
    auto store = OpenStore(dir_.File("data"), {});
    EXPECT_TRUE(store.ok()) << store.status().message();
    parts.store = *std::move(store);
    parts.embedder = std::make_unique<HashingEmbedder>();
    auto decoder = std::make_unique<testing::ScriptedDecoder>();
    decoder->Say("thirty days", "Thirty days.");
    decoder->Say("", "None");
    parts.decoder = std::move(decoder);
    LocalOptions options = testing::OneThread();
    options.generator.further_passages = further_passages;
    auto api = LocalApi::FromParts(std::move(parts), options);
    EXPECT_TRUE(api.ok()) << api.status().message();
    return *std::move(api);
  }
  // The likelier hit has the question's words, the other one the answer.
  void Fill(LocalApi& api) {
    const auto near = testing::MakePut("near.md", "How much paid leave is asked for at the quay.");
    const auto far = testing::MakePut("far.md", "Everyone has thirty days off a year.");
    ASSERT_TRUE(api.PutDocument("default", near, {}).ok());
    ASSERT_TRUE(api.PutDocument("default", far, {}).ok());
  }
  AskReply Ask(LocalApi& api, std::vector<size_t>* told) {
    AskRequest request = testing::MakeAsk("How much paid leave?");
    request.query.k = 1;
    AskObserver observer;
    observer.on_retrieved = [told](const Retrieved& found) {
      told->push_back(found.hits.size());
      return true;
    };
    auto reply = api.Ask(request, observer, {});
    EXPECT_TRUE(reply.ok()) << reply.status().message();
    return reply.ok() ? *std::move(reply) : AskReply();
  }

  testing::TempDir dir_;
};

TEST_F(FurtherPassages, AnswerWhereThoseAskedForDoNot) {
  const auto api = Open(5);
  Fill(*api);
  std::vector<size_t> told;
  const AskReply reply = Ask(*api, &told);
  EXPECT_EQ(reply.answer.text, "Thirty days.");
  EXPECT_EQ(told, (std::vector<size_t>{1, 2}));
  EXPECT_EQ(reply.retrieved.hits.size(), 2u);
}

TEST_F(FurtherPassages, AreNotReadWhereTheyAreOff) {
  const auto api = Open(0);
  Fill(*api);
  std::vector<size_t> told;
  const AskReply reply = Ask(*api, &told);
  EXPECT_TRUE(reply.answer.abstained);
  EXPECT_EQ(told, std::vector<size_t>{1});
  EXPECT_EQ(reply.retrieved.hits.size(), 1u);
}

}  // namespace
}  // namespace vade
