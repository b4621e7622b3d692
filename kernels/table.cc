#include <cpuid.h>

#include <atomic>
#include <cstdlib>

#include "base/log.h"
#include "base/status.h"
#include "base/strings.h"
#include "kernels/kernels.h"

namespace vade::kernels {
namespace {

const KernelTable kScalarTable = {Level::kScalar, kMatmulScalar, kVectorScalar, kDistanceScalar, kInt8Scalar};
const KernelTable kAvx2Table = {Level::kAvx2, kMatmulAvx2, kVectorAvx2, kDistanceAvx2, kInt8Avx2};
const KernelTable kAvx512Table = {Level::kAvx512, kMatmulAvx512, kVectorAvx512, kDistanceAvx512, kInt8Avx512};

const KernelTable* Find(Level level) {
  switch (level) {
    case Level::kScalar: return &kScalarTable;
    case Level::kAvx2: return &kAvx2Table;
    case Level::kAvx512: return &kAvx512Table;
  }
  return &kScalarTable;
}

// VADE_LEVEL=scalar|avx2|avx512, when this processor has it, else the best.
const KernelTable* Initial() {
  const char* forced = std::getenv("VADE_LEVEL");
  if (forced && *forced) {
    const auto level = ParseLevel(forced);
    if (level && LevelSupported(*level)) return Find(*level);
    LogWarning(StrCat("VADE_LEVEL=", forced,
                      " is unknown or not supported by this processor; using ",
                      LevelName(BestLevel())));
  }
  return Find(BestLevel());
}

std::atomic<const KernelTable*>& Current() {
  static std::atomic<const KernelTable*> current{Initial()};
  return current;
}

// F16C, by CPUID itself: clang 14 has no name for it in __builtin_cpu_supports. Any processor and
// system with AVX2, which is asked for beside it, saves the registers that it uses.
bool HasHalfConversions() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

}  // namespace

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kScalar: return "scalar";
    case Level::kAvx2: return "avx2";
    case Level::kAvx512: return "avx512";
  }
  return "unknown";
}

std::optional<Level> ParseLevel(std::string_view name) {
  for (Level level : {Level::kScalar, Level::kAvx2, Level::kAvx512}) {
    if (name == LevelName(level)) return level;
  }
  return std::nullopt;
}

std::string_view KvTypeName(KvType type) {
  switch (type) {
    case KvType::kF32: return "f32";
    case KvType::kF16: return "f16";
    case KvType::kQ8: return "q8";
  }
  return "unknown";
}

std::optional<KvType> ParseKvType(std::string_view name) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8}) {
    if (name == KvTypeName(type)) return type;
  }
  return std::nullopt;
}

bool LevelSupported(Level level) {
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && HasHalfConversions();
  switch (level) {
    case Level::kScalar: return true;
    case Level::kAvx2: return avx2;
    case Level::kAvx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni");
  }
  return false;
}

Level BestLevel() {
  for (Level level : {Level::kAvx512, Level::kAvx2}) {
    if (LevelSupported(level)) return level;
  }
  return Level::kScalar;
}

const KernelTable& Active() { return *Current().load(std::memory_order_relaxed); }

const KernelTable& TableOf(Level level) {
  VADE_CHECK(LevelSupported(level), "callers ask LevelSupported() first");
  return *Find(level);
}

ScopedLevel::ScopedLevel(Level level) : previous_(Current().exchange(&TableOf(level))) {}
ScopedLevel::~ScopedLevel() { Current().store(previous_); }

}  // namespace vade::kernels
