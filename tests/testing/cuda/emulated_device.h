// What kernels/cuda/device.cuh takes instead of CUDA's headers when g++ compiles the kernels: the
// built-in names and intrinsics that they use, views of memory that check every access, the
// tensor-core products by their definition. tests/testing/cuda/engine.h does the work.
//
// Stricter than a device: warp operations need all 32 lanes, and a barrier all threads of the block
// at one place of the source.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>

#include "base/bytes.h"
#include "base/strings.h"
#include "tests/testing/cuda/engine.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::vade::emulation::Engine::Get().current().thread_index)
#define blockIdx (::vade::emulation::Engine::Get().current().block_index)

struct uint4 {
  uint32_t x, y, z, w;
};
struct float4 {
  float x, y, z, w;
};

namespace vade::emulation {

inline Engine& Running() { return Engine::Get(); }

inline void RequireAligned(const void* at, size_t bytes, Site site) {
  if (reinterpret_cast<uintptr_t>(at) % bytes == 0) return;
  Running().Fail(StrCat("misaligned access of ", bytes, " bytes at line ", site.line));
}

// One element that a kernel reads or writes.
template <typename T, typename Memory>
class Element {
 public:
  Element(const Memory& memory, size_t byte, Site site)
      : memory_(memory), byte_(byte), site_(site) {}
  operator T() const { return memory_.template ReadAt<T>(byte_, site_); }
  Element& operator=(T value) {
    memory_.WriteAt(byte_, value, site_);
    return *this;
  }
  Element& operator=(const Element& other) { return *this = static_cast<T>(other); }
  Element& operator+=(T value) { return *this = static_cast<T>(*this) + value; }
  Element& operator*=(T value) { return *this = static_cast<T>(*this) * value; }

 private:
  const Memory& memory_;
  size_t byte_;
  Site site_;
};

}  // namespace vade::emulation

namespace vade::kernels::cuda {

// A view of global memory, made by the host.
template <typename T>
class Global {
 public:
  using Value = std::remove_const_t<T>;
  static constexpr bool kConst = std::is_const_v<T>;

  Global(T* data, size_t count) : data_(data), bytes_(count * sizeof(T)) {
    if (count == 0) return;
    emulation::Running().NoteView(data, bytes_);
    region_ = emulation::Running().Find(data, bytes_);
    if (!region_) {
      emulation::Running().AddFault(
          StrCat("a kernel is given ", bytes_, " bytes that no buffer holds"));
    }
  }

  auto At(size_t i, emulation::Site site) const {
    if constexpr (kConst) {
      return ReadAt<Value>(i * sizeof(T), site);
    } else {
      return emulation::Element<Value, Global>(*this, i * sizeof(T), site);
    }
  }
  // operator[] may not have a second parameter before C++23: an index that knows its place.
  struct Index {
    template <typename I>
    requires std::is_integral_v<I> Index(I index, VADE_SITE_PARAMETERS)
        : i(static_cast<size_t>(index)), site{file, line} {}
    size_t i;
    emulation::Site site;
  };
  auto operator[](Index index) const { return At(index.i, index.site); }

  // A value of another type at a byte offset.
  template <typename U>
  U Load(size_t byte, VADE_SITE_PARAMETERS) const {
    return ReadAt<U>(byte, emulation::Site{file, line});
  }
  template <typename U>
  void Store(size_t byte, U value, VADE_SITE_PARAMETERS) const {
    WriteAt(byte, value, emulation::Site{file, line});
  }
  template <typename U>
  U AtomicAdd(size_t i, U value, VADE_SITE_PARAMETERS) const {
    const size_t byte = i * sizeof(U);
    Check(byte, sizeof(U), emulation::Site{file, line});
    U* at = reinterpret_cast<U*>(Address(byte));
    emulation::Running().Write(*region_, at, sizeof(U), emulation::Site{file, line}, true);
    const U before = *at;
    *at = before + value;
    return before;
  }
  bool IsNull() const { return data_ == nullptr; }

  template <typename U>
  U ReadAt(size_t byte, emulation::Site site) const {
    Check(byte, sizeof(U), site);
    emulation::Running().Read(*region_, Address(byte), sizeof(U), site);
    U value;
    std::memcpy(&value, Address(byte), sizeof(U));
    return value;
  }
  template <typename U>
  void WriteAt(size_t byte, U value, emulation::Site site) const {
    static_assert(!kConst);
    Check(byte, sizeof(U), site);
    emulation::Running().Write(*region_, Address(byte), sizeof(U), site);
    std::memcpy(Address(byte), &value, sizeof(U));
  }

 private:
  uint8_t* Address(size_t byte) const {
    return reinterpret_cast<uint8_t*>(const_cast<Value*>(data_)) + byte;
  }
  void Check(size_t byte, size_t size, emulation::Site site) const {
    if (!region_ || byte > bytes_ || size > bytes_ - byte) {
      emulation::Running().Fail(StrCat("global access out of bounds: bytes [", byte, ", ",
                                       byte + size, ") of ", bytes_, ", line ", site.line));
    }
    emulation::RequireAligned(Address(byte), size, site);
  }

  T* data_;
  size_t bytes_;
  emulation::Region* region_ = nullptr;
};

// `count` values of the block's shared memory, from a byte offset on.
template <typename T>
class Shared {
 public:
  Shared(size_t offset_bytes, size_t count)
      : data_(emulation::Running().Shared(offset_bytes, count * sizeof(T))), count_(count) {}
  using Index = typename Global<T>::Index;
  auto operator[](Index index) const {
    return emulation::Element<T, Shared>(*this, index.i * sizeof(T), index.site);
  }
  template <typename U>
  U Load(size_t byte, VADE_SITE_PARAMETERS) const {
    return ReadAt<U>(byte, emulation::Site{file, line});
  }
  template <typename U>
  U ReadAt(size_t byte, emulation::Site site) const {
    Check(byte, sizeof(U), site);
    emulation::Running().ReadShared(data_ + byte, sizeof(U), site);
    U value;
    std::memcpy(&value, data_ + byte, sizeof(U));
    return value;
  }
  template <typename U>
  void WriteAt(size_t byte, U value, emulation::Site site) const {
    Check(byte, sizeof(U), site);
    emulation::Running().WriteShared(data_ + byte, sizeof(U), site);
    std::memcpy(data_ + byte, &value, sizeof(U));
  }

 private:
  void Check(size_t byte, size_t size, emulation::Site site) const {
    if (byte > count_ * sizeof(T) || size > count_ * sizeof(T) - byte) {
      emulation::Running().Fail(StrCat("shared access out of bounds: bytes [", byte, ", ",
                                       byte + size, ") of ", count_ * sizeof(T), ", line ",
                                       site.line));
    }
    emulation::RequireAligned(data_ + byte, size, site);
  }
  uint8_t* data_;
  size_t count_;
};

// --- intrinsics
// --------------------------------------------------------------------------------------

inline void __syncthreads(VADE_SITE_PARAMETERS) {
  emulation::Running().Barrier(emulation::Site{file, line});
}
inline void __syncwarp(VADE_SITE_PARAMETERS) {
  emulation::Running().SyncWarp(emulation::Site{file, line});
}

template <typename T>
T FromLane(T value, uint32_t lane, const char* what, emulation::Site site) {
  const auto& all = emulation::Running().Exchange(&value, sizeof(T), what, site);
  T other;
  std::memcpy(&other, all.values[lane % 32], sizeof(T));
  return other;
}
inline void RequireFullMask(uint32_t mask) {
  if (mask != 0xffffffffu) emulation::Running().Fail("a warp operation with part of the lanes");
}
template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int other, VADE_SITE_PARAMETERS) {
  RequireFullMask(mask);
  const uint32_t lane = emulation::Running().current().lane;
  return FromLane(value, lane ^ static_cast<uint32_t>(other), "__shfl_xor_sync",
                  emulation::Site{file, line});
}
template <typename T>
T __shfl_sync(uint32_t mask, T value, int lane, VADE_SITE_PARAMETERS) {
  RequireFullMask(mask);
  return FromLane(value, static_cast<uint32_t>(lane), "__shfl_sync", emulation::Site{file, line});
}
inline uint32_t __ballot_sync(uint32_t mask, bool vote, VADE_SITE_PARAMETERS) {
  RequireFullMask(mask);
  const auto& all =
      emulation::Running().Exchange(&vote, 1, "__ballot_sync", emulation::Site{file, line});
  uint32_t votes = 0;
  for (uint32_t i = 0; i < 32; ++i) votes |= (all.values[i][0] ? 1u : 0u) << i;
  return votes;
}

inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; ++i) {
    c += static_cast<int8_t>(a >> (8 * i)) * static_cast<int8_t>(b >> (8 * i));
  }
  return c;
}
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline float __uint_as_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t __float_as_uint(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline float HalfBitsToFloat(uint16_t bits) { return HalfToFloat(bits); }
inline uint16_t FloatToHalfBits(float value) { return FloatToHalf(value); }

// --- tensor cores
// -------------------------------------------------------------------------------------- d += a b
// over int8, with the fragments of mma.sync.m16n8k32 and .m16n8k16 as the PTX manual lays them over
// the lanes: lane = 4 g + t holds
//   a[0] rows g, columns 4t..4t+3; a[1] row g + 8; a[2], a[3] the same 16 columns further
//   b[0] column g, rows 4t..4t+3; b[1] 16 rows further
//   d[0], d[1] row g, columns 2t, 2t + 1; d[2], d[3] row g + 8
struct FragmentPair {
  uint32_t a[4], b[2];
};
template <typename T>
int ByteOf(uint32_t word, uint32_t i) {
  return static_cast<T>(word >> (8 * i));
}

// Right: what the bytes of b are; those of a are int8.
template <int kColumns, typename Right = int8_t>
void EmulateMma(int (&d)[4], const FragmentPair& own, emulation::Site site) {
  const auto& all = emulation::Running().Exchange(&own, sizeof(own), "mma", site);
  const uint32_t lane = emulation::Running().current().lane, g = lane / 4, t = lane % 4;
  const auto pair_of = [&](uint32_t other) {
    FragmentPair pair;
    std::memcpy(&pair, all.values[other], sizeof(pair));
    return pair;
  };
  for (int i = 0; i < 4; ++i) {
    const uint32_t row = g + (i >= 2 ? 8 : 0), column = 2 * t + i % 2;
    for (uint32_t k = 0; k < kColumns; ++k) {
      const uint32_t word = k / 16, byte = k % 4, in_lane = k % 16 / 4;
      const FragmentPair left = pair_of(4 * (row % 8) + in_lane);
      const FragmentPair right = pair_of(4 * column + in_lane);
      d[i] += ByteOf<int8_t>(left.a[2 * word + row / 8], byte) * ByteOf<Right>(right.b[word], byte);
    }
  }
}
inline void MmaS8K32(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                     VADE_SITE_PARAMETERS) {
  EmulateMma<32>(d, {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, emulation::Site{file, line});
}
inline void MmaS8U8K32(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                       VADE_SITE_PARAMETERS) {
  EmulateMma<32, uint8_t>(d, {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, emulation::Site{file, line});
}
inline void MmaS8K16(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t b, VADE_SITE_PARAMETERS) {
  EmulateMma<16>(d, {{a0, a1, 0, 0}, {b, 0}}, emulation::Site{file, line});
}

// --- launching
// ----------------------------------------------------------------------------------------- What a
// stream does with a launch: at once, or when the fake device comes to it.
using Enqueue = std::function<void(std::function<void()>)>;

}  // namespace vade::kernels::cuda
