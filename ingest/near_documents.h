// Which documents of a collection say nearly the same: by sketches (ingest/sketch.h), kept as notes
// (docs/formats.md). Nothing is dropped for it: it is told, and found out anew each time, so it
// holds for the documents that there are. Thread-safe as the store is; owns nothing.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "index/index.h"
#include "ingest/sketch.h"

namespace vade {

struct NearDocument {
  std::string id;
  double likeness = 0;  // 0..1, an estimate
};

class NearDocuments {
 public:
  // Likeness from which a document is near another one.
  static constexpr double kNear = 0.8;

  NearDocuments(Store* store, std::string collection)
      : store_(store), collection_(std::move(collection)) {}

  // Adds the notes that keep the sketch of a revision that is about to be committed, and remove
  // what was kept of earlier ones.
  Status AddNotes(const std::string& document_id, std::string_view content_hash,
                  const std::optional<Sketch>& sketch, std::vector<StoreNote>* notes) const;
  // After documents were deleted.
  Status Forget(std::span<const std::string> document_ids);

  // The nearest other document, with other bytes. Nothing for one of which no sketch is kept.
  Result<std::optional<NearDocument>> Nearest(const std::string& document_id) const;
  // The same for a document that is not stored (yet): one with this sketch and these bytes' hash.
  Result<std::optional<NearDocument>> NearestTo(const Sketch& sketch, std::string_view content_hash,
                                                const std::string& document_id) const;

 private:
  struct Kept {
    std::string content_hash;
    Sketch sketch{};
  };
  Result<std::optional<Kept>> Find(const std::string& document_id) const;

  Store* store_;
  const std::string collection_;
};

}  // namespace vade
