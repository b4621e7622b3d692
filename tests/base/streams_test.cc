#include "base/streams.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::TempDir;

TEST(AtomicFile, AppearsWholeWhenItIsFinished) {
  const TempDir dir;
  const std::string path = dir.Write("a", "before");
  auto file = AtomicFile::Create(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Write("af").ok());
  ASSERT_TRUE((*file)->Write("ter").ok());
  EXPECT_EQ(*ReadFile(path, 100), "before");
  ASSERT_TRUE((*file)->Finish().ok());
  EXPECT_EQ(*ReadFile(path, 100), "after");
}

TEST(AtomicFile, LeavesNothingWhenItIsNotFinished) {
  const TempDir dir;
  {
    auto file = AtomicFile::Create(dir.File("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Write("half").ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(AtomicFile, NamesAFolderAndAPathThatCannotBe) {
  const TempDir dir;
  EXPECT_EQ(AtomicFile::Create(dir.path()).status().code(), StatusCode::kInvalidArgument);
  const auto nowhere = AtomicFile::Create(dir.File("no/a"));
  EXPECT_NE(nowhere.status().message().find("no/a"), std::string::npos);
}

std::string ReadAll(ByteSource* source) {
  std::string all, part(3, '\0');
  for (;;) {
    const auto got = source->Read(part.data(), part.size());
    if (!got.ok()) return got.status().ToString();
    if (*got == 0) return all;
    all.append(part, 0, *got);
  }
}

TEST(FileSource, IsReadFromItsBeginningAgain) {
  const TempDir dir;
  auto file = FileSource::Open(dir.Write("a", "eleven long"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(ReadAll(file->get()), "eleven long");
  EXPECT_EQ(ReadAll(file->get()), "");
  ASSERT_TRUE((*file)->Rewind().ok());
  EXPECT_EQ(ReadAll(file->get()), "eleven long");
  EXPECT_EQ(FileSource::Open(dir.File("no")).status().code(), StatusCode::kNotFound);
}

TEST(SpoolFile, GivesBackWhatItTookAndHasNoName) {
  const TempDir dir;
  auto spool = SpoolFile::Create(dir.path(), 0);
  ASSERT_TRUE(spool.ok());
  ASSERT_TRUE((*spool)->Write("eleven ").ok());
  ASSERT_TRUE((*spool)->Write("long").ok());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  ASSERT_TRUE((*spool)->Rewind().ok());
  EXPECT_EQ(ReadAll(spool->get()), "eleven long");
}

TEST(SpoolFile, RefusesWhatWouldLeaveTooLittleOfTheDisk) {
  const TempDir dir;
  auto spool = SpoolFile::Create(dir.path(), UINT64_MAX - 1000);
  ASSERT_TRUE(spool.ok());
  EXPECT_EQ((*spool)->Write("x").code(), StatusCode::kResourceExhausted);
}

TEST(SpoolFile, KeepsPiecesAtTheirPlaces) {
  const TempDir dir;
  auto spool = SpoolFile::Create(dir.path(), 0);
  ASSERT_TRUE(spool.ok());
  ASSERT_TRUE((*spool)->WriteAt(7, "long").ok());
  ASSERT_TRUE((*spool)->WriteAt(0, "eleven ").ok());
  EXPECT_EQ((*spool)->ReadAt(0, 11).value(), "eleven long");
  EXPECT_EQ((*spool)->ReadAt(7, 4).value(), "long");
  EXPECT_EQ((*spool)->ReadAt(7, 5).status().code(), StatusCode::kDataLoss);
  ASSERT_TRUE((*spool)->Clear().ok());
  EXPECT_EQ((*spool)->ReadAt(0, 1).status().code(), StatusCode::kDataLoss);
}

TEST(StringSource, IsReadFromItsBeginningAgain) {
  StringSource source("eleven long");
  EXPECT_EQ(ReadAll(&source), "eleven long");
  ASSERT_TRUE(source.Rewind().ok());
  EXPECT_EQ(ReadAll(&source), "eleven long");
}

}  // namespace
}  // namespace vade
