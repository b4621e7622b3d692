// The specification of matrix products: other levels give the same bits for quantised formats.
//
// Integer sums are exact, so only the float steps need an order: an element starts at 0 and its
// blocks are added first to last, each as
//   sum = fma(float(integer sum), weight scale * activation scale, sum)
//   sum = fma(weight minimum, ...) where the format has minima (see AddBlock32, AddSuperBlock).
// Float formats add one column after the other, sum = fma(w, x, sum).

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "kernels/packed.h"

namespace vade::kernels {
namespace {

// Tokens that share one decoding of a block.
constexpr size_t kTokens = 16;
using Sums = float[kTokens][kTileRows];

template <typename T>
T Load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

float LoadHalf(const uint8_t* halves, size_t row) {
  return HalfToFloat(Load<uint16_t>(halves + 2 * row));
}

// Codes of n activations at `out`; returns their scale.
float Quantise(const float* x, size_t n, int8_t* out) {
  float largest = 0;
  bool finite = true;
  for (size_t i = 0; i < n; ++i) {
    finite = finite && std::isfinite(x[i]);
    largest = std::max(largest, std::fabs(x[i]));
  }
  if (!finite || largest < kSmallestMaximum) {
    std::memset(out, 0, n);
    return finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  const float inverse = 127.0f / largest;
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  return largest / 127.0f;
}

void Prepare32(const float* x, size_t cols, uint8_t* out) {
  uint8_t* records = out + cols;
  for (size_t k = 0; k < cols; k += 32, records += sizeof(Prepared32)) {
    auto* codes = reinterpret_cast<int8_t*>(out + k);
    Prepared32 record = {Quantise(x + k, 32, codes), 0, 0};
    for (size_t i = 0; i < 32; ++i) record.sum += codes[i];
    record.scaled_sum = record.scale * static_cast<float>(record.sum);
    std::memcpy(records, &record, sizeof(record));
  }
}

void Prepare256(const float* x, size_t cols, uint8_t* out) {
  uint8_t* records = out + cols;
  for (size_t k = 0; k < cols; k += 256, records += sizeof(Prepared256)) {
    auto* codes = reinterpret_cast<int8_t*>(out + k);
    Prepared256 record = {Quantise(x + k, 256, codes), {}, {}};
    for (size_t i = 0; i < 256; ++i) {
      record.sums16[i / 16] = static_cast<int16_t>(record.sums16[i / 16] + codes[i]);
      record.sums32[i / 32] = static_cast<int16_t>(record.sums32[i / 32] + codes[i]);
    }
    std::memcpy(records, &record, sizeof(record));
  }
}

void Prepare(Format format, const float* x, size_t cols, uint8_t* out) {
  const size_t size = PreparedBytes(format, cols);
  if (size >= 64)
    std::memset(out + size - 64, 0, 64);  // what lies behind the row is always the same
  if (IsFloat(format)) {
    std::memcpy(out, x, cols * sizeof(float));
  } else if (IsSuper(format)) {
    Prepare256(x, cols, out);
  } else {
    Prepare32(x, cols, out);
  }
}

int32_t Dot(const uint8_t* codes, const int8_t* x, size_t n, bool is_signed) {
  int32_t sum = 0;
  for (size_t i = 0; i < n; ++i)
    sum += (is_signed ? static_cast<int8_t>(codes[i]) : codes[i]) * x[i];
  return sum;
}

// The prepared rows of the tokens at hand, and which columns of them.
struct Activations {
  const uint8_t* rows;
  size_t row_bytes;
  size_t cols;
  size_t tokens;
  const int8_t* Codes(size_t token, size_t column) const {
    return reinterpret_cast<const int8_t*>(rows + token * row_bytes + column);
  }
  template <typename Record>
  Record RecordOf(size_t token, size_t block) const {
    return Load<Record>(rows + token * row_bytes + cols + block * sizeof(Record));
  }
};

void AddBlock32(Format format, const uint8_t* block, const Activations& x, size_t index,
                Sums& sums) {
  uint8_t codes[kTileRows][32];
  ReadGroup(format, block + CodesOffset(format), codes);
  for (size_t token = 0; token < x.tokens; ++token) {
    const auto record = x.RecordOf<Prepared32>(token, index);
    for (size_t row = 0; row < kTileRows; ++row) {
      const int32_t dot = Dot(codes[row], x.Codes(token, 32 * index), 32, CodeBits(format) == 8) -
                          ZeroOf(format) * record.sum;
      float& sum = sums[token][row];
      sum = std::fma(static_cast<float>(dot), LoadHalf(block, row) * record.scale, sum);
      if (HasMinimum(format)) {
        sum = std::fma(LoadHalf(block + kMinimumOffset, row), record.scaled_sum, sum);
      }
    }
  }
}

// Integer sums of one row and token over a super-block: codes by scales, and minima by sums of
// codes.
struct SuperDots {
  int32_t codes = 0;
  int32_t minima = 0;
};

SuperDots DotSuperBlock(Format format, const uint8_t (&codes)[8][kTileRows][32],
                        const uint8_t* scales, size_t row, const int8_t* x,
                        const Prepared256& record) {
  SuperDots dots;
  for (size_t group = 0; group < 8; ++group) {
    const uint8_t* c = codes[group][row];
    if (format != Format::kQ6Super) {
      dots.codes += scales[SixBitsIndex(false, group, row)] * Dot(c, x + 32 * group, 32, false);
      dots.minima += scales[SixBitsIndex(true, group, row)] * record.sums32[group];
      continue;
    }
    for (size_t half = 0; half < 2; ++half) {
      const auto scale = static_cast<int8_t>(scales[(group * kTileRows + row) * 2 + half]);
      const size_t sixteen = 2 * group + half;
      dots.codes += scale * (Dot(c + 16 * half, x + 16 * sixteen, 16, false) -
                             ZeroOf(format) * record.sums16[sixteen]);
    }
  }
  return dots;
}

void AddSuperBlock(Format format, const uint8_t* block, const Activations& x, size_t index,
                   Sums& sums) {
  uint8_t codes[8][kTileRows][32];
  for (size_t group = 0; group < 8; ++group) {
    ReadGroup(format, block + CodesOffset(format) + group * GroupBytes(format), codes[group]);
  }
  const uint8_t* scales = block + ScalesOffset(format);
  uint8_t six_bits[256];
  if (format != Format::kQ6Super) {
    ReadSixBits(scales, six_bits);
    scales = six_bits;
  }
  for (size_t token = 0; token < x.tokens; ++token) {
    const auto record = x.RecordOf<Prepared256>(token, index);
    for (size_t row = 0; row < kTileRows; ++row) {
      const SuperDots dots =
          DotSuperBlock(format, codes, scales, row, x.Codes(token, 256 * index), record);
      float& sum = sums[token][row];
      sum = std::fma(static_cast<float>(dots.codes), LoadHalf(block, row) * record.scale, sum);
      if (HasMinimum(format)) {
        sum = std::fma(-static_cast<float>(dots.minima),
                       LoadHalf(block + kMinimumOffset, row) * record.scale, sum);
      }
    }
  }
}

float FloatWeight(Format format, const uint8_t* column, size_t row) {
  switch (format) {
    case Format::kF32: return Load<float>(column + 4 * row);
    case Format::kF16: return LoadHalf(column, row);
    default:
      return std::bit_cast<float>(static_cast<uint32_t>(Load<uint16_t>(column + 2 * row)) << 16);
  }
}

void AddFloatColumn(Format format, const uint8_t* column, const Activations& x, size_t k,
                    Sums& sums) {
  for (size_t row = 0; row < kTileRows; ++row) {
    const float weight = FloatWeight(format, column, row);
    for (size_t token = 0; token < x.tokens; ++token) {
      const float value = Load<float>(x.rows + token * x.row_bytes + 4 * k);
      sums[token][row] = std::fma(weight, value, sums[token][row]);
    }
  }
}

void MultiplyTile(const PackedMatrix& w, const uint8_t* tile, const Activations& x, Sums& sums) {
  const size_t blocks = w.cols / BlockCols(w.format);
  for (size_t block = 0; block < blocks; ++block, tile += BlockBytes(w.format)) {
    if (IsFloat(w.format)) {
      AddFloatColumn(w.format, tile, x, block, sums);
    } else if (IsSuper(w.format)) {
      AddSuperBlock(w.format, tile, x, block, sums);
    } else {
      AddBlock32(w.format, tile, x, block, sums);
    }
  }
}

void Multiply(const PackedMatrix& w, size_t tile_begin, size_t tile_end, const uint8_t* x,
              size_t tokens, float* y, size_t y_stride) {
  const size_t row_bytes = PreparedBytes(w.format, w.cols);
  for (size_t tile = tile_begin; tile < tile_end; ++tile) {
    const size_t first_row = tile * kTileRows;
    const size_t rows = std::min(kTileRows, w.rows - first_row);
    for (size_t token = 0; token < tokens; token += kTokens) {
      const Activations some = {x + token * row_bytes, row_bytes, w.cols,
                                std::min(kTokens, tokens - token)};
      Sums sums = {};
      MultiplyTile(w, w.data + tile * w.TileBytes(), some, sums);
      for (size_t t = 0; t < some.tokens; ++t) {
        std::memcpy(y + (token + t) * y_stride + first_row, sums[t], rows * sizeof(float));
      }
    }
  }
}

}  // namespace

const MatmulKernels kMatmulScalar = {Prepare, Multiply};

}  // namespace vade::kernels
