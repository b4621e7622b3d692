// The change log as its followers see it.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/strings.h"
#include "index/core.h"

namespace vade {
namespace {

// The first commit whose entry is still there.
Result<uint64_t> LogBegin(const Kv& kv, const KvSnapshot& snapshot) {
  ASSIGN_OR_RETURN(const auto bytes, kv.Get(Family::kMeta, "log_begin", snapshot));
  uint64_t begin = 0;
  if (!bytes || bytes->size() != sizeof(begin)) return Damaged("beginning of the change log");
  std::memcpy(&begin, bytes->data(), sizeof(begin));
  return begin;
}

StoreChange AsSeen(uint64_t commit, Change change) {
  const bool of_document = change.kind == ChangeKind::kPut || change.kind == ChangeKind::kDelete;
  return {.commit = commit,
          .kind = change.kind,
          .collection = change.collection,
          .document_id = of_document ? std::move(change.name) : std::string(),
          .replaced = change.kind == ChangeKind::kPut && change.replaced_key != 0};
}

}  // namespace

Result<ChangeList> ChangesOf(const Kv& kv, const View& view, uint64_t after, int limit) {
  if (limit < 1) return InvalidArgument(StrCat("a list of ", limit, " changes; ask for 1 or more"));
  ASSIGN_OR_RETURN(const uint64_t begin, LogBegin(kv, view.snapshot));
  ChangeList list;
  list.through = view.commit;
  list.trimmed = after > view.commit || after + 1 < begin;
  if (list.trimmed || after == view.commit) return list;
  const auto scan = kv.Scan(Family::kChanges, ChangeKey(after + 1), "", view.snapshot);
  for (uint64_t expected = after + 1; expected <= view.commit; ++expected, scan->Next()) {
    if (!scan->Valid() || scan->key() != ChangeKey(expected)) {
      RETURN_IF_ERROR(scan->status());
      return DataLoss(StrCat("the change log has no entry ", expected, "; run vade verify"));
    }
    if (list.changes.size() >= static_cast<size_t>(limit)) {
      list.through = expected - 1;
      list.more = true;
      break;
    }
    ASSIGN_OR_RETURN(std::vector<Change> changes, DecodeChanges(scan->value()));
    for (Change& change : changes) list.changes.push_back(AsSeen(expected, std::move(change)));
  }
  return list;
}

}  // namespace vade
