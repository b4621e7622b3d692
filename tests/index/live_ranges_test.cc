// The ranges of current passages against a plain map.
#include "index/live_ranges.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace vade {
namespace {

class LiveRangesTest : public ::testing::Test {
 protected:
  void Add(PassageId first, uint64_t count, GroupSetId set) {
    ranges_.Add({{first, count}, set});
    expected_[first] = {{first, count}, set};
  }
  void Remove(PassageId first) {
    ranges_.Remove(expected_[first].range);
    expected_.erase(first);
  }
  void Check(const LiveRanges& ranges, PassageId limit) {
    LiveCursor cursor(ranges);
    for (PassageId id = 0; id < limit; ++id) {
      auto after = expected_.upper_bound(id);
      const LiveRange* wanted = nullptr;
      if (after != expected_.begin()) wanted = &std::prev(after)->second;
      if (wanted && id - wanted->range.first >= wanted->range.count) wanted = nullptr;
      const LiveRange* found = cursor.Find(id);
      ASSERT_EQ(found != nullptr, wanted != nullptr) << id;
      if (found) {
        ASSERT_EQ(*found, *wanted) << id;
      }
    }
  }
  uint64_t CountFrom(PassageId id) {
    uint64_t count = 0;
    for (const auto& [first, one] : expected_) count += first >= id ? one.range.count : 0;
    return count;
  }

  LiveRanges ranges_;
  std::map<PassageId, LiveRange> expected_;
};

TEST_F(LiveRangesTest, KnowsWhatWasAddedAndRemovedInAnyOrder) {
  std::mt19937_64 random(3);
  std::vector<PassageId> firsts;
  for (PassageId id = 1; id < 60000; id += 20) firsts.push_back(id);
  std::shuffle(firsts.begin(), firsts.end(), random);
  for (PassageId first : firsts) {
    Add(first, 1 + random() % 20, static_cast<GroupSetId>(random() % 3));
  }
  Check(ranges_, 61000);
  std::shuffle(firsts.begin(), firsts.end(), random);
  const LiveRanges before = ranges_;
  const auto all = expected_;
  for (size_t i = 0; i < firsts.size() * 9 / 10; ++i) Remove(firsts[i]);
  Check(ranges_, 61000);
  for (PassageId id : {PassageId{0}, PassageId{1}, PassageId{30000}, PassageId{59999}}) {
    EXPECT_EQ(ranges_.CountFrom(id), CountFrom(id));
  }
  EXPECT_EQ(ranges_.End(),
            expected_.rbegin()->second.range.first + expected_.rbegin()->second.range.count);
  expected_ = all;  // a copy stays as it was
  Check(before, 61000);
}

TEST_F(LiveRangesTest, LoadedAtOnceTheyAreTheSame) {
  std::vector<LiveRange> all;
  for (PassageId id = 1; id < 20000; id += 10) {
    all.push_back({{id, 1 + id % 10}, 0});
    expected_[id] = all.back();
  }
  ranges_ = LiveRanges::Of(all);
  Check(ranges_, 21000);
  Remove(11);
  Check(ranges_, 21000);
}

TEST_F(LiveRangesTest, NothingIsLiveInNone) {
  EXPECT_EQ(ranges_.Find(1), nullptr);
  EXPECT_EQ(ranges_.CountFrom(0), 0u);
  EXPECT_EQ(ranges_.End(), 0u);
  ranges_.Remove({1, 10});
  EXPECT_EQ(LiveRanges::Of({}).Find(7), nullptr);
}

}  // namespace
}  // namespace vade
