// Making and deleting collections.
#include "base/bytes.h"
#include "base/strings.h"
#include "index/core.h"

namespace vade {
namespace {

Status ApplyCreate(StoreCore* core, const CollectionInfo& info, CommitEdit& edit) {
  if (edit.Find(info.name)) {
    return AlreadyExists(StrCat("collection '", info.name, "' exists already"));
  }
  const CollectionId id = TakeCollectionNumber(core, &edit.batch());
  edit.batch().Put(
      Family::kCatalog, CollectionKey(id),
      Encode(CollectionRecord{info.name, info.embedder_id, static_cast<uint32_t>(info.dimension),
                              edit.now_unix_micros(), 0, info.embedder_source}));
  edit.Log({ChangeKind::kCreateCollection, id, 0, 0, info.name});
  auto state = std::make_shared<CollectionState>();
  state->id = state->space = id;
  state->info = info;
  state->info.id = id;
  state->info.document_count = state->info.passage_count = 0;
  state->group_sets = std::make_shared<GroupSets>(1);
  edit.AddCollection(std::move(state));
  return OkStatus();
}

Status ApplyRemove(const std::string& name, CommitEdit& edit, std::vector<SpaceId>* removed) {
  const CollectionState* state = edit.Find(name);
  if (!state) return NoCollection(name);
  const CollectionId c = state->id;
  *removed = SpacesOf(*state);
  KvBatch& batch = edit.batch();
  batch.Delete(Family::kCatalog, CollectionKey(c));
  const std::string sets = "g" + CollectionPrefix(c);
  batch.DeleteRange(Family::kCatalog, sets, PrefixEnd(sets));
  for (Family family : {Family::kDocuments, Family::kText, Family::kPassages, Family::kPostings,
                        Family::kForward, Family::kDead}) {
    batch.DeleteRange(family, CollectionPrefix(c), CollectionPrefix(c + 1));
  }
  for (SpaceId space : *removed) DeleteSpace(space, &batch);
  batch.Delete(Family::kCatalog, NextSpaceKey(c));
  batch.Delete(Family::kMeta, MergedKey(c));
  batch.Put(Family::kMeta, GoneKey(c, 0), EncodeRanges({}));
  edit.Log({ChangeKind::kDeleteCollection, c, 0, 0, name});
  edit.RemoveCollection(name);
  return OkStatus();
}

}  // namespace

Status CreateCollectionIn(StoreCore* core, const CollectionInfo& info) {
  RETURN_IF_ERROR(ValidateCollection(info));
  return core->committer
      ->Commit({"", [&](CommitEdit& edit) { return ApplyCreate(core, info, edit); }})
      .status();
}

Status DeleteCollectionIn(StoreCore* core, std::string_view name) {
  std::vector<SpaceId> removed;
  const std::string copy(name);
  RETURN_IF_ERROR(
      core->committer
          ->Commit({"", [&](CommitEdit& edit) { return ApplyRemove(copy, edit, &removed); }})
          .status());
  for (SpaceId space : removed) RemoveSegments(*core, space);
  core->after_commit();
  return OkStatus();
}

Result<CollectionInfo> FindOrCreateCollection(Store* store, const CollectionInfo& info) {
  auto found = store->GetCollection(info.name);
  if (found.ok() || found.status().code() != StatusCode::kNotFound) return found;
  const Status created = store->CreateCollection(info);
  if (created.ok()) return info;
  // Somebody else may have been quicker, with whatever embedder.
  if (created.code() == StatusCode::kAlreadyExists) return store->GetCollection(info.name);
  return created;
}

}  // namespace vade
