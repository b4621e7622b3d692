// Which documents of a collection say nearly the same: by sketches (ingest/sketch.h), kept as notes
// (docs/formats.md). Nothing is dropped for it: it is told, and found out anew each time, so it
// holds for the documents that there are. Thread-safe as the store is; owns nothing.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

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

  // Of the revision that is about to be committed. In place of what was kept of earlier ones.
  Status Keep(const std::string& document_id, std::string_view content_hash,
              const std::optional<Sketch>& sketch);
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
  // What Keep() writes.
  Status AddNotes(const std::string& document_id, std::string_view content_hash,
                  const std::optional<Sketch>& sketch, std::vector<StoreNote>* notes) const;
  Result<std::optional<Kept>> Find(const std::string& document_id) const;

  Store* store_;
  const std::string collection_;
};

}  // namespace vade
