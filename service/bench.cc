#include "service/bench.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "base/strings.h"
#include "kernels/kernels.h"

namespace vade {
namespace {

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Ordinary tokens of any vocabulary, spread so that no two neighbours are alike.
std::vector<int32_t> SomeTokens(const Decoder& decoder, int count) {
  const int64_t vocab = decoder.info().vocab_size;
  const int64_t span = std::max<int64_t>(1, std::min<int64_t>(vocab, 20000) - 200);
  std::vector<int32_t> tokens(count);
  for (int i = 0; i < count; ++i)
    tokens[i] = static_cast<int32_t>((i * 7919ll) % span + (vocab > 300 ? 100 : 0));
  return tokens;
}

Status Read(Decoder* decoder, Sequence* sequence, std::span<const int32_t> tokens,
            const Context& ctx) {
  const int32_t last = static_cast<int32_t>(tokens.size()) - 1;
  const ForwardItem item{sequence, tokens, {}, {&last, 1}};
  return decoder->Forward({&item, 1}, ctx).status();
}

Status CheckCounts(const Decoder& decoder, int tokens, int depth, int repeat) {
  if (tokens < 1 || depth < 0 || repeat < 1)
    return InvalidArgument("--tokens and --repeat must be at least 1");
  if (int64_t{tokens} + depth > decoder.info().context_tokens) {
    return OutOfRange(
        StrCat("tokens and depth exceed the context of ", decoder.info().context_tokens));
  }
  return OkStatus();
}

}  // namespace

Result<DecoderBench> BenchPrefill(Decoder* decoder, int tokens, int repeat, const Context& ctx) {
  RETURN_IF_ERROR(CheckCounts(*decoder, tokens, 0, repeat));
  const std::vector<int32_t> ids = SomeTokens(*decoder, tokens);
  std::vector<double> rates;
  for (int i = -1; i < repeat; ++i) {  // the first run warms caches and is not counted
    ASSIGN_OR_RETURN(auto sequence, decoder->NewSequence());
    const auto start = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(Read(decoder, sequence.get(), ids, ctx));
    if (i >= 0) rates.push_back(tokens / Seconds(start));
  }
  return DecoderBench{Median(std::move(rates)), -1, 0};
}

Result<DecoderBench> BenchDecode(Decoder* decoder, ThreadPool* pool, int tokens, int depth,
                                 int repeat, const Context& ctx) {
  RETURN_IF_ERROR(CheckCounts(*decoder, tokens, depth + 1, repeat));
  const std::vector<int32_t> ids = SomeTokens(*decoder, tokens + depth + 1);
  std::vector<double> rates, reads;
  for (int i = 0; i < repeat; ++i) {
    ASSIGN_OR_RETURN(auto sequence, decoder->NewSequence());
    RETURN_IF_ERROR(
        Read(decoder, sequence.get(), {ids.data(), static_cast<size_t>(depth + 1)}, ctx));
    const auto start = std::chrono::steady_clock::now();
    for (int t = 0; t < tokens; ++t) {
      RETURN_IF_ERROR(Read(decoder, sequence.get(), {&ids[depth + 1 + t], 1}, ctx));
    }
    rates.push_back(tokens / Seconds(start));
    reads.push_back(MeasureReadBandwidth(pool));
  }
  DecoderBench bench{Median(std::move(rates)), -1, Median(std::move(reads))};
  bench.bandwidth_share = bench.tokens_per_second *
                          static_cast<double>(decoder->info().weight_bytes_per_token) /
                          bench.read_bytes_per_second;
  return bench;
}

// What the vector unit can read: a plain loop of 64-bit additions is too slow to be a roof. With
// and without fetching ahead, since machines differ in which is faster; the best of six counts.
double MeasureReadBandwidth(ThreadPool* pool) {
  static const std::vector<float> buffer(size_t{384} << 18, 1.0f);  // 384 MiB
  constexpr size_t kPiece = 1024, kLine = 16;                       // floats: 4 KiB, 64 bytes
  const auto dot = kernels::Active().distance.dot_f32;
  std::atomic<uint64_t> total{0};
  double best = 0;
  for (int i = 0; i < 6; ++i) {
    const bool ahead = i % 2 == 1;
    const auto start = std::chrono::steady_clock::now();
    pool->ParallelFor(buffer.size() / kPiece, 512, [&](size_t begin, size_t end) {
      float sum = 0;
      for (size_t piece = begin; piece < end; ++piece) {
        const float* floats = buffer.data() + piece * kPiece;
        for (size_t j = 0; ahead && piece + 1 < end && j < kPiece; j += kLine) {
          __builtin_prefetch(floats + kPiece + j);
        }
        sum += dot(floats, floats, kPiece);
      }
      total += static_cast<uint64_t>(sum);
    });
    best = std::max(best, static_cast<double>(buffer.size() * sizeof(float)) / Seconds(start));
  }
  // The total keeps the compiler from dropping the loop.
  return total.load() == 0 ? 0 : best;
}

Result<EmbedBench> BenchEmbed(Embedder* embedder, int tokens, int batch, int repeat,
                              const Context& ctx) {
  if (tokens < 1 || batch < 1 || repeat < 1)
    return InvalidArgument("--tokens, --batch and --repeat must be at least 1");
  if (tokens > embedder->max_tokens()) {
    return OutOfRange(StrCat("--tokens is at most ", embedder->max_tokens(), " for this embedder"));
  }
  std::vector<std::string> texts(batch);
  double token_count = 0;
  for (int i = 0; i < batch; ++i) {
    for (int word = 0; word == 0 || static_cast<int>(embedder->CountTokens(texts[i])) < tokens - 4;
         ++word) {
      texts[i] += StrCat(word ? " " : "", "tide gauge ", (word * 37 + i * 101) % 997);
    }
    token_count += static_cast<double>(embedder->CountTokens(texts[i]));
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<double> seconds;
  for (int i = -1; i < repeat; ++i) {
    const auto start = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(embedder->Embed(views, EmbedRole::kPassage, ctx).status());
    if (i >= 0) seconds.push_back(Seconds(start));
  }
  const double median = Median(std::move(seconds));
  return EmbedBench{token_count / median, batch / median};
}

}  // namespace vade
