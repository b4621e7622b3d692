// How floats become the codes of kernels/int8.h on a device: the steps of int8_scalar.cc, one
// rounding each, with intrinsics that the compiler may not fuse.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/int8_math.h"

namespace vade::kernels::cuda {

inline constexpr uint32_t kQuietNanBits = 0x7fc00000u;

VADE_DEVICE bool IsNan(float x) { return x != x; }

// What a row of activations is rounded by.
struct ActivationCodes {
  float inverse, zero;  // inverse 0: all codes are 0
  float scale, offset;

  VADE_DEVICE uint32_t Of(float x) const {
    if (inverse == 0) return 0;
    const float code = rintf(__fmaf_rn(x, inverse, zero));
    return static_cast<uint32_t>(fminf(fmaxf(code, 0.0f), kInt8Codes));
  }
};

// Of a row whose values lie in [low, high], low <= 0 <= high.
VADE_DEVICE ActivationCodes ActivationCodesOf(float low, float high, bool ordered) {
  const float range = __fadd_rn(high, -low);
  if (!ordered || !IsFinite(range)) return {0, 0, __uint_as_float(kQuietNanBits), 0};
  if (range < kInt8SmallestRange) return {0, 0, 0, 0};
  ActivationCodes codes;
  codes.inverse = __fdiv_rn(kInt8Codes, range);
  codes.zero = rintf(__fmul_rn(-low, codes.inverse));
  codes.scale = __fdiv_rn(range, kInt8Codes);
  codes.offset = __fmul_rn(codes.scale, codes.zero);
  return codes;
}

// What a row of a matrix is rounded by.
struct WeightCodes {
  float inverse, scale;

  VADE_DEVICE int Of(float x) const {
    return inverse == 0 ? 0 : __float2int_rn(__fmul_rn(x, inverse));
  }
  VADE_DEVICE float ScaledSum(int sum) const { return __fmul_rn(scale, static_cast<float>(sum)); }
};
VADE_DEVICE WeightCodes WeightCodesOf(float largest, bool finite) {
  if (!finite) return {0, __uint_as_float(kQuietNanBits)};
  return {largest > kInt8SmallestRange ? __fdiv_rn(kInt8Weights, largest) : 0.0f,
          __fdiv_rn(largest, kInt8Weights)};
}

// The end of a product: what the integer sum of a row of weights and one of activations stands for.
VADE_DEVICE float CodeProduct(int sum, float weight_scale, float weight_sum, float x_scale,
                              float x_offset, float bias) {
  const float rest = __fmaf_rn(-x_offset, weight_sum, bias);
  return __fmaf_rn(static_cast<float>(sum), __fmul_rn(weight_scale, x_scale), rest);
}

// A constant of an array of the host, as the device may read it.
template <size_t kIndex>
inline constexpr float kGeluFactor = kGeluPolynomial[kIndex];
template <size_t kIndex>
inline constexpr float kExp2Factor = kInt8Codes* kExp2Polynomial[kIndex];

template <size_t kIndex>
VADE_DEVICE float GeluSum(float square) {
  if constexpr (kIndex + 1 == kGeluPolynomial.size()) {
    return kGeluFactor<kIndex>;
  } else {
    return __fmaf_rn(GeluSum<kIndex + 1>(square), square, kGeluFactor<kIndex>);
  }
}
VADE_DEVICE float GeluOf(float x) {
  // A NaN goes through both comparisons.
  const float limited = x < -kGeluLimit ? -kGeluLimit : x > kGeluLimit ? kGeluLimit : x;
  const float square = __fmul_rn(limited, limited);
  return __fmul_rn(x, __fmaf_rn(limited, GeluSum<0>(square), 0.5f));
}

template <size_t kIndex>
VADE_DEVICE float Exp2Sum(float f) {
  if constexpr (kIndex + 1 == kExp2Polynomial.size()) {
    return kExp2Factor<kIndex>;
  } else {
    return __fmaf_rn(Exp2Sum<kIndex + 1>(f), f, kExp2Factor<kIndex>);
  }
}
// The code of e^(factor x + shift), at most 255.
VADE_DEVICE uint32_t SoftmaxCode(float x, float factor, float shift) {
  const float t = fmaxf(__fmaf_rn(x, factor, shift), kExp2Lowest);
  const float whole = rintf(t);
  const float power = __uint_as_float(static_cast<uint32_t>(127 + static_cast<int>(whole)) << 23);
  return static_cast<uint32_t>(rintf(__fmul_rn(Exp2Sum<0>(t - whole), power)));
}

}  // namespace vade::kernels::cuda
