#include "base/language.h"

#include <gtest/gtest.h>

namespace vade {
namespace {

std::string Detected(std::string_view text, std::string_view hint = "") {
  return LanguageName(DetectLanguage(text, ParseLanguage(hint)));
}

TEST(Language, CodesAndNamesAreOneToOne) {
  for (const char* name : {"en", "zh", "aa", "zz", "deu", "aaa", "zzz"}) {
    EXPECT_EQ(LanguageName(ParseLanguage(name)), name);
  }
  EXPECT_NE(ParseLanguage("ab"), ParseLanguage("aab"));
  for (const char* bad : {"", "e", "EN", "e1", "engl", "zh-Hant", "\xc3\xa9"}) {
    EXPECT_EQ(ParseLanguage(bad), kUnknownLanguage) << bad;
  }
  EXPECT_EQ(LanguageName(kUnknownLanguage), "");
  for (int code = 0; code <= UINT16_MAX; ++code) {  // whatever a damaged file says
    const std::string name = LanguageName(static_cast<LanguageCode>(code));
    if (!name.empty()) {
      EXPECT_EQ(ParseLanguage(name), code);
    }
  }
}

TEST(Language, SentencesAreTold) {
  EXPECT_EQ(Detected("We advise every two years for radar gauges and every 18 months for pressure "
                     "gauges. A port that bills ships by their depth may do it sooner."),
            "en");
  EXPECT_EQ(Detected("本公司的员工每年有二十五天的年假，病假需要医生证明。"), "zh");
  EXPECT_EQ(Detected("本公司的員工每年有二十五天的年假，病假需要醫生證明。"), "zh");
  EXPECT_EQ(Detected("Das Gerät wird alle zwei Jahre überprüft, sofern der Hafen nichts anderes "
                     "verlangt."),
            "de");
  EXPECT_EQ(Detected("機器は二年ごとに点検されます。詳しくは取扱説明書をご覧ください。"), "ja");
  EXPECT_EQ(Detected("Прибор проверяют каждые два года, если порт не требует иного."), "ru");
  EXPECT_EQ(Detected("장치는 이 년마다 점검합니다. 자세한 내용은 설명서를 보십시오."), "ko");
}

TEST(Language, ShortTextsFollowTheirDocumentWhereTheScriptAllowsIt) {
  EXPECT_EQ(Detected("FL-20/B", "de"), "de");
  EXPECT_EQ(Detected("1,250", "de"), "de");
  EXPECT_EQ(Detected("第3章", "en"), "zh");
  EXPECT_EQ(Detected("第3章", "ja"), "ja");
  EXPECT_EQ(Detected("FL-20/B", "zh"), Detected("FL-20/B", ""));
  EXPECT_EQ(Detected("", "fr"), "fr");
  EXPECT_EQ(Detected(""), "");
}

TEST(Language, TraditionalChineseBesideChineseIsNotTakenForJapanese) {
  const std::string_view text =
      "印歐語系因為哪一門語言而被發現？陸特和漢斯雷頓開創了梵語的學術研究。";
  for (const char* hint : {"", "zh", "en"}) EXPECT_EQ(Detected(text, hint), "zh") << hint;
  EXPECT_EQ(Detected("誰認為希臘語、拉丁語與梵語是出自於同一門可能已經消失的語言？", "zh"), "zh");
}

TEST(Language, BrokenAndLongTextsAreNoTrouble) {
  EXPECT_EQ(Detected("\xff\xfe\x80", "en"), "en");
  std::string text;
  while (text.size() < 100000) text += "波高每十分钟测量一次。";
  EXPECT_EQ(Detected(text), "zh");
  EXPECT_EQ(Detected(std::string_view(text).substr(1)), "zh");
}

}  // namespace
}  // namespace vade
