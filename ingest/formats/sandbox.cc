#include "ingest/formats/sandbox.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <string_view>

#include "base/files.h"
#include "base/strings.h"
#include "ingest/formats/limits.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VADE_SANDBOX_OFF 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define VADE_SANDBOX_OFF 1
#endif
#endif

namespace vade {

#ifdef VADE_SANDBOX_OFF

bool SandboxIsCompiledIn() { return false; }
void OpenForLater(const std::string&) {}
Status EnterSandbox(std::chrono::seconds) { return OkStatus(); }

#else

namespace {

// Path -> descriptor. Filled by one thread before the sandbox is entered, never emptied: the
// process ends with it.
std::map<std::string, int, std::less<> >& OpenedFiles() {
  static auto* files = new std::map<std::string, int, std::less<> >();
  return *files;
}

Status Limit(__rlimit_resource what, uint64_t value) {
  const rlimit limit{.rlim_cur = value, .rlim_max = value};
  return setrlimit(what, &limit) == 0 ? OkStatus() : Internal("a limit cannot be set");
}

Status LimitResources(std::chrono::seconds processor_time) {
  RETURN_IF_ERROR(Limit(RLIMIT_AS, kMaxParserMemoryBytes));
  RETURN_IF_ERROR(Limit(RLIMIT_CPU, static_cast<uint64_t>(processor_time.count())));
  RETURN_IF_ERROR(Limit(RLIMIT_CORE, 0));
  return OkStatus();
}

// Calls that are harmless with any arguments, given what is open.
constexpr int kHarmless[] = {
    SCMP_SYS(read),           SCMP_SYS(write),        SCMP_SYS(readv),
    SCMP_SYS(writev),         SCMP_SYS(recvfrom),     SCMP_SYS(sendto),
    SCMP_SYS(close),          SCMP_SYS(fstat),        SCMP_SYS(lseek),
    SCMP_SYS(pread64),        SCMP_SYS(dup),          SCMP_SYS(munmap),
    SCMP_SYS(mremap),         SCMP_SYS(brk),          SCMP_SYS(madvise),
    SCMP_SYS(exit),           SCMP_SYS(exit_group),   SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),  SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(getrandom),      SCMP_SYS(getpid),       SCMP_SYS(gettid),
    SCMP_SYS(sysinfo),        SCMP_SYS(sched_yield),  SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_getres),   SCMP_SYS(getrusage),    SCMP_SYS(uname),
};

// What no parser has a reason to try: who does is stopped at once.
constexpr int kHostile[] = {SCMP_SYS(execve),  SCMP_SYS(execveat), SCMP_SYS(socket),
                            SCMP_SYS(connect), SCMP_SYS(ptrace),   SCMP_SYS(bpf)};

int AddRules(scmp_filter_ctx filter) {
  int error = 0;
  const auto note = [&](int outcome) { error = error != 0 ? error : outcome; };
  for (int call : kHarmless) note(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0));
  for (int call : kHostile) note(seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, 0));
  // Memory, but none that can be run.
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    note(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)));
  }
  // fstat() of newer C libraries: of what is open, not of a path.
  note(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                        SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH)));
  // fdopen() asks for the flags.
  note(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFL)));
  // abort() signals the process itself.
  note(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                        SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid()))));
  return error;
}

Status CloseTheDoor() {
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) return Internal("no memory for the filter of system calls");
  int error = AddRules(filter);
  if (error == 0) error = seccomp_load(filter);
  seccomp_release(filter);
  if (error == 0) return OkStatus();
  return Internal(StrCat("the parser cannot be jailed (", std::strerror(-error),
                         "); the kernel must allow seccomp filters"));
}

}  // namespace

bool SandboxIsCompiledIn() { return true; }

void OpenForLater(const std::string& folder) {
  const auto open_one = [](const FileEntry& entry) -> Status {
    const int fd = open(entry.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) OpenedFiles()[entry.path] = fd;
    return OkStatus();
  };
  const Status walked = WalkFiles(folder, open_one, [](const std::string&, const Status&) {});
  static_cast<void>(walked);  // a folder that is not there
}

Status EnterSandbox(std::chrono::seconds processor_time) {
  RETURN_IF_ERROR(LimitResources(processor_time));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Internal("prctl failed");
  return CloseTheDoor();
}

namespace {

using Fopen = FILE* (*)(const char*, const char*);

// The file as it was opened before, or what the C library says.
FILE* OpenAsBefore(const char* path, const char* mode, const char* name) {
  const auto& files = OpenedFiles();
  const auto at = path == nullptr || mode == nullptr || mode[0] != 'r'
                      ? files.end()
                      : files.find(std::string_view(path));
  if (at == files.end()) {
    const auto library = reinterpret_cast<Fopen>(dlsym(RTLD_NEXT, name));
    return library == nullptr ? nullptr : library(path, mode);
  }
  // All copies share one position, and so do parent and children; one file is read at a time.
  const int copy = dup(at->second);
  if (copy < 0 || lseek(copy, 0, SEEK_SET) != 0) return nullptr;
  return fdopen(copy, "r");
}

}  // namespace

#endif

}  // namespace vade

#ifndef VADE_SANDBOX_OFF
// In front of the C library's: poppler opens its tables when a font needs them.
extern "C" FILE* fopen(const char* path, const char* mode) {
  return vade::OpenAsBefore(path, mode, "fopen");
}
extern "C" FILE* fopen64(const char* path, const char* mode) {
  return vade::OpenAsBefore(path, mode, "fopen64");
}
#endif
