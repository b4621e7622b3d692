// The Api in this process where models are missing, come late, or are asked for by many at once.
#include "service/local_api.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "model/cuda_library.h"
#include "service/call_watch.h"
#include "service/lazy.h"
#include "tests/service/service_fixture.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::kLeaveText;
using testing::MakeAsk;
using testing::MakePut;
using testing::MemoryStore;
using testing::TempDir;

// A LocalApi over a store in memory, with an embedder or without, whose models are looked for in
// `dir`.
std::unique_ptr<LocalApi> Open(const TempDir& dir, bool with_embedder) {
  LocalOptions options = testing::OneThread();
  options.models_dir = dir.path();
  options.packed_dir = dir.File("packed");
  LocalParts parts;
  parts.store = std::make_unique<MemoryStore>();
  if (with_embedder) parts.embedder = std::make_unique<HashingEmbedder>();
  auto api = LocalApi::FromParts(std::move(parts), options);
  EXPECT_TRUE(api.ok()) << api.status().ToString();
  return api.ok() ? std::move(api).value() : nullptr;
}

bool NamesTheRemedy(const Status& status) {
  return status.code() == StatusCode::kNotFound &&
         status.message().find("scripts/fetch-models") != std::string::npos &&
         status.message().find('\n') == std::string::npos;
}

TEST(LocalApi, WithoutADecoderItSearchesAndNamesTheRemedyForAnswers) {
  const TempDir dir;
  const auto api = Open(dir, true);
  ASSERT_TRUE(api->PutDocument("default", MakePut("leave.md", kLeaveText), {}).ok());
  EXPECT_TRUE(api->Search({.question = "paid leave"}, {}).ok());
  const Status asked = api->Ask(MakeAsk("How much paid leave?"), {}, {}).status();
  EXPECT_TRUE(NamesTheRemedy(asked)) << asked.ToString();
  EXPECT_TRUE(NamesTheRemedy(api->LoadDecoderNow()));
  EXPECT_TRUE(NamesTheRemedy(api->decoder().status()));
}

TEST(LocalApi, WithoutAnEmbedderItListsAndReadsAndNamesTheRemedyForTheRest) {
  const TempDir dir;
  const auto api = Open(dir, false);
  EXPECT_TRUE(api->ListCollections({}).ok());
  ASSERT_TRUE(
      api->store().CreateCollection({.name = "default", .embedder_id = "e", .dimension = 8}).ok());
  EXPECT_TRUE(api->ListDocuments("default", {}, {}).ok());
  for (const Status& status :
       {api->PutDocument("default", MakePut("a", "text"), {}).status(),
        api->CreateCollection("new", {}).status(), api->Search({.question = "q"}, {}).status(),
        api->LoadEmbedderNow()}) {
    EXPECT_TRUE(NamesTheRemedy(status)) << status.ToString();
  }
}

TEST(LocalApi, AModelThatComesLaterIsLookedAt) {
  const TempDir dir;
  const auto api = Open(dir, true);
  EXPECT_EQ(api->LoadDecoderNow().code(), StatusCode::kNotFound);
  dir.Write("smollm2-135m-instruct-q4_1.gguf", "this is no weight file, but it is there");
  const Status now = api->LoadDecoderNow();
  EXPECT_FALSE(now.ok());
  EXPECT_NE(now.code(), StatusCode::kNotFound) << now.ToString();
  EXPECT_NE(now.message().find("smollm2-135m"), std::string::npos) << now.ToString();
}

TEST(LocalApi, NoStoreIsNotFoundWhenNoneMayBeMade) {
  const TempDir dir;
  LocalOptions options = testing::OneThread();
  options.data_dir = dir.File("data");
  options.create_if_missing = false;
  EXPECT_EQ(LocalApi::Open(options).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(LocalApi::Open({}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LocalApi::FromParts({}, {}).status().code(), StatusCode::kInvalidArgument);
}

TEST(LocalApi, AGpuThatIsNotThereIsAnErrorOnlyWhereItIsDemanded) {
  if (OpenCudaBackend({}).ok()) GTEST_SKIP() << "this machine has a GPU";
  const TempDir dir;
  LocalOptions options = testing::OneThread();
  options.data_dir = dir.File("data");
  options.search_device = DeviceChoice::kAuto;
  EXPECT_TRUE(LocalApi::Open(options).ok());
  options.search_device = DeviceChoice::kCuda;
  const Status demanded = LocalApi::Open(options).status();
  EXPECT_EQ(demanded.code(), StatusCode::kUnavailable);
  EXPECT_NE(demanded.message().find("searching on the GPU"), std::string::npos)
      << demanded.ToString();
}

// --device is about models; whether there is a device for searches is another question.
TEST(LocalApi, OneDeviceForAllLeavesSearchesToTheProcessorWhereTheyAreItsOwn) {
  LocalOptions options;
  SetDevices(DeviceChoice::kCuda, &options);
  EXPECT_EQ(options.device, DeviceChoice::kCuda);
  EXPECT_EQ(options.embed_device, DeviceChoice::kCuda);
  EXPECT_EQ(options.search_device, DeviceChoice::kCpu);
  options.search_device = DeviceChoice::kAuto;
  SetDevices(DeviceChoice::kCpu, &options);
  EXPECT_EQ(options.embed_device, DeviceChoice::kCpu);
  EXPECT_EQ(options.search_device, DeviceChoice::kCpu);
}

// Nobody else would make segments of what it has written.
TEST(LocalApi, WithoutABackgroundItSealsWhatIsDueAfterWriting) {
  for (const bool background : {false, true}) {
    LocalOptions options = testing::OneThread();
    options.store.background = background;
    const testing::FakeService fake(options);
    ASSERT_TRUE(fake.local->PutDocument("default", MakePut("leave.md", kLeaveText), {}).ok());
    EXPECT_EQ(fake.store->seals_due, background ? 0 : 1);
    const TempDir dir;
    dir.Write("docs/quay.md", testing::kQuayText);
    ASSERT_TRUE(fake.local->Ingest({dir.File("docs")}, {}, nullptr, {}).ok());
    EXPECT_EQ(fake.store->seals_due, background ? 0 : 2);
    ASSERT_TRUE(fake.local->Search({.question = "paid leave"}, {}).ok());
    EXPECT_EQ(fake.store->seals_due, background ? 0 : 2);
  }
}

// Lazy.

TEST(Lazy, ManyThatComeAtOnceMakeItOnce) {
  Lazy<int> lazy;
  std::atomic<int> made{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      const auto value = lazy.Get(
          [&]() -> Result<std::unique_ptr<int>> {
            std::this_thread::sleep_for(std::chrono::milliseconds(30));
            return std::make_unique<int>(++made);
          },
          {});
      EXPECT_TRUE(value.ok() && **value == 1);
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(made, 1);
}

TEST(Lazy, AFailureIsNotKept) {
  Lazy<int> lazy;
  const auto fail = []() -> Result<std::unique_ptr<int>> { return NotFound("not yet"); };
  EXPECT_EQ(lazy.Get(fail, {}).status().code(), StatusCode::kNotFound);
  const auto value =
      lazy.Get([]() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); }, {});
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(**value, 7);
  EXPECT_TRUE(lazy.Get(fail, {}).ok()) << "what is there is not made again";
}

TEST(Lazy, WhoeverWaitsMayGiveUp) {
  Lazy<int> lazy;
  std::atomic<bool> making{false}, go{false};
  std::thread maker([&] {
    const auto value = lazy.Get(
        [&]() -> Result<std::unique_ptr<int>> {
          making = true;
          while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
          return std::make_unique<int>(1);
        },
        {});
    EXPECT_TRUE(value.ok());
  });
  while (!making) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto none = []() -> Result<std::unique_ptr<int>> { return Internal("made twice"); };
  const Context hurried = Context().WithTimeout(std::chrono::milliseconds(20));
  EXPECT_EQ(lazy.Get(none, hurried).status().code(), StatusCode::kDeadlineExceeded);
  go = true;
  maker.join();
  EXPECT_TRUE(lazy.Get(none, {}).ok());
}

// CallWatch.

TEST(CallWatch, LooksWhileWatchedAndNeverAfter) {
  CallWatch watch;
  std::atomic<int> looks{0}, others{0};
  const CallWatch::Watching other(&watch, [&] { ++others; });
  {
    const CallWatch::Watching watching(&watch, [&] { ++looks; });
    for (int i = 0; i < 5000 && looks < 3; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_GE(looks, 3);
  }
  const int then = looks, others_then = others;
  for (int i = 0; i < 5000 && others < others_then + 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GE(others, others_then + 3) << "the others are looked after all the same";
  EXPECT_EQ(looks, then);
}

TEST(CallWatch, WakesUpAfterAPauseWithoutCalls) {
  CallWatch watch;
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> looks{0};
    const CallWatch::Watching watching(&watch, [&] { ++looks; });
    for (int i = 0; i < 5000 && looks < 1; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_GE(looks, 1) << "round " << round;
  }
}

}  // namespace
}  // namespace vade
