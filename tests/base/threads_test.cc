#include "base/threads.h"

#include <gtest/gtest.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

double ProcessCpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// How often each item of [0, count) was visited.
std::vector<int> Visits(ThreadPool& pool, size_t count, size_t grain) {
  std::vector<std::atomic<int>> visits(count);
  pool.ParallelFor(count, grain, [&](size_t begin, size_t end) {
    EXPECT_LE(end - begin, std::max<size_t>(grain, 1));
    for (size_t i = begin; i < end; ++i) ++visits[i];
  });
  return {visits.begin(), visits.end()};
}

TEST(ThreadPool, VisitsEveryItemOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (size_t count : {0, 1, 2, 7, 64, 1000}) {
      for (size_t grain : {0, 1, 3, 64, 5000}) {
        EXPECT_EQ(Visits(pool, count, grain), std::vector<int>(count, 1))
            << threads << " threads, " << count << " items, grain " << grain;
      }
    }
  }
}

TEST(ThreadPool, HugeGrainDoesNotOverflow) {
  ThreadPool pool(2);
  EXPECT_EQ(Visits(pool, 10, SIZE_MAX), std::vector<int>(10, 1));
}

TEST(ThreadPool, FewerThanOneThreadMeansOne) {
  EXPECT_EQ(ThreadPool(0).threads(), 1);
  EXPECT_EQ(ThreadPool(-3).threads(), 1);
}

TEST(ThreadPool, WorkersDoWork) {
  ThreadPool pool(2);
  std::atomic<int> inside{0};
  // Two pieces that wait for each other: only two threads can finish this.
  pool.ParallelFor(2, 1, [&](size_t, size_t) {
    ++inside;
    while (inside < 2) std::this_thread::yield();
  });
  EXPECT_EQ(inside, 2);
}

TEST(ThreadPool, WritesOfPiecesAreSeenByTheCaller) {
  ThreadPool pool(4);
  std::vector<uint64_t> values(1000);
  for (uint64_t round = 1; round <= 300; ++round) {
    pool.ParallelFor(values.size(), 10, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) values[i] += round;
    });
  }
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), uint64_t{0}), 1000 * 300 * 301 / 2);
}

TEST(ThreadPool, ManyCallersShareThePool) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::atomic<uint64_t> total{0};
  for (int caller = 0; caller < 24; ++caller) {  // more than the pool has slots
    callers.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        std::vector<int> marks(37);
        pool.ParallelFor(marks.size(), 2, [&](size_t begin, size_t end) {
          for (size_t i = begin; i < end; ++i) marks[i] = 1;
        });
        total += std::accumulate(marks.begin(), marks.end(), uint64_t{0});
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(total, 24u * 100 * 37);
}

TEST(ThreadPool, NestedLoopsEnd) {
  ThreadPool pool(3);
  std::atomic<int> count{0};
  pool.ParallelFor(8, 1, [&](size_t, size_t) {
    pool.ParallelFor(
        8, 1, [&](size_t, size_t) { pool.ParallelFor(4, 1, [&](size_t, size_t) { ++count; }); });
  });
  EXPECT_EQ(count, 8 * 8 * 4);
}

TEST(ThreadPool, SleepingWorkersWakeAgain) {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::atomic<int> inside{0};
    pool.ParallelFor(2, 1, [&](size_t, size_t) {
      ++inside;
      while (inside < 2) std::this_thread::yield();
    });
  }
}

TEST(ThreadPool, CallerSleepsUntilASlowPieceIsDone) {
  ThreadPool pool(2);
  const auto caller = std::this_thread::get_id();
  std::atomic<int> inside{0};
  std::atomic<bool> slow_done{false};
  pool.ParallelFor(2, 1, [&](size_t, size_t) {
    ++inside;
    while (inside < 2) std::this_thread::yield();
    if (std::this_thread::get_id() == caller) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    slow_done = true;
  });
  EXPECT_TRUE(slow_done);
}

TEST(ThreadPool, IdlePoolUsesNoProcessorTime) {
  ThreadPool pool(4);
  Visits(pool, 100, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const double before = ProcessCpuSeconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(ProcessCpuSeconds() - before, 0.03);
}

TEST(BoundedQueue, KeepsOrderAndDrainsAfterClose) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.Push(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.TryPush(3));
  queue.Close();
  EXPECT_FALSE(queue.Push(4));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueue, CloseFreesThoseWhoWait) {
  BoundedQueue<int> empty(1), full(1);
  ASSERT_TRUE(full.Push(1));
  std::thread consumer([&] { EXPECT_EQ(empty.Pop(), std::nullopt); });
  std::thread producer([&] { EXPECT_FALSE(full.Push(2)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  empty.Close();
  full.Close();
  consumer.join();
  producer.join();
}

TEST(BoundedQueue, EveryItemArrivesOnceFromManyProducersAtManyConsumers) {
  BoundedQueue<int> queue(3);
  std::atomic<int> sum{0};
  std::vector<std::thread> producers, consumers;
  for (int p = 0; p < 3; ++p) {
    producers.emplace_back([&] {
      for (int i = 1; i <= 500; ++i) EXPECT_TRUE(queue.Push(i));
    });
  }
  for (int c = 0; c < 3; ++c) {
    consumers.emplace_back([&] {
      while (const auto item = queue.Pop()) sum += *item;
    });
  }
  for (auto& thread : producers) thread.join();
  queue.Close();
  for (auto& thread : consumers) thread.join();
  EXPECT_EQ(sum, 3 * 500 * 501 / 2);
}

TEST(UsableCores, IsAtLeastOne) { EXPECT_GE(UsableCores(), 1); }

TEST(CgroupCores, QuotaOfVersion2IsRoundedUp) {
  const testing::TempDir root;
  root.Write("app/cpu.max", "150000 100000\n");
  EXPECT_EQ(internal::CgroupCores("0::/app\n", root.path()), 2);
}

TEST(CgroupCores, GroupsAboveCountToo) {
  const testing::TempDir root;
  root.Write("a/b/cpu.max", "max 100000\n");
  root.Write("a/cpu.max", "50000 100000\n");
  root.Write("cpu.max", "400000 100000\n");
  EXPECT_EQ(internal::CgroupCores("0::/a/b\n", root.path()), 1);
}

TEST(CgroupCores, RootOfAContainerIsReadThoughTheGroupIsNotVisible) {
  const testing::TempDir root;
  root.Write("cpu.max", "300000 100000\n");
  EXPECT_EQ(internal::CgroupCores("0::/not/here\n", root.path()), 3);
}

TEST(CgroupCores, QuotaOfVersion1IsRead) {
  const testing::TempDir root;
  root.Write("cpu,cpuacct/app/cpu.cfs_quota_us", "200000\n");
  root.Write("cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(internal::CgroupCores("4:memory:/x\n3:cpu,cpuacct:/app\n", root.path()), 2);
}

TEST(CgroupCores, NoQuotaIsZero) {
  const testing::TempDir root;
  root.Write("cpu.max", "max 100000\n");
  root.Write("cpu/cpu.cfs_quota_us", "-1\n");
  root.Write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(internal::CgroupCores("1:cpu:/\n0::/\n", root.path()), 0);
  EXPECT_EQ(internal::CgroupCores("", root.path()), 0);
  EXPECT_EQ(internal::CgroupCores("nonsense\n::\n", root.path()), 0);
}

}  // namespace
}  // namespace vade
