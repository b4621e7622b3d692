// `vade reembed` at an Api, in this process and behind a service: who searches and writes uses the
// collection's own embedder, after the switch and after the next start.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "base/strings.h"
#include "tests/service/service_fixture.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::kLeaveText;
using testing::kQuayText;
using testing::MakePut;
using testing::TempDir;

class ReembedApi : public ::testing::Test {
 protected:
  ReembedApi() { Open(); }

  // The usual embedder has 64 dimensions; "small" has 48 as long as it is there.
  void Open() {
    server_.reset();
    api_.reset();
    LocalParts parts;
    StoreOptions options;
    options.background = false;
    auto store = OpenStore(dir_.File("data"), options);
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    parts.store = std::move(*store);
    parts.embedder = std::make_unique<HashingEmbedder>(64);
    parts.load_embedder = [this](const std::string& name) -> Result<std::unique_ptr<Embedder>> {
      ++loads_;
      if (name != "small" || !small_is_there_) {
        return NotFound(StrCat("weights file '", name, "' does not exist"));
      }
      return std::unique_ptr<Embedder>(std::make_unique<HashingEmbedder>(48, 8));
    };
    LocalOptions local = testing::OneThread();
    local.store.background = false;
    auto api = LocalApi::FromParts(std::move(parts), local);
    ASSERT_TRUE(api.ok()) << api.status().ToString();
    api_ = std::move(*api);
  }
  std::unique_ptr<Api> Serve() {
    ServerOptions options;
    options.grpc_address = "127.0.0.1:0";
    auto server = Server::Start(api_.get(), options);
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(*server);
    return std::move(*ConnectApi(server_->address()));
  }
  static std::string Found(Api* api, const std::string& question) {
    const auto found = api->Search({.question = question, .k = 1}, {});
    if (!found.ok()) return found.status().ToString();
    return found->hits.empty() ? "nothing" : found->hits[0].passage.document_id;
  }

  const TempDir dir_;
  bool small_is_there_ = true;
  int loads_ = 0;
  std::unique_ptr<LocalApi> api_;
  std::unique_ptr<Server> server_;
};

TEST_F(ReembedApi, WhoSearchesAndWritesUsesTheNewEmbedderFromThenOn) {
  ASSERT_TRUE(api_->PutDocument("default", MakePut("leave.md", kLeaveText), {}).ok());
  ASSERT_TRUE(api_->PutDocument("default", MakePut("quay.md", kQuayText), {}).ok());
  std::string told;
  const auto outcome =
      api_->Reembed("default", "small",
                    [&](uint64_t done, uint64_t total) { told = StrCat(done, " of ", total); }, {});
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(outcome->report.passages, 2u);
  EXPECT_EQ(outcome->report.embedded, 2u);
  EXPECT_EQ(outcome->cut, 2u);  // "small" reads eight words
  for (int opened = 0; opened < 2; ++opened) {
    SCOPED_TRACE(StrCat("opened ", opened));
    const CollectionInfo info = (*api_->ListCollections({}))[0];
    EXPECT_EQ(info.embedder_id, "hashing-48");
    EXPECT_EQ(info.embedder_source, "small");
    EXPECT_EQ(Found(api_.get(), "helmets on the quay"), "quay.md");
    const std::string id = StrCat("new", opened, ".md");
    ASSERT_TRUE(
        api_->PutDocument("default", MakePut(id, StrCat("Ferry number ", opened)), {}).ok());
    EXPECT_EQ(Found(api_.get(), StrCat("ferry number ", opened)), id);
    // A new collection has the usual one.
    ASSERT_TRUE(api_->CreateCollection(StrCat("other", opened), {}).ok());
    EXPECT_EQ(api_->store().GetCollection(StrCat("other", opened))->embedder_id, "hashing-64");
    EXPECT_TRUE(api_->store().Verify({})->problems.empty());
    Open();
  }
}

TEST_F(ReembedApi, AnEmbedderThatIsGoneIsNamedWithWhatToDo) {
  ASSERT_TRUE(api_->PutDocument("default", MakePut("leave.md", kLeaveText), {}).ok());
  ASSERT_TRUE(api_->Reembed("default", "small", nullptr, {}).ok());
  small_is_there_ = false;
  Open();
  EXPECT_EQ(api_->LoadEmbedderNow(), OkStatus());  // others are served all the same
  const auto found = api_->Search({.question = "paid leave"}, {});
  EXPECT_EQ(found.status().code(), StatusCode::kFailedPrecondition);
  for (const char* part : {"hashing-48", "'small'", "does not exist", "vade reembed"}) {
    EXPECT_NE(found.status().message().find(part), std::string::npos) << found.status().message();
  }
  small_is_there_ = true;
  EXPECT_EQ(Found(api_.get(), "paid leave"), "leave.md");
}

TEST_F(ReembedApi, AServiceDoesItWithNamesOfItsOwnModelsAndNoPaths) {
  const auto remote = Serve();
  ASSERT_TRUE(remote->PutDocument("default", MakePut("leave.md", kLeaveText), {}).ok());
  for (const char* path : {"/models/small", "../small", "a/small", ".small"}) {
    EXPECT_EQ(remote->Reembed("default", path, nullptr, {}).status().code(),
              StatusCode::kInvalidArgument)
        << path;
  }
  EXPECT_EQ(loads_, 0);
  EXPECT_EQ(remote->Reembed("none", "small", nullptr, {}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(remote->Reembed("default", "unknown", nullptr, {}).status().code(),
            StatusCode::kNotFound);
  uint64_t of = 0;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(
        remote->PutDocument("default", MakePut(StrCat("d", i), StrCat("Note ", i)), {}).ok());
  }
  const auto outcome =
      remote->Reembed("default", "small", [&](uint64_t, uint64_t total) { of = total; }, {});
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(outcome->report.passages, 21u);
  EXPECT_EQ(outcome->report.embedded, 21u);
  EXPECT_EQ(of, 21u);
  EXPECT_EQ((*remote->ListCollections({}))[0].embedder_source, "small");
  EXPECT_EQ(Found(remote.get(), "paid leave"), "leave.md");
  const auto again = remote->Reembed("default", "small", nullptr, {});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->report.embedded, 0u);
}

// Neighbours and diversity travel, and are off unless somebody asks.
TEST_F(ReembedApi, SearchOptionsTravelAndTheServicesOwnAreTheDefault) {
  const auto remote = Serve();
  std::string text = "# Log\n\n";
  for (int i = 0; i < 40; ++i) {
    text += StrCat("## Day ", i, "\n\n");
    for (int j = 0; j < 30; ++j) text += StrCat("Word", i, " entry ", j, " of the day. ");
    text += "\n\n";
  }
  ASSERT_TRUE(remote->PutDocument("default", MakePut("log.md", text), {}).ok());
  const auto plain = remote->Search({.question = "word7 entry", .k = 1, .explain = true}, {});
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->hits[0].found_end, 0u);
  EXPECT_EQ(plain->candidates[0].rank, 1u);
  const auto joined = remote->Search(
      {.question = "word7 entry", .k = 1, .mmr = 0.5, .neighbours = 1, .explain = true}, {});
  ASSERT_TRUE(joined.ok()) << joined.status().ToString();
  const Hit& hit = joined->hits[0];
  EXPECT_EQ(hit.found_begin, plain->hits[0].passage.begin);
  EXPECT_EQ(hit.found_end, plain->hits[0].passage.end);
  EXPECT_LT(hit.passage.begin, hit.found_begin);
  EXPECT_GT(hit.passage.end, hit.found_end);
  EXPECT_EQ(hit.passage.text, text.substr(hit.passage.begin, hit.passage.end - hit.passage.begin));
  EXPECT_NE(joined->candidates[1].likeness, 0);
  for (const Query& bad :
       {Query{.question = "q", .mmr = 1.5}, Query{.question = "q", .mmr = -1},
        Query{.question = "q", .neighbours = 11}, Query{.question = "q", .neighbours = -1}}) {
    EXPECT_EQ(api_->Search(bad, {}).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(remote->Search({.question = "q", .neighbours = 11}, {}).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
