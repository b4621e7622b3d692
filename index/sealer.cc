#include "index/sealer.h"

#include <algorithm>
#include <filesystem>
#include <new>
#include <numeric>

#include "base/log.h"
#include "base/strings.h"
#include "base/threads.h"

namespace vade {
namespace {

// This many segments of one size class become one of the next: each vector is rebuilt into a graph
// log4(n / seal_tail_at) times at most, and no merge is larger than max_segment_rows.
constexpr size_t kMergeFanIn = 4;

size_t LiveCount(const SegmentState& s) { return s.segment->rows().count - s.dead_count; }

// Live rows of the language that has most of them.
size_t GreatestLanguage(const SegmentState& s) {
  if (s.segment->language()) return LiveCount(s);
  std::map<LanguageCode, size_t> counts;
  size_t greatest = 0;
  const VectorRows& rows = s.segment->rows();
  for (size_t slot = 0; slot < rows.count; ++slot) {
    if (IsDead(s.dead.get(), slot)) continue;
    greatest = std::max(greatest, ++counts[rows.languages[slot]]);
  }
  return greatest;
}

struct Located {
  VectorRows rows;
  size_t slot;  // in rows
  RowOrigin origin;
};

std::vector<Located> LiveRows(const CollectionState& state, size_t tail_length,
                              const std::vector<const Segment*>& segments) {
  std::vector<Located> live;
  size_t tail_slot = 0;
  ForEachTailSlot(state.tail, tail_length, [&](const VectorRows& rows, size_t i, bool alive) {
    if (alive) live.push_back({rows, i, {nullptr, tail_slot}});
    ++tail_slot;
  });
  for (const SegmentState& s : state.segments) {
    if (std::find(segments.begin(), segments.end(), s.segment.get()) == segments.end()) continue;
    const VectorRows& rows = s.segment->rows();
    for (size_t i = 0; i < rows.count; ++i) {
      if (!IsDead(s.dead.get(), i)) live.push_back({rows, i, {s.segment.get(), i}});
    }
  }
  std::sort(live.begin(), live.end(), [](const Located& a, const Located& b) {
    return a.rows.ids[a.slot] < b.rows.ids[b.slot];
  });
  return live;
}

// Languages with enough rows for a graph come apart, so that a walk for a question in one of them
// finds its way in the others too; the rest stays together and is scanned. Each part in order.
std::vector<std::vector<Located>> ByLanguage(std::vector<Located> live, size_t enough) {
  const auto language_of = [](const Located& l) { return l.rows.languages[l.slot]; };
  std::map<LanguageCode, size_t> counts;
  for (const Located& l : live) ++counts[language_of(l)];
  std::vector<std::vector<Located>> parts(1);  // the first is the rest
  std::map<LanguageCode, size_t> part_of;
  for (const auto& [language, count] : counts) {
    if (counts.size() == 1 || count < enough || count < 2) continue;
    part_of[language] = parts.size();
    parts.emplace_back();
  }
  for (Located& l : live) {
    const auto apart = part_of.find(language_of(l));
    parts[apart == part_of.end() ? 0 : apart->second].push_back(std::move(l));
  }
  return parts;
}

GatheredRows Gather(const std::vector<Located>& live, size_t dimension) {
  GatheredRows gathered(dimension);
  gathered.rows.Resize(live.size());
  for (size_t i = 0; i < live.size(); ++i) {
    gathered.rows.SetRow(i, live[i].rows, live[i].slot);
    gathered.origins.push_back(live[i].origin);
  }
  return gathered;
}

bool DiedMeanwhile(const CollectionState& now, const RowOrigin& origin) {
  if (!origin.segment) return IsDead(now.tail.dead.get(), origin.slot);
  for (const SegmentState& s : now.segments) {
    if (s.segment.get() == origin.segment) return IsDead(s.dead.get(), origin.slot);
  }
  return true;
}

}  // namespace

// What one new segment replaces: the first `tail_length` slots of the tail, and some segments.
struct Sealer::Job {
  uint64_t commit = 0;                         // of the newest view that the state knows of
  std::shared_ptr<const View> view = nullptr;  // what is held meanwhile
  std::shared_ptr<const CollectionState> state = nullptr;
  size_t tail_length = 0;
  std::vector<const Segment*> segments = {};
};

Sealer::Sealer(StoreCore* core) : core_(core) {
  if (!core->options.background) return;
  worker_.Start(core->options.seal_retry_after,
                [this] { return SealCollections(DueTail(), Context()); });
}

size_t Sealer::DueTail() const {
  const size_t at = core_->options.seal_tail_at;
  return at == 0 ? SIZE_MAX : at;
}

// Every collection has its turn; the first failure is returned.
Status Sealer::SealCollections(size_t tail_at_least, const Context& ctx) {
  Status first;
  const auto view = core_->committer->Current();
  for (const auto& [name, state] : view->collections) {
    const Status sealed = SealCollection(name, tail_at_least, ctx);
    if (sealed.ok()) continue;
    if (worker_.stopping() || !ctx.Check().ok()) return sealed;
    LogWarning(StrCat("collection '", name,
                      "' is searched without new vector segments: ", sealed.message()));
    if (first.ok()) first = sealed;
  }
  return first;
}

// Nothing when nothing is due.
std::optional<Sealer::Job> Sealer::Plan(const CollectionState& state, size_t tail_at_least) const {
  Job job;
  if (state.tail.length > 0 && state.tail.length >= tail_at_least) {
    job.tail_length = std::min(state.tail.length, core_->options.max_segment_rows);
    return job;
  }
  // By language, 27^3 standing for several, and by size.
  constexpr uint32_t kSeveral = 27 * 27 * 27;
  std::map<std::pair<uint32_t, size_t>, std::vector<const Segment*>> classes;
  const bool outgrows = OutgrowsMemory(state);
  for (const SegmentState& s : state.segments) {
    const size_t count = s.segment->rows().count;
    const bool indexed = s.segment->has_graph() || s.segment->has_cells();
    const bool lacks_index = !indexed && LiveCount(s) > 1 &&
                             LiveCount(s) >= core_->options.flat_below && GreatestLanguage(s) > 1 &&
                             GreatestLanguage(s) >= core_->options.flat_below;
    // Never the other way round, so that a collection at the limit is not made anew for ever.
    const bool outgrown = outgrows && s.segment->has_graph() && LiveCount(s) >= kMinCellRows;
    if (lacks_index || outgrown || s.dead_count * 2 > count) {
      job.segments = {s.segment.get()};
      return job;
    }
    if (LiveCount(s) > core_->options.max_segment_rows / kMergeFanIn) continue;
    size_t size_class = 0;
    for (size_t n = LiveCount(s) / std::max<size_t>(core_->options.seal_tail_at, 1024); n > 1;
         n /= 4) {
      ++size_class;
    }
    const auto language = s.segment->language();
    std::vector<const Segment*>& peers = classes[{language ? *language : kSeveral, size_class}];
    peers.push_back(s.segment.get());
    if (peers.size() < kMergeFanIn) continue;
    job.segments = peers;
    return job;
  }
  return std::nullopt;
}

Status Sealer::SealCollection(const std::string& name, size_t tail_at_least, const Context& ctx) {
  std::lock_guard one_at_a_time(job_mutex_);
  for (bool done = false; !done;) {
    RETURN_IF_ERROR(ctx.Check());
    if (worker_.stopping()) return Cancelled("the store is being closed");
    try {
      RETURN_IF_ERROR(SealNext(name, tail_at_least, &done));
    } catch (const std::bad_alloc&) {
      return ResourceExhausted("no memory for a new vector segment; free some and try again");
    }
  }
  return OkStatus();
}

Status Sealer::SealNext(const std::string& name, size_t tail_at_least, bool* done) {
  auto view = core_->committer->Current();
  const auto found = view->collections.find(name);
  auto job = found == view->collections.end() ? std::nullopt : Plan(*found->second, tail_at_least);
  *done = !job;
  if (!job) return OkStatus();
  job->state = found->second;
  job->commit = view->commit;
  job->view = std::move(view);
  return RunJob(*job);
}

// Whether the collection is too large for graphs.
bool Sealer::OutgrowsMemory(const CollectionState& state) const {
  const StoreOptions& options = core_->options;
  uint64_t rows = state.tail.length;
  for (const SegmentState& s : state.segments) rows += LiveCount(s);
  const uint64_t bytes = CodeStride(static_cast<size_t>(state.info.dimension)) +
                         2 * static_cast<uint64_t>(options.hnsw_m) * sizeof(uint32_t);
  const uint64_t most = options.graph_bytes > 0 ? options.graph_bytes : MachineMemoryBytes() / 2;
  return rows * bytes > most;
}

SegmentPlan Sealer::PlanOf(const CollectionState& state, size_t rows) const {
  const StoreOptions& options = core_->options;
  if (rows < options.flat_below || rows < 2) return {};
  if (rows >= kMinCellRows && OutgrowsMemory(state)) return {.cells = CellCount(rows)};
  return {.links = 2 * static_cast<size_t>(options.hnsw_m)};
}

Result<std::shared_ptr<const Segment>> Sealer::MakeSegment(const Job& job, const VectorRows& rows,
                                                           const std::string& path,
                                                           uint64_t number) {
  const StoreOptions& options = core_->options;
  const SegmentPlan plan = PlanOf(*job.state, rows.count);
  RETURN_IF_ERROR(CheckRoomForDerived(core_->directory,
                                      EstimateSegmentBytes(rows.count, rows.dimension, plan)));
  SegmentIndex index;
  if (plan.cells > 0) {
    ASSIGN_OR_RETURN(index, BuildCells(rows, worker_.stopping()));
  } else if (plan.links > 0) {
    ASSIGN_OR_RETURN(index, BuildGraph(rows, {options.hnsw_m, options.hnsw_ef_construction},
                                       worker_.stopping()));
  }
  const SegmentOwner owner = core_->OwnerOf(*job.state, job.commit);
  RETURN_IF_ERROR(MakeDirectories(core_->SegmentDirectory(job.state->space)));
  RETURN_IF_ERROR(WriteSegment(path, owner, rows, index));
  return OpenSegment(path, number, owner);
}

// A segment that nobody sees yet, and where its rows came from.
struct Sealer::Made {
  std::shared_ptr<const Segment> segment;
  std::vector<RowOrigin> origins;
};

Result<Sealer::Made> Sealer::MakePart(const Job& job, GatheredRows part) {
  const uint64_t number = core_->next_segment++;
  const std::string path = core_->SegmentPath(job.state->space, number);
  auto segment = MakeSegment(job, part.rows.rows(), path, number);
  if (!segment.ok()) {
    (void)RemoveFile(path);  // written, perhaps, and of no use to anybody
    return segment.status();
  }
  return Made{std::move(*segment), std::move(part.origins)};
}

Result<std::vector<Sealer::Made>> Sealer::MakeParts(const Job& job) {
  std::vector<Made> all;
  const size_t dimension = static_cast<size_t>(job.state->info.dimension);
  for (const auto& part :
       ByLanguage(LiveRows(*job.state, job.tail_length, job.segments), core_->options.flat_below)) {
    if (part.empty()) continue;
    auto made = MakePart(job, Gather(part, dimension));
    if (!made.ok()) {
      for (const Made& earlier : all) (void)RemoveFile(earlier.segment->path());
      return made.status();
    }
    all.push_back(std::move(*made));
  }
  return all;
}

// Puts what was made in place of its sources.
void Sealer::ReplaceIn(CollectionState* state, const Job& job, const std::vector<Made>& all) {
  for (const Made& made : all) {
    SegmentState fresh{made.segment, nullptr, 0};
    std::vector<size_t> died;
    for (size_t i = 0; i < made.origins.size(); ++i) {
      if (DiedMeanwhile(*state, made.origins[i])) died.push_back(i);
    }
    KillSlots(&fresh, died);
    state->segments.push_back(std::move(fresh));
  }
  std::erase_if(state->segments, [&](const SegmentState& s) {
    return std::find(job.segments.begin(), job.segments.end(), s.segment.get()) !=
           job.segments.end();
  });
  if (job.tail_length > 0) state->tail = TailWithout(state->tail, job.tail_length);
}

// False when the collection is no more, or has its vectors in another space by now.
bool Sealer::Replace(const Job& job, const std::vector<Made>& all) {
  bool published = false;
  core_->committer->Republish([&](View* view) {
    const auto found = view->collections.find(job.state->info.name);
    if (found == view->collections.end() || found->second->space != job.state->space) return;
    auto next = std::make_shared<CollectionState>(*found->second);
    ReplaceIn(next.get(), job, all);
    found->second = std::move(next);
    published = true;
  });
  return published;
}

Status Sealer::SealApart(CollectionState* state, uint64_t commit, const Context& ctx) {
  std::lock_guard one_at_a_time(job_mutex_);
  for (;;) {
    RETURN_IF_ERROR(ctx.Check());
    if (worker_.stopping()) return Cancelled("the store is being closed");
    auto job = Plan(*state, DueTail());
    if (!job) return OkStatus();
    job->commit = commit;
    job->state = std::make_shared<const CollectionState>(*state);
    ASSIGN_OR_RETURN(const std::vector<Made> made, MakeParts(*job));
    ReplaceIn(state, *job, made);
    for (const Segment* old : job->segments) RETURN_IF_ERROR(RemoveFile(old->path()));
  }
}

// Whether the collection has gone since, or has its vectors in another space.
bool Sealer::Overtaken(const Job& job) const {
  const auto view = core_->committer->Current();
  const auto found = view->collections.find(job.state->info.name);
  return found == view->collections.end() || found->second->space != job.state->space;
}

Status Sealer::RunJob(const Job& job) {
  const auto parts = MakeParts(job);
  if (!parts.ok() && Overtaken(job)) return OkStatus();  // its folder went while it was written
  RETURN_IF_ERROR(parts.status());
  const std::vector<Made>& made = *parts;
  if (!Replace(job, made)) {
    RemoveSegments(*core_, job.state->space);
    return OkStatus();
  }
  for (const Segment* old : job.segments) RETURN_IF_ERROR(RemoveFile(old->path()));
  return OkStatus();
}

Status Sealer::SealAll(const Context& ctx) { return SealCollections(1, ctx); }

Status Sealer::SealDue(const Context& ctx) { return SealCollections(DueTail(), ctx); }

Status Sealer::DropDead(const Context& ctx) {
  const auto view = core_->committer->Current();
  for (const auto& [name, state] : view->collections) {
    for (bool done = false; !done;) RETURN_IF_ERROR(DropNext(name, ctx, &done));
  }
  return OkStatus();
}

// One segment, with others free to be sealed between two of them.
Status Sealer::DropNext(const std::string& name, const Context& ctx, bool* done) {
  std::lock_guard one_at_a_time(job_mutex_);
  RETURN_IF_ERROR(ctx.Check());
  if (worker_.stopping()) return Cancelled("the store is being closed");
  Job job{.view = core_->committer->Current()};
  job.commit = job.view->commit;
  *done = true;
  const auto found = job.view->collections.find(name);
  if (found == job.view->collections.end()) return OkStatus();
  job.state = found->second;
  for (const SegmentState& s : job.state->segments) {
    if (s.dead_count == 0) continue;
    job.segments = {s.segment.get()};
    *done = false;
    return RunJob(job);
  }
  return OkStatus();
}

void RemoveSegments(const StoreCore& core, SpaceId space) {
  std::error_code ignored;  // what stays is removed at the next open
  std::filesystem::remove_all(core.SegmentDirectory(space), ignored);
}

}  // namespace vade
