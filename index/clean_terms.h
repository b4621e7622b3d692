// Steps of the term keeper, each one batch: postings of dead passages go, small blocks are joined.
// They read the latest state and write nothing themselves. Private to term_keeper.cc and its tests.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "index/kv.h"
#include "index/postings.h"
#include "index/records.h"

namespace vade {

// Puts into the batch what removes the terms of the first of these passages, and takes those off
// the ranges.
Status RemoveSomeTerms(const Kv& kv, CollectionId c, std::vector<PassageRange>* ranges,
                       KvBatch* batch);

// Goes through the blocks of all terms of a collection and joins them where many small ones lie in
// a row. `settled` says of a block's first passage that its revision is current: blocks of others
// keep their keys, by which they are found. `write` is given a bounded batch at a time; false ends
// it.
Status JoinBlocks(const Kv& kv, CollectionId c, const std::function<bool(PassageId)>& settled,
                  const std::function<Result<bool>(const KvBatch&)>& write);

}  // namespace vade
