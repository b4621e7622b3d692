#include "service/endpoint.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/strings.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::TempDir;

TEST(Endpoint, WhatIsWrittenIsReadAndGoesWithTheObject) {
  const TempDir dir;
  {
    auto file = EndpointFile::Write(dir.path(), "127.0.0.1:50051");
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_EQ(ReadEndpoint(dir.path()), "127.0.0.1:50051");
  }
  EXPECT_EQ(ReadEndpoint(dir.path()), std::nullopt);
  EXPECT_FALSE(FileExists(dir.File("endpoint")));
}

TEST(Endpoint, NoFileIsNoAddress) {
  const TempDir dir;
  EXPECT_EQ(ReadEndpoint(dir.path()), std::nullopt);
  EXPECT_EQ(ReadEndpoint(dir.File("missing")), std::nullopt);
}

TEST(Endpoint, AStaleOneIsTakenAwayAndNoneIsNoError) {
  const TempDir dir;
  dir.Write("endpoint", "127.0.0.1:1\n");
  RemoveStaleEndpoint(dir.path());
  EXPECT_FALSE(FileExists(dir.File("endpoint")));
  RemoveStaleEndpoint(dir.path());
}

TEST(Endpoint, LineEndsAndSpacesAroundTheAddressDoNotMatter) {
  const TempDir dir;
  dir.Write("endpoint", "  [::1]:7000 \r\n\n");
  EXPECT_EQ(ReadEndpoint(dir.path()), "[::1]:7000");
}

TEST(Endpoint, WhatIsNoAddressIsNotReturned) {
  const TempDir dir;
  for (const std::string& bytes :
       {std::string(""), std::string("\n"), std::string("localhost"), std::string(":50051"),
        std::string("localhost:"), std::string("localhost:0"), std::string("localhost:65536"),
        std::string("localhost:-1"), std::string("a b:80"), std::string("a\nb:80"),
        std::string("unix:/tmp/x:80"), std::string("h\0st:80", 7), std::string("h\xc3\xb6st:80"),
        StrCat(std::string(513, 'a'), ":80")}) {
    dir.Write("endpoint", bytes);
    EXPECT_EQ(ReadEndpoint(dir.path()), std::nullopt) << "'" << bytes << "'";
  }
}

TEST(Endpoint, AnEnormousFileIsNotReadIn) {
  const TempDir dir;
  dir.Write("endpoint", "localhost:80\n" + std::string(1 << 20, ' '));
  EXPECT_EQ(ReadEndpoint(dir.path()), std::nullopt);
}

TEST(Endpoint, AFolderThatIsNotThereIsAnErrorThatNamesIt) {
  const TempDir dir;
  const auto file = EndpointFile::Write(dir.File("missing"), "127.0.0.1:1");
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.status().message().find("missing"), std::string::npos) << file.status().ToString();
  EXPECT_EQ(EndpointFile::Write(dir.path(), "nonsense").status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
