// The parts of files.h that work on names only, or ask the environment.
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/files.h"
#include "base/posix.h"
#include "base/strings.h"

namespace vade {

std::string JoinPath(std::string_view a, std::string_view b) {
  if (a.empty() || (!b.empty() && b.front() == '/')) return std::string(b);
  if (b.empty()) return std::string(a);
  return a.back() == '/' ? StrCat(a, b) : StrCat(a, "/", b);
}

std::string ExecutableFolder() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  if (size <= 0 || size == static_cast<ssize_t>(sizeof(path))) return "";
  return ParentFolder(std::string(path, static_cast<size_t>(size)));
}

std::string ParentFolder(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string BaseName(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || path.size() == 1) return std::string(path);
  return std::string(path.substr(slash + 1));
}

std::string Extension(std::string_view path) {
  const std::string name = BaseName(path);
  const size_t dot = name.rfind('.');
  // ".bashrc" is a hidden name and "name." ends in a dot: neither has an extension.
  if (dot == std::string::npos || dot == 0 || dot + 1 == name.size()) return "";
  return AsciiLower(std::string_view(name).substr(dot));
}

Result<std::string> AbsolutePath(const std::string& path) {
  std::unique_ptr<char, decltype(&std::free)> resolved(realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) return ErrnoStatus(errno, "cannot resolve", path);
  return std::string(resolved.get());
}

std::string RelativePath(const std::string& path, const std::string& root) {
  std::string_view folder = root;
  while (!folder.empty() && folder.back() == '/') folder.remove_suffix(1);
  const std::string_view whole = path;
  if (root.empty() || !whole.starts_with(folder)) return path;
  std::string_view rest = whole.substr(folder.size());
  if (rest.empty()) return ".";
  if (rest.front() != '/') return path;  // "/data2" is not below "/data"
  rest.remove_prefix(std::min(rest.find_first_not_of('/'), rest.size()));
  return rest.empty() ? "." : std::string(rest);
}

std::string HomeDirectory() {
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return home;
  struct passwd entry;
  struct passwd* found = nullptr;
  std::string buffer(16384, '\0');
  if (getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return "";
  return entry.pw_dir ? entry.pw_dir : "";
}

std::string CacheDirectory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  // The convention's own rule: a relative value is to be ignored.
  if (cache != nullptr && *cache == '/') return JoinPath(cache, "vade");
  return JoinPath(JoinPath(HomeDirectory(), ".cache"), "vade");
}

}  // namespace vade
