// What the page of metrics says, read as a scraper reads it.
#include "service/metrics.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/service/http_get.h"
#include "tests/service/service_fixture.h"

namespace vade {
namespace {

using testing::FakeService;
using testing::HttpGet;
using testing::kLeaveText;
using testing::MakeAsk;
using testing::MakePut;

class MetricsTest : public ::testing::Test {
 protected:
  MetricsTest() {
    EXPECT_TRUE(fake_.local->PutDocument("default", MakePut("leave.md", kLeaveText), {}).ok());
    auto page = MetricsPage::Start(fake_.local.get(), "127.0.0.1:0");
    EXPECT_TRUE(page.ok()) << page.status().ToString();
    if (page.ok()) page_ = *std::move(page);
  }
  void Ask(const std::string& question) {
    EXPECT_TRUE(fake_.local->Ask(MakeAsk(question), {}, {}).ok());
  }
  // The value of one line of the page; "" when it has none.
  std::string Value(const std::string& name) {
    const std::string page = HttpGet(page_->address(), "/metrics");
    const size_t at = page.find("\n" + name + " ");
    if (at == std::string::npos) return "";
    const size_t begin = at + name.size() + 2;
    return page.substr(begin, page.find_first_of("\r\n", begin) - begin);
  }

  FakeService fake_;
  std::unique_ptr<MetricsPage> page_;
};

TEST_F(MetricsTest, ThePageSaysHowOftenKeptPassagesWereAtHand) {
  EXPECT_EQ(Value("vade_kept_passages_total{from=\"miss\"}"), "0") << "before any question";
  Ask("How much paid leave?");
  EXPECT_EQ(Value("vade_kept_passages_total{from=\"miss\"}"), "1");
  EXPECT_EQ(Value("vade_kept_passages_total{from=\"memory\"}"), "0");
  Ask("How much paid leave?");
  Ask("Who has paid leave?");
  EXPECT_EQ(Value("vade_kept_passages_total{from=\"miss\"}"), "1");
  EXPECT_EQ(Value("vade_kept_passages_total{from=\"memory\"}"), "2");
  EXPECT_EQ(Value("vade_kept_passages_total{from=\"disk\"}"), "0");
  EXPECT_EQ(Value("vade_passages_asked_total"), "3");
  EXPECT_EQ(Value("vade_reading_rounds_total"), "3");
  EXPECT_EQ(Value("vade_readings_total{way=\"alone\"}"), "3");
}

TEST_F(MetricsTest, ThePageSaysWhatIsKeptAndWhatWasRead) {
  Ask("How much paid leave?");
  const EngineCounts engine = fake_.local->Counts().generator.engine;
  EXPECT_EQ(Value("vade_prompt_tokens_total{from=\"read\"}"),
            std::to_string(engine.prompt_tokens_read));
  EXPECT_EQ(Value("vade_prompt_tokens_total{from=\"kept\"}"),
            std::to_string(engine.prompt_tokens_kept));
  EXPECT_EQ(Value("vade_answer_tokens_total"), std::to_string(engine.answer_tokens));
  EXPECT_GT(engine.answer_tokens, 0u);
  EXPECT_EQ(Value("vade_kept_blocks{in=\"memory\"}"), "1");
  EXPECT_EQ(Value("vade_kept_bytes{in=\"memory\"}"),
            std::to_string(fake_.local->Counts().generator.kept_bytes));
  EXPECT_EQ(Value("vade_kept_budget_bytes{in=\"memory\"}"), std::to_string(300 << 20));
  EXPECT_EQ(Value("vade_kept_budget_bytes{in=\"disk\"}"), "0") << "no folder for files";
  ASSERT_TRUE(fake_.local->DeleteDocuments("default", {"leave.md"}, {}).ok());
  EXPECT_EQ(Value("vade_kept_bytes{in=\"memory\"}"), "0");
}

TEST_F(MetricsTest, ThePageSaysHowQuestionsEnded) {
  Ask("How much paid leave?");
  ASSERT_TRUE(fake_.local->DeleteDocuments("default", {"leave.md"}, {}).ok());
  Ask("How much paid leave?");
  EXPECT_EQ(Value("vade_answers_total{end=\"answered\"}"), "1");
  EXPECT_EQ(Value("vade_answers_total{end=\"no_passages\"}"), "1");
  EXPECT_EQ(Value("vade_answers_total{end=\"uncertain\"}"), "0");
}

TEST_F(MetricsTest, OnlyThePageIsThere) {
  EXPECT_NE(HttpGet(page_->address(), "/metrics").find(" 200 OK"), std::string::npos);
  for (const char* path : {"/", "/etc/passwd", "/../../etc/passwd", "/metrics/x"})
    EXPECT_NE(HttpGet(page_->address(), path).find(" 404 "), std::string::npos) << path;
  EXPECT_NE(HttpGet(page_->address(), "/metrics?x=1").find(" 200 OK"), std::string::npos);
  EXPECT_EQ(HttpGet(page_->address(), "/" + std::string(100000, 'x')).find(" 200 OK"),
            std::string::npos);
  EXPECT_NE(HttpGet(page_->address(), "/metrics").find(" 200 OK"), std::string::npos);
}

TEST_F(MetricsTest, AnAddressThatCannotBeHadIsAnError) {
  const Status taken = MetricsPage::Start(fake_.local.get(), page_->address()).status();
  EXPECT_EQ(taken.code(), StatusCode::kUnavailable) << taken.ToString();
  EXPECT_NE(taken.message().find(page_->address()), std::string::npos) << taken.ToString();
  for (const char* address : {"", "9464", "127.0.0.1", "127.0.0.1:70000", ":9464", "a:1,b:2"}) {
    EXPECT_EQ(MetricsPage::Start(fake_.local.get(), address).status().code(),
              StatusCode::kInvalidArgument)
        << address;
  }
}

}  // namespace
}  // namespace vade
