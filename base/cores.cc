// What the machine has: threads.h's UsableCores() and MachineMemoryBytes().
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "base/threads.h"

namespace vade {
namespace {

std::string Slurp(const std::string& path) {  // "" when unreadable
  std::ifstream file(path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

int AffinityCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(CPU_COUNT(&set), 1);
  return static_cast<int>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));  // over 1024 processors
}

// A quota of 1.5 cores gives 2: two threads that share it finish sooner than one.
int CoresOfQuota(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return 0;
  return static_cast<int>(std::clamp(std::ceil(quota / period), 1.0, 1e6));
}

int ReadV2(const std::string& folder) {  // cpu.max: "150000 100000" or "max 100000"
  const std::string text = Slurp(folder + "/cpu.max");
  const auto parts = Split(StripAsciiWhitespace(text), ' ');
  if (parts.size() != 2) return 0;
  return CoresOfQuota(ParseDouble(parts[0]).value_or(0), ParseDouble(parts[1]).value_or(0));
}

int ReadV1(const std::string& folder) {  // -1 means no quota
  const std::string quota = Slurp(folder + "/cpu.cfs_quota_us");
  const std::string period = Slurp(folder + "/cpu.cfs_period_us");
  return CoresOfQuota(ParseDouble(StripAsciiWhitespace(quota)).value_or(0),
                      ParseDouble(StripAsciiWhitespace(period)).value_or(0));
}

// The tightest quota of the group `path` and of all above it, under the mount point; 0 when none.
int TightestQuota(const std::string& mount, std::string path, int (*read)(const std::string&)) {
  int tightest = 0;
  for (;;) {
    const int cores = read(mount + path);
    if (cores > 0) tightest = tightest == 0 ? cores : std::min(tightest, cores);
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos || path.empty()) return tightest;
    path.resize(slash);
  }
}

}  // namespace

namespace internal {

int CgroupCores(std::string_view proc_self_cgroup, const std::string& root) {
  int tightest = 0;
  const auto take = [&](int cores) {
    if (cores > 0) tightest = tightest == 0 ? cores : std::min(tightest, cores);
  };
  // Lines are "number:controllers:path"; version 2 has number 0 and no controllers.
  for (const std::string& line : Split(proc_self_cgroup, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) take(TightestQuota(root, path, ReadV2));
    const auto names = Split(controllers, ',');
    if (std::find(names.begin(), names.end(), "cpu") == names.end()) continue;
    take(TightestQuota(root + "/cpu", path, ReadV1));
    take(TightestQuota(root + "/" + controllers, path, ReadV1));
  }
  return tightest;
}

}  // namespace internal

int UsableCores() {
  static const int cores = [] {
    const int affinity = AffinityCores();
    const int quota = internal::CgroupCores(Slurp("/proc/self/cgroup"), "/sys/fs/cgroup");
    return quota > 0 ? std::min(affinity, quota) : affinity;
  }();
  return cores;
}

uint64_t MachineMemoryBytes() {
  return static_cast<uint64_t>(std::max(sysconf(_SC_PHYS_PAGES), 1L)) *
         static_cast<uint64_t>(std::max(sysconf(_SC_PAGESIZE), 1L));
}

}  // namespace vade
