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

const DistanceKernels kDistanceScalar = {DotI8, DotI8Rows, DotF16, DotF32};

}  // namespace vade::kernels
