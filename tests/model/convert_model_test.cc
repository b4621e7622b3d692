// The real container against the catalog's hash of the result.
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "model/catalog.h"
#include "model/convert.h"
#include "tests/testing/model_files.h"

namespace vade {
namespace {

TEST(Convert, TheRealContainerGivesTheCatalogsFile) {
  const std::string in = testing::ModelPath("e5-small-q4.bin");
  VADE_SKIP_IF_MISSING(in, "e5-small-q4.bin");
  const std::string out = JoinPath(::testing::TempDir(), StrCat("vade_e5_", ::getpid(), ".gguf"));
  const Status status = ConvertE5(in, out);
  ASSERT_TRUE(status.ok()) << status.ToString();
  const CatalogModel* model = FindModel("multilingual-e5-small");
  const std::string bytes = ReadFile(out, 1 << 30).value();
  EXPECT_EQ(bytes.size(), model->bytes);
  EXPECT_EQ(Sha256Hex(bytes), model->sha256);
  EXPECT_TRUE(RemoveFile(out).ok());
}

}  // namespace
}  // namespace vade
