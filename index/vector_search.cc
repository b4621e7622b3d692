#include "index/vector_search.h"

#include <algorithm>

#include "index/cell_search.h"
#include "index/device_scan.h"
#include "index/scan.h"
#include "kernels/kernels.h"

namespace vade {
namespace {

constexpr size_t kMinProbes = 8;         // cells: fewer find too little
constexpr size_t kCellCandidates = 2;    // for each place in the head
constexpr size_t kMinHead = 50;          // candidates that are scored again with float16
constexpr size_t kWalkAtLeastOneIn = 8;  // a rarer filter is cheaper and surer to scan

// How many of the source's slots may be found. Only what restricts the
// request makes it look at each slot.
size_t CountKept(const Source& source) {
  if (!source.filter.restricted()) return source.rows.count - source.dead_count;
  return source.filter.Count(source.rows.count);
}

// By the source's graph or cells.
std::vector<SlotScore> Nearest(const Source& source, const Question& question,
                               const VectorSearchOptions& options, size_t head_size) {
  if (source.cells) {
    return SearchCells(source, question,
                       {.probes = std::max(options.ef, kMinProbes),
                        .k = options.k,
                        .candidates = kCellCandidates * head_size});
  }
  return WalkGraph(source.rows, *source.graph, question.code.data(), source.filter, options.ef);
}

Status SearchSource(const Source& source, uint32_t number, const Question& question,
                    const VectorSearchOptions& options, const Context& ctx, Head* head) {
  RETURN_IF_ERROR(ctx.Check());
  const size_t count = source.rows.count;
  const auto scan = [&] {
    return Scan(source, number, question, {options.k, options.nibbles_from_bytes}, ctx, head);
  };
  const bool on_device = options.device && options.device->Wants(source, *head);
  const bool flat = (!source.graph && !source.cells) || count < options.flat_below;
  if (flat && !on_device) return scan();
  const size_t kept = CountKept(source);
  if (on_device && options.device->Scan(source, kept, number, question, head)) return OkStatus();
  if (flat) return scan();
  if (kept < options.flat_below || kept < count / kWalkAtLeastOneIn) return scan();
  // All of one language (sealer.cc), so that the lift does not change which are best.
  const auto nearest = Nearest(source, question, options, head->capacity());
  // A node that no link leads to cannot be walked to.
  if (nearest.size() < std::min(options.k, kept)) return scan();
  for (const SlotScore& found : nearest) {
    const LanguageCode language = source.rows.languages[found.slot];
    head->Offer(found.score + question.LiftOfCodes(language), number, found.slot);
  }
  return OkStatus();
}

// The first slot of [from, count) whose id is not below `id`; rows of ascending ids. Cheap where it
// is near to `from`.
size_t SlotAtOrBehind(const VectorRows& rows, size_t from, PassageId id) {
  size_t step = 1, end = from;
  while (end < rows.count && rows.ids[end] < id) {
    from = end + 1;
    end += step;
    step *= 2;
  }
  end = std::min(end, rows.count);
  return static_cast<size_t>(std::lower_bound(rows.ids + from, rows.ids + end, id) - rows.ids);
}

// Turns the bits of these passages' slots over. Of a segment, whose ids ascend.
void Flip(const VectorRows& rows, const PassageSet& passages, Bitmap* bits) {
  size_t slot = 0;
  for (const PassageRange& range : passages.ranges()) {
    slot = SlotAtOrBehind(rows, slot, range.first);
    for (; slot < rows.count && rows.ids[slot] - range.first < range.count; ++slot) {
      (*bits)[slot / 64] ^= uint64_t{1} << (slot % 64);
    }
  }
}

// The same for a block of the tail: ids in the order of the commits.
void FlipInTail(const VectorRows& rows, const PassageSet& passages, Bitmap* bits) {
  PassageCursor cursor(passages);
  for (size_t slot = 0; slot < rows.count; ++slot) {
    if (cursor.Has(rows.ids[slot])) (*bits)[slot / 64] ^= uint64_t{1} << (slot % 64);
  }
}

template <typename F>
Bitmap AdmittedSlots(const VectorRows& rows, const Admission& admission, F flip) {
  const size_t words = (rows.count + 63) / 64;
  Bitmap bits(words, admission.kept ? 0 : ~uint64_t{0});
  if (admission.kept) flip(rows, *admission.kept, &bits);
  if (!admission.hidden) return bits;
  Bitmap shown(words, ~uint64_t{0});
  flip(rows, *admission.hidden, &shown);
  for (size_t word = 0; word < words; ++word) bits[word] &= shown[word];
  return bits;
}

std::vector<Source> SourcesOf(const CollectionState& state, const Admission& admission) {
  const std::span<const uint8_t> allowed = admission.group_sets;
  const bool everyone =
      std::all_of(allowed.begin(), allowed.end(), [](uint8_t a) { return a != 0; }) &&
      allowed.size() >= state.group_sets->size();
  std::vector<Source> sources;
  const auto add = [&](const VectorRows& rows, const Bitmap* dead, size_t first) -> Source& {
    sources.push_back({rows, SlotFilter(rows.group_sets, dead, first)});
    if (!everyone) sources.back().filter.Allow(allowed);
    return sources.back();
  };
  for (const SegmentState& segment : state.segments) {
    Source& source = add(segment.segment->rows(), segment.dead.get(), 0);
    if (segment.segment->has_graph()) source.graph = &segment.segment->graph();
    if (segment.segment->has_cells()) source.cells = &segment.segment->cells();
    source.language = segment.segment->language();
    source.dead_count = segment.dead_count;
    source.device = segment.segment->device();
    if (!admission.everything()) {
      source.filter.Keep(AdmittedSlots(source.rows, admission, Flip));
    }
  }
  for (const Tail::Block& block : state.tail.blocks) {
    if (block.first >= state.tail.length) break;
    VectorRows rows = block.rows->rows();
    rows.count = std::min(rows.count, state.tail.length - block.first);
    const Bitmap* dead = state.tail.dead_count > 0 ? state.tail.dead.get() : nullptr;
    Source& source = add(rows, dead, block.first);
    if (!admission.everything()) source.filter.Keep(AdmittedSlots(rows, admission, FlipInTail));
  }
  return sources;
}

void Prefetch(const VectorRows& rows, uint32_t slot) {
  const uint16_t* row = rows.halves + slot * rows.dimension;
  for (size_t at = 0; at < rows.dimension; at += 32) __builtin_prefetch(row + at);
  __builtin_prefetch(rows.ids + slot);
}

std::vector<VectorHit> ScoreAgain(const std::vector<Source>& sources,
                                  const std::vector<Found>& found, std::span<const float> query,
                                  const LanguageLift& lift) {
  const auto dot = kernels::Active().distance.dot_f16;
  std::vector<VectorHit> hits;
  hits.reserve(found.size());
  for (size_t i = 0; i < found.size(); ++i) {
    if (i + 1 < found.size()) Prefetch(sources[found[i + 1].source].rows, found[i + 1].slot);
    const Found& f = found[i];
    const VectorRows& rows = sources[f.source].rows;
    const float cosine = dot(query.data(), rows.halves + f.slot * rows.dimension, rows.dimension);
    const LanguageCode language = rows.languages[f.slot];
    hits.push_back({rows.ids[f.slot], cosine + lift.Of(language), cosine, language});
  }
  std::sort(hits.begin(), hits.end(), [](const VectorHit& a, const VectorHit& b) {
    return a.score != b.score ? a.score > b.score : a.id < b.id;
  });
  return hits;
}

}  // namespace

Result<std::vector<VectorHit>> SearchVectors(const CollectionState& state,
                                             std::span<const float> query,
                                             const Admission& admission,
                                             const VectorSearchOptions& options,
                                             const Context& ctx) {
  const std::vector<Source> sources = SourcesOf(state, admission);
  const Question question(state.sums, query);
  const size_t head_size = std::max(4 * options.k, kMinHead);
  VectorSearchOptions walk = options;
  walk.ef = std::max(options.ef, options.k);
  Head head(head_size);
  for (size_t i = 0; i < sources.size(); ++i) {
    RETURN_IF_ERROR(SearchSource(sources[i], static_cast<uint32_t>(i), question, walk, ctx, &head));
  }
  std::vector<VectorHit> hits = ScoreAgain(sources, head.Take(), query, question.lift);
  if (hits.size() > options.k) hits.resize(options.k);
  return hits;
}

}  // namespace vade
