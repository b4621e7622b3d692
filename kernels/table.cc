#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "base/log.h"
#include "base/status.h"
#include "base/strings.h"
#include "kernels/kernels.h"

namespace vade::kernels {
namespace {

const KernelTable kScalarTable = {Level::kScalar, kMatmulScalar, kVectorScalar, kDistanceScalar,
                                  kInt8Scalar};
const KernelTable kAvx2Table = {Level::kAvx2, kMatmulAvx2, kVectorAvx2, kDistanceAvx2, kInt8Avx2};
const KernelTable kAvx512Table = {Level::kAvx512, kMatmulAvx512, kVectorAvx512, kDistanceAvx512,
                                  kInt8Avx512};

KernelTable WithAmx(KernelTable table) {
  table.level = Level::kAmx;
  table.matmul = kMatmulAmx;
  table.int8.multiply = MultiplyInt8Amx;
  return table;
}
const KernelTable kAmxTable = WithAmx(kAvx512Table);

const KernelTable* Find(Level level) {
  switch (level) {
    case Level::kScalar: return &kScalarTable;
    case Level::kAvx2: return &kAvx2Table;
    case Level::kAvx512: return &kAvx512Table;
    case Level::kAmx: return &kAmxTable;
  }
  return &kScalarTable;
}

// VADE_LEVEL=scalar|avx2|avx512|amx, when this processor has it, else the best.
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

// The registers of AMX are large, so Linux gives them to a process that asks; its threads have them
// then too. What asks is the first question, which comes before there are threads that multiply.
bool AskForTiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// AMX-TILE and AMX-INT8, by CPUID itself: g++ 12 and clang 14 have no names for them in
// __builtin_cpu_supports. Whether the system keeps their state is what AskForTiles learns.
bool HasTiles() {
  constexpr unsigned kBits = 1u << 24 | 1u << 25;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kBits) == kBits;
}

}  // namespace

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kScalar: return "scalar";
    case Level::kAvx2: return "avx2";
    case Level::kAvx512: return "avx512";
    case Level::kAmx: return "amx";
  }
  return "unknown";
}

std::optional<Level> ParseLevel(std::string_view name) {
  for (Level level : kAllLevels) {
    if (name == LevelName(level)) return level;
  }
  return std::nullopt;
}

std::string_view KvTypeName(KvType type) {
  switch (type) {
    case KvType::kF32: return "f32";
    case KvType::kF16: return "f16";
    case KvType::kQ8: return "q8";
    case KvType::kQ4: return "q4";
  }
  return "unknown";
}

std::optional<KvType> ParseKvType(std::string_view name) {
  for (KvType type : kAllKvTypes) {
    if (name == KvTypeName(type)) return type;
  }
  return std::nullopt;
}

bool LevelSupported(Level level) {
  static const bool tiles = HasTiles() && AskForTiles();
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && HasHalfConversions();
  switch (level) {
    case Level::kScalar: return true;
    case Level::kAvx2: return avx2;
    case Level::kAmx: return tiles && LevelSupported(Level::kAvx512);
    case Level::kAvx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni");
  }
  return false;
}

Level BestLevel() {
  Level best = Level::kScalar;
  for (Level level : kAllLevels) {
    if (LevelSupported(level)) best = level;
  }
  return best;
}

const KernelTable& Active() { return *Current().load(std::memory_order_relaxed); }

const KernelTable& TableOf(Level level) {
  VADE_CHECK(LevelSupported(level), "callers ask LevelSupported() first");
  return *Find(level);
}

ScopedLevel::ScopedLevel(Level level) : previous_(Current().exchange(&TableOf(level))) {}
ScopedLevel::~ScopedLevel() { Current().store(previous_); }

}  // namespace vade::kernels
