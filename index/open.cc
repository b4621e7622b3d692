#include "index/open.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/trace.h"

namespace vade {
namespace {

constexpr size_t kBatchBytes = 1 << 20;

template <typename T>
std::string Fixed(T value) {
  std::string bytes;
  AppendFixed<T>(&bytes, value);
  return bytes;
}

// A number of the meta family.
template <typename T>
Result<T> ReadMeta(const Kv& kv, std::string_view key) {
  ASSIGN_OR_RETURN(const auto bytes, kv.Get(Family::kMeta, key, nullptr));
  T value{};
  if (!bytes || bytes->size() != sizeof(T)) {
    return DataLoss(
        StrCat("the database has no valid '", key, "': it is damaged; restore it from a copy"));
  }
  std::memcpy(&value, bytes->data(), sizeof(T));
  return value;
}

Status WriteFirstMeta(Kv* kv) {
  KvBatch batch;
  batch.Put(Family::kMeta, "format", Fixed(kFormatVersion));
  static_assert(sizeof(StoreId) == 16);  // as many digits as a request id has
  batch.Put(Family::kMeta, "store_id", NewRequestId());
  batch.Put(Family::kMeta, "next_id", Fixed<uint64_t>(1));
  batch.Put(Family::kMeta, "next_collection", Fixed<uint32_t>(1));
  batch.Put(Family::kMeta, "commit", Fixed<uint64_t>(0));
  batch.Put(Family::kMeta, "log_begin", Fixed<uint64_t>(1));
  return kv->Write(batch, Durability::kSynced);
}

Status CheckFormat(StoreCore* store) {
  StoreCore& core = *store;
  ASSIGN_OR_RETURN(const uint32_t version, ReadMeta<uint32_t>(*core.kv, "format"));
  if (version > kFormatVersion) {
    return FailedPrecondition(StrCat("the store at ", core.directory, " has format version ",
                                     version, ", this program knows up to ", kFormatVersion,
                                     "; open it with the newer vade that wrote it"));
  }
  if (version == 0) return DataLoss("the database has format version 0: it is damaged");
  core.format = version;
  return OkStatus();
}

// All group sets of a collection, by number.
Result<std::shared_ptr<const GroupSets>> LoadGroupSets(const Kv& kv, CollectionId c) {
  auto sets = std::make_shared<GroupSets>(1);
  const std::string prefix = "g" + CollectionPrefix(c);
  const auto scan = kv.Scan(Family::kCatalog, prefix, PrefixEnd(prefix), nullptr);
  for (; scan->Valid(); scan->Next()) {
    ASSIGN_OR_RETURN(auto groups, DecodeStrings(scan->value()));
    if (ParseKey32(scan->key().substr(prefix.size())) != sets->size() || groups.empty()) {
      return DataLoss("the sets of groups have a gap: the database is damaged");
    }
    sets->push_back(std::move(groups));
  }
  RETURN_IF_ERROR(scan->status());
  return std::shared_ptr<const GroupSets>(std::move(sets));
}

// Counts documents and passages, and lists the passages' ids in order.
Result<std::vector<LiveRange>> LoadRevisions(const Kv& kv, uint64_t id_limit,
                                             CollectionState* state) {
  std::vector<LiveRange> live;
  const std::string prefix = FamilyPrefix(state->id, 'r');
  const auto scan = kv.Scan(Family::kDocuments, prefix, PrefixEnd(prefix), nullptr);
  for (; scan->Valid(); scan->Next()) {
    ASSIGN_OR_RETURN(const RevisionRecord revision, DecodeRevision(scan->value()));
    if (revision.group_set >= state->group_sets->size()) {
      return DataLoss(StrCat("document '", revision.document_id,
                             "' has an unknown set of groups: "
                             "the database is damaged; restore it from a copy"));
    }
    ++state->info.document_count;
    state->word_count += revision.words.value_or(0);
    for (const PassageRange& range : revision.ranges) {
      if (range.first + range.count > id_limit) {
        return DataLoss(StrCat("document '", revision.document_id,
                               "' owns passages that were never "
                               "numbered: the database is damaged; restore it from a copy"));
      }
      state->info.passage_count += range.count;
      // Slots are numbered with 32 bits, and memory is taken for each passage: a damaged count must
      // not ask for more.
      if (range.count > UINT32_MAX || state->info.passage_count > UINT32_MAX) {
        return Damaged(StrCat("revision record of document '", revision.document_id, "'"));
      }
      live.push_back({range, revision.group_set});
    }
  }
  RETURN_IF_ERROR(scan->status());
  std::sort(live.begin(), live.end(),
            [](const LiveRange& a, const LiveRange& b) { return a.range.first < b.range.first; });
  return live;
}

Status LoadVersions(const Kv& kv, CollectionState* state) {
  VersionTable::Versions versions;
  const std::string prefix = FamilyPrefix(state->id, 'v');
  const auto scan = kv.Scan(Family::kDocuments, prefix, PrefixEnd(prefix), nullptr);
  for (; scan->Valid(); scan->Next()) {
    ASSIGN_OR_RETURN(versions[std::string(scan->key().substr(prefix.size()))],
                     DecodeVersion(scan->value()));
  }
  RETURN_IF_ERROR(scan->status());
  if (!versions.empty()) {
    state->versions = std::make_shared<const VersionTable>(std::move(versions));
  }
  return OkStatus();
}

Result<std::shared_ptr<const CollectionState>> LoadCollection(StoreCore* core, CollectionId id,
                                                              std::string_view bytes,
                                                              uint64_t commit) {
  ASSIGN_OR_RETURN(const CollectionRecord record, DecodeCollection(bytes));
  auto state = std::make_shared<CollectionState>();
  state->id = id;
  state->info.id = id;
  state->info.name = record.name;
  state->info.embedder_id = record.embedder_id;
  state->info.embedder_source = record.embedder_source;
  state->space = record.space == 0 ? id : record.space;
  ASSIGN_OR_RETURN(const auto next, core->kv->Get(Family::kCatalog, NextSpaceKey(id), nullptr));
  if (next) {
    ASSIGN_OR_RETURN(SpaceRecord space, DecodeSpace(*next));
    state->next_space = std::make_shared<const SpaceRecord>(std::move(space));
  }
  state->info.dimension = static_cast<int>(record.dimension);
  ASSIGN_OR_RETURN(state->group_sets, LoadGroupSets(*core->kv, id));
  ASSIGN_OR_RETURN(const auto live, LoadRevisions(*core->kv, core->ids->limit(), state.get()));
  state->live = LiveRanges::Of(live);
  RETURN_IF_ERROR(LoadVersions(*core->kv, state.get()));
  RETURN_IF_ERROR(LoadVectors(core, live, commit, state.get()));
  return std::shared_ptr<const CollectionState>(std::move(state));
}

}  // namespace

Result<std::unique_ptr<FileLock>> LockDirectory(const std::string& directory,
                                                bool create_if_missing) {
  if (!IsDirectory(directory)) {
    if (!create_if_missing) {
      return NotFound(StrCat("there is no store at ", directory, "; check --data"));
    }
    RETURN_IF_ERROR(MakeDirectories(directory));
  }
  auto lock = FileLock::Acquire(JoinPath(directory, "lock"));
  if (!lock.ok() && lock.status().code() == StatusCode::kUnavailable) {
    return Unavailable(StrCat("data directory ", directory,
                              " is in use by another process; talk to it "
                              "with --server or stop it"));
  }
  return lock;
}

Status OpenDatabase(StoreCore* core) {
  ASSIGN_OR_RETURN(core->kv, Kv::Open(core->DatabaseDirectory(),
                                      {.create_if_missing = core->options.create_if_missing,
                                       .block_cache_bytes = core->options.block_cache_bytes,
                                       .compress = core->options.compress,
                                       .file_system = core->options.file_system}));
  ASSIGN_OR_RETURN(const auto format, core->kv->Get(Family::kMeta, "format", nullptr));
  if (!format) {
    // New, or made by a process that died before its first write.
    const auto scan = core->kv->Scan(Family::kCatalog, "", "", nullptr);
    if (scan->Valid()) return DataLoss("the database has no format version: it is damaged");
    RETURN_IF_ERROR(WriteFirstMeta(core->kv.get()));
  }
  RETURN_IF_ERROR(CheckFormat(core));
  ASSIGN_OR_RETURN(core->store_id, ReadMeta<StoreId>(*core->kv, "store_id"));
  ASSIGN_OR_RETURN(core->next_collection, ReadMeta<uint32_t>(*core->kv, "next_collection"));
  ASSIGN_OR_RETURN(const uint64_t next_id, ReadMeta<uint64_t>(*core->kv, "next_id"));
  core->ids = std::make_unique<IdAllocator>(core->kv.get(), next_id);
  return OkStatus();
}

Status ForEachCollection(const Kv& kv,
                         const std::function<Status(CollectionId, std::string_view)>& visit) {
  const auto scan = kv.Scan(Family::kCatalog, "c", "d", nullptr);
  for (; scan->Valid(); scan->Next()) {
    if (scan->key().size() != CollectionKey(0).size()) return Damaged("collection's key");
    RETURN_IF_ERROR(visit(ParseKey32(scan->key().substr(1)), scan->value()));
  }
  return scan->status();
}

namespace {

// Where the vectors of what was being staged were written to. A space that has become another one's
// since then goes as a whole (RemoveStraySpaces).
Result<StagedPlace> PlaceOf(const Kv& kv, CollectionId c) {
  ASSIGN_OR_RETURN(const auto bytes, kv.Get(Family::kCatalog, CollectionKey(c), nullptr));
  if (!bytes) return StagedPlace{c, c};
  ASSIGN_OR_RETURN(const CollectionRecord record, DecodeCollection(*bytes));
  return StagedPlace{c, record.space == 0 ? c : record.space};
}

// Vectors of spaces that no collection has: of a writer that was at work when its collection's
// space was replaced, and died.
Status RemoveStraySpaces(Kv* kv, const View& view) {
  const std::set<SpaceId> known = SpacesOf(view);
  const auto scan = kv->Scan(Family::kVectors, "", "", nullptr);
  while (scan->Valid()) {
    const SpaceId space = ParseKey32(scan->key());
    if (known.count(space) == 0) {
      KvBatch batch;
      DeleteSpace(space, &batch);
      RETURN_IF_ERROR(kv->Write(batch, Durability::kBuffered));
    }
    if (space == UINT32_MAX) break;
    scan->Seek(CollectionPrefix(space + 1));
  }
  return scan->status();
}

}  // namespace

Status CollectLeftovers(StoreCore* core) {
  KvBatch batch;
  RevisionKey previous = 0;
  const auto scan = core->kv->Scan(Family::kStaged, "", "", nullptr);
  for (; scan->Valid(); scan->Next()) {
    ASSIGN_OR_RETURN(const StagedNote note, DecodeStaged(scan->key(), scan->value()));
    if (note.revision == previous) continue;
    previous = note.revision;
    ASSIGN_OR_RETURN(const StagedPlace place, PlaceOf(*core->kv, note.collection));
    RETURN_IF_ERROR(DiscardStaged(core->kv.get(), place, note.revision, &batch));
    // Between two revisions: the notes of one go together with what they speak of.
    if (batch.bytes() < kBatchBytes) continue;
    RETURN_IF_ERROR(core->kv->Write(batch, Durability::kBuffered));
    batch.Clear();
  }
  RETURN_IF_ERROR(scan->status());
  return batch.empty() ? OkStatus() : core->kv->Write(batch, Durability::kBuffered);
}

Result<std::shared_ptr<const View>> LoadView(StoreCore* core) {
  auto view = std::make_shared<View>();
  ASSIGN_OR_RETURN(view->commit, ReadMeta<uint64_t>(*core->kv, "commit"));
  RETURN_IF_ERROR(ForEachCollection(*core->kv, [&](CollectionId id, std::string_view record) {
    ASSIGN_OR_RETURN(auto state, LoadCollection(core, id, record, view->commit));
    view->collections[state->info.name] = std::move(state);
    return OkStatus();
  }));
  RETURN_IF_ERROR(RemoveStraySpaces(core->kv.get(), *view));
  view->snapshot = core->kv->Snapshot();
  RemoveStraySegments(*core, *view);
  return std::shared_ptr<const View>(std::move(view));
}

}  // namespace vade
