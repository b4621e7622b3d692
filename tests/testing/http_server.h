// An HTTP server on loopback that answers as a test says: one connection a request, one after the
// other.
//
//   HttpServer server([](const std::string& request) { return HttpServer::Ok("<p>Hello"); });
//   fetch(server.Url("/page"));
//   server.requests();  // their heads
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "base/strings.h"

namespace vade::testing {

class HttpServer {
 public:
  // From the head of a request to the whole answer, head included.
  using Handler = std::function<std::string(const std::string& request)>;

  explicit HttpServer(Handler handler) : handler_(std::move(handler)) {
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    VADE_CHECK(bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                   listen(socket_, 16) == 0 &&
                   getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
               "a test can listen on loopback");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~HttpServer() {
    ending_ = true;
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string Url(std::string_view path) const { return StrCat("http://127.0.0.1:", port_, path); }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  // How many requests there were for this path.
  int Count(std::string_view path) const {
    int count = 0;
    for (const std::string& request : requests()) {
      count += request.starts_with(StrCat("GET ", path, " "));
    }
    return count;
  }

  static std::string Ok(std::string_view body, std::string_view headers = "") {
    return StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", body.size(), "\r\n", headers,
                  "Connection: close\r\n\r\n", body);
  }
  static std::string Says(std::string_view status_line, std::string_view headers = "") {
    return StrCat("HTTP/1.1 ", status_line, "\r\nContent-Length: 0\r\n", headers,
                  "Connection: close\r\n\r\n");
  }

 private:
  void Serve() {
    while (!ending_) {
      const int client = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      std::string request;
      char buffer[4096];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = read(client, buffer, sizeof(buffer));
        if (got <= 0) break;
        request.append(buffer, static_cast<size_t>(got));
      }
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const std::string answer = handler_(request);
      for (size_t at = 0; at < answer.size();) {
        const ssize_t sent = send(client, answer.data() + at, answer.size() - at, MSG_NOSIGNAL);
        if (sent <= 0) break;
        at += static_cast<size_t>(sent);
      }
      close(client);
    }
  }

  const Handler handler_;
  int socket_ = -1;
  int port_ = 0;
  std::atomic<bool> ending_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace vade::testing
