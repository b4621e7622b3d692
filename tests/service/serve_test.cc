#include "service/serve.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <set>
#include <thread>

#include "base/files.h"
#include "base/strings.h"
#include "service/endpoint.h"
#include "service/remote_api.h"
#include "service/stop_signal.h"
#include "tests/service/http_get.h"
#include "tests/service/service_fixture.h"
#include "tests/service/wire_client.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::MakePut;
using testing::TempDir;
using testing::WireClient;

ServeOptions WithFile(const std::string& file) {
  ServeOptions options;
  options.config_file = file;
  return options;
}

// Settings.

TEST(ServeSettings, EveryKeyOfTheFileIsHeeded) {
  const TempDir dir;
  const std::string file = dir.Write("vade.conf",
                                     "data.dir = /srv/vade\n"
                                     "grpc.address = \"0.0.0.0:7000\"\n"
                                     "grpc.max_message_bytes = 8M\n"
                                     "metrics.address = 127.0.0.1:9464\n"
                                     "grpc.max_concurrent = 3\n"
                                     "grpc.shutdown_grace_seconds = 9\n"
                                     "model.decoder = smollm2-135m\n"
                                     "model.embedder = /models/e5.gguf\n"
                                     "model.dir = /models\n"
                                     "model.packed_dir = /packed\n"
                                     "model.threads = 2\n"
                                     "model.context_tokens = 4096\n"
                                     "model.kv_bytes = 256M\n"
                                     "model.kv_type = f32\n"
                                     "model.device = cpu\n"
                                     "embed.device = cuda\n"
                                     "embed.gpu_bytes = 1G\n"
                                     "search.device = cpu\n"
                                     "search.earlier = false\n"
                                     "search.gpu_bytes = 2G\n"
                                     "answer.max_active = 4\n"
                                     "answer.max_waiting = 5\n"
                                     "answer.max_prompt_tokens = 2000\n"
                                     "answer.history_tokens = 100\n"
                                     "answer.min_dense_score = 0.5\n"
                                     "answer.min_confidence = 0.25\n"
                                     "answer.passage_gap = 0.125\n"
                                     "answer.joining = detected\n"
                                     "answer.turns_kept_seconds = 60\n"
                                     "store.block_cache_bytes = 32M\n"
                                     "store.graph_bytes = 3G\n"
                                     "store.hnsw_ef_search = 128\n"
                                     "log.level = warning\n");
  const auto settings = ReadServeSettings(WithFile(file));
  ASSERT_TRUE(settings.ok()) << settings.status().ToString();
  EXPECT_EQ(settings->local.data_dir, "/srv/vade");
  EXPECT_EQ(settings->server.grpc_address, "0.0.0.0:7000");
  EXPECT_EQ(settings->server.max_message_bytes, 8 << 20);
  EXPECT_EQ(settings->metrics_address, "127.0.0.1:9464");
  EXPECT_EQ(settings->server.max_concurrent, 3);
  EXPECT_EQ(settings->shutdown_grace, std::chrono::seconds(9));
  EXPECT_EQ(settings->local.decoder_model, "smollm2-135m");
  EXPECT_EQ(settings->local.embedder_model, "/models/e5.gguf");
  EXPECT_EQ(settings->local.models_dir, "/models");
  EXPECT_EQ(settings->local.packed_dir, "/packed");
  EXPECT_EQ(settings->local.threads, 2);
  EXPECT_EQ(settings->local.context_tokens, 4096);
  EXPECT_EQ(settings->local.kv_budget_bytes, 256ull << 20);
  EXPECT_EQ(settings->local.kv_type, kernels::KvType::kF32);
  EXPECT_EQ(settings->local.device, DeviceChoice::kCpu);
  EXPECT_EQ(settings->local.embed_device, DeviceChoice::kCuda);
  EXPECT_EQ(settings->local.embed_gpu_bytes, 1ull << 30);
  EXPECT_EQ(settings->local.search_device, DeviceChoice::kCpu);
  EXPECT_FALSE(settings->local.search_earlier);
  EXPECT_EQ(settings->local.search_gpu_bytes, 2ull << 30);
  EXPECT_EQ(settings->local.generator.max_active, 4);
  EXPECT_EQ(settings->local.generator.max_waiting, 5);
  EXPECT_EQ(settings->local.generator.max_prompt_tokens, 2000);
  EXPECT_EQ(settings->local.generator.history_tokens, 100);
  EXPECT_EQ(settings->local.generator.min_dense_score, 0.5);
  EXPECT_EQ(settings->local.generator.min_confidence, 0.25);
  EXPECT_EQ(settings->local.generator.passage_gap, 0.125);
  EXPECT_EQ(settings->local.generator.joining, Joining::kDetected);
  EXPECT_EQ(settings->local.generator.turns_kept_for, std::chrono::seconds(60));
  EXPECT_EQ(settings->local.store.block_cache_bytes, 32ull << 20);
  EXPECT_EQ(settings->local.store.graph_bytes, 3ull << 30);
  EXPECT_EQ(settings->local.store.hnsw_ef_search, 128);
  EXPECT_EQ(settings->log_level, LogLevel::kWarning);
}

TEST(ServeSettings, WithoutAFileTheDefaultsHold) {
  const auto settings = ReadServeSettings({});
  ASSERT_TRUE(settings.ok()) << settings.status().ToString();
  EXPECT_EQ(settings->server.grpc_address, "127.0.0.1:50051");
  EXPECT_EQ(settings->server.max_message_bytes, 64 << 20);
  EXPECT_EQ(settings->metrics_address, "");
  EXPECT_EQ(settings->shutdown_grace, std::chrono::seconds(5));
  EXPECT_FALSE(settings->local.data_dir.empty());
  EXPECT_EQ(settings->local.embed_device, DeviceChoice::kAuto);
  EXPECT_EQ(settings->local.search_device, DeviceChoice::kAuto);
  EXPECT_EQ(settings->log_level, LogLevel::kInfo);
}

// Questions that wait must not take every place: search and deletion go on.
TEST(ServeSettings, QuestionsThatWaitLeavePlacesForOtherCallsOrAWarningIsGiven) {
  const TempDir dir;
  const auto warning = [](const std::string& file) {
    ::testing::internal::CaptureStderr();
    EXPECT_TRUE(ReadServeSettings(WithFile(file)).ok());
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(warning(""), "");
  const std::string all =
      warning(dir.Write("vade.conf", "answer.max_active = 8\nanswer.max_waiting = 56\n"));
  EXPECT_NE(all.find("answer.max_waiting is 64 and grpc.max_concurrent 64"), std::string::npos)
      << all;
  EXPECT_EQ(warning(dir.Write("vade.conf", "answer.max_waiting = 55\n")), "");
}

TEST(ServeSettings, TheCommandLineBeatsTheFile) {
  const TempDir dir;
  const std::string file =
      dir.Write("vade.conf", "data.dir = /a\ngrpc.address = h:1\nmodel.threads = 2\n");
  ServeOptions options;
  options.config_file = file;
  options.data_dir = "/b";
  options.grpc_address = "h:2";
  options.threads = 3;
  options.decoder_model = "d";
  options.embedder_model = "e";
  options.device = DeviceChoice::kCpu;
  const auto settings = ReadServeSettings(options);
  ASSERT_TRUE(settings.ok()) << settings.status().ToString();
  EXPECT_EQ(settings->local.data_dir, "/b");
  EXPECT_EQ(settings->server.grpc_address, "h:2");
  EXPECT_EQ(settings->local.threads, 3);
  EXPECT_EQ(settings->local.decoder_model, "d");
  EXPECT_EQ(settings->local.embedder_model, "e");
  for (const DeviceChoice device :
       {settings->local.device, settings->local.embed_device, settings->local.search_device}) {
    EXPECT_EQ(device, DeviceChoice::kCpu);
  }
}

TEST(ServeSettings, ABadValueNamesFileKeyAndRemedy) {
  const TempDir dir;
  for (const std::string line :
       {"grpc.max_concurrent = 0", "grpc.max_message_bytes = 12", "model.threads = -1",
        "model.threads = many", "answer.min_dense_score = 2", "answer.min_dense_score = high",
        "log.level = loud", "answer.max_active = 1000", "grpc.shutdown_grace_seconds = -1",
        "model.context_tokens = 3", "model.kv_type = q5", "embed.device = gpu",
        "search.device = tpu", "answer.joining = sometimes", "answer.turns_kept_seconds = -1"}) {
    const std::string file = dir.Write("vade.conf", line + "\n");
    const Status status = ReadServeSettings(WithFile(file)).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << line << ": " << status.ToString();
    const std::string key = line.substr(0, line.find(' '));
    EXPECT_NE(status.message().find(key), std::string::npos) << status.ToString();
    EXPECT_NE(status.message().find("vade.conf"), std::string::npos) << status.ToString();
  }
  const std::string file = dir.Write("vade.conf", "grpc.adress = h:1\n");
  EXPECT_NE(ReadServeSettings(WithFile(file)).status().message().find("grpc.address"),
            std::string::npos);
  EXPECT_FALSE(ReadServeSettings(WithFile(dir.File("missing.conf"))).ok());
}

TEST(ServeSettings, HttpIsRefusedRatherThanIgnored) {
  const TempDir dir;
  const std::string file = dir.Write("vade.conf", "http.address = 127.0.0.1:8080\n");
  ServeOptions flag;
  flag.http_address = "127.0.0.1:8080";
  for (const ServeOptions& options : {WithFile(file), flag}) {
    const Status status = ReadServeSettings(options).status();
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
    EXPECT_NE(status.message().find("HTTP is not available"), std::string::npos)
        << status.ToString();
  }
}

// Serving, without any model.

class ServeTest : public ::testing::Test {
 protected:
  ServeTest() {
    options_.config_file = dir_.Write(
        "vade.conf", StrCat("model.dir = ", dir_.File("no-models"),
                            "\nmodel.packed_dir = ", dir_.File("packed"), "\nlog.level = error\n"));
    options_.data_dir = dir_.File("data");
    options_.grpc_address = "127.0.0.1:0";
    options_.on_ready = [this](const std::string& address) { ready_.set_value(address); };
    options_.stop = stop_.token();
  }
  ~ServeTest() override {
    stop_.Cancel();
    if (thread_.joinable()) thread_.join();
  }

  // The address, once it serves.
  std::string Begin() {
    thread_ = std::thread([this] { ended_.set_value(Serve(options_)); });
    auto ready = ready_.get_future();
    if (ready.wait_for(std::chrono::seconds(60)) != std::future_status::ready) return "";
    return ready.get();
  }
  Status AwaitEnd() { return ended_.get_future().get(); }

  TempDir dir_;
  ServeOptions options_;
  CancelSource stop_;
  std::promise<std::string> ready_;
  std::promise<Status> ended_;
  std::thread thread_;
};

TEST_F(ServeTest, ServesWhatItCanWithoutModelsAndNamesTheRemedy) {
  const std::string address = Begin();
  ASSERT_FALSE(address.empty());
  EXPECT_EQ(ReadEndpoint(*options_.data_dir), address);
  EXPECT_TRUE(WireClient(address).IsServing(""));
  const auto api = ConnectApi(address);
  ASSERT_TRUE(api.ok());
  const auto collections = (*api)->ListCollections({});
  ASSERT_TRUE(collections.ok()) << collections.status().ToString();
  EXPECT_TRUE(collections->empty());
  const Status put = (*api)->PutDocument("default", MakePut("a", "text"), {}).status();
  EXPECT_EQ(put.code(), StatusCode::kNotFound) << put.ToString();
  EXPECT_NE(put.message().find("scripts/fetch-models"), std::string::npos) << put.ToString();
  EXPECT_EQ(put.message().find('\n'), std::string::npos) << "one line: " << put.ToString();
}

TEST_F(ServeTest, EndsCleanlyWhenToldTo) {
  const std::string address = Begin();
  ASSERT_FALSE(address.empty());
  stop_.Cancel();
  EXPECT_EQ(AwaitEnd(), OkStatus());
  EXPECT_EQ(ReadEndpoint(*options_.data_dir), std::nullopt);
  const auto store = OpenStore(*options_.data_dir, {});
  EXPECT_TRUE(store.ok()) << "the directory is free again: " << store.status().ToString();
  const auto api = ConnectApi(address);
  ASSERT_TRUE(api.ok());
  EXPECT_EQ((*api)->ListCollections({}).status().code(), StatusCode::kUnavailable);
}

TEST_F(ServeTest, ASignalEndsItCleanly) {
  ASSERT_FALSE(Begin().empty());
  ASSERT_EQ(kill(getpid(), SIGTERM), 0);
  EXPECT_EQ(AwaitEnd(), OkStatus());
  EXPECT_EQ(ReadEndpoint(*options_.data_dir), std::nullopt);
}

TEST(StopSignal, TheSecondSignalEndsTheProcessWhicheverOfTheTwoItIs) {
  const auto twice = [](int first, int second) {
    const auto signal = StopSignal::Install();
    raise(first);
    if (signal.ok() && (*signal)->Came()) raise(second);
    _exit(0);
  };
  EXPECT_EXIT(twice(SIGTERM, SIGINT), ::testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(twice(SIGINT, SIGTERM), ::testing::KilledBySignal(SIGTERM), "");
  EXPECT_EXIT(twice(SIGTERM, SIGTERM), ::testing::KilledBySignal(SIGTERM), "");
}

TEST_F(ServeTest, MetricsAreServedWhereTheFileSaysAndOnlyThen) {
  std::string metrics;
  options_.on_metrics = [&](const std::string& address) { metrics = address; };
  ASSERT_FALSE(Begin().empty());
  EXPECT_EQ(metrics, "");
  stop_.Cancel();
  EXPECT_EQ(AwaitEnd(), OkStatus());
  thread_.join();

  const auto text = ReadFile(options_.config_file, 1 << 16);
  ASSERT_TRUE(text.ok());
  dir_.Write("vade.conf", *text + "metrics.address = 127.0.0.1:0\n");
  stop_ = CancelSource();
  options_.stop = stop_.token();
  ready_ = {}, ended_ = {};
  ASSERT_FALSE(Begin().empty());
  EXPECT_NE(metrics, "");
  const std::string page = testing::HttpGet(metrics, "/metrics");
  EXPECT_NE(page.find("vade_kept_bytes{in=\"disk\"} 0"), std::string::npos) << page;
}

TEST_F(ServeTest, AStaleEndpointIsReplacedByItsOwn) {
  dir_.Write("data/endpoint", "127.0.0.1:9\n");
  const std::string address = Begin();
  ASSERT_FALSE(address.empty());
  EXPECT_EQ(ReadEndpoint(*options_.data_dir), address);
}

TEST_F(ServeTest, ADirectoryThatIsInUseIsUnavailable) {
  ASSERT_FALSE(Begin().empty());
  LocalOptions second;
  second.data_dir = *options_.data_dir;
  EXPECT_EQ(LocalApi::Open(second).status().code(), StatusCode::kUnavailable);
}

TEST_F(ServeTest, ATakenPortIsAnErrorAndLeavesNoEndpoint) {
  testing::ServedFake other;
  options_.grpc_address = other.server->address();
  const Status status = Serve(options_);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status.ToString();
  EXPECT_EQ(ReadEndpoint(*options_.data_dir), std::nullopt);
}

}  // namespace
}  // namespace vade
