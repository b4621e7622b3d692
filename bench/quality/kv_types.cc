// What does it cost to round the keys and values of the pages? Reads a text with float32 pages and,
// beside it, with float16, q8 and q4 ones: how probable each finds the text, how far each
// distribution lies from that of the float32 pages, and how often the likeliest token is another
// one.
//
//   kv_types MODEL TEXT_FILE [TOKENS]     the first TOKENS of the text, default 1900
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/threads.h"
#include "model/decoder.h"

namespace vade {
namespace {

constexpr size_t kStep = 64;

template <typename T>
T Must(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
  std::exit(1);
}

std::vector<double> LogSoftmax(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (float x : logits) total += std::exp(x - highest);
  std::vector<double> out(logits.begin(), logits.end());
  for (double& x : out) x -= highest + std::log(total);
  return out;
}

// One type beside the reference, summed over tokens.
struct Sums {
  double nll = 0, divergence = 0, worst = 0;
  int moved = 0;

  void Add(const std::vector<double>& reference, const std::vector<double>& ours, int32_t next) {
    double kl = 0;
    for (size_t i = 0; i < ours.size(); ++i)
      kl += std::exp(reference[i]) * (reference[i] - ours[i]);
    nll -= ours[next];
    divergence += kl;
    worst = std::max(worst, kl);
    const auto likeliest = [](const std::vector<double>& p) {
      return std::max_element(p.begin(), p.end()) - p.begin();
    };
    moved += likeliest(reference) != likeliest(ours);
  }
};

struct Reader {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Sequence> sequence;
  Sums sums;
};

void Compare(std::vector<Reader>& readers, std::span<const int32_t> tokens) {
  for (size_t begin = 0; begin + 1 < tokens.size(); begin += kStep) {
    const auto part = tokens.subspan(begin, std::min(kStep, tokens.size() - 1 - begin));
    std::vector<int32_t> wanted(part.size());
    std::iota(wanted.begin(), wanted.end(), 0);
    std::vector<Logits> logits;
    for (Reader& reader : readers) {
      const ForwardItem item{reader.sequence.get(), part, {}, wanted};
      logits.push_back(Must(reader.decoder->Forward({&item, 1}, Context())));
    }
    for (size_t i = 0; i < part.size(); ++i) {
      const auto reference = LogSoftmax(logits[0].row(i));
      for (size_t r = 0; r < readers.size(); ++r) {
        readers[r].sums.Add(reference, LogSoftmax(logits[r].row(i)), tokens[begin + i + 1]);
      }
    }
  }
}

int Main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: kv_types MODEL TEXT_FILE [TOKENS]\n");
    return 2;
  }
  const size_t most = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 1900;
  ThreadPool pool(UsableCores());
  std::vector<Reader> readers;
  for (kernels::KvType type : kernels::kAllKvTypes) {
    DecoderOptions options;
    options.pool = &pool;
    options.kv_type = type;
    Reader& reader = readers.emplace_back();
    reader.decoder = Must(LoadDecoder(argv[1], options));
    reader.sequence = Must(reader.decoder->NewSequence());
  }
  auto tokens =
      readers[0].decoder->tokenizer().Encode(Must(ReadFile(argv[2], 64 << 20)), Special::kText);
  tokens.resize(std::min(tokens.size(), most));
  if (tokens.size() < 2) {
    std::fprintf(stderr, "%s: a text of two tokens or more is wanted\n", argv[2]);
    return 1;
  }
  Compare(readers, tokens);
  const double n = static_cast<double>(tokens.size()) - 1;
  std::printf("%s, %.0f tokens\n", readers[0].decoder->info().name.c_str(), n);
  for (const Reader& reader : readers) {
    const Sums& s = reader.sums;
    std::printf(
        "%-4s %5llu bytes a token  NLL %.5f  perplexity %.4f  KL mean %.2e worst %.2e  "
        "likeliest moved %.2f%%\n",
        reader.decoder->info().kv_type.c_str(),
        static_cast<unsigned long long>(reader.decoder->info().kv_bytes_per_token), s.nll / n,
        std::exp(s.nll / n), s.divergence / n, s.worst, 100 * s.moved / n);
  }
  return 0;
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) { return vade::Main(argc, argv); }
