// The intrinsics, for the AVX-512 levels. Private to kernels/.
#pragma once

// g++ 12 takes the undefined operands of its own AVX-512 headers for uninitialised variables.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
