// What kernels are written with: views of global and shared memory, and the few instructions that
// CUDA C++ has no name for. The one place with inline PTX. Compiled by nvcc it costs nothing; the
// tests compile the same kernels with g++ against an emulation (<emulated_device.h>) whose views
// check every access.
//
// Rules that the emulation enforces: whole warps only; what is read through Global<const T> is not
// written by the same launch; loads are aligned to their size.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__

#include <cuda_fp16.h>

#define VADE_HD __host__ __device__ __forceinline__
#define VADE_DEVICE __device__ __forceinline__

namespace vade::kernels::cuda {

template <typename T>
struct ConstOf {
  static constexpr bool value = false;
};
template <typename T>
struct ConstOf<const T> {
  static constexpr bool value = true;
};

template <typename T>
class Global {
 public:
  __host__ __device__ Global(T* data, size_t) : data_(data) {}
  VADE_DEVICE T& operator[](size_t i) const { return data_[i]; }
  // A value of another type at a byte offset.
  template <typename U>
  VADE_DEVICE U Load(size_t byte) const {
    const U* at = reinterpret_cast<const U*>(reinterpret_cast<const unsigned char*>(data_) + byte);
    if constexpr (ConstOf<T>::value) {
      return __ldg(at);
    } else {
      return *at;
    }
  }
  template <typename U>
  VADE_DEVICE void Store(size_t byte, U value) const {
    *reinterpret_cast<U*>(reinterpret_cast<unsigned char*>(data_) + byte) = value;
  }
  // The value before. Launches that depend on no order of these alone.
  template <typename U>
  VADE_DEVICE U AtomicAdd(size_t i, U value) const {
    return atomicAdd(reinterpret_cast<U*>(data_) + i, value);
  }
  VADE_DEVICE bool IsNull() const { return data_ == nullptr; }

 private:
  T* data_;
};

extern __shared__ __align__(16) unsigned char shared_bytes[];

template <typename T>
class Shared {
 public:
  VADE_DEVICE Shared(size_t offset_bytes, size_t)
      : data_(reinterpret_cast<T*>(shared_bytes + offset_bytes)) {}
  VADE_DEVICE T& operator[](size_t i) const { return data_[i]; }
  template <typename U>
  VADE_DEVICE U Load(size_t byte) const {
    return *reinterpret_cast<const U*>(reinterpret_cast<const unsigned char*>(data_) + byte);
  }

 private:
  T* data_;
};

VADE_DEVICE float HalfBitsToFloat(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
VADE_DEVICE uint16_t FloatToHalfBits(float value) {
  return __half_as_ushort(__float2half_rn(value));
}

// d += a b: 16 rows of int8 by 8 columns, over 32 or 16 (PTX ISA, mma.m16n8k32 and .m16n8k16 for
// .s8; the lanes' shares are laid out as in that chapter's figures).
VADE_DEVICE void MmaS8K32(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
VADE_DEVICE void MmaS8K16(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a0), "r"(a1), "r"(b));
}

// The same with b in 0..255.
VADE_DEVICE void MmaS8U8K32(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace vade::kernels::cuda

#else

#include <emulated_device.h>

#define VADE_HD inline
#define VADE_DEVICE inline

#endif

namespace vade::kernels::cuda {

inline constexpr uint32_t kAllLanes = 0xffffffffu;

VADE_DEVICE bool IsFinite(float x) { return x - x == 0.0f; }

// Every lane gets the sum, the largest, of all 32; the order of the sum is fixed.
VADE_DEVICE float WarpSum(float value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}
VADE_DEVICE double WarpSum(double value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}
VADE_DEVICE int WarpSum(int value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}
// The sum over a block of kWarps warps, to every thread; its order depends on the threads alone.
// `sums` has room for one a warp, and is of this call alone.
template <uint32_t kWarps, typename T>
VADE_DEVICE T BlockSum(T value, const Shared<T>& sums) {
  value = WarpSum(value);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  T sum = 0;
  for (uint32_t i = 0; i < kWarps; ++i) sum += sums[i];
  return sum;
}

VADE_DEVICE float WarpMax(float value) {
  for (int step = 16; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, value, step);
    value = other > value ? other : value;
  }
  return value;
}

}  // namespace vade::kernels::cuda
