// The nearest vectors of one collection to a question: scans the tail and small segments, walks the
// graphs of the others or looks into their cells, scores the head of the list with float16 vectors.
// Single-threaded, touches only its view.
//
// Passages of every language are found: scores are cosines with what the language takes off given
// back (language_lift.h).
//
// Only slots that are alive and admitted are found, and as many as are asked for when there are
// that many: where few slots may be found they are scanned, since a walk would starve.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/admission.h"
#include "index/view.h"

namespace vade {

class DeviceScan;

struct VectorSearchOptions {
  size_t k = 5;
  size_t ef = 64;                       // candidates kept in a walk; cells that are looked into
  size_t flat_below = 4096;             // fewer findable slots than this are scanned
  size_t nibbles_from_bytes = 4 << 20;  // as of StoreOptions
  DeviceScan* device = nullptr;  // scans segments that are worth it; null: the processor does
};

struct VectorHit {
  PassageId id = 0;
  float score = 0;   // cosine and the lift of the passage's language
  float cosine = 0;  // inner product with the float16 vector
  LanguageCode language = kUnknownLanguage;
};

// `query` has the collection's dimension. Best first, equal scores by ascending id.
Result<std::vector<VectorHit>> SearchVectors(const CollectionState& state,
                                             std::span<const float> query,
                                             const Admission& admission,
                                             const VectorSearchOptions& options,
                                             const Context& ctx);

}  // namespace vade
