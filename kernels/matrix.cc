#include "kernels/matrix.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/status.h"
#include "kernels/blocks.h"
#include "kernels/int8.h"
#include "kernels/packed.h"

namespace vade::kernels {
namespace {

using Codes = uint8_t[kTileRows][32];

constexpr size_t RoundUp64(size_t n) { return (n + 63) / 64 * 64; }

// The four codes of a row at a step, one a byte; shifts and masks below treat all four at once.
uint32_t StepOf(const Codes& codes, size_t row, size_t step) {
  uint32_t four;
  std::memcpy(&four, codes[row] + 4 * step, 4);
  return four;
}

void PutStep(Codes& codes, size_t row, size_t step, uint32_t four) {
  std::memcpy(codes[row] + 4 * step, &four, 4);
}

uint32_t LoadRow(const uint8_t* line, size_t row) {
  uint32_t four;
  std::memcpy(&four, line + 4 * row, 4);
  return four;
}

void StoreRow(uint8_t* line, size_t row, uint32_t four) { std::memcpy(line + 4 * row, &four, 4); }

constexpr uint32_t kNibbles = 0x0f0f0f0f;

// Lines of the low four bits of steps `first`, first + 1, ...
void WriteNibbleLines(const Codes& codes, size_t first, size_t lines, uint8_t* out) {
  for (size_t line = 0; line < lines; ++line, out += kLine, first += 2) {
    for (size_t row = 0; row < kTileRows; ++row) {
      StoreRow(out, row,
               (StepOf(codes, row, first) & kNibbles) | (StepOf(codes, row, first + 1) & kNibbles)
                                                            << 4);
    }
  }
}

void ReadNibbleLines(const uint8_t* in, size_t first, size_t lines, Codes& codes) {
  for (size_t line = 0; line < lines; ++line, in += kLine, first += 2) {
    for (size_t row = 0; row < kTileRows; ++row) {
      const uint32_t both = LoadRow(in, row);
      PutStep(codes, row, first, both & kNibbles);
      PutStep(codes, row, first + 1, both >> 4 & kNibbles);
    }
  }
}

// A line that holds the upper bits (`width` of them, above the low four) of 8 / width steps.
void WriteUpperLine(const Codes& codes, size_t first, size_t width, uint8_t* out) {
  const uint32_t mask = width == 1 ? 0x01010101 : 0x03030303;
  for (size_t row = 0; row < kTileRows; ++row) {
    uint32_t bits = 0;
    for (size_t u = 0; u < 8 / width; ++u) {
      bits |= (StepOf(codes, row, first + u) >> 4 & mask) << (width * u);
    }
    StoreRow(out, row, bits);
  }
}

void ReadUpperLine(const uint8_t* in, size_t first, size_t width, Codes& codes) {
  const uint32_t mask = width == 1 ? 0x01010101 : 0x03030303;
  for (size_t row = 0; row < kTileRows; ++row) {
    const uint32_t bits = LoadRow(in, row);
    for (size_t u = 0; u < 8 / width; ++u) {
      const uint32_t upper = (bits >> (width * u) & mask) << 4;
      PutStep(codes, row, first + u, StepOf(codes, row, first + u) | upper);
    }
  }
}

void WriteGroup(Format format, const Codes& codes, uint8_t* out) {
  switch (CodeBits(format)) {
    case 4: return WriteNibbleLines(codes, 0, 4, out);
    case 5: WriteNibbleLines(codes, 0, 4, out); return WriteUpperLine(codes, 0, 1, out + 4 * kLine);
    case 6:
      for (size_t half = 0; half < 2; ++half, out += 3 * kLine) {
        WriteNibbleLines(codes, 4 * half, 2, out);
        WriteUpperLine(codes, 4 * half, 2, out + 2 * kLine);
      }
      return;
    default:
      for (size_t step = 0; step < 8; ++step, out += kLine) {
        for (size_t row = 0; row < kTileRows; ++row) StoreRow(out, row, StepOf(codes, row, step));
      }
  }
}

void WriteSixBits(const uint8_t values[256], uint8_t* out) {
  for (size_t i = 0; i < 128; ++i) {
    out[i] = static_cast<uint8_t>((values[i] & 15) | (values[i + 128] & 15) << 4);
  }
  for (size_t i = 0; i < 64; ++i) {
    int bits = 0;
    for (size_t j = 0; j < 4; ++j) bits |= values[i + 64 * j] >> 4 << (2 * j);
    out[128 + i] = static_cast<uint8_t>(bits);
  }
}

void PutHalf(uint8_t* halves, size_t row, uint16_t bits) {
  std::memcpy(halves + 2 * row, &bits, 2);
}

float GetHalf(const uint8_t* halves, size_t row) {
  uint16_t bits;
  std::memcpy(&bits, halves + 2 * row, 2);
  return HalfToFloat(bits);
}

// The rows of one tile as they lie in the tensor.
struct TileSource {
  TensorType type;
  const uint8_t* first_row;
  size_t row_bytes;
  size_t block_bytes;
  size_t rows;  // 1..16; the others are padding
  const uint8_t* Block(size_t row, size_t index) const {
    return first_row + row * row_bytes + index * block_bytes;
  }
};

template <typename Bits>  // of a value's width
void PackFloats(const TileSource& source, size_t cols, uint8_t* out) {
  for (size_t row = 0; row < source.rows; ++row) {
    const uint8_t* values = source.Block(row, 0);
    for (size_t k = 0; k < cols; ++k) {
      Bits value;
      std::memcpy(&value, values + k * sizeof(Bits), sizeof(Bits));
      std::memcpy(out + (k * kTileRows + row) * sizeof(Bits), &value, sizeof(Bits));
    }
  }
}

void PackFloatTile(const TileSource& source, size_t cols, uint8_t* out) {
  if (source.block_bytes == 4) return PackFloats<uint32_t>(source, cols, out);
  PackFloats<uint16_t>(source, cols, out);
}

void PackBlock32(const TileSource& source, size_t index, Format format, uint8_t* out) {
  Codes codes = {};
  for (size_t row = 0; row < source.rows; ++row) {
    Block32 block;
    ReadBlock32(source.type, source.Block(row, index), &block);
    for (size_t i = 0; i < 32; ++i) codes[row][i] = static_cast<uint8_t>(block.codes[i]);
    PutHalf(out, row, block.scale);
    if (HasMinimum(format)) PutHalf(out + kMinimumOffset, row, block.minimum);
  }
  WriteGroup(format, codes, out + CodesOffset(format));
}

// What of a super-block goes into the scales field of a packed block.
void PackScales(const SuperBlock (&blocks)[kTileRows], size_t rows, Format format, uint8_t* out) {
  uint8_t values[256] = {};
  for (size_t row = 0; row < rows; ++row) {
    const SuperBlock& block = blocks[row];
    for (size_t i = 0; i < 16; ++i) {
      if (format == Format::kQ6Super) {
        values[(i / 2 * kTileRows + row) * 2 + i % 2] = static_cast<uint8_t>(block.scales[i]);
      } else {
        values[SixBitsIndex(false, i / 2, row)] = static_cast<uint8_t>(block.scales[i]);
        values[SixBitsIndex(true, i / 2, row)] = block.minima[i];
      }
    }
  }
  if (format == Format::kQ6Super) {
    std::memcpy(out, values, 256);
  } else {
    WriteSixBits(values, out);
  }
}

void PackSuperBlock(const TileSource& source, size_t index, Format format, uint8_t* out) {
  SuperBlock blocks[kTileRows];
  for (size_t row = 0; row < source.rows; ++row) {
    ReadSuperBlock(source.type, source.Block(row, index), &blocks[row]);
    PutHalf(out, row, blocks[row].scale);
    if (HasMinimum(format)) PutHalf(out + kMinimumOffset, row, blocks[row].minimum);
  }
  PackScales(blocks, source.rows, format, out + ScalesOffset(format));
  for (size_t group = 0; group < 8; ++group) {
    Codes codes = {};
    for (size_t row = 0; row < source.rows; ++row) {
      for (size_t i = 0; i < 32; ++i) {  // Q3_K's codes around 4 become codes around 32
        codes[row][i] = static_cast<uint8_t>(blocks[row].codes[32 * group + i] - blocks[row].zero +
                                             ZeroOf(format));
      }
    }
    WriteGroup(format, codes, out + CodesOffset(format) + group * GroupBytes(format));
  }
}

// Rounds 32 values to int8 codes of a float16 scale.
uint16_t RoundToCodes(const float* values, uint8_t* codes) {
  float largest = 0;
  for (size_t i = 0; i < 32; ++i) {
    if (!std::isfinite(values[i])) return 0x7e00;  // NaN; the codes stay 0
    largest = std::max(largest, std::fabs(values[i]));
  }
  const uint16_t scale = FloatToHalf(std::min(largest / 127, 65504.0f));
  const float step = HalfToFloat(scale);
  if (step == 0) return 0;
  for (size_t i = 0; i < 32; ++i) {
    const long code = std::lrint(std::clamp(values[i] / step, -127.0f, 127.0f));
    codes[i] = static_cast<uint8_t>(static_cast<int8_t>(code));
  }
  return scale;
}

// A super-block of 256 columns as 8 blocks of kQ8Block32.
void PackRounded(const TileSource& source, size_t index, uint8_t* out) {
  float values[kTileRows][256];
  for (size_t row = 0; row < source.rows; ++row) {
    Dequantize(source.type, source.Block(row, index), 256, values[row]);
  }
  for (size_t group = 0; group < 8; ++group, out += BlockBytes(Format::kQ8Block32)) {
    Codes codes = {};
    for (size_t row = 0; row < source.rows; ++row) {
      PutHalf(out, row, RoundToCodes(values[row] + 32 * group, codes[row]));
    }
    WriteGroup(Format::kQ8Block32, codes, out + CodesOffset(Format::kQ8Block32));
  }
}

void PackTile(const TileSource& source, size_t cols, uint8_t* out) {
  const Format format = PackedFormat(source.type);
  std::memset(out, 0, TileBytes(format, cols));
  if (IsFloat(format)) return PackFloatTile(source, cols, out);
  const size_t source_cols = InfoOf(source.type).block_elements;
  const size_t step = source_cols / BlockCols(format) * BlockBytes(format);
  for (size_t index = 0; index < cols / source_cols; ++index, out += step) {
    if (IsSuper(format)) {
      PackSuperBlock(source, index, format, out);
    } else if (source_cols == 32) {
      PackBlock32(source, index, format, out);
    } else {
      PackRounded(source, index, out);
    }
  }
}

void UnpackFloatRow(Format format, const uint8_t* tile, size_t row, size_t cols, float* out) {
  const size_t width = format == Format::kF32 ? 4 : 2;
  for (size_t k = 0; k < cols; ++k) {
    const uint8_t* value = tile + (k * kTileRows + row) * width;
    uint16_t bits;
    switch (format) {
      case Format::kF32: std::memcpy(&out[k], value, 4); break;
      case Format::kF16: out[k] = GetHalf(value, 0); break;
      default:
        std::memcpy(&bits, value, 2);
        out[k] = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }
  }
}

void UnpackBlock32(Format format, const uint8_t* block, size_t row, float* out) {
  Codes codes;
  ReadGroup(format, block + CodesOffset(format), codes);
  const float scale = GetHalf(block, row);
  const float minimum = HasMinimum(format) ? GetHalf(block + kMinimumOffset, row) : 0.0f;
  for (size_t i = 0; i < 32; ++i) {
    const int code = CodeBits(format) == 8 ? static_cast<int8_t>(codes[row][i]) : codes[row][i];
    out[i] = scale * static_cast<float>(code - ZeroOf(format)) + minimum;
  }
}

void UnpackSuperBlock(Format format, const uint8_t* block, size_t row, float* out) {
  const float scale = GetHalf(block, row);
  const float minimum = HasMinimum(format) ? GetHalf(block + kMinimumOffset, row) : 0.0f;
  const uint8_t* scales = block + ScalesOffset(format);
  uint8_t six_bits[256];
  if (format != Format::kQ6Super) ReadSixBits(scales, six_bits);
  Codes codes;
  for (size_t i = 0; i < 256; ++i) {
    if (i % 32 == 0)
      ReadGroup(format, block + CodesOffset(format) + i / 32 * GroupBytes(format), codes);
    const int code = codes[row][i % 32] - ZeroOf(format);
    if (format == Format::kQ6Super) {
      const auto step = static_cast<int8_t>(scales[(i / 32 * kTileRows + row) * 2 + i % 32 / 16]);
      out[i] = scale * static_cast<float>(step) * static_cast<float>(code);
    } else {
      out[i] = scale * static_cast<float>(six_bits[SixBitsIndex(false, i / 32, row)]) *
                   static_cast<float>(code) -
               minimum * static_cast<float>(six_bits[SixBitsIndex(true, i / 32, row)]);
    }
  }
}

}  // namespace

void ReadGroup(Format format, const uint8_t* group, uint8_t codes[kTileRows][32]) {
  Codes& out = *reinterpret_cast<Codes*>(codes);
  switch (CodeBits(format)) {
    case 4: return ReadNibbleLines(group, 0, 4, out);
    case 5: ReadNibbleLines(group, 0, 4, out); return ReadUpperLine(group + 4 * kLine, 0, 1, out);
    case 6:
      for (size_t half = 0; half < 2; ++half, group += 3 * kLine) {
        ReadNibbleLines(group, 4 * half, 2, out);
        ReadUpperLine(group + 2 * kLine, 4 * half, 2, out);
      }
      return;
    default:
      for (size_t step = 0; step < 8; ++step, group += kLine) {
        for (size_t row = 0; row < kTileRows; ++row) PutStep(out, row, step, LoadRow(group, row));
      }
  }
}

void ReadSixBits(const uint8_t* six_bits, uint8_t values[256]) {
  for (size_t i = 0; i < 256; ++i) {
    const int low = six_bits[i % 128] >> (i / 128 * 4) & 15;
    const int high = six_bits[128 + i % 64] >> (i / 64 * 2) & 3;
    values[i] = static_cast<uint8_t>(low | high << 4);
  }
}

Format PackedFormat(TensorType type) {
  switch (type) {
    case TensorType::kF32: return Format::kF32;
    case TensorType::kF16: return Format::kF16;
    case TensorType::kBf16: return Format::kBf16;
    case TensorType::kQ4_0: return Format::kQ4Centred;
    case TensorType::kQ4_1: return Format::kQ4Block32;
    case TensorType::kQ5_0: return Format::kQ5Centred;
    case TensorType::kQ5_1: return Format::kQ5Block32;
    case TensorType::kQ8_0: return Format::kQ8Block32;
    case TensorType::kQ2_K: return Format::kQ8Block32;
    case TensorType::kQ4_K: return Format::kQ4Super;
    case TensorType::kQ5_K: return Format::kQ5Super;
    case TensorType::kQ3_K: return Format::kQ6Super;
    case TensorType::kQ6_K: return Format::kQ6Super;
  }
  return Format::kF32;
}

size_t TileBytes(Format format, size_t cols) {
  if (format == Format::kInt8Rows) return Int8TileBytes(cols);
  return RoundUp64(cols / BlockCols(format) * BlockBytes(format));
}

size_t PackedMatrix::TileBytes() const { return kernels::TileBytes(format, cols); }

size_t PackedBytes(Format format, size_t rows, size_t cols) {
  return (rows + kTileRows - 1) / kTileRows * TileBytes(format, cols);
}

void PackTiles(TensorType type, const uint8_t* tensor, size_t rows, size_t cols, size_t tile_begin,
               size_t tile_end, uint8_t* out) {
  const TensorTypeInfo& info = InfoOf(type);
  VADE_CHECK(cols % info.block_elements == 0, "readers admit only rows of whole blocks");
  const size_t row_bytes = cols / info.block_elements * info.block_bytes;
  const size_t tile_bytes = TileBytes(PackedFormat(type), cols);
  for (size_t tile = tile_begin; tile < tile_end; ++tile) {
    const size_t first = tile * kTileRows;
    const TileSource source = {type, tensor + first * row_bytes, row_bytes, info.block_bytes,
                               std::min(kTileRows, rows - first)};
    PackTile(source, cols, out + tile * tile_bytes);
  }
}

void UnpackRow(const PackedMatrix& w, size_t row, float* out) {
  const uint8_t* tile = w.data + row / kTileRows * w.TileBytes();
  const size_t in_tile = row % kTileRows;
  if (w.format == Format::kInt8Rows) return UnpackInt8Row(tile, in_tile, w.cols, out);
  if (IsFloat(w.format)) return UnpackFloatRow(w.format, tile, in_tile, w.cols, out);
  const size_t step = BlockCols(w.format);
  for (size_t k = 0; k < w.cols; k += step, tile += BlockBytes(w.format)) {
    if (IsSuper(w.format)) {
      UnpackSuperBlock(w.format, tile, in_tile, out + k);
    } else {
      UnpackBlock32(w.format, tile, in_tile, out + k);
    }
  }
}

size_t PreparedBytes(Format format, size_t cols) {
  if (IsFloat(format)) return RoundUp64(cols * sizeof(float));
  if (IsSuper(format)) return RoundUp64(cols + cols / 256 * sizeof(Prepared256));
  return RoundUp64(cols + cols / 32 * sizeof(Prepared32));
}

bool SamePreparedForm(Format a, Format b) {
  return IsFloat(a) == IsFloat(b) && IsSuper(a) == IsSuper(b);
}

}  // namespace vade::kernels
