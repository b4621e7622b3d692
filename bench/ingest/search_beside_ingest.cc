// How much longer do questions take while a folder is taken in? One LocalApi, which is what a
// service is, with the real embedder: questions one after the other on one thread, with a pause
// between them, alone and then while another thread ingests.
//
//   search_beside_ingest FOLDER [SECONDS=20] [PAUSE_MS=50]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "service/local_api.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using Clock = std::chrono::steady_clock;

struct Quantiles {
  double p50 = 0, p99 = 0;
  size_t questions = 0;
};

Quantiles AskFor(LocalApi* api, double seconds, int pause_ms, const std::atomic<bool>& over) {
  static const char* const kQuestions[] = {
      "When is the boiler serviced?", "Who keeps the keys of the archive?",
      "How long may a borrowed book be kept?", "What does the gate code open?"};
  std::vector<double> times;
  const auto begin = Clock::now();
  while (!over && std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
    Query query;
    query.collection = "small";
    query.question = kQuestions[times.size() % 4];
    const auto asked = Clock::now();
    const auto found = api->Search(query, {});
    if (!found.ok()) {
      std::fprintf(stderr, "%s\n", found.status().ToString().c_str());
      std::exit(1);
    }
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - asked).count());
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
  }
  std::sort(times.begin(), times.end());
  if (times.empty()) return {};
  return {times[times.size() / 2], times[times.size() * 99 / 100], times.size()};
}

int Run(const std::string& folder, double seconds, int pause_ms) {
  const testing::TempDir data;
  LocalOptions options;
  options.data_dir = data.path();
  auto api = LocalApi::Open(options);
  if (!api.ok()) return std::fprintf(stderr, "%s\n", api.status().ToString().c_str()), 1;
  PutRequest put;
  put.info.id = "note";
  put.bytes = "The boiler is serviced in May. The keys of the archive are with the porter.";
  if (!(*api)->PutDocument("small", put, {}).ok()) return 1;

  std::atomic<bool> over{false};
  (void)AskFor(api->get(), 2, 0, over);  // warm
  const Quantiles alone = AskFor(api->get(), seconds, pause_ms, over);
  CancelSource cancel;
  uint64_t passages = 0;
  std::thread ingesting([&] {
    (void)(*api)->Ingest(
        {folder}, {}, [&](const IngestProgress& p) { passages = p.passages; },
        Context().WithCancel(cancel.token()));
    over = true;
  });
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const Quantiles beside = AskFor(api->get(), seconds, pause_ms, over);
  cancel.Cancel();
  ingesting.join();
  std::printf(
      "alone: %zu questions, p50 %.1f ms, p99 %.1f ms\nbeside ingestion: %zu questions, p50 %.1f "
      "ms, p99 %.1f ms (%.2f times); %llu passages stored meanwhile\n",
      alone.questions, alone.p50, alone.p99, beside.questions, beside.p50, beside.p99,
      beside.p99 / alone.p99, static_cast<unsigned long long>(passages));
  return 0;
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) {
  if (argc < 2)
    return std::fprintf(stderr, "search_beside_ingest FOLDER [SECONDS] [PAUSE_MS]\n"), 2;
  return vade::Run(argv[1], argc > 2 ? std::atof(argv[2]) : 20, argc > 3 ? std::atoi(argv[3]) : 50);
}
