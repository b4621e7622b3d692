#include "model/catalog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "base/files.h"
#include "base/strings.h"

namespace vade {
namespace {

class CatalogFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = JoinPath(::testing::TempDir(), StrCat("vade_catalog_", ::getpid()));
    ASSERT_TRUE(MakeDirectories(folder_).ok());
  }
  void TearDown() override {
    for (const CatalogModel& model : Catalog()) {
      EXPECT_TRUE(RemoveFile(JoinPath(folder_, model.file_name)).ok());
    }
    ::rmdir(folder_.c_str());
  }
  std::string folder_;
};

TEST(Catalog, EveryEntryIsComplete) {
  std::set<std::string_view> names, files, hashes;
  for (const CatalogModel& model : Catalog()) {
    EXPECT_TRUE(names.insert(model.name).second);
    EXPECT_TRUE(files.insert(model.file_name).second);
    EXPECT_TRUE(hashes.insert(model.sha256).second);
    EXPECT_EQ(model.sha256.size(), 64u);
    EXPECT_GT(model.bytes, 0u);
    EXPECT_EQ(model.fetch_command.rfind("scripts/fetch-models", 0), 0u);
    EXPECT_EQ(FindModel(model.name), &model);
  }
  EXPECT_EQ(names.size(), 5u);
  EXPECT_EQ(FindModel("multilingual-e5-small")->role, ModelRole::kEmbedder);
  EXPECT_EQ(FindModel("gpt-9"), nullptr);
}

TEST_F(CatalogFolder, ANameBecomesThePathOfItsFile) {
  const std::string path = JoinPath(folder_, "smollm2-135m-instruct-q4_1.gguf");
  ASSERT_TRUE(WriteFileAtomically(path, "x").ok());
  const auto resolved = ResolveModel("smollm2-135m", folder_);
  ASSERT_TRUE(resolved.ok()) << resolved.status().ToString();
  EXPECT_EQ(*resolved, path);
  EXPECT_EQ(ResolveModel(path, "/nowhere").value(), path);
}

TEST_F(CatalogFolder, AMissingModelSaysHowToFetchIt) {
  for (const CatalogModel& model : Catalog()) {
    const Status status = ResolveModel(model.name, folder_).status();
    EXPECT_EQ(status.code(), StatusCode::kNotFound);
    EXPECT_NE(status.message().find(model.fetch_command), std::string::npos) << status.ToString();
    EXPECT_NE(status.message().find(folder_), std::string::npos) << status.ToString();
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
}

TEST_F(CatalogFolder, AnUnknownNameListsTheKnownOnes) {
  for (const std::string_view name : {"gpt-9", "", "a\nb\x1b\xff"}) {
    const Status status = ResolveModel(name, folder_).status();
    EXPECT_EQ(status.code(), StatusCode::kNotFound);
    EXPECT_NE(status.message().find("qwen2.5-coder-1.5b, qwen2.5-coder-0.5b"), std::string::npos);
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
  const Status path = ResolveModel("no/such.gguf", folder_).status();
  EXPECT_NE(path.message().find("'no/such.gguf' does not exist"), std::string::npos)
      << path.ToString();
}

TEST(Catalog, TheFolderFollowsTheEnvironment) {
  const char* before = std::getenv("VADE_MODELS");
  const std::string saved = before ? before : "";
  ::setenv("VADE_MODELS", "/some/where", 1);
  EXPECT_EQ(ModelsDirectory(), "/some/where");
  ::unsetenv("VADE_MODELS");
  EXPECT_EQ(ModelsDirectory(), JoinPath(CacheDirectory(), "models"));
  if (before) ::setenv("VADE_MODELS", saved.c_str(), 1);
}

}  // namespace
}  // namespace vade
