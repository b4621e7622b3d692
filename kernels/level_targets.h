// How the functions of a vector level are marked: such a function runs only where the processor has
// what it names. Private to the level files.
#pragma once

#define VADE_AVX2_TARGET target("avx2,fma,f16c")
#define VADE_AVX2 __attribute__((VADE_AVX2_TARGET))
#define VADE_AVX2_INLINE static inline __attribute__((always_inline, VADE_AVX2_TARGET))

// In front of a loop of at most 16 rounds whose arrays are to live in registers.
#if defined(__clang__)
#define VADE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VADE_UNROLL _Pragma("GCC unroll 16")
#endif

// With VNNI, for what multiplies bytes. vector_avx512.cc and distance_avx512.cc ask for less and
// mark their functions themselves.
#define VADE_VNNI_TARGET target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
#define VADE_VNNI __attribute__((VADE_VNNI_TARGET))
#define VADE_VNNI_INLINE static inline __attribute__((always_inline, VADE_VNNI_TARGET))

// With the tiles of AMX (int8). Such a function may call those of VNNI.
#define VADE_AMX_TARGET \
  target("amx-tile,amx-int8,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
#define VADE_AMX __attribute__((VADE_AMX_TARGET))
#define VADE_AMX_INLINE static inline __attribute__((always_inline, VADE_AMX_TARGET))
