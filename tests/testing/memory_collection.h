// What a MemoryStore holds: collections, their documents and notes; and what search and listing
// make of them, as OpenStore() does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "index/filter.h"
#include "index/index.h"

namespace vade::testing {

struct MemoryDocument {
  DocumentInfo info;
  std::string text;
  std::vector<Passage> passages;
  std::vector<float> vectors;                         // [passages, dimension]
  std::optional<int64_t> created = {}, updated = {};  // kept times
  std::vector<StoreNote> notes = {};                  // to be put as it commits
};

struct MemoryCollection {
  CollectionInfo info;
  std::map<std::string, MemoryDocument, std::less<>> documents;
  std::map<std::string, std::string, std::less<>> notes = {};
};

// Reads over a copy.
class MemoryReader : public CollectionReader {
 public:
  MemoryReader(MemoryCollection collection, CollectionInfo info, uint64_t commit)
      : collection_(std::move(collection)), info_(std::move(info)), commit_(commit) {
    next_ = collection_.documents.begin();
  }
  const CollectionInfo& info() const override { return info_; }
  uint64_t commit() const override { return commit_; }
  Result<std::optional<DocumentInfo>> NextDocument() override {
    if (next_ == collection_.documents.end()) return std::optional<DocumentInfo>();
    at_ = next_++;
    text_read_ = passages_read_ = false;
    return std::optional<DocumentInfo>(at_->second.info);
  }
  Result<std::string> Tables() override {
    const auto at = collection_.notes.find(TablesNoteKey(at_->first));
    return at == collection_.notes.end() ? std::string() : at->second;
  }
  Result<std::string> NextText() override {
    return std::exchange(text_read_, true) ? std::string() : at_->second.text;
  }
  Result<std::vector<Passage>> NextPassages(std::vector<float>* vectors) override {
    vectors->clear();
    if (std::exchange(passages_read_, true)) return std::vector<Passage>();
    *vectors = at_->second.vectors;
    return at_->second.passages;
  }

 private:
  const MemoryCollection collection_;
  const CollectionInfo info_;
  const uint64_t commit_;
  std::map<std::string, MemoryDocument, std::less<>>::const_iterator next_, at_;
  bool text_read_ = false, passages_read_ = false;
};

inline bool ValidName(std::string_view name) {
  if (name.empty() || name.size() > 64 || name[0] == '.') return false;
  return name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
             "0123456789_.-") == std::string_view::npos;
}

inline bool MayRead(const DocumentInfo& info, const std::vector<std::string>& groups) {
  const auto& own = info.groups;
  return own.empty() ||
         std::find_first_of(own.begin(), own.end(), groups.begin(), groups.end()) != own.end();
}

inline bool IsValidAt(const DocumentInfo& info, int64_t time) {
  return info.valid_from.empty() || ParseRfc3339(info.valid_from).value() <= time;
}

inline bool IsHidden(const MemoryCollection& collection, const DocumentInfo& info, int64_t time) {
  if (!IsValidAt(info, time)) return true;
  return std::any_of(collection.documents.begin(), collection.documents.end(),
                     [&](const auto& other) {
                       const DocumentInfo& successor = other.second.info;
                       return successor.supersedes == info.id && IsValidAt(successor, time);
                     });
}

inline Status CheckRequest(const SearchRequest& request, const CollectionInfo& info) {
  if (!request.as_of.empty()) RETURN_IF_ERROR(ParseRfc3339(request.as_of).status());
  if (request.k < 1 || request.k > 1000)
    return InvalidArgument(StrCat("k is ", request.k, "; give 1..1000"));
  if (request.vector.size() != static_cast<size_t>(info.dimension)) {
    return InvalidArgument(StrCat("the question's vector has ", request.vector.size(),
                                  " dimensions; '", info.name, "' has ", info.dimension));
  }
  return OkStatus();
}

// Of a stored vector: its product with the question's, the weighted mean over the wordings.
inline double Nearness(const SearchRequest& request, std::span<const float> stored) {
  const auto dot = [&](std::span<const float> vector) {
    double sum = 0;
    for (size_t d = 0; d < vector.size(); ++d) sum += stored[d] * vector[d];
    return sum;
  };
  double sum = dot(request.vector), weights = 1;
  for (const Wording& wording : request.wordings) {
    sum += wording.weight * dot(wording.vector);
    weights += wording.weight;
  }
  return sum / weights;
}

inline void ScorePassages(const MemoryDocument& stored, const SearchRequest& request,
                          std::vector<Hit>* hits) {
  const size_t dimension = request.vector.size();
  for (size_t i = 0; i < stored.passages.size(); ++i) {
    Hit& hit = hits->emplace_back();
    hit.passage = stored.passages[i];
    hit.title = stored.info.title;
    hit.source = stored.info.source;
    hit.valid_from = stored.info.valid_from;
    hit.score = hit.dense_score =
        Nearness(request, std::span(stored.vectors).subspan(i * dimension, dimension));
    for (const TextSpan& word : Words(request.question)) {
      const std::string_view needle(request.question.data() + word.begin, word.end - word.begin);
      if (hit.passage.text.find(needle) != std::string::npos) hit.term_score += 1;
    }
  }
}

inline CollectionInfo Describe(const MemoryCollection& collection) {
  CollectionInfo info = collection.info;
  info.document_count = collection.documents.size();
  for (const auto& [id, stored] : collection.documents)
    info.passage_count += stored.passages.size();
  return info;
}

inline void KeepNotes(std::span<const StoreNote> notes, MemoryCollection* collection) {
  for (const StoreNote& note : notes) {
    if (note.value.empty()) collection->notes.erase(note.key);
    if (!note.value.empty()) collection->notes[note.key] = note.value;
  }
}

}  // namespace vade::testing
