#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kKeys = {"grpc.address", "http.address", "memory", "strict",
                                        "threads"};

std::string ErrorOf(std::string_view text) {
  const auto config = Config::Parse(text, kKeys);
  return config.ok() ? "no error" : config.status().ToString();
}

TEST(Config, ReadsKeysValuesAndComments) {
  const auto config = Config::Parse(
      "# a comment\n\n  grpc.address = 127.0.0.1:50051  # the port\r\nthreads=4\nhttp.address = "
      "\"a # b\\n\\\"\" # x",
      kKeys);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->GetString("grpc.address", ""), "127.0.0.1:50051");
  EXPECT_EQ(config->GetInt("threads", 1).value(), 4);
  EXPECT_EQ(config->GetString("http.address", ""), "a # b\n\"");
}

TEST(Config, FallbackStandsForKeysThatAreNotSet) {
  const auto config = Config::Parse("", kKeys);
  ASSERT_TRUE(config.ok());
  EXPECT_FALSE(config->Has("threads"));
  EXPECT_EQ(config->GetInt("threads", 7).value(), 7);
  EXPECT_EQ(config->GetString("grpc.address", "x"), "x");
  EXPECT_TRUE(config->GetBool("strict", true).value());
  EXPECT_EQ(config->GetBytes("memory", 9).value(), 9u);
}

TEST(Config, EmptyValueIsSet) {
  const auto config = Config::Parse("grpc.address =\nhttp.address = # none", kKeys);
  ASSERT_TRUE(config.ok());
  EXPECT_TRUE(config->Has("grpc.address"));
  EXPECT_EQ(config->GetString("http.address", "x"), "");
}

TEST(Config, UnknownKeyNamesLineAndNearestKey) {
  const std::string error = ErrorOf("threads = 1\ngrpc.adress = x\n");
  EXPECT_THAT(error, HasSubstr("line 2"));
  EXPECT_THAT(error, HasSubstr("'grpc.adress'"));
  EXPECT_THAT(error, HasSubstr("nearest known key is 'grpc.address'"));
  EXPECT_THAT(ErrorOf("thread = 1"), HasSubstr("'threads'"));
  EXPECT_THAT(ErrorOf("= 1"), HasSubstr("unknown key ''"));
}

TEST(Config, BrokenLinesAreRefused) {
  EXPECT_THAT(ErrorOf("threads 4"), HasSubstr("no '='"));
  EXPECT_THAT(ErrorOf("threads = 1\nthreads = 2"), HasSubstr("line 2: key 'threads' is set twice"));
  EXPECT_THAT(ErrorOf("threads = \"4"), HasSubstr("closing quote is missing"));
  EXPECT_THAT(ErrorOf("threads = \"4\" 5"), HasSubstr("after the closing quote"));
  EXPECT_THAT(ErrorOf("threads = \"\\q\""), HasSubstr("unknown escape"));
  EXPECT_THAT(ErrorOf("threads = \"\\"), HasSubstr("unknown escape"));
}

TEST(Config, BytesTakeUnits) {
  const auto bytes = [](std::string value) {
    return Config::Parse("memory = " + value, kKeys).value().GetBytes("memory", 0);
  };
  EXPECT_EQ(bytes("512").value(), 512u);
  EXPECT_EQ(bytes("64K").value(), 65536u);
  EXPECT_EQ(bytes("2m").value(), 2u << 20);
  EXPECT_EQ(bytes("4 G").value(), uint64_t{4} << 30);
  EXPECT_EQ(bytes("16777215T").value(), uint64_t{16777215} << 40);
  for (const char* bad : {"", "G", "-1", "4GB", "1.5G", "16777216T", "99999999999999999999"}) {
    EXPECT_EQ(bytes(bad).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(Config, WrongTypesNameTheKey) {
  const auto config = Config::Parse("threads = many\nstrict = maybe", kKeys);
  ASSERT_TRUE(config.ok());
  EXPECT_THAT(config->GetInt("threads", 0).status().message(), HasSubstr("'threads'"));
  EXPECT_THAT(config->GetBool("strict", false).status().message(), HasSubstr("true or false"));
}

TEST(Config, BoolsHaveFourSpellings) {
  for (const char* yes : {"true", "Yes", "on", "1"}) {
    const auto config = Config::Parse(std::string("strict = ") + yes, kKeys);
    EXPECT_TRUE(config->GetBool("strict", false).value()) << yes;
  }
  for (const char* no : {"false", "NO", "off", "0"}) {
    const auto config = Config::Parse(std::string("strict = ") + no, kKeys);
    EXPECT_FALSE(config->GetBool("strict", true).value()) << no;
  }
}

TEST(Config, LoadNamesTheFile) {
  const testing::TempDir dir;
  const std::string path = dir.Write("vade.conf", "threads = 3\n");
  EXPECT_EQ(Config::Load(path, kKeys).value().GetInt("threads", 0).value(), 3);
  const std::string bad = dir.Write("bad.conf", "x = 3\n");
  EXPECT_THAT(Config::Load(bad, kKeys).status().message(), HasSubstr(bad + ": config line 1"));
  EXPECT_EQ(Config::Load(dir.File("none"), kKeys).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace vade
