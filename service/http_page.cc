#include "service/http_page.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "base/strings.h"

namespace vade {
namespace {

constexpr size_t kMostHead = 8 << 10;
constexpr std::chrono::milliseconds kPatience(5000);

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

void HttpPage::Run() {
  for (;;) {
    pollfd ready[2] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (poll(ready, 2, -1) < 0) continue;  // a signal
    if (ready[1].revents != 0) return;
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) {  // gone again, or no descriptor is left: not in a tight loop
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      continue;
    }
    Serve(connection);
    close(connection);
  }
}

// False: the time is over, or the page is to end.
bool HttpPage::Wait(int connection, short events, Deadline deadline) const {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd ready[2] = {{connection, events, 0}, {stop_, POLLIN, 0}};
    const int count = poll(ready, 2, static_cast<int>(left.count()));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || ready[1].revents != 0) return false;
    return true;
  }
}

// Up to the empty line; "" when the peer goes, is too slow or says too much.
std::string HttpPage::ReadHead(int connection, Deadline deadline) const {
  std::string head;
  char part[1024];
  while (head.find("\r\n\r\n") == std::string::npos) {
    if (head.size() > kMostHead || !Wait(connection, POLLIN, deadline)) return "";
    const ssize_t got = recv(connection, part, sizeof(part), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return "";
    head.append(part, static_cast<size_t>(got));
  }
  return head;
}

void HttpPage::Serve(int connection) const {
  const Deadline deadline = std::chrono::steady_clock::now() + kPatience;
  const std::string answer = Answer(ReadHead(connection, deadline));
  for (size_t sent = 0; sent < answer.size();) {
    if (!Wait(connection, POLLOUT, deadline)) return;
    const ssize_t more =
        send(connection, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (more < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (more <= 0) return;
    sent += static_cast<size_t>(more);
  }
  (void)shutdown(connection, SHUT_WR);
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
