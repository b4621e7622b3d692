#include "index/reembed.h"

#include <algorithm>
#include <bitset>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/strings.h"
#include "index/open.h"

namespace vade {
namespace {

constexpr size_t kAtOnce = 32;  // passages a call of the embedder
// As many may be left to be embedded under the lock that commits take.
constexpr size_t kAtTheSwitch = 16;

// Passage ids that lie close together for the most part.
class IdSet {
 public:
  void Insert(PassageId id) {
    auto& bits = pages_[id / kPage];
    count_ += !bits[id % kPage];
    bits[id % kPage] = true;
  }
  bool Has(PassageId id) const {
    const auto page = pages_.find(id / kPage);
    return page != pages_.end() && page->second[id % kPage];
  }
  uint64_t count() const { return count_; }

 private:
  static constexpr size_t kPage = 4096;
  std::unordered_map<uint64_t, std::bitset<kPage>> pages_;
  uint64_t count_ = 0;
};

Status CollectionWent(std::string_view name) {
  return Aborted(StrCat("collection '", name, "' was deleted while it was being re-embedded"));
}

// A passage that is to have a vector, with what its row says.
struct Todo {
  PassageToEmbed passage;
  RowFacts facts;
};

class Reembedder {
 public:
  Reembedder(StoreCore* core, Sealer* sealer, std::string_view collection,
             const ReembedRequest& request)
      : core_(core), sealer_(sealer), name_(collection), request_(request) {}

  Result<ReembedReport> Run(const Context& ctx);

 private:
  Result<bool> HasItAlready();
  Status Settle(View* view, KvBatch* batch) const;
  Result<CollectionRecord> ReadRecord() const;
  Status Begin();
  Status BeginIn(View* view, KvBatch* batch);
  Status LoadMade();
  Result<std::shared_ptr<const CollectionState>> Current(const View& view) const;
  std::vector<PassageId> Missing(const CollectionState& state, size_t limit) const;
  Result<std::vector<Todo>> Read(const View& view, const CollectionState& state,
                                 std::span<const PassageId> ids) const;
  Result<VectorBuffer> Embed(std::span<const Todo> todo, const Context& ctx) const;
  Status MakeSome(std::span<const PassageId> ids, const Context& ctx);
  Status WriteCurrent(const VectorBuffer& made, VectorBuffer* written);
  void Put(const VectorBuffer& made, KvBatch* batch) const;
  void Take(const VectorBuffer& made);
  Status MakeMissing(const Context& ctx);
  void DropGone(const CollectionState& state);
  Status Switch(CommitEdit& edit, const Context& ctx);
  void Report(const CollectionState& state) const;

  StoreCore* const core_;
  Sealer* const sealer_;
  const std::string name_;
  const ReembedRequest& request_;
  CollectionId id_ = 0;
  SpaceId old_space_ = 0;
  SpaceId dropped_ = 0;  // was in the making for another embedder; 0: none
  SpaceRecord space_;
  CollectionState next_;  // what the collection will be: seen by nobody
  IdSet made_;            // passages that have a row there
  ReembedReport report_;
};

Result<std::shared_ptr<const CollectionState>> Reembedder::Current(const View& view) const {
  ASSIGN_OR_RETURN(auto state, FindCollection(view, name_));
  if (state->id != id_) return CollectionWent(name_);
  return state;
}

// Then whatever was being made is dropped: the present vectors are what is wanted.
Result<bool> Reembedder::HasItAlready() {
  const auto view = core_->committer->Current();
  ASSIGN_OR_RETURN(const auto state, FindCollection(*view, name_));
  if (state->info.embedder_id != request_.embedder_id) return false;
  if (state->info.dimension != request_.dimension) {
    return InvalidArgument(StrCat("embedder '", request_.embedder_id, "' has ", request_.dimension,
                                  " dimensions, and collection '", name_, "' was made by it with ",
                                  state->info.dimension, "; is it the same model?"));
  }
  report_ = {view->commit, state->info.passage_count, 0};
  id_ = state->id;
  RETURN_IF_ERROR(core_->committer->Amend(
      [&](View* next, KvBatch* batch) { return Settle(next, batch); }, Durability::kSynced));
  if (state->next_space) RemoveSegments(*core_, state->next_space->space);
  return true;
}

// The present embedder stays; it may be called otherwise now.
Status Reembedder::Settle(View* view, KvBatch* batch) const {
  ASSIGN_OR_RETURN(const auto state, Current(*view));
  auto changed = std::make_shared<CollectionState>(*state);
  if (state->next_space) {
    DeleteSpace(state->next_space->space, batch);
    batch->Delete(Family::kCatalog, NextSpaceKey(id_));
    changed->next_space.reset();
  }
  if (state->info.embedder_source != request_.embedder_source) {
    ASSIGN_OR_RETURN(CollectionRecord record, ReadRecord());
    record.embedder_source = changed->info.embedder_source = request_.embedder_source;
    batch->Put(Family::kCatalog, CollectionKey(id_), Encode(record));
  }
  view->collections[name_] = std::move(changed);
  return OkStatus();
}

Result<CollectionRecord> Reembedder::ReadRecord() const {
  ASSIGN_OR_RETURN(const auto bytes, core_->kv->Get(Family::kCatalog, CollectionKey(id_), nullptr));
  if (!bytes) return Damaged("collection record");
  return DecodeCollection(*bytes);
}

// Finds the space in the making, or begins one. One of another embedder is dropped.
Status Reembedder::BeginIn(View* view, KvBatch* batch) {
  ASSIGN_OR_RETURN(const auto state, FindCollection(*view, name_));
  id_ = state->id;
  old_space_ = state->space;
  const SpaceRecord* present = state->next_space.get();
  if (present && present->embedder_id == request_.embedder_id &&
      present->dimension == static_cast<uint32_t>(request_.dimension)) {
    space_ = *present;
    space_.embedder_source = request_.embedder_source;
    return OkStatus();
  }
  if (present) DeleteSpace(dropped_ = present->space, batch);
  space_ = {TakeCollectionNumber(core_, batch), request_.embedder_id,
            static_cast<uint32_t>(request_.dimension), request_.embedder_source};
  batch->Put(Family::kCatalog, NextSpaceKey(id_), Encode(space_));
  auto changed = std::make_shared<CollectionState>(*state);
  changed->next_space = std::make_shared<const SpaceRecord>(space_);
  view->collections[name_] = std::move(changed);
  return OkStatus();
}

Status Reembedder::Begin() {
  RETURN_IF_ERROR(core_->committer->Amend(
      [&](View* view, KvBatch* batch) { return BeginIn(view, batch); }, Durability::kSynced));
  if (dropped_ != 0) RemoveSegments(*core_, dropped_);
  return LoadMade();
}

// The rows that an earlier call has made.
Status Reembedder::LoadMade() {
  const auto view = core_->committer->Current();
  ASSIGN_OR_RETURN(const auto state, Current(*view));
  next_.id = id_;
  next_.space = space_.space;
  next_.info = state->info;
  next_.info.embedder_id = space_.embedder_id;
  next_.info.embedder_source = space_.embedder_source;
  next_.info.dimension = static_cast<int>(space_.dimension);
  std::vector<LiveRange> ranges;
  LiveCursor live(state->live);
  const auto scan = core_->kv->Scan(Family::kVectors, CollectionPrefix(space_.space),
                                    CollectionPrefix(space_.space + 1), view->snapshot);
  for (; scan->Valid(); scan->Next()) {
    if (scan->key().size() != kPassageKeyBytes) return Damaged("key of a vector in the making");
    const PassageId id = ParseKey64(scan->key().substr(4));
    const LiveRange* of = live.Find(id);
    if (!of) return Damaged("vector in the making");
    made_.Insert(id);
    if (!ranges.empty() && ranges.back().range.first + ranges.back().range.count == id &&
        ranges.back().group_set == of->group_set) {
      ++ranges.back().range.count;
    } else {
      ranges.push_back({{id, 1}, of->group_set});
    }
  }
  RETURN_IF_ERROR(scan->status());
  return LoadVectors(core_, ranges, view->commit, &next_);
}

std::vector<PassageId> Reembedder::Missing(const CollectionState& state, size_t limit) const {
  std::vector<PassageId> ids;
  for (const LiveRange& live : state.live.All()) {
    for (uint64_t i = 0; i < live.range.count; ++i) {
      if (made_.Has(live.range.first + i)) continue;
      if (ids.size() == limit) return ids;
      ids.push_back(live.range.first + i);
    }
  }
  return ids;
}

// Those of the ids that are still current.
Result<std::vector<Todo>> Reembedder::Read(const View& view, const CollectionState& state,
                                           std::span<const PassageId> ids) const {
  std::vector<Todo> todo;
  std::optional<DocumentRecord> document;
  for (PassageId id : ids) {
    const LiveRange* live = state.live.Find(id);
    if (!live) continue;
    ASSIGN_OR_RETURN(const auto bytes,
                     core_->kv->Get(Family::kPassages, PassageKey(id_, id), view.snapshot));
    if (!bytes) return Damaged("passage record");
    ASSIGN_OR_RETURN(PassageRecord record, DecodePassage(*bytes));
    if (!document || document->revision_key != record.revision_key) {
      ASSIGN_OR_RETURN(const auto stored,
                       core_->kv->Get(Family::kDocuments,
                                      RevisionRecordKey(id_, record.revision_key), view.snapshot));
      if (!stored) return Damaged("revision record");
      ASSIGN_OR_RETURN(const RevisionRecord revision, DecodeRevision(*stored));
      ASSIGN_OR_RETURN(document,
                       ReadDocument(*core_->kv, view.snapshot, id_, revision.document_id));
      if (!document) return Damaged("document record");
    }
    TextReader text(*core_->kv, view.snapshot, id_, record.revision_key);
    ASSIGN_OR_RETURN(std::string words, text.Read(record.begin, record.length));
    const RowFacts facts{id, live->group_set, record.language};
    todo.push_back({{document->info.title,
                     PassageOf(id, document->info.id, std::move(record), std::move(words))},
                    facts});
  }
  return todo;
}

Result<VectorBuffer> Reembedder::Embed(std::span<const Todo> todo, const Context& ctx) const {
  VectorBuffer made(space_.dimension);
  for (size_t begin = 0; begin < todo.size(); begin += kAtOnce) {
    const auto some = todo.subspan(begin, std::min(kAtOnce, todo.size() - begin));
    std::vector<PassageToEmbed> passages;
    for (const Todo& one : some) passages.push_back(one.passage);
    ASSIGN_OR_RETURN(const std::vector<float> vectors, request_.embed(passages, ctx));
    if (vectors.size() != some.size() * space_.dimension) {
      return InvalidArgument(StrCat("the embedder gave ", vectors.size(), " numbers for ",
                                    some.size(), " passages of dimension ", space_.dimension));
    }
    for (size_t i = 0; i < some.size(); ++i) {
      const std::span<const float> vector(vectors.data() + i * space_.dimension, space_.dimension);
      RETURN_IF_ERROR(ValidateVector("a vector of the new embedder", vector));
      made.Append(some[i].facts, vector.data());
    }
  }
  return made;
}

void Reembedder::Put(const VectorBuffer& made, KvBatch* batch) const {
  for (size_t i = 0; i < made.size(); ++i) {
    const auto halves = made.HalvesOf(i);
    batch->Put(Family::kVectors, PassageKey(space_.space, made.rows().ids[i]),
               {reinterpret_cast<const char*>(halves.data()), halves.size_bytes()});
  }
}

// Of passages that are current at this moment, between two commits: no vector outlives its passage.
Status Reembedder::WriteCurrent(const VectorBuffer& made, VectorBuffer* written) {
  return core_->committer->Amend(
      [&](View* view, KvBatch* batch) -> Status {
        ASSIGN_OR_RETURN(const auto state, Current(*view));
        if (!state->next_space || state->next_space->space != space_.space) {
          return Aborted(StrCat("collection '", name_, "' is being re-embedded by another call"));
        }
        for (size_t i = 0; i < made.size(); ++i) {
          if (state->live.Find(made.rows().ids[i])) written->AppendRow(made.rows(), i);
        }
        Put(*written, batch);
        return OkStatus();
      },
      Durability::kBuffered);
}

void Reembedder::Take(const VectorBuffer& made) {
  AppendPassages(&next_, made.rows());
  for (size_t i = 0; i < made.size(); ++i) made_.Insert(made.rows().ids[i]);
  report_.embedded += made.size();
}

Status Reembedder::MakeSome(std::span<const PassageId> ids, const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  const auto view = core_->committer->Current();
  ASSIGN_OR_RETURN(const auto state, Current(*view));
  ASSIGN_OR_RETURN(const std::vector<Todo> todo, Read(*view, *state, ids));
  if (todo.empty()) return OkStatus();
  ASSIGN_OR_RETURN(const VectorBuffer made, Embed(todo, ctx));
  VectorBuffer written(space_.dimension);
  RETURN_IF_ERROR(WriteCurrent(made, &written));
  Take(written);
  Report(*state);
  // Without room for a segment the rows stay in memory, as those of a tail do.
  const Status sealed = sealer_->SealApart(&next_, view->commit, ctx);
  return sealed.code() == StatusCode::kResourceExhausted ? OkStatus() : sealed;
}

// Rounds, until so few are left that a commit can wait for them.
Status Reembedder::MakeMissing(const Context& ctx) {
  for (;;) {
    ASSIGN_OR_RETURN(const auto state, Current(*core_->committer->Current()));
    const std::vector<PassageId> missing = Missing(*state, SIZE_MAX);
    if (missing.size() <= kAtTheSwitch) return OkStatus();
    for (size_t begin = 0; begin < missing.size(); begin += kAtOnce) {
      RETURN_IF_ERROR(MakeSome(
          std::span(missing).subspan(begin, std::min(kAtOnce, missing.size() - begin)), ctx));
    }
  }
}

// Slots of passages that went since their vectors were made.
void Reembedder::DropGone(const CollectionState& state) {
  std::vector<PassageRange> gone;
  LiveCursor live(state.live);
  const auto look = [&](const VectorRows& rows, size_t slot, bool alive) {
    if (alive && !live.Find(rows.ids[slot])) gone.push_back({rows.ids[slot], 1});
  };
  for (const SegmentState& s : next_.segments) {
    for (size_t slot = 0; slot < s.segment->rows().count; ++slot) {
      look(s.segment->rows(), slot, !IsDead(s.dead.get(), slot));
    }
  }
  ForEachTailSlot(next_.tail, next_.tail.length, look);
  KillPassages(&next_, std::move(gone));
}

Status Reembedder::Switch(CommitEdit& edit, const Context& ctx) {
  const CollectionState* state = edit.Find(name_);
  if (!state || state->id != id_) return CollectionWent(name_);
  const std::vector<PassageId> missing = Missing(*state, kAtTheSwitch + 1);
  if (missing.size() > kAtTheSwitch) return Aborted("passages were put meanwhile");
  // All that was written is in the database: commits are what this call is in the midst of.
  const View now{.commit = 0, .snapshot = core_->kv->Snapshot(), .collections = {}};
  ASSIGN_OR_RETURN(const std::vector<Todo> todo, Read(now, *state, missing));
  ASSIGN_OR_RETURN(const VectorBuffer made, Embed(todo, ctx));
  ASSIGN_OR_RETURN(CollectionRecord record, ReadRecord());
  // Nothing can fail from here on.
  record.embedder_id = space_.embedder_id;
  record.embedder_source = space_.embedder_source;
  record.dimension = space_.dimension;
  record.space = space_.space;
  DropGone(*state);
  Put(made, &edit.batch());
  Take(made);
  CollectionState* next = edit.Mutable(name_);
  next->space = next_.space;
  next->next_space.reset();
  next->info.embedder_id = space_.embedder_id;
  next->info.embedder_source = space_.embedder_source;
  next->info.dimension = static_cast<int>(space_.dimension);
  next->segments = next_.segments;
  next->tail = next_.tail;
  next->sums = next_.sums;
  edit.batch().Put(Family::kCatalog, CollectionKey(id_), Encode(record));
  edit.batch().Delete(Family::kCatalog, NextSpaceKey(id_));
  DeleteSpace(old_space_, &edit.batch());
  edit.Log({ChangeKind::kReembed, id_, 0, 0, name_});
  report_.passages = next->info.passage_count;
  return OkStatus();
}

void Reembedder::Report(const CollectionState& state) const {
  if (!request_.progress) return;
  request_.progress(std::min(made_.count(), state.info.passage_count), state.info.passage_count);
}

Result<ReembedReport> Reembedder::Run(const Context& ctx) {
  ASSIGN_OR_RETURN(const bool nothing_to_do, HasItAlready());
  if (nothing_to_do) return report_;
  RETURN_IF_ERROR(Begin());
  for (;;) {
    RETURN_IF_ERROR(MakeMissing(ctx));
    const auto committed =
        core_->committer->Commit({"", [&](CommitEdit& edit) { return Switch(edit, ctx); }});
    if (committed.ok()) {
      report_.commit = *committed;
      break;
    }
    if (committed.status().code() != StatusCode::kAborted) return committed.status();
    RETURN_IF_ERROR(Current(*core_->committer->Current()).status());
  }
  RemoveSegments(*core_, old_space_);
  core_->after_commit();
  return report_;
}

}  // namespace

Result<ReembedReport> ReembedCollection(StoreCore* core, Sealer* sealer,
                                        std::string_view collection, const ReembedRequest& request,
                                        const Context& ctx) {
  RETURN_IF_ERROR(ValidateCollection({.name = std::string(collection),
                                      .embedder_id = request.embedder_id,
                                      .dimension = request.dimension,
                                      .embedder_source = request.embedder_source}));
  std::unique_lock one_at_a_time(core->reembed_mutex, std::try_to_lock);
  if (!one_at_a_time) {
    return Unavailable("another collection is being re-embedded; try again when that has ended");
  }
  return Reembedder(core, sealer, collection, request).Run(ctx);
}

}  // namespace vade
