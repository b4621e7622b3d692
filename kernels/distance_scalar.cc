// The index's inner products: the specification that every level is tested against. Integer sums
// are exact for all int8 values (n < 2^17); floating-point sums run from index 0 upwards in one
// chain.
#include "base/bytes.h"
#include "kernels/kernels.h"

namespace vade::kernels {
namespace {

int32_t DotI8(const int8_t* a, const int8_t* b, size_t n) {
  int32_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<int32_t>(a[i]) * b[i];
  return sum;
}

void DotI8Rows(const int8_t* query, const int8_t* codes, size_t stride, size_t count, size_t n,
               int32_t* out) {
  for (size_t row = 0; row < count; ++row) out[row] = DotI8(query, codes + row * stride, n);
}

void DotI8Slots(const int8_t* query, const int8_t* codes, size_t stride, const uint32_t* slots,
                size_t count, size_t n, int32_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = DotI8(query, codes + slots[i] * stride, n);
}

void DotU4Rows(const int8_t* query, const uint8_t* rows, size_t pieces, size_t count,
               int32_t* out) {
  for (size_t row = 0; row < count; ++row) {
    int32_t sum = 0;
    for (size_t piece = 0; piece < pieces; ++piece) {
      const uint8_t* bytes = rows + (row * pieces + piece) * 64;
      const int8_t* q = query + piece * 128;
      for (size_t b = 0; b < 64; ++b) sum += q[b] * (bytes[b] & 15) + q[64 + b] * (bytes[b] >> 4);
    }
    out[row] = sum;
  }
}

float DotF16(const float* query, const uint16_t* half_vector, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += query[i] * HalfToFloat(half_vector[i]);
  return sum;
}

float DotF32(const float* a, const float* b, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

const DistanceKernels kDistanceScalar = {DotI8, DotI8Rows, DotI8Slots, DotU4Rows, DotF16, DotF32};

}  // namespace vade::kernels
