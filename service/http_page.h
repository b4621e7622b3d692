// One page over plain HTTP, for a machine that asks for it now and then: one answer a connection,
// closed by this side. Private to service/.
//
// Requests are hostile: at most 8 KiB of a head, five seconds for all of it with the answer. One
// thread serves up to eight connections at once, so that one that says nothing keeps nobody
// waiting; when a further one comes, the oldest is let go.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "base/status.h"

namespace vade {

class HttpPage {
 public:
  struct Page {
    std::string path;                          // "/metrics"; everything else is not found
    std::string type;                          // of the content
    std::function<std::string()> body;         // called from the page's thread
    std::chrono::milliseconds patience{5000};  // with one request, the answer included
  };
  // `address` is HOST:PORT, port 0 takes a free one. INVALID_ARGUMENT, or UNAVAILABLE when it
  // cannot be had.
  static Result<std::unique_ptr<HttpPage>> Start(const std::string& address, Page page);
  ~HttpPage();
  HttpPage(const HttpPage&) = delete;
  HttpPage& operator=(const HttpPage&) = delete;

  const std::string& address() const { return address_; }  // with the real port

 private:
  HttpPage(int listener, int stop, std::string address, Page page);
  struct Connection;
  using Connections = std::list<Connection>;  // the oldest first
  void Run();
  void Accept(Connections* open) const;
  bool Advance(Connection* connection) const;
  std::string Answer(const std::string& head) const;

  const int listener_, stop_;  // an event: written once, at the end
  const std::string address_;
  const Page page_;
  std::thread thread_;
};

}  // namespace vade
