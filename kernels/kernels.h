// Arithmetic on raw buffers, the only place with vector instructions.
//
// One table of function pointers a level: scalar (the specification), avx2 (AVX2 + FMA + F16C),
// avx512 (AVX-512 F/BW/VL/DQ + VNNI), amx (AMX-INT8 for products of several tokens, else as
// avx512). The best level of the machine is picked at start; VADE_LEVEL,
// --level and ScopedLevel force another. Functions are single-threaded and touch only what they are
// given; callers split work over rows, tokens or heads. No alignment is required of float pointers.
//
// One order of accumulation: each output element is summed in an order that depends on the length
// of the sum alone, never on how many rows, tokens or threads are computed together. So a result
// for one token is bit for bit its result within any batch. Different levels may differ in the last
// bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "kernels/int8.h"
#include "kernels/matrix.h"

namespace vade::kernels {

enum class Level : uint8_t { kScalar = 0, kAvx2 = 1, kAvx512 = 2, kAmx = 3 };
// From the slowest to the fastest.
inline constexpr Level kAllLevels[] = {Level::kScalar, Level::kAvx2, Level::kAvx512, Level::kAmx};

std::string_view LevelName(Level level);  // "scalar", "avx2", "avx512", "amx"
std::optional<Level> ParseLevel(std::string_view name);
bool LevelSupported(Level level);  // by this processor and system
Level BestLevel();

// --- matrix products on repacked weights: kernels/matrix.h has formats and packing ---------------
struct MatmulKernels {
  // One row of activations x[cols] -> the form that weights of `format` are multiplied with:
  // PreparedBytes(format, cols) bytes at `out`.
  void (*prepare)(Format format, const float* x, size_t cols, uint8_t* out);
  // y[t][r] = sum_c w[r][c] * x[t][c] for t in [0, tokens) and rows r of tiles [tile_begin,
  // tile_end). `x` holds `tokens` prepared rows one after the other. y points at row 0 of token 0;
  // rows beyond w.rows (padding of the last tile) are not written. y_stride in floats.
  void (*multiply)(const PackedMatrix& w, size_t tile_begin, size_t tile_end, const uint8_t* x,
                   size_t tokens, float* y, size_t y_stride);
};

// --- everything else a transformer does ----------------------------------------------------------
// What the key/value pages hold. kQ8: for each 32 elements a float16 scale and 32 signed bytes,
// element = scale * byte. The scale is the largest magnitude / 127, rounded to float16; the bytes
// are x / scale rounded to nearest even. A block with a NaN, an infinity or a magnitude that the
// scale cannot hold (8.3 million) is NaN as a whole. All levels give the same bits.
// kQ4: for each 32 elements a float16 scale, a float16 minimum and 16 bytes: byte i has the code of
// element i in its low half and that of element i + 16 in its high one, element = scale * code +
// minimum. The minimum is the least element rounded to float16, the scale is (the greatest - that)
// / 15, rounded to float16, and never below 0; the codes are (x - minimum) / scale rounded to
// nearest even, 0 to 15. A block with a NaN, an infinity, or what those two cannot hold (a least
// element beyond 65,504, a span of a million) is NaN as a whole. All levels give the same bits.
enum class KvType : uint8_t { kF32, kF16, kQ8, kQ4 };
inline constexpr KvType kAllKvTypes[] = {KvType::kF32, KvType::kF16, KvType::kQ8, KvType::kQ4};
inline constexpr size_t kKvBlock = 32;  // elements of a block of kQ8 and kQ4
inline constexpr size_t kQ8BlockBytes = 2 + kKvBlock;
inline constexpr size_t kQ4BlockBytes = 4 + kKvBlock / 2;

std::string_view KvTypeName(KvType type);  // "f32", "f16", "q8", "q4"
std::optional<KvType> ParseKvType(std::string_view name);

constexpr bool IsKeptInBlocks(KvType type) { return type == KvType::kQ8 || type == KvType::kQ4; }

// Bytes of n elements; where they are kept in blocks, n is a multiple of kKvBlock.
constexpr size_t KvBytes(KvType type, size_t n) {
  switch (type) {
    case KvType::kF32: return 4 * n;
    case KvType::kF16: return 2 * n;
    case KvType::kQ8: return n / kKvBlock * kQ8BlockBytes;
    case KvType::kQ4: return n / kKvBlock * kQ4BlockBytes;
  }
  return 0;
}

enum class RopeStyle : uint8_t { kInterleaved, kHalfSplit };  // pairs (2i, 2i+1) or (i, i + dims/2)

// Keys are taken from index 0 in tiles of this many, so that the order of the sums depends on the
// index.
inline constexpr size_t kAttentionTile = 32;

struct AttentionArgs {
  const float* queries = nullptr;  // [query_count, head_dim], rows query_stride floats apart
  size_t query_count = 0;
  size_t query_stride = 0;
  const float* keys = nullptr;    // [key_count, head_dim], contiguous rows, rotated already
  const float* values = nullptr;  // [key_count, head_dim]
  const uint32_t* visible =
      nullptr;  // [query_count]: query i sees keys [0, visible[i]), at least 1
  size_t head_dim = 0;
  float scale = 1;       // of the scores, before the softmax
  float* out = nullptr;  // [query_count, head_dim], rows out_stride floats apart
  size_t out_stride = 0;
};

struct VectorKernels {
  // y = x / sqrt(mean(x^2) + eps) * weight
  void (*rms_norm)(const float* x, const float* weight, float eps, size_t n, float* y);
  // y = (x - mean) / sqrt(variance + eps) * weight + bias
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, size_t n,
                     float* y);
  void (*add)(const float* x, size_t n, float* y);  // y += x
  void (*silu_multiply)(const float* gate, const float* up, size_t n,
                        float* y);                   // gate/(1+e^-gate)*up
  void (*gelu)(const float* x, size_t n, float* y);  // erf form
  float (*log_sum_exp)(const float* x, size_t n);    // log sum e^x[i], n at least 1
  // Rotates one head in place by position: cos and sin have dims/2 values (angle of each pair).
  void (*rotate)(RopeStyle style, const float* cos, const float* sin, size_t dims, float* x);
  // Between float32 and the type of the key/value pages, n elements (KvBytes says how many fit).
  void (*to_kv)(KvType type, const float* x, size_t n, void* out);
  void (*from_kv)(KvType type, const void* x, size_t n, float* out);
  void (*attend)(const AttentionArgs& args);
};

// --- distances of the index ----------------------------------------------------------------------
struct DistanceKernels {
  int32_t (*dot_i8)(const int8_t* a, const int8_t* b, size_t n);
  // out[i] = dot(query, codes + i * stride) for i in [0, count)
  void (*dot_i8_rows)(const int8_t* query, const int8_t* codes, size_t stride, size_t count,
                      size_t n, int32_t* out);
  // out[i] = dot(query, codes + slots[i] * stride) for i in [0, count)
  void (*dot_i8_slots)(const int8_t* query, const int8_t* codes, size_t stride,
                       const uint32_t* slots, size_t count, size_t n, int32_t* out);
  // out[i] = sum of query[j] * nibble j of row i. A row has pieces of 64 bytes for 128 dimensions:
  // byte b of piece p has dimension 128 p + b in its low half and 128 p + 64 + b in its high one.
  // `query` has 128 * pieces codes.
  void (*dot_u4_rows)(const int8_t* query, const uint8_t* rows, size_t pieces, size_t count,
                      int32_t* out);
  float (*dot_f16)(const float* query, const uint16_t* half_vector, size_t n);
  float (*dot_f32)(const float* a, const float* b, size_t n);
};

struct KernelTable {
  Level level;
  MatmulKernels matmul;
  VectorKernels vector;
  DistanceKernels distance;
  Int8Kernels int8;  // the encoder's
};

// The table of the level in force. Cheap; callers may keep the reference for one operation.
const KernelTable& Active();
// The table of any supported level (CHECKs that it is supported).
const KernelTable& TableOf(Level level);

// Forces a level for the scope, process-wide: for tests, benches and --level.
class ScopedLevel {
 public:
  explicit ScopedLevel(Level level);
  ~ScopedLevel();
  ScopedLevel(const ScopedLevel&) = delete;
  ScopedLevel& operator=(const ScopedLevel&) = delete;

 private:
  const KernelTable* previous_;
};

// Filled by matmul_*.cc, vector_*.cc and distance_*.cc.
extern const MatmulKernels kMatmulScalar, kMatmulAvx2, kMatmulAvx512, kMatmulAmx;
extern const VectorKernels kVectorScalar, kVectorAvx2, kVectorAvx512;
extern const DistanceKernels kDistanceScalar, kDistanceAvx2, kDistanceAvx512;

}  // namespace vade::kernels
