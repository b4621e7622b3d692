// Small to big: a passage is found by itself, which is precise, and handed on with its neighbours
// in the document, which tells more.
//
// The joined passage is one range of the document's text: where passages overlap nothing stands in
// it twice. Nor does anything stand in two hits: what an earlier hit holds already is left off, and
// a passage that an earlier hit holds wholly is no hit of its own.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "index/core.h"

namespace vade {

// For the hits of one search, best first, at one snapshot.
class NeighbourJoiner {
 public:
  // `reach`: how many passages are joined on each side.
  NeighbourJoiner(const Kv& kv, KvSnapshot snapshot, CollectionId c, int reach)
      : kv_(kv), snapshot_(std::move(snapshot)), collection_(c), reach_(reach) {}

  // Widens the hit, a passage of that document. False: an earlier one holds all of it.
  Result<bool> Join(const DocumentRecord& document, Hit* hit);

 private:
  struct Range {
    uint64_t begin = 0, end = 0;
  };
  Result<PassageRecord> Record(PassageId id) const;

  const Kv& kv_;
  const KvSnapshot snapshot_;
  const CollectionId collection_;
  const int reach_;
  std::map<RevisionKey, std::vector<Range>> shown_;  // of earlier hits
};

}  // namespace vade
