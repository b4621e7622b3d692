// The answer of an HTTP server on loopback to one GET, head and body; "" when there is none.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace vade::testing {

// A connected socket; -1 when there is none to be had. `address` is IPV4:PORT.
inline int ConnectTo(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + colon + 1)));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) return -1;
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  if (connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0) return socket;
  close(socket);
  return -1;
}

inline std::string HttpGet(const std::string& address, const std::string& path) {
  const int socket = ConnectTo(address);
  std::string answer;
  if (socket < 0) return answer;
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n\r\n";
  (void)!write(socket, request.data(), request.size());
  char part[4096];
  for (ssize_t n; (n = read(socket, part, sizeof(part))) > 0;)
    answer.append(part, static_cast<size_t>(n));
  close(socket);
  return answer;
}

}  // namespace vade::testing
