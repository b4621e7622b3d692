// A store whose segments a device scans, beside the same store on the processor alone: both must
// answer every question with the same hits and scores, whatever is filtered, deleted or in the
// tail.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/row_scanner.h"
#include "tests/index/vectors_fixture.h"

namespace vade {

class DeviceSearch : public NearestVectors {
 protected:
  static constexpr size_t kExact = size_t{1} << 40;  // flat_below: whatever there is, is scanned

  void SetUp() override {
    options_.flat_below = 256;
    options_.scan_on_device_from = 200;
  }

  void OpenWith(std::shared_ptr<kernels::RowScanner> scanner) {
    options_.scanner = std::move(scanner);
    Open();
  }
  void CreateOn(std::shared_ptr<kernels::RowScanner> scanner) {
    options_.scanner = std::move(scanner);
    OpenWithCollection();
  }

  // `count` documents of 50 passages: every third one for a group, half of them of a kind, in two
  // languages.
  void PutDocuments(size_t first, size_t count) {
    for (size_t d = first; d < first + count; ++d) {
      DocumentInfo info;
      info.id = StrCat("d", d);
      info.content_hash = info.id;
      info.metadata = {{"kind", std::string(d % 2 == 0 ? "lease" : "letter")}};
      if (d % 3 == 0) info.groups = {"board"};
      auto writer = *store_->BeginDocument("default", info);
      std::vector<Passage> passages;
      std::vector<float> vectors;
      uint64_t at = 0;
      for (size_t i = 0; i < 50; ++i) {
        const std::string text = StrCat("d", d, ".", i);
        ASSERT_EQ(writer->AddText(text), OkStatus());
        Passage passage;
        passage.begin = at;
        passage.end = at += text.size();
        passage.language = d % 5 == 0 ? "zh" : "en";
        passages.push_back(passage);
        const auto v = Vector(&random_, (d + i) % 40);
        vectors.insert(vectors.end(), v.begin(), v.end());
      }
      ASSERT_EQ(writer->AddPassages(passages, vectors), OkStatus());
      ASSERT_TRUE(writer->Commit(Context()).ok());
    }
  }

  // What the store answers, a line a hit.
  std::vector<std::string> Answers() {
    struct Ask {
      std::vector<std::string> groups;
      std::string filter;
      int k;
    };
    const Ask asks[] = {{{}, "", 5},
                        {{"board"}, "", 40},
                        {{"board"}, "kind = 'lease'", 10},
                        {{}, "kind = 'letter'", 10},
                        {{"board"}, "kind = 'none'", 5}};
    std::mt19937 random(77);
    std::vector<std::string> lines;
    for (size_t q = 0; q < 6; ++q) {
      const auto question = Vector(&random, 7 * q);
      for (const Ask& ask : asks) {
        const auto found = store_->Search({.collection = "default",
                                           .vector = question,
                                           .question = "",
                                           .k = ask.k,
                                           .filter = ask.filter,
                                           .as_of = "",
                                           .groups = ask.groups},
                                          Context());
        EXPECT_TRUE(found.ok()) << found.status().ToString();
        lines.push_back(StrCat("question ", q, " filter ", ask.filter));
        for (const Hit& hit : found->hits) {
          lines.push_back(StrCat(hit.passage.text, " ", hit.score, " ", hit.dense_score));
        }
      }
    }
    return lines;
  }

  // The store's answers with the device and, opened anew, without one but looking at every row.
  void ExpectTheProcessorsAnswers() {
    const auto on_device = Answers();
    const auto scanner = options_.scanner;
    const size_t flat_below = options_.flat_below;
    options_.flat_below = kExact;
    OpenWith(nullptr);
    EXPECT_EQ(on_device, Answers());
    options_.flat_below = flat_below;
    OpenWith(scanner);
  }
};

}  // namespace vade
