#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/files.h"
#include "base/unicode.h"

namespace vade {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

std::string Decoded(const std::string& bytes) {
  const auto text = DecodeText(bytes);
  return text.ok() ? text->charset + ": " + text->utf8 : text.status().ToString();
}

TEST(DecodeText, Utf8WithAndWithoutMark) {
  EXPECT_EQ(Decoded("naïve 中文"), "UTF-8: naïve 中文");
  EXPECT_EQ(Decoded("\xEF\xBB\xBF中"), "UTF-8: 中");
  EXPECT_EQ(Decoded(""), "UTF-8: ");
}

TEST(DecodeText, LineEndsBecomeNewlines) {
  EXPECT_EQ(Decoded("a\r\nb\rc\nd\r\r\ne\r"), "UTF-8: a\nb\nc\nd\n\ne\n");
}

TEST(DecodeText, MarkedUtf16AndUtf32) {
  EXPECT_EQ(Decoded("\xFF\xFE\x2D\x4E\x3D\xD8\x00\xDE"s), "UTF-16LE: 中😀");
  EXPECT_EQ(Decoded("\xFE\xFF\x4E\x2D\xD8\x3D\xDE\x00"s), "UTF-16BE: 中😀");
  EXPECT_EQ(Decoded("\xFF\xFE\x00\x00\x2D\x4E\x00\x00"s), "UTF-32LE: 中");
  EXPECT_EQ(Decoded("\x00\x00\xFE\xFF\x00\x01\xF6\x00"s), "UTF-32BE: 😀");
}

TEST(DecodeText, UnmarkedUtf16AndUtf32) {
  EXPECT_EQ(Decoded("H\0e\0l\0l\0o\0 \0y\0o\0u\0"s), "UTF-16LE: Hello you");
  EXPECT_EQ(Decoded("\0H\0e\0l\0l\0o\0 \0y\0o\0u"s), "UTF-16BE: Hello you");
  EXPECT_EQ(Decoded("H\0\0\0i\0\0\0"s), "UTF-32LE: Hi");
}

TEST(DecodeText, LoneSurrogatesOfUtf16AreReplaced) {
  EXPECT_EQ(Decoded("\xFF\xFE\x3D\xD8\x41\x00\x00\xDE"s),
            "UTF-16LE: \xEF\xBF\xBD"
            "A\xEF\xBF\xBD");
}

TEST(DecodeText, OddByteAtTheEndOfUtf16IsNoReasonToFail) {
  EXPECT_EQ(Decoded("\xFF\xFE\x41\x00\x42"s), "UTF-16LE: A\xEF\xBF\xBD");
}

TEST(DecodeText, ShortLegacyTextsAreRecognised) {
  EXPECT_EQ(Decoded("\xC4\xE3\xBA\xC3\xA3\xAC\xCA\xC0\xBD\xE7\xA1\xA3"), "GB18030: 你好，世界。");
  EXPECT_EQ(Decoded("caf\xE9 cr\xE8me"), "windows-1252: café crème");
  EXPECT_EQ(Decoded("\xCF\xF0\xE8\xE2\xE5\xF2, \xEC\xE8\xF0"), "windows-1251: Привет, мир");
  EXPECT_EQ(Decoded("\x82\xB1\x82\xF1\x82\xC9\x82\xBF\x82\xCD"), "Shift_JIS: こんにちは");
  EXPECT_EQ(Decoded("\xBE\xC8\xB3\xE7\xC7\xCF\xBC\xBC\xBF\xE4"), "EUC-KR: 안녕하세요");
  EXPECT_EQ(Decoded("\xA7\x41\xA6\x6E\xA1\x41\xA5\x40\xAC\xC9"), "Big5: 你好，世界");
}

TEST(DecodeText, EscapesOfIso2022AreRecognised) {
  std::string line = "\x1B$B$3$s$K$A$O\x1B(B\n";
  EXPECT_THAT(Decoded(line + line + line), HasSubstr("ISO-2022-JP: こんにちは\n"));
}

TEST(DecodeText, FewNulsAreDropped) {
  EXPECT_EQ(Decoded(std::string(60, 'a') + '\0' + std::string(60, 'b')),
            "UTF-8: " + std::string(60, 'a') + std::string(60, 'b'));
}

TEST(DecodeText, DamagedUtf8StaysUtf8) {
  const std::string text = "一二三四五六七八九十";
  EXPECT_EQ(Decoded(text + "\xFF" + text), "UTF-8: " + text + "\xEF\xBF\xBD" + text);
  EXPECT_EQ(Decoded(text.substr(0, text.size() - 1)),
            "UTF-8: " + text.substr(0, text.size() - 3) + "\xEF\xBF\xBD");
}

TEST(DecodeText, BinaryIsRefusedWithTheReason) {
  const std::string png = "\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\2\0\0\0"s;
  EXPECT_THAT(Decoded(png), HasSubstr("INVALID_ARGUMENT: the bytes are no text"));
  EXPECT_THAT(Decoded(std::string(100, '\x01')), HasSubstr("100 control characters"));
  EXPECT_THAT(Decoded(std::string(100, '\0')), HasSubstr("100 NUL bytes"));
}

TEST(DecodeText, RandomBytesAreRefused) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    std::string bytes(2048, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    EXPECT_EQ(DecodeText(bytes).status().code(), StatusCode::kInvalidArgument) << "round " << round;
  }
}

TEST(DecodeText, OutputIsAlwaysValidAndWithoutNul) {
  std::mt19937 random(4);
  for (int round = 0; round < 500; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes)
      c = static_cast<char>(random() % (round % 2 == 0 ? 256 : 32) + (round % 2) * 160);
    const auto text = DecodeText(bytes);
    if (!text.ok()) continue;
    ASSERT_TRUE(IsValidUtf8(text->utf8)) << "round " << round;
    ASSERT_EQ(text->utf8.find('\0'), std::string::npos);
    ASSERT_EQ(text->utf8.find('\r'), std::string::npos);
  }
}

TEST(DecodeText, AsciiLongBeforeTheFirstOtherByteDoesNotHideIt) {
  std::string gbk;
  for (int i = 0; i < 20; ++i) gbk += "\xC4\xE3\xBA\xC3\xA3\xAC\xCA\xC0\xBD\xE7\xA1\xA3";
  const auto text = DecodeText(std::string(300'000, 'x') + "\n" + gbk);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->charset, "GB18030");
  EXPECT_TRUE(text->utf8.ends_with("你好，世界。"));
}

// A corpus of real files, outside of this tree.
struct Sample {
  const char* file;
  const char* charset;
  const char* expected;
};

void PrintTo(const Sample& sample, std::ostream* out) { *out << sample.file; }

class DecodeTextCorpus : public ::testing::TestWithParam<Sample> {};

TEST_P(DecodeTextCorpus, FileIsReadInItsCharset) {
  const std::string folder = VADE_SOURCE_DIR "/../shared/data/ingest";
  if (!IsDirectory(folder)) GTEST_SKIP() << "the ingest corpus is not here";
  const auto bytes = ReadFile(JoinPath(folder, GetParam().file), 8 << 20);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  const auto text = DecodeText(*bytes);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(text->charset, GetParam().charset);
  EXPECT_THAT(text->utf8, HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    Files, DecodeTextCorpus,
    ::testing::Values(
        Sample{"encoding/chardet-gb18030.txt", "GB18030", "计算机只是处理数字"},
        Sample{"encoding/chardet-big5.txt", "Big5", "政府資訊科技總監辦公室"},
        Sample{"encoding/chardet-shiftjis.txt", "Shift_JIS", "コンピューターは、本質的には数字"},
        Sample{"encoding/chardet-euc-jp.txt", "EUC-JP", "ヨーロッパ言語が持っている名詞"},
        Sample{"encoding/chardet-euc-kr.txt", "EUC-KR", "컴퓨터는 숫자만 처리합니다"},
        Sample{"encoding/chardet-utf16le.txt", "UTF-16LE", "Euro Symbol: €."},
        Sample{"encoding/fake-text-utf-16-be.txt", "UTF-16BE", "This is a test document"},
        Sample{"encoding/fake-text-utf-16-le.txt", "UTF-16LE", "This is a test document"},
        Sample{"encoding/fake-text-utf-32.txt", "UTF-32LE", "This is a test document"},
        Sample{"encoding/fake-html-cp1252.html", "windows-1252",
               "Die schöne Frau hat einen Kaffee"},
        Sample{"encoding/test_mskanji.csv", "Shift_JIS", "髙橋淳"},
        Sample{"encoding/testTXT_win-1252.txt", "windows-1252", "“windows”"},
        Sample{"encoding/russian.cp866.txt", "IBM866", "И, шествуя важно, в спокойствии чинном,"},
        Sample{"encoding/testArabicMisleadingCharset.html", "windows-1256", "في قرية من القرى"},
        Sample{"encoding/zh-utf16be-nobom.txt", "UTF-16BE", "基于《跑跑卡丁车》"},
        Sample{"bad/bom-says-be-body-is-le.txt", "UTF-16LE", "Euro Symbol: €."},
        Sample{"bad/utf8-with-invalid-bytes.txt", "UTF-8", "基于《跑跑卡丁车》"},
        Sample{"bad/nul-bytes.txt", "UTF-8", "基于《跑跑卡丁车》"}));

struct Reference {
  const char* file;
  const char* expected;
};

void PrintTo(const Reference& reference, std::ostream* out) { *out << reference.file; }

class DecodeTextReference : public ::testing::TestWithParam<Reference> {};

TEST_P(DecodeTextReference, TextIsTheReference) {
  const std::string folder = VADE_SOURCE_DIR "/../shared/data/ingest";
  if (!IsDirectory(folder)) GTEST_SKIP() << "the ingest corpus is not here";
  const auto bytes = ReadFile(JoinPath(folder, GetParam().file), 8 << 20);
  const auto expected = ReadFile(JoinPath(folder, GetParam().expected), 8 << 20);
  ASSERT_TRUE(bytes.ok() && expected.ok());
  const auto text = DecodeText(*bytes);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(text->utf8, *expected);
}

INSTANTIATE_TEST_SUITE_P(
    Files, DecodeTextReference,
    ::testing::Values(Reference{"encoding/zh-gbk.txt", "expected/zh-gbk.utf8.txt"},
                      Reference{"encoding/zh-gb18030.txt", "expected/zh-gb18030.utf8.txt"},
                      Reference{"encoding/zh-big5.txt", "expected/zh-big5.utf8.txt"},
                      Reference{"encoding/zh-utf16le-bom.txt", "expected/zh-utf16.utf8.txt"},
                      Reference{"encoding/zh-utf16be-nobom.txt", "expected/zh-utf16.utf8.txt"},
                      Reference{"encoding/zh-utf8-bom-crlf.txt", "expected/zh-utf16.utf8.txt"}));

TEST(DecodeText, RandomFileOfTheCorpusIsRefused) {
  const std::string folder = VADE_SOURCE_DIR "/../shared/data/ingest";
  if (!IsDirectory(folder)) GTEST_SKIP() << "the ingest corpus is not here";
  const auto bytes = ReadFile(JoinPath(folder, "bad/random.bin"), 1 << 20);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  EXPECT_EQ(DecodeText(*bytes).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
