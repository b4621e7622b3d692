// What the store does when the machine fails it: a full disk, a broken one, too few open files, no
// memory.
//
// This binary's own write(), open(), statvfs() and operator new stand before the system's, for
// RocksDB too, and fail when a test says so and only for files below its directory.
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <thread>
#include <utility>

#include "tests/index/store_fixture.h"

namespace {

char faulty_directory[256];              // set while no other thread writes
std::atomic<int> write_error{0};         // 0: writes succeed
std::atomic<int64_t> writable_bytes{0};  // that still succeed
std::atomic<bool> segments_cannot_be_opened{false};
std::atomic<int64_t> free_bytes{-1};  // negative: as it is
std::atomic<int> times_asked_for_space{0};
thread_local size_t largest_allocation = SIZE_MAX;
// Called once by this thread's next question for space, or opening of a segment.
thread_local std::function<void()> when_space_is_asked_for, when_a_segment_is_opened;

void CallOnce(std::function<void()>* hook) {
  if (const auto call = std::exchange(*hook, nullptr)) call();
}

bool IsBelow(const char* path) {
  const size_t length = std::strlen(faulty_directory);
  return length > 0 && std::strncmp(path, faulty_directory, length) == 0;
}

bool WritesBelow(int fd) {
  char link[32], path[512];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof(path) - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  return IsBelow(path);
}

}  // namespace

extern "C" {

// As much as there is room for, then the error: a record may be torn. What a file without a name
// takes comes back.
ssize_t write(int fd, const void* data, size_t size) {
  const int error = write_error;
  if (error != 0 && WritesBelow(fd)) {
    struct stat file = {};
    const bool nameless = fstat(fd, &file) == 0 && file.st_nlink == 0;
    const int64_t before = nameless ? writable_bytes - file.st_size
                                    : writable_bytes.fetch_sub(static_cast<int64_t>(size));
    if (before <= 0) {
      errno = error;
      return -1;
    }
    size = std::min(size, static_cast<size_t>(before));
  }
  return syscall(SYS_write, fd, data, size);
}

int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if (IsBelow(path) && std::string_view(path).ends_with(".seg")) {
    if (segments_cannot_be_opened) {
      errno = EMFILE;
      return -1;
    }
    if ((flags & O_ACCMODE) == O_RDONLY) CallOnce(&when_a_segment_is_opened);
  }
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

int statvfs(const char* path, struct statvfs* out) noexcept {
  using Function = int (*)(const char*, struct statvfs*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "statvfs"));
  const int result = real(path, out);
  ++times_asked_for_space;
  if (IsBelow(path)) CallOnce(&when_space_is_asked_for);
  if (result == 0 && free_bytes >= 0 && IsBelow(path)) out->f_bavail = free_bytes / out->f_frsize;
  return result;
}

}  // extern "C"

// Not inlined: the compiler would see malloc() in the one and a foreign free() in the other.
[[gnu::noinline]] void* operator new(size_t size) {
  void* memory = size > largest_allocation ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return size > largest_allocation ? nullptr : std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace vade {
namespace {

class FaultyMachine : public StoreFixture {
 protected:
  void SetUp() override {
    OpenWithCollection();
    ASSERT_LT(directory_.size(), sizeof(faulty_directory));
    std::strcpy(faulty_directory, directory_.c_str());
  }
  ~FaultyMachine() override {
    Mend();
    store_.reset();
    faulty_directory[0] = '\0';
  }
  static void Mend() {
    write_error = 0;
    segments_cannot_be_opened = false;
    free_bytes = -1;
  }
  static void FailWrites(int error, int64_t after_bytes) {
    writable_bytes = after_bytes;
    write_error = error;
  }
  Status PutOne(const std::string& id, const std::string& text) {
    DocumentInfo info;
    info.id = id;
    return TryPut(info, {text}).status();
  }
  // False when it does not come true in a time that is generous for any machine.
  static bool Eventually(const std::function<bool()>& happened) {
    for (int i = 0; i < 6000; ++i) {
      if (happened()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
};

TEST_F(FaultyMachine, AFullDiskRefusesAWriteWholeAndLosesNothingThatWasThere) {
  const std::string kept = "was there before";
  ASSERT_EQ(PutOne("kept", kept), OkStatus());
  ASSERT_EQ(PutOne("replaced", "old words"), OkStatus());
  const std::string longer(3 << 20, 'x');  // staged in several writes
  int refused = 0;
  for (int64_t room : {0, 100, 300, 700, 20000, 1500000}) {
    SCOPED_TRACE(StrCat("room for ", room, " bytes"));
    const uint64_t commit = store_->commit_number();
    FailWrites(ENOSPC, room);
    for (const std::string& text : {std::string("new words"), longer}) {
      const Status status = PutOne("replaced", text);
      if (status.ok()) continue;
      ++refused;
      EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.ToString();
      EXPECT_NE(status.message().find("free some disk space"), std::string::npos)
          << status.message();
      EXPECT_EQ(status.message().find("stop and start"), std::string::npos) << status.message();
    }
    EXPECT_EQ(store_->DeleteDocuments("default", std::vector<std::string>{"kept"}, Context())
                  .status()
                  .code(),
              StatusCode::kResourceExhausted);
    EXPECT_EQ(Text("kept"), kept);
    EXPECT_LE(store_->commit_number(), commit + 1);
    EXPECT_EQ(Text("replaced"), store_->commit_number() == commit ? "old words" : "new words");
    EXPECT_EQ(Problems(), "");
    Mend();
    if (room % 200 == 100) Open();  // with what is torn at the end of the log
    EXPECT_EQ(Text("kept"), kept);
    EXPECT_EQ(Problems(), "");
    for (const std::string& id : {std::string("replaced"), StrCat("after ", room)}) {
      const Status status = PutOne(id, "old words");
      ASSERT_TRUE(status.ok()) << status.ToString();
    }
  }
  EXPECT_GT(refused, 6);
  Open();
  EXPECT_EQ(Documents(), 8u);
  EXPECT_EQ(Text("kept"), kept);
  EXPECT_EQ(Text("replaced"), "old words");
  EXPECT_EQ(Problems(), "");
}

TEST_F(FaultyMachine, AnErrorThatTheDatabaseDoesNotOutliveAsksForANewProcess) {
  for (const auto& [error, code] :
       {std::pair(EIO, StatusCode::kInternal), std::pair(EDQUOT, StatusCode::kResourceExhausted)}) {
    ASSERT_EQ(PutOne("kept", "was there before"), OkStatus());
    FailWrites(error, 0);
    for (int tries = 0; tries < 3; ++tries) {
      const Status status = PutOne("new", "new words");
      EXPECT_EQ(status.code(), code) << status.ToString();
      EXPECT_NE(status.message().find(
                    "then stop and start vade: this process cannot write to the store again"),
                std::string::npos)
          << status.message();
      if (tries == 0) Mend();  // which does not help this process
    }
    Open();
    EXPECT_EQ(Text("kept"), "was there before");
    EXPECT_EQ(PutOne("new", "new words"), OkStatus());
    EXPECT_EQ(Problems(), "");
  }
}

TEST_F(FaultyMachine, SegmentsLeaveTheLastSpaceToTheDocuments) {
  free_bytes = 256 << 20;
  ASSERT_EQ(PutOne("a", "harbour tides"), OkStatus());
  const Status status = store_->SealAll(Context());
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.ToString();
  EXPECT_NE(status.message().find("free some space"), std::string::npos) << status.message();
  EXPECT_TRUE(SegmentFiles().empty());
  EXPECT_EQ(Found("harbour tides"), "harbour tides");
  Mend();
  Seal();
  EXPECT_EQ(SegmentFiles().size(), 1u);
}

TEST_F(FaultyMachine, SealingIsTriedAgainWithoutAnotherWrite) {
  options_.background = true;
  options_.seal_tail_at = 2;
  options_.seal_retry_after = std::chrono::milliseconds(1);
  Open();
  free_bytes = 256 << 20;
  ASSERT_EQ(PutOne("a", "harbour tides"), OkStatus());
  ASSERT_EQ(PutOne("b", "harbour pilots"), OkStatus());
  const int asked = times_asked_for_space;
  EXPECT_TRUE(Eventually([&] { return times_asked_for_space > asked + 3; }));
  EXPECT_TRUE(SegmentFiles().empty());
  Mend();
  EXPECT_TRUE(Eventually([&] { return SegmentFiles().size() == 1; }));
}

TEST_F(FaultyMachine, ASegmentThatCannotBeOpenedJustNowIsKept) {
  ASSERT_EQ(PutOne("a", "harbour tides"), OkStatus());
  Seal();
  segments_cannot_be_opened = true;
  Open();
  EXPECT_EQ(Found("harbour tides"), "harbour tides");
  EXPECT_EQ(Problems(), "");
  Mend();
  EXPECT_EQ(SegmentFiles().size(), 1u);
  Open();
  EXPECT_EQ(SegmentFiles().size(), 1u);
  EXPECT_EQ(Problems(), "");
}

TEST_F(FaultyMachine, ASegmentThatCannotBeReadBackIsNotLeftBehind) {
  ASSERT_EQ(PutOne("a", "harbour tides"), OkStatus());
  segments_cannot_be_opened = true;
  EXPECT_EQ(store_->SealAll(Context()).code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(SegmentFiles().empty());
  Mend();
  Seal();
  EXPECT_EQ(Found("harbour tides"), "harbour tides");
}

// Before anything of the segment is written, and once it is and goes with its folder.
TEST_F(FaultyMachine, ACollectionThatGoesWhileItIsSealedIsNoFault) {
  for (std::function<void()>* moment : {&when_space_is_asked_for, &when_a_segment_is_opened}) {
    ASSERT_EQ(PutOne("a", "harbour tides"), OkStatus());
    int replaced = 0;
    *moment = [&] {
      ASSERT_EQ(store_->DeleteCollection("default"), OkStatus());
      ASSERT_EQ(store_->CreateCollection({.name = "default",
                                          .embedder_id = embedder_.id(),
                                          .dimension = embedder_.dimension()}),
                OkStatus());
      ASSERT_EQ(PutOne("b", "of its successor"), OkStatus());
      ++replaced;
    };
    EXPECT_EQ(store_->SealAll(Context()), OkStatus());
    EXPECT_EQ(replaced, 1);
    EXPECT_EQ(SegmentFiles().size(), 1u);  // of its successor, which was next
    EXPECT_EQ(Found("harbour tides"), "of its successor");
    EXPECT_EQ(Problems(), "");
    Delete({"b"});
  }
}

TEST_F(FaultyMachine, WithoutMemoryForASegmentTheTailIsSearchedAsBefore) {
  for (int i = 0; i < 300; ++i) ASSERT_EQ(PutOne(StrCat("d", i), StrCat("number ", i)), OkStatus());
  largest_allocation = 16 << 10;
  const Status status = store_->SealAll(Context());
  largest_allocation = SIZE_MAX;
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.ToString();
  EXPECT_TRUE(SegmentFiles().empty());
  EXPECT_EQ(Found("number 17", 1), "number 17");
  Seal();
  EXPECT_EQ(SegmentFiles().size(), 1u);
  EXPECT_EQ(Problems(), "");
}

}  // namespace
}  // namespace vade
