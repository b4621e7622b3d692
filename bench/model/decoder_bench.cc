// How fast does a decoder read a prompt and write an answer, and where does the time go?
//
//   decoder_bench MODEL.gguf [--threads N] [--prefill N=512] [--decode N=64] [--depth N=0]
//                 [--repeat N=3] [--level scalar|avx2|avx512|amx] [--packed DIR] [--profile]
//
// Prints tokens per second (medians over the repeats) and, for decoding, the bytes of weights read
// a second.
// --profile prints what each operation of the backend took in one prefill and one decode.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/threads.h"
#include "model/cpu_backend.h"
#include "model/transformer.h"

namespace vade {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The processor's backend with a stop watch around every operation.
class TimedBackend final : public Backend {
 public:
  explicit TimedBackend(ThreadPool* pool) : inner_(pool) {}

  std::map<std::string, double> seconds;

  Result<BufferHandle> NewBuffer(uint64_t bytes) override { return inner_.NewBuffer(bytes); }
  void FreeBuffer(BufferHandle buffer) override { inner_.FreeBuffer(buffer); }
  Status Upload(BufferHandle to, uint64_t offset, std::span<const uint8_t> bytes) override {
    return inner_.Upload(to, offset, bytes);
  }
  Status Download(BufferHandle from, uint64_t offset, std::span<uint8_t> bytes) override {
    return Timed("download", [&] { return inner_.Download(from, offset, bytes); });
  }
  Result<MatrixHandle> AddMatrix(const kernels::PackedMatrix& matrix) override {
    return inner_.AddMatrix(matrix);
  }
  Result<TableHandle> AddTable(TensorType type, std::span<const uint8_t> bytes, uint64_t rows,
                               uint64_t cols) override {
    return inner_.AddTable(type, bytes, rows, cols);
  }
  Result<VectorHandle> AddVector(std::span<const float> values) override {
    return inner_.AddVector(values);
  }
  Status Embed(TableHandle table, std::span<const int32_t> tokens, BufferHandle x) override {
    return Timed("embed", [&] { return inner_.Embed(table, tokens, x); });
  }
  Status NormProject(const NormProjectArgs& args) override {
    return Timed(args.projections.size() == 1 ? "head" : "qkv",
                 [&] { return inner_.NormProject(args); });
  }
  Status StoreKeysValues(const StoreArgs& args) override {
    return Timed("store", [&] { return inner_.StoreKeysValues(args); });
  }
  Status Attend(const AttendArgs& args) override {
    return Timed("attend", [&] { return inner_.Attend(args); });
  }
  Status ProjectAdd(MatrixHandle matrix, BufferHandle in, int rows, BufferHandle x) override {
    return Timed("out", [&] { return inner_.ProjectAdd(matrix, in, rows, x); });
  }
  Status FeedForward(const FeedForwardArgs& args) override {
    return Timed("feed-forward", [&] { return inner_.FeedForward(args); });
  }
  Status LogProbabilities(BufferHandle logits, int width, std::span<const int32_t> targets,
                          std::span<float> out) override {
    return Timed("scores", [&] { return inner_.LogProbabilities(logits, width, targets, out); });
  }
  Status KeepRows(BufferHandle buffer, int width, std::span<const int32_t> keep) override {
    return Timed("keep", [&] { return inner_.KeepRows(buffer, width, keep); });
  }
  Status CopyOut(const TokenArgs& args, std::span<uint8_t> out) override {
    return inner_.CopyOut(args, out);
  }
  Status CopyIn(const TokenArgs& args, std::span<const uint8_t> in) override {
    return inner_.CopyIn(args, in);
  }
  Status CopyPage(const AttentionShape& shape, BufferHandle pages, int32_t from,
                  int32_t to) override {
    return Timed("copy", [&] { return inner_.CopyPage(shape, pages, from, to); });
  }
  Status ClearPages(const AttentionShape& shape, BufferHandle buffer,
                    std::span<const int32_t> pages) override {
    return Timed("clear", [&] { return inner_.ClearPages(shape, buffer, pages); });
  }

 private:
  template <typename F>
  Status Timed(const char* name, F f) {
    const auto start = Clock::now();
    Status status = f();
    seconds[name] += SecondsSince(start);
    return status;
  }
  CpuBackend inner_;
};

struct Options {
  std::string model, packed;
  int threads = UsableCores(), prefill = 512, decode = 64, depth = 0, repeat = 3;
  std::optional<kernels::Level> level;
  enum class Profile { kOff, kOn } profile = Profile::kOff;
};

bool Parse(int argc, char** argv, Options* options) {
  const std::map<std::string, int*> numbers = {{"--threads", &options->threads},
                                               {"--prefill", &options->prefill},
                                               {"--decode", &options->decode},
                                               {"--depth", &options->depth},
                                               {"--repeat", &options->repeat}};
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--profile") {
      options->profile = Options::Profile::kOn;
    } else if (arg.rfind("--", 0) != 0) {
      options->model = arg;
    } else if (i + 1 == argc) {
      return false;
    } else if (const auto number = numbers.find(arg); number != numbers.end()) {
      *number->second = std::atoi(argv[++i]);
    } else if (arg == "--level") {
      options->level = kernels::ParseLevel(argv[++i]);
      if (!options->level || !kernels::LevelSupported(*options->level)) return false;
    } else if (arg == "--packed") {
      options->packed = argv[++i];
    } else {
      return false;
    }
  }
  return !options->model.empty() && options->threads > 0 && options->prefill >= 0 &&
         options->decode >= 0 && options->depth >= 0 && options->repeat > 0;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Tokens of no meaning; what they are does not change the time.
std::vector<int32_t> SomeTokens(int count, int vocab) {
  std::vector<int32_t> tokens(count);
  for (int i = 0; i < count; ++i) tokens[i] = (i * 7919 + 17) % vocab;
  return tokens;
}

void Must(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

double TimeOf(Decoder& decoder, Sequence& sequence, const std::vector<int32_t>& tokens) {
  const int32_t last = static_cast<int32_t>(tokens.size()) - 1;
  const ForwardItem item{&sequence, tokens, {}, {&last, 1}};
  const auto start = Clock::now();
  Must(decoder.Forward({&item, 1}, Context()).status());
  return SecondsSince(start);
}

double TimePrefill(Decoder& decoder, const Options& options) {
  auto sequence = decoder.NewSequence().value();
  return TimeOf(decoder, *sequence, SomeTokens(options.prefill, decoder.info().vocab_size));
}

double TimeDecode(Decoder& decoder, const Options& options) {
  auto sequence = decoder.NewSequence().value();
  TimeOf(decoder, *sequence, SomeTokens(options.depth + 1, decoder.info().vocab_size));
  double seconds = 0;
  for (int i = 0; i < options.decode; ++i) seconds += TimeOf(decoder, *sequence, {1000 + i});
  return seconds;
}

void PrintProfile(const char* what, TimedBackend* backend, double wall) {
  double sum = 0;
  std::printf("%s, ms:", what);
  for (const auto& [name, seconds] : backend->seconds) {
    std::printf("  %s %.1f", name.c_str(), seconds * 1e3);
    sum += seconds;
  }
  std::printf("  between %.1f\n", (wall - sum) * 1e3);
}

int Run(const Options& options) {
  std::optional<kernels::ScopedLevel> level;
  if (options.level) level.emplace(*options.level);
  ThreadPool pool(options.threads);
  auto owned = std::make_unique<TimedBackend>(&pool);
  TimedBackend* backend = owned.get();
  DecoderOptions decoder_options;
  decoder_options.pool = &pool;
  decoder_options.packed_cache_dir = options.packed;
  const auto start = Clock::now();
  auto loaded = LoadDecoderOn(std::move(owned), options.model, decoder_options);
  Must(loaded.status());
  Decoder& decoder = **loaded;
  std::printf("%s, %s, %d threads: loaded in %.2f s\n", decoder.info().name.c_str(),
              std::string(kernels::LevelName(kernels::Active().level)).c_str(), options.threads,
              SecondsSince(start));
  const double first = TimePrefill(decoder, options);
  std::printf("first prefill of %d: %.2f s\n", options.prefill, first);

  std::vector<double> prefill, decode;
  for (int i = 0; i < options.repeat; ++i) {
    backend->seconds.clear();
    if (options.prefill > 0) prefill.push_back(options.prefill / TimePrefill(decoder, options));
    if (options.prefill > 0 && i == 0 && options.profile == Options::Profile::kOn) {
      PrintProfile("prefill", backend, options.prefill / prefill.back());
    }
    if (options.decode > 0) decode.push_back(options.decode / TimeDecode(decoder, options));
  }
  if (!prefill.empty())
    std::printf("prefill %d: %.1f tokens/s\n", options.prefill, Median(prefill));
  if (!decode.empty()) {
    std::printf("decode %d at depth %d: %.2f tokens/s, %.2f GB/s of weights\n", options.decode,
                options.depth, Median(decode),
                Median(decode) * decoder.info().weight_bytes_per_token / 1e9);
  }
  if (options.decode > 0 && options.profile == Options::Profile::kOn) {
    auto sequence = decoder.NewSequence().value();
    TimeOf(decoder, *sequence, SomeTokens(options.depth + 1, decoder.info().vocab_size));
    backend->seconds.clear();
    double wall = 0;
    for (int i = 0; i < 16; ++i) wall += TimeOf(decoder, *sequence, {1000 + i});
    PrintProfile("16 tokens of decoding", backend, wall);
  }
  return 0;
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) {
  vade::Options options;
  if (!vade::Parse(argc, argv, &options)) {
    std::fprintf(
        stderr,
        "usage: decoder_bench MODEL.gguf [--threads N] [--prefill N] [--decode N] [--depth N] "
        "[--repeat N] [--level scalar|avx2|avx512|amx] [--packed DIR] [--profile]\n");
    return 2;
  }
  return vade::Run(options);
}
