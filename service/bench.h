// `vade bench`: how fast the parts are on this machine. Medians of repeats; nothing is asserted.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "base/threads.h"
#include "index/index.h"
#include "model/decoder.h"
#include "model/embedder.h"

namespace vade {

struct DecoderBench {
  double tokens_per_second = 0;
  double bandwidth_share = -1;  // of read_bytes_per_second; -1: not measured (prefill)
  double read_bytes_per_second = 0;
};
// Reads a prompt of `tokens` in one Forward.
Result<DecoderBench> BenchPrefill(Decoder* decoder, int tokens, int repeat, const Context& ctx);
// Writes `tokens` one at a time behind `depth` that were read before.
Result<DecoderBench> BenchDecode(Decoder* decoder, ThreadPool* pool, int tokens, int depth,
                                 int repeat, const Context& ctx);

// Bytes a second that the pool's threads read from memory, summing a buffer much larger than the
// caches.
double MeasureReadBandwidth(ThreadPool* pool);

struct EmbedBench {
  double tokens_per_second = 0;
  double passages_per_second = 0;
};
// Batches of `batch` texts of about `tokens` tokens each.
Result<EmbedBench> BenchEmbed(Embedder* embedder, int tokens, int batch, int repeat,
                              const Context& ctx);

struct SearchBenchOptions {
  size_t vectors = 100000;
  int dimension = 384;
  bool hnsw = true;  // false: scanned
  int ef = 64;
  size_t queries = 1000;
  int repeat = 3;
  std::string directory;  // for the throwaway store; removed at the end
};
struct SearchBench {
  double recall_at_10 = 0;
  double queries_per_second = 0;  // one thread, Store::Search with its texts
  double build_seconds = 0;       // puts and sealing
  double bytes_per_vector = 0;    // of the data directory
};
// Seeded unit vectors around cluster centres, through the Store as a user would put them.
Result<SearchBench> BenchSearch(const SearchBenchOptions& options, const Context& ctx);

}  // namespace vade
