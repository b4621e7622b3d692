// One page for a scraper, beside clients that say nothing.
#include "service/http_page.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <list>
#include <memory>
#include <string>

#include "tests/service/http_get.h"

namespace vade {
namespace {

using std::chrono::milliseconds;
using testing::HttpGet;

constexpr milliseconds kForGood = std::chrono::hours(1);
constexpr milliseconds kLongEnough = std::chrono::minutes(1);

// Connects, and then says no more than it is told to.
class Client {
 public:
  explicit Client(const std::string& address) : socket_(testing::ConnectTo(address)) {
    EXPECT_GE(socket_, 0);
  }
  ~Client() { close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Say(const std::string& bytes) {
    EXPECT_EQ(send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Waits for the other side to go; false: it has not gone by then.
  bool WasLetGo(milliseconds within) const {
    pollfd ready = {socket_, POLLIN, 0};
    char byte = 0;
    return poll(&ready, 1, static_cast<int>(within.count())) == 1 && read(socket_, &byte, 1) <= 0;
  }

 private:
  const int socket_;
};

class HttpPageTest : public ::testing::Test {
 protected:
  void Start(milliseconds patience) {
    auto page = HttpPage::Start(
        "127.0.0.1:0",
        {.path = "/p", .type = "text/plain", .body = [] { return "words"; }, .patience = patience});
    ASSERT_TRUE(page.ok()) << page.status().ToString();
    page_ = *std::move(page);
  }
  bool Answers() {
    return HttpGet(page_->address(), "/p").find("\r\n\r\nwords") != std::string::npos;
  }
  std::unique_ptr<HttpPage> page_;
};

TEST_F(HttpPageTest, IsThereBesideAClientThatSaysNothing) {
  Start(kForGood);
  Client silent(page_->address()), stuck(page_->address());
  stuck.Say("GET /p HT");
  EXPECT_TRUE(Answers());
  EXPECT_TRUE(Answers());
  EXPECT_FALSE(silent.WasLetGo(milliseconds(0)));
  stuck.Say("TP/1.1\r\n\r\n");
  EXPECT_FALSE(stuck.WasLetGo(kLongEnough)) << "it gets its answer";
}

TEST_F(HttpPageTest, LetsTheOldestGoWhenTooManyCome) {
  Start(kForGood);
  std::list<Client> silent;
  for (int i = 0; i < 20; ++i) silent.emplace_back(page_->address());
  EXPECT_TRUE(Answers());
  EXPECT_TRUE(silent.front().WasLetGo(kLongEnough));
  EXPECT_FALSE(silent.back().WasLetGo(milliseconds(0)));
}

TEST_F(HttpPageTest, LetsAClientGoThatIsTooSlow) {
  Start(milliseconds(50));
  Client silent(page_->address());
  EXPECT_TRUE(silent.WasLetGo(kLongEnough));
}

TEST_F(HttpPageTest, EndsWhileClientsAreConnected) {
  Start(kForGood);
  Client silent(page_->address());
  EXPECT_TRUE(Answers());
  page_.reset();
  EXPECT_TRUE(silent.WasLetGo(kLongEnough));
}

}  // namespace
}  // namespace vade
