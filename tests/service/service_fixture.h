// A LocalApi over fakes, a server over that, and a client of the server: what the tests of service/
// share.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "service/local_api.h"
#include "service/remote_api.h"
#include "service/server.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/scripted_decoder.h"

namespace vade::testing {

inline const char kLeaveText[] =
    "# Leave\n\nEveryone has thirty days of paid leave a year. Leave is asked for two weeks "
    "ahead.\n";
inline const char kQuayText[] =
    "# The quay\n\nHelmets are worn on the quay at all times. Lifting stops above nine metres of "
    "wind a second.\n";

inline LocalOptions OneThread() {
  LocalOptions options;
  options.threads = 1;
  return options;
}

// How many steps a decoder has made, and how long each takes. Shared with the decoder's hook, which
// may outlive the test's own variables.
class Pace {
 public:
  Pace(ScriptedDecoder* decoder, std::chrono::milliseconds step) {
    decoder->BeforeForward([state = state_, step](std::span<const ForwardItem>) {
      ++state->steps;
      const auto until = std::chrono::steady_clock::now() + step;
      while (!state->released && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      return OkStatus();
    });
  }
  ~Pace() { Release(); }

  // From now on steps take no time.
  void Release() { state_->released = true; }
  bool AwaitSteps(int wanted) const {
    for (int i = 0; i < 20000 && state_->steps < wanted; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return state_->steps >= wanted;
  }
  // Whether the decoder comes to rest: long before an endless answer would have ended.
  bool Ceases() const {
    for (int i = 0; i < 20; ++i) {
      const int then = state_->steps;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      if (state_->steps == then) return true;
    }
    return false;
  }

 private:
  struct State {
    std::atomic<int> steps{0};
    std::atomic<bool> released{false};
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

// The fakes belong to the LocalApi; tests keep pointers to turn their knobs.
struct FakeService {
  MemoryStore* store = nullptr;
  HashingEmbedder* embedder = nullptr;
  ScriptedDecoder* decoder = nullptr;
  std::unique_ptr<LocalApi> local;

  explicit FakeService(const LocalOptions& options = OneThread()) {
    LocalParts parts;
    auto own_store = std::make_unique<MemoryStore>();
    auto own_embedder = std::make_unique<HashingEmbedder>();
    auto own_decoder = std::make_unique<ScriptedDecoder>();
    store = own_store.get();
    embedder = own_embedder.get();
    decoder = own_decoder.get();
    std::string endless;
    while (endless.size() < 4000) endless += "And so it goes on. ";
    decoder->Say("endless story", endless);
    decoder->Say("paid leave", "Everyone has thirty days of paid leave a year.");
    decoder->Say("", "The documents say nothing more.");
    parts.store = std::move(own_store);
    parts.embedder = std::move(own_embedder);
    parts.decoder = std::move(own_decoder);
    auto made = LocalApi::FromParts(std::move(parts), options);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    if (made.ok()) local = std::move(made).value();
  }
};

// The same behind a server on loopback.
struct ServedFake : FakeService {
  std::unique_ptr<Server> server;
  std::unique_ptr<Api> remote;

  explicit ServedFake(ServerOptions options = {}, const LocalOptions& local_options = OneThread())
      : FakeService(local_options) {
    options.grpc_address = "127.0.0.1:0";
    auto started = Server::Start(local.get(), options);
    EXPECT_TRUE(started.ok()) << started.status().ToString();
    if (!started.ok()) return;
    server = std::move(started).value();
    auto connected = ConnectApi(server->address());
    EXPECT_TRUE(connected.ok()) << connected.status().ToString();
    if (connected.ok()) remote = std::move(connected).value();
  }
  ~ServedFake() {
    remote.reset();
    server.reset();
  }
};

inline PutRequest MakePut(std::string id, std::string text) {
  PutRequest request;
  request.info.id = std::move(id);
  request.bytes = std::move(text);
  return request;
}

inline AskRequest MakeAsk(std::string question) {
  AskRequest request;
  request.query.question = std::move(question);
  return request;
}

// One that takes four thousand steps, if nobody stops it.
inline AskRequest AskEndlessly() {
  AskRequest request = MakeAsk("An endless story of paid leave?");
  request.sampling.max_tokens = 8000;
  return request;
}

}  // namespace vade::testing
