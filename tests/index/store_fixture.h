// A store in a fresh directory and the verbs to speak about it. Vectors come from the hashing
// embedder.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "base/trace.h"
#include "index/index.h"
#include "tests/testing/hashing_embedder.h"

namespace vade {

// Of a segment's file; 0: it has none (docs/formats.md, "Vector segments").
inline uint32_t CellsOfSegment(const std::string& file) {
  constexpr size_t kOffset = 92;
  uint32_t cells = 0;
  std::memcpy(&cells, file.data() + kOffset, sizeof(cells));
  return cells;
}

class StoreFixture : public testing::Test {
 protected:
  explicit StoreFixture(const std::string& parent = testing::TempDir())
      : directory_(parent + "vade-store-" + NewRequestId()) {
    SetLogLevel(LogLevel::kOff);  // damage is what many tests are about
    options_.background = false;
    options_.seal_tail_at = 0;
  }
  ~StoreFixture() override {
    store_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void Open() {
    store_.reset();
    auto opened = OpenStore(directory_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(*opened);
  }
  // A store that an earlier program wrote, of tests/testdata.
  void OpenCopyOf(const std::string& stored) {
    std::filesystem::copy(VADE_SOURCE_DIR "/tests/testdata/" + stored, directory_,
                          std::filesystem::copy_options::recursive);
    Open();
  }
  void OpenWithCollection(const std::string& name = "default") {
    Open();
    ASSERT_EQ(
        store_->CreateCollection(
            {.name = name, .embedder_id = embedder_.id(), .dimension = embedder_.dimension()}),
        OkStatus());
  }

  // A document with one passage a part; its text is the parts one after the other.
  Result<CommitResult> TryPut(const DocumentInfo& info, const std::vector<std::string>& parts,
                              const std::string& collection = "default") {
    ASSIGN_OR_RETURN(auto writer, store_->BeginDocument(collection, info));
    std::vector<Passage> passages;
    std::vector<float> vectors;
    uint64_t at = 0;
    for (const std::string& part : parts) {
      RETURN_IF_ERROR(writer->AddText(part));
      Passage passage;
      passage.begin = at;
      passage.end = at += part.size();
      passages.push_back(passage);
      const auto vector = embedder_.EmbedOne(part);
      vectors.insert(vectors.end(), vector.begin(), vector.end());
    }
    RETURN_IF_ERROR(writer->AddPassages(passages, vectors));
    return writer->Commit(Context());
  }
  CommitResult Put(const std::string& id, const std::vector<std::string>& parts,
                   const std::vector<std::string>& groups = {}) {
    DocumentInfo info;
    info.id = id;
    info.title = "Title of " + id;
    info.content_hash = Sha256Hex(Join(parts, ""));
    info.groups = groups;
    auto committed = TryPut(info, parts);
    EXPECT_TRUE(committed.ok()) << committed.status().ToString();
    return committed.ok() ? *committed : CommitResult{};
  }
  uint64_t Delete(const std::vector<std::string>& ids) {
    auto deleted = store_->DeleteDocuments("default", ids, Context());
    EXPECT_TRUE(deleted.ok()) << deleted.status().ToString();
    return deleted.ok() ? *deleted : 0;
  }
  void Seal() { ASSERT_EQ(store_->SealAll(Context()), OkStatus()); }

  SearchRequest Question(const std::string& question, int k = 5,
                         const std::vector<std::string>& groups = {}) const {
    return {.collection = "default",
            .vector = embedder_.EmbedOne(question),
            .question = question,
            .k = k,
            .filter = "",
            .as_of = "",
            .groups = groups};
  }
  std::vector<Hit> Search(const std::string& question, int k = 5,
                          const std::vector<std::string>& groups = {}) {
    auto found = store_->Search(Question(question, k, groups), Context());
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    return found.ok() ? found->hits : std::vector<Hit>();
  }
  // The texts of the hits, best first, joined by " | ".
  std::string Found(const std::string& question, int k = 5,
                    const std::vector<std::string>& groups = {}) {
    std::vector<std::string> texts;
    for (const Hit& hit : Search(question, k, groups)) texts.push_back(hit.passage.text);
    return Join(texts, " | ");
  }
  std::string Text(const std::string& id) {
    auto document = store_->GetDocument("default", id);
    return document.ok() ? document->text : document.status().ToString();
  }
  // "" when everything agrees.
  std::string Problems() {
    auto report = store_->Verify(Context());
    return report.ok() ? Join(report->problems, "\n") : report.status().ToString();
  }
  uint64_t Documents() { return store_->GetCollection("default")->document_count; }
  uint64_t Passages() { return store_->GetCollection("default")->passage_count; }

  std::vector<std::string> SegmentFiles() const {
    std::vector<std::string> files;
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator it(directory_ + "/vectors", error), end;
         !error && it != end; it.increment(error)) {
      if (it->path().extension() == ".seg") files.push_back(it->path().string());
    }
    return files;
  }

  HashingEmbedder embedder_;
  const std::string directory_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
};

}  // namespace vade
