// How fast are the matrix products, against the read bandwidth of one core?
//
//   matmul_bench [--level NAME] [--format NAME] [--rows R] [--tokens M] [--seconds S]
//
// Shapes are those of Qwen2.5 0.5B and 1.5B; one thread. Few tokens read weights from memory
// (enough copies that no cache holds them), many tokens find them in cache. GB/s counts the packed
// bytes; GOP/s counts a multiplication and an addition for each weight and token; "roof" is the
// share of the measured bandwidth.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace vade::kernels {
namespace {

struct Shape {
  size_t rows, cols;
};
constexpr Shape kShapes[] = {{896, 896},   {4864, 896},  {896, 4864}, {151936, 896},
                             {1536, 1536}, {8960, 1536}, {1536, 8960}};
constexpr size_t kTokenCounts[] = {1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 512};

struct NamedFormat {
  Format format;
  const char* name;
};
constexpr NamedFormat kFormats[] = {
    {Format::kQ4Centred, "Q4_0"}, {Format::kQ4Block32, "Q4_1"}, {Format::kQ5Centred, "Q5_0"},
    {Format::kQ8Block32, "Q8_0"}, {Format::kQ4Super, "Q4_K"},   {Format::kQ5Super, "Q5_K"},
    {Format::kQ6Super, "Q6_K"},   {Format::kF16, "F16"},        {Format::kF32, "F32"}};

constexpr size_t kColdBytes = size_t{160} << 20;  // more than any last-level cache we meet

struct Options {
  std::string level, format;
  size_t tokens = 0, shape_rows = 0;
  double seconds = 0.2;
};

// Time that this thread had a core: other processes on the machine disturb it less than wall time.
double Now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Random bytes of which every float16 or float32 is finite: the top exponent bit is clear.
std::vector<uint8_t> RandomBytes(size_t size) {
  std::vector<uint8_t> bytes(size + 64);
  uint64_t state = 88172645463325252u;
  for (uint8_t& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<uint8_t>(state) & 0xbf;
  }
  return bytes;
}

// With the vector unit, and with fetching ahead as the kernels do.
double MeasureBandwidth(double seconds) {
  constexpr size_t kPiece = 4096;
  const std::vector<float> floats(kColdBytes / sizeof(float), 1.0f);
  const auto dot = TableOf(BestLevel()).distance.dot_f32;
  size_t passes = 0;
  float sum = 0;
  const double start = Now();
  double elapsed = 0;
  for (; elapsed < seconds; ++passes, elapsed = Now() - start) {
    for (size_t i = 0; i + 2 * kPiece <= kColdBytes; i += kPiece) {
      const float* piece = floats.data() + i / sizeof(float);
      for (size_t j = 0; j < kPiece; j += 64) __builtin_prefetch(piece + (kPiece + j) / 4);
      sum += dot(piece, piece, kPiece / sizeof(float));
    }
  }
  volatile float sink = sum;
  (void)sink;
  return static_cast<double>(passes * kColdBytes) / elapsed;
}

void RunCase(const KernelTable& table, const NamedFormat& format, const Shape& shape, size_t tokens,
             const std::vector<uint8_t>& bytes, double roof, double seconds) {
  PackedMatrix w = {format.format, shape.rows, shape.cols, nullptr};
  const size_t size = PackedBytes(w.format, w.rows, w.cols);
  const uint8_t* first = bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64;
  const size_t copies = tokens > 4 ? 1 : std::max<size_t>(1, kColdBytes / size);
  if (size > bytes.size() - 64) return;  // F32 heads

  const size_t row_bytes = PreparedBytes(w.format, w.cols);
  std::vector<float> x(w.cols);
  for (size_t i = 0; i < w.cols; ++i) x[i] = static_cast<float>(i % 37) - 18;
  std::vector<uint8_t> prepared(tokens * row_bytes);
  for (size_t t = 0; t < tokens; ++t) {
    table.matmul.prepare(w.format, x.data(), w.cols, prepared.data() + t * row_bytes);
  }
  std::vector<float> y(tokens * w.rows);
  size_t calls = 0;
  const double start = Now();
  double elapsed = 0;
  while (elapsed < seconds) {
    w.data = first + calls % copies * size;
    table.matmul.multiply(w, 0, w.TileCount(), prepared.data(), tokens, y.data(), w.rows);
    elapsed = Now() - start;
    ++calls;
  }
  const double per_call = elapsed / static_cast<double>(calls);
  const double operations = 2.0 * static_cast<double>(w.rows * w.cols * tokens) / per_call;
  const double bandwidth = static_cast<double>(size) / per_call;
  std::printf("%-7s %-5s %6zu x %-5zu m=%-4zu %8.1f us %8.1f GOP/s %7.2f GB/s %5.2f of roof\n",
              std::string(LevelName(table.level)).c_str(), format.name, w.rows, w.cols, tokens,
              per_call * 1e6, operations * 1e-9, bandwidth * 1e-9, bandwidth / roof);
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i], value = argv[i + 1];
    if (key == "--level") options.level = value;
    if (key == "--format") options.format = value;
    if (key == "--tokens") options.tokens = std::strtoul(value.c_str(), nullptr, 10);
    if (key == "--rows") options.shape_rows = std::strtoul(value.c_str(), nullptr, 10);
    if (key == "--seconds") options.seconds = std::strtod(value.c_str(), nullptr);
  }
  return options;
}

void Run(const Options& options) {
  const std::vector<uint8_t> bytes = RandomBytes(std::max(kColdBytes, size_t{200} << 20));
  const double roof = MeasureBandwidth(2 * options.seconds);
  std::printf("read bandwidth of one thread: %.2f GB/s\n", roof * 1e-9);
  for (Level level : kAllLevels) {
    if (!LevelSupported(level)) continue;
    // The scalar level is the specification and slow: only when asked for.
    if (options.level.empty() ? level == Level::kScalar : LevelName(level) != options.level)
      continue;
    for (const NamedFormat& format : kFormats) {
      if (!options.format.empty() && options.format != format.name) continue;
      for (const Shape& shape : kShapes) {
        if (options.shape_rows != 0 && options.shape_rows != shape.rows) continue;
        if (shape.cols % 256 != 0 && SamePreparedForm(format.format, Format::kQ4Super)) continue;
        for (size_t tokens : kTokenCounts) {
          if (options.tokens != 0 && options.tokens != tokens) continue;
          if (shape.rows > 100000 && tokens > 4) continue;  // the head is read for few tokens
          RunCase(TableOf(level), format, shape, tokens, bytes, roof, options.seconds);
        }
      }
    }
  }
}

}  // namespace
}  // namespace vade::kernels

int main(int argc, char** argv) { vade::kernels::Run(vade::kernels::ParseOptions(argc, argv)); }
