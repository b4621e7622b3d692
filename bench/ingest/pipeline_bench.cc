// What does ingestion cost beside the embedder? A folder goes into a throwaway store with a hashing
// embedder, whose vectors cost next to nothing; printed are files, bytes and passages a second, and
// the greatest memory.
//
//   pipeline_bench PATH...
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/context.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/temp_dir.h"

int main(int argc, char** argv) {
  using namespace vade;
  const std::vector<std::string> paths(argv + 1, argv + argc);
  const testing::TempDir data;
  auto store = OpenStore(data.path(), {});
  if (!store.ok()) return std::fprintf(stderr, "%s\n", store.status().ToString().c_str()), 1;
  HashingEmbedder embedder(384);
  IngestProgress last;
  const auto begin = std::chrono::steady_clock::now();
  auto report =
      Ingestor(store->get(), &embedder, {})
          .IngestPaths(paths, [&](const IngestProgress& progress) { last = progress; }, {});
  if (!report.ok()) return std::fprintf(stderr, "%s\n", report.status().ToString().c_str()), 1;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "%llu files, %.1f MB, %llu passages, %llu failed in %.1f s: %.0f files/s, %.2f MB/s, %.0f "
      "passages/s; greatest memory %.0f MB\n",
      static_cast<unsigned long long>(last.files_done), static_cast<double>(last.bytes_done) / 1e6,
      static_cast<unsigned long long>(report->passages),
      static_cast<unsigned long long>(report->failed), seconds,
      static_cast<double>(last.files_done) / seconds,
      static_cast<double>(last.bytes_done) / 1e6 / seconds,
      static_cast<double>(report->passages) / seconds, static_cast<double>(usage.ru_maxrss) / 1e3);
  return 0;
}
