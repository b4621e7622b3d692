#include "service/http_page.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace vade {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Time = SteadyClock::time_point;

constexpr size_t kMostHead = 8 << 10;
constexpr size_t kMostConnections = 8;

// A bound listening socket of the first address that the name has, or -1.
int Listen(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return -1;
  int listener = -1;
  for (const addrinfo* at = found; at != nullptr && listener < 0; at = at->ai_next) {
    const int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (fd < 0) continue;
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, 16) == 0) {
      listener = fd;
    } else {
      close(fd);
    }
  }
  freeaddrinfo(found);
  return listener;
}

int PortOf(int listener) {
  sockaddr_storage at{};
  socklen_t size = sizeof(at);
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0) return 0;
  return ntohs(at.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&at)->sin6_port
                                        : reinterpret_cast<sockaddr_in*>(&at)->sin_port);
}

bool IsTransient(int error) { return error == EAGAIN || error == EINTR; }

// Rounded up: poll() is not to return a moment too early again and again.
int MillisUntil(Time time) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - SteadyClock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT_MAX));
}

std::string Reply(const std::string& status, const std::string& type, const std::string& body) {
  return StrCat("HTTP/1.1 ", status, "\r\nContent-Type: ", type,
                "\r\nContent-Length: ", body.size(), "\r\nConnection: close\r\n\r\n", body);
}

}  // namespace

Result<std::unique_ptr<HttpPage>> HttpPage::Start(const std::string& address, Page page) {
  const size_t colon = address.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : ParseUint(address.substr(colon + 1));
  if (!port || *port > 65535 || colon == 0 || address.find_first_of(", ") != std::string::npos) {
    return InvalidArgument(
        StrCat("the address '", address, "' is not HOST:PORT; give for instance 127.0.0.1:9464"));
  }
  const std::string name = address.substr(0, colon);
  const bool bracketed = name.starts_with('[') && name.ends_with(']');
  const std::string host = bracketed ? name.substr(1, name.size() - 2) : name;
  const int listener = Listen(host, StrCat(*port));
  const int stop = listener < 0 ? -1 : eventfd(0, EFD_CLOEXEC);
  if (stop < 0) {
    if (listener >= 0) close(listener);
    return Unavailable(StrCat("cannot listen on ", address,
                              ": the port is taken, or the address is not this machine's; choose "
                              "another"));
  }
  std::string real = StrCat(name, ":", PortOf(listener));
  return std::unique_ptr<HttpPage>(new HttpPage(listener, stop, std::move(real), std::move(page)));
}

HttpPage::HttpPage(int listener, int stop, std::string address, Page page)
    : listener_(listener), stop_(stop), address_(std::move(address)), page_(std::move(page)) {
  thread_ = std::thread([this] { Run(); });
}

HttpPage::~HttpPage() {
  (void)eventfd_write(stop_, 1);
  thread_.join();
  close(listener_);
  close(stop_);
}

struct HttpPage::Connection {
  explicit Connection(int socket, Time end) : fd(socket), deadline(end) {}
  ~Connection() { close(fd); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  short awaited() const { return answer.empty() ? POLLIN : POLLOUT; }

  const int fd;
  const Time deadline;
  std::string head;    // so far
  std::string answer;  // "": the head is not there yet
  size_t sent = 0;     // of the answer
};

void HttpPage::Run() {
  for (Connections open;;) {
    std::vector<pollfd> ready = {{stop_, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const Connection& one : open) ready.push_back({one.fd, one.awaited(), 0});
    const int wait = open.empty() ? -1 : MillisUntil(open.front().deadline);
    if (poll(ready.data(), ready.size(), wait) < 0) continue;  // a signal
    if (ready[0].revents != 0) return;
    auto polled = ready.begin() + 2;
    open.remove_if([&](Connection& one) {
      const bool moves = (polled++)->revents != 0;
      return (moves && !Advance(&one)) || SteadyClock::now() >= one.deadline;
    });
    if (ready[1].revents != 0) Accept(&open);
  }
}

void HttpPage::Accept(Connections* open) const {
  const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection < 0) {  // gone again, or no descriptor is left: not in a tight loop
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return;
  }
  if (open->size() == kMostConnections) open->pop_front();
  open->emplace_back(connection, SteadyClock::now() + page_.patience);
}

// One step, without waiting. False: the connection has come to its end.
bool HttpPage::Advance(Connection* connection) const {
  if (connection->answer.empty()) {
    char part[2048];
    const ssize_t got = recv(connection->fd, part, sizeof(part), MSG_DONTWAIT);
    if (got < 0) return IsTransient(errno);
    if (got == 0) return false;
    std::string& head = connection->head;
    head.append(part, static_cast<size_t>(got));
    const bool whole = head.find("\r\n\r\n") != std::string::npos;
    if (!whole && head.size() <= kMostHead) return true;
    connection->answer = Answer(whole ? head : "");
  }
  const std::string_view rest = std::string_view(connection->answer).substr(connection->sent);
  const ssize_t more = send(connection->fd, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (more < 0) return IsTransient(errno);
  connection->sent += static_cast<size_t>(more);
  if (connection->sent < connection->answer.size()) return true;
  (void)shutdown(connection->fd, SHUT_WR);
  return false;
}

std::string HttpPage::Answer(const std::string& head) const {
  constexpr char kText[] = "text/plain; charset=utf-8";
  const size_t method = head.find(' ');
  const size_t end = method == std::string::npos ? method : head.find(' ', method + 1);
  if (end == std::string::npos) return Reply("400 Bad Request", kText, "no request\n");
  if (head.compare(0, method, "GET") != 0)
    return Reply("405 Method Not Allowed", kText, "only GET\n");
  const std::string path = head.substr(method + 1, end - method - 1);
  if (path.substr(0, path.find('?')) != page_.path)
    return Reply("404 Not Found", kText, StrCat("the page is ", page_.path, "\n"));
  return Reply("200 OK", page_.type, page_.body());
}

}  // namespace vade
