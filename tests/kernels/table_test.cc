#include <gtest/gtest.h>

#include "kernels/kernels.h"

namespace vade::kernels {
namespace {

TEST(KernelTable, LevelsAreFoundByTheNamesTheyPrint) {
  for (Level level : kAllLevels) {
    EXPECT_EQ(ParseLevel(LevelName(level)), level);
  }
  EXPECT_EQ(ParseLevel("AVX2"), std::nullopt);
  EXPECT_EQ(ParseLevel(""), std::nullopt);
}

TEST(KernelTable, TheBestLevelIsSupportedAndScalarAlwaysIs) {
  EXPECT_TRUE(LevelSupported(Level::kScalar));
  EXPECT_TRUE(LevelSupported(BestLevel()));
}

TEST(KernelTable, EveryEntryOfEverySupportedLevelIsFilled) {
  for (Level level : kAllLevels) {
    if (!LevelSupported(level)) continue;
    const KernelTable& table = TableOf(level);
    EXPECT_EQ(table.level, level);
    EXPECT_TRUE(table.matmul.prepare && table.matmul.multiply);
    EXPECT_TRUE(table.vector.rms_norm && table.vector.layer_norm && table.vector.add);
    EXPECT_TRUE(table.vector.silu_multiply && table.vector.gelu && table.vector.rotate);
    EXPECT_TRUE(table.vector.to_kv && table.vector.from_kv && table.vector.attend);
    EXPECT_TRUE(table.distance.dot_i8 && table.distance.dot_i8_rows);
    EXPECT_TRUE(table.distance.dot_f16 && table.distance.dot_f32);
  }
}

TEST(KernelTable, AForcedLevelHoldsForItsScopeOnly) {
  const Level before = Active().level;
  {
    ScopedLevel scalar(Level::kScalar);
    EXPECT_EQ(Active().level, Level::kScalar);
    {
      ScopedLevel best(BestLevel());
      EXPECT_EQ(Active().level, BestLevel());
    }
    EXPECT_EQ(Active().level, Level::kScalar);
  }
  EXPECT_EQ(Active().level, before);
}

}  // namespace
}  // namespace vade::kernels
