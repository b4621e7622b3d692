// A store of made-up vectors in clusters, what an exact search of them finds, and the files of its
// segments with what tests change in them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "tests/index/store_fixture.h"

namespace vade {

inline constexpr size_t kDimension = 64;
inline constexpr int kPerDocument = 100;

inline void SetNumber(std::string* file, size_t at, const uint64_t value, size_t bytes) {
  file->replace(at, bytes, reinterpret_cast<const char*>(&value), bytes);
}
inline void SetChecksum(std::string* file) {
  SetNumber(file, 16, Checksum64(std::string_view(*file).substr(24)), 8);
}

// Seeded unit vectors in clusters, as passages of one subject are.
class NearestVectors : public StoreFixture {
 protected:
  void SetUp() override {
    options_.flat_below = 256;
    OpenWithCollection();
  }

  std::vector<float> Vector(std::mt19937* random, size_t cluster) {
    std::normal_distribution<float> of_center, of_vector;  // each keeps a number of its own engine
    std::mt19937 center(static_cast<unsigned>(cluster) * 7919 + 13);
    std::vector<float> v(kDimension);
    for (float& x : v) x = of_center(center) + 0.7f * of_vector(*random);
    double squares = 0;
    for (float x : v) squares += static_cast<double>(x) * x;
    for (float& x : v) x = static_cast<float>(x / std::sqrt(squares));
    return v;
  }

  // Documents d0, d1, ... of kPerDocument passages each; passage p has the text "p<number>".
  void PutVectors(size_t first, size_t count, const std::vector<std::string>& groups = {}) {
    for (size_t begin = first; begin < first + count; begin += kPerDocument) {
      DocumentInfo info;
      info.id = StrCat("d", begin / kPerDocument);
      info.groups = groups;
      auto writer = *store_->BeginDocument("default", info);
      std::vector<Passage> passages;
      std::vector<float> vectors;
      uint64_t at = 0;
      for (size_t i = begin; i < std::min(begin + kPerDocument, first + count); ++i) {
        const std::string text = StrCat("p", i);
        ASSERT_EQ(writer->AddText(text), OkStatus());
        Passage passage;
        passage.begin = at;
        passage.end = at += text.size();
        passages.push_back(passage);
        const auto v = Vector(&random_, i % 40);
        vectors.insert(vectors.end(), v.begin(), v.end());
        all_[text] = v;
      }
      ASSERT_EQ(writer->AddPassages(passages, vectors), OkStatus());
      ASSERT_TRUE(writer->Commit(Context()).ok());
    }
  }
  void Forget(const std::string& document) {
    const size_t number = *ParseUint(document.substr(1));
    for (size_t i = number * kPerDocument; i < (number + 1) * kPerDocument; ++i)
      all_.erase(StrCat("p", i));
  }

  // Of documents d0 to d<count - 1> those stay whose number leaves `which` when divided by
  // `one_in`.
  void KeepOneIn(size_t one_in, size_t which, size_t count) {
    std::vector<std::string> doomed;
    for (size_t d = 0; d < count; ++d) {
      if (d % one_in != which) doomed.push_back(StrCat("d", d));
    }
    EXPECT_EQ(Delete(doomed), doomed.size());
    for (const std::string& id : doomed) Forget(id);
  }
  // 4,000 passages for everyone are in a segment with 2,000 that are not: who is in no group finds
  // none of these, who is in theirs some.
  void PutAndAskForGroups() {
    PutVectors(0, 4000);
    PutVectors(4000, 2000, {"secret"});
    Seal();
    std::mt19937 random(5);
    bool secret_found = false;
    for (size_t q = 0; q < 40; ++q) {
      const auto query = Vector(&random, q);
      for (const std::string& text : Nearest(query, 50)) {
        EXPECT_LT(*ParseUint(text.substr(1)), 4000u);
      }
      for (const std::string& text : Nearest(query, 50, {"secret"})) {
        secret_found |= *ParseUint(text.substr(1)) >= 4000;
      }
    }
    EXPECT_TRUE(secret_found);
  }
  // The segment's file with another number at a place, under a good checksum: whether it is taken
  // or refused, questions have their hits.
  void OpenWithChanged(std::string file, size_t at, uint64_t value, size_t bytes) {
    SetNumber(&file, at, value, bytes);
    SetChecksum(&file);
    store_.reset();
    std::ofstream(segment_path_, std::ios::binary) << file;
    Open();
    EXPECT_EQ(Nearest(Vector(&random_, 1), 10).size(), 10u) << "changed at byte " << at;
  }
  // Closes the store; what its only segment's file holds.
  std::string CloseAndReadSegment() {
    store_.reset();
    segment_path_ = SegmentFiles().at(0);
    return *ReadFile(segment_path_, 1 << 30);
  }

  std::vector<std::string> Exact(const std::vector<float>& query, size_t k) const {
    std::vector<std::pair<float, std::string>> scored;
    for (const auto& [text, v] : all_) {
      float dot = 0;
      for (size_t i = 0; i < kDimension; ++i) dot += query[i] * v[i];
      scored.emplace_back(-dot, text);
    }
    std::partial_sort(scored.begin(), scored.begin() + std::min(k, scored.size()), scored.end());
    std::vector<std::string> best;
    for (size_t i = 0; i < std::min(k, scored.size()); ++i) best.push_back(scored[i].second);
    return best;
  }
  std::vector<std::string> Nearest(const std::vector<float>& query, int k,
                                   const std::vector<std::string>& groups = {}) {
    const auto found = store_->Search({.collection = "default",
                                       .vector = query,
                                       .question = "",
                                       .k = k,
                                       .filter = "",
                                       .as_of = "",
                                       .groups = groups},
                                      Context());
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    std::vector<std::string> texts;
    if (found.ok()) {
      for (const Hit& hit : found->hits) texts.push_back(hit.passage.text);
    }
    return texts;
  }
  // Mean share of the exact ten that are found.
  double Recall(int queries) {
    std::mt19937 random(99);
    size_t found = 0, wanted = 0;
    for (int q = 0; q < queries; ++q) {
      const auto query = Vector(&random, static_cast<size_t>(q) % 40);
      const auto exact = Exact(query, 10);
      const auto got = Nearest(query, 10);
      EXPECT_EQ(got.size(), exact.size());
      for (const std::string& text : exact) found += std::count(got.begin(), got.end(), text) > 0;
      wanted += exact.size();
    }
    return static_cast<double>(found) / static_cast<double>(wanted);
  }

  std::mt19937 random_{4711};
  std::string segment_path_;
  std::map<std::string, std::vector<float>> all_;
};

}  // namespace vade
