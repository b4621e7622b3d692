// What of a collection one request may find: by the groups of its caller, by its filter, and by the
// time that it asks about. Made
// once a request from its view, then asked inside the searches, slot by slot and posting by
// posting.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/kv.h"
#include "index/passage_set.h"
#include "index/view.h"

namespace vade {

// Documents without groups are everyone's; others are only for callers with one of their groups.
bool MaySee(const std::vector<std::string>& document_groups,
            const std::vector<std::string>& caller);
// For each set of groups, whether the caller may see it. Set 0 is everyone's.
std::vector<uint8_t> AllowedSets(const GroupSets& sets, const std::vector<std::string>& caller);

struct Admission {
  std::vector<uint8_t> group_sets;  // [set] != 0: may be found; a set beyond the end may not
  // Both may list passages that are gone.
  std::shared_ptr<const PassageSet> kept = nullptr;    // null: all
  std::shared_ptr<const PassageSet> hidden = nullptr;  // null: none
  bool everything() const { return !kept && !hidden; }
};

// Asks about one passage after the other. Borrows the admission and what is current.
class AdmissionCursor {
 public:
  AdmissionCursor(const Admission& admission, const LiveRanges& live)
      : admission_(&admission), live_(live) {
    if (admission.kept) kept_.emplace(*admission.kept);
    if (admission.hidden) hidden_.emplace(*admission.hidden);
  }
  bool Admits(PassageId id) {
    const LiveRange* range = live_.Find(id);
    const auto& sets = admission_->group_sets;
    return range && range->group_set < sets.size() && sets[range->group_set] != 0 &&
           (!kept_ || kept_->Has(id)) && (!hidden_ || !hidden_->Has(id));
  }

 private:
  const Admission* admission_;
  LiveCursor live_;
  std::optional<PassageCursor> kept_, hidden_;
};

// The passages that a filter keeps, remembered for the next request with the same one: a chat asks
// again and again with its own, and going through a hundred thousand documents takes a fraction of
// a second. What was committed since then is looked at document by document. Thread-safe.
class FilterCache {
 public:
  // Of the documents of `state` in `view`; a passage that is not current may be listed too. The
  // errors of Filter::Parse.
  Result<std::shared_ptr<const PassageSet>> Find(const Kv& kv, const View& view,
                                                 const CollectionState& state,
                                                 const std::string& filter, const Context& ctx);

 private:
  struct Entry {
    CollectionId collection = 0;
    std::string filter;
    uint64_t commit = 0;
    std::shared_ptr<const PassageSet> kept;
  };
  std::optional<Entry> Remembered(CollectionId c, const std::string& filter);
  void Remember(Entry entry);

  std::mutex mutex_;
  std::vector<Entry> entries_;  // the one used last is at the end
};

}  // namespace vade
