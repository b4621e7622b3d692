#include "index/segment.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr char kMagic[8] = {'V', 'A', 'D', 'E', 'S', 'E', 'G', '1'};
constexpr uint32_t kSegmentVersion = 3;
constexpr uint32_t kVersionWithoutNibbles = 2;  // is read as it is
// Left free for the database, its log and its compactions.
constexpr uint64_t kReservedBytes = 256ull << 20;
constexpr size_t kChecksumOffset = 16, kChecksummedFrom = 24, kAlignment = 64;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;
  uint64_t checksum;
  uint64_t file_bytes;
  uint8_t store_id[16];
  uint32_t space;
  uint32_t dimension;
  uint64_t commit;
  uint32_t count;
  uint32_t stride;
  uint32_t links;
  uint32_t upper_links;
  uint32_t entry;
  uint32_t max_level;
  uint32_t upper_lists;
  uint8_t zero[36];
};
static_assert(sizeof(Header) == 128);
static_assert(offsetof(Header, checksum) == kChecksumOffset);

// Where each section begins. All products fit 64 bits: count, stride and links are below 2^32 and
// checked.
struct Layout {
  uint64_t ids, group_sets, languages, scales, codes, halves, levels, first_upper, level0, upper,
      nibbles, end;
};

Layout LayoutOf(const Header& h) {
  uint64_t at = sizeof(Header);
  const auto section = [&at](uint64_t bytes) {
    const uint64_t begin = at;
    at = (at + bytes + kAlignment - 1) / kAlignment * kAlignment;
    return begin;
  };
  const uint64_t n = h.count, nodes = h.links > 0 ? n : 0;
  Layout layout{};
  layout.ids = section(n * sizeof(PassageId));
  layout.group_sets = section(n * sizeof(uint32_t));
  layout.languages = section(n * sizeof(LanguageCode));
  layout.scales = section(n * sizeof(float));
  layout.codes = section(n * h.stride);
  layout.halves = section(n * h.dimension * sizeof(uint16_t));
  layout.levels = section(nodes);
  layout.first_upper = section(nodes * sizeof(uint32_t));
  layout.level0 = section(nodes * h.links * sizeof(uint32_t));
  layout.upper = section(uint64_t{h.upper_lists} * h.upper_links * sizeof(uint32_t));
  layout.nibbles = section(h.version == kVersionWithoutNibbles ? 0 : n * NibbleBytes(h.dimension));
  layout.end = at;
  return layout;
}

void Place(std::string* file, uint64_t at, const void* data, uint64_t bytes) {
  if (bytes > 0) std::memcpy(file->data() + at, data, bytes);
}

// --- checks of an opened file, from the outside inwards ------------------------------------------

Status Bad(const std::string& path, std::string_view why) {
  return DataLoss(StrCat("vector segment ", path, ": ", why));
}

Status CheckHeader(const std::string& path, const Header& h, uint64_t size,
                   const SegmentOwner& owner) {
  if (std::memcmp(h.magic, kMagic, sizeof(kMagic)) != 0) return Bad(path, "is not a segment file");
  if ((h.version != kSegmentVersion && h.version != kVersionWithoutNibbles) ||
      h.header_bytes != sizeof(Header)) {
    return Bad(path, StrCat("has version ", h.version, ", expected ", kSegmentVersion));
  }
  if (h.file_bytes != size) {
    return Bad(path, StrCat("has ", size, " bytes, expected ", h.file_bytes));
  }
  if (std::memcmp(h.store_id, owner.store_id.data(), owner.store_id.size()) != 0 ||
      h.space != owner.space || h.dimension != owner.dimension) {
    return Bad(path, "belongs to another store or vector space");
  }
  if (h.commit > owner.commit) return Bad(path, "is newer than the database");
  if (h.count == 0 || h.count > INT32_MAX || h.stride != CodeStride(h.dimension) ||
      h.links > 4096 || h.upper_links > 4096 || h.max_level > kMaxGraphLevel ||
      h.upper_lists > INT32_MAX) {
    return Bad(path, "has impossible numbers in its header");
  }
  if (LayoutOf(h).end != size) return Bad(path, "has sections that do not fit its length");
  return OkStatus();
}

Status CheckRows(const std::string& path, const VectorRows& rows) {
  PassageId previous = 0;
  for (size_t i = 0; i < rows.count; ++i) {
    if (rows.ids[i] <= previous) return Bad(path, "has passage ids out of order");
    previous = rows.ids[i];
    if (!std::isfinite(rows.scales[i]) || rows.scales[i] < 0) return Bad(path, "has a bad scale");
  }
  return OkStatus();
}

// Every link of the list is empty or a node that exists on this level.
bool LinksAreSane(const GraphView& graph, std::span<const uint32_t> list, uint32_t level) {
  for (uint32_t link : list) {
    if (link == kNoSlot) continue;
    if (link >= graph.levels.size() || graph.levels[link] < level) return false;
  }
  return true;
}

bool NodeIsSane(const GraphView& graph, size_t slot) {
  const uint32_t level = graph.levels[slot], first = graph.first_upper[slot];
  if (level > graph.max_level) return false;
  if (!LinksAreSane(graph, graph.level0.subspan(slot * graph.links, graph.links), 0)) return false;
  if (level == 0) return first == kNoSlot;
  const uint64_t lists = graph.upper_links > 0 ? graph.upper.size() / graph.upper_links : 0;
  if (uint64_t{first} + level > lists) return false;
  for (uint32_t l = 1; l <= level; ++l) {
    const auto list =
        graph.upper.subspan((uint64_t{first} + l - 1) * graph.upper_links, graph.upper_links);
    if (!LinksAreSane(graph, list, l)) return false;
  }
  return true;
}

Status CheckGraph(const std::string& path, const GraphView& graph, size_t count) {
  if (graph.links == 0) return OkStatus();
  if (graph.entry >= count || graph.levels[graph.entry] != graph.max_level) {
    return Bad(path, "has an entry point outside its graph");
  }
  for (size_t slot = 0; slot < count; ++slot) {
    if (!NodeIsSane(graph, slot))
      return Bad(path, StrCat("has links of slot ", slot, " out of range"));
  }
  return OkStatus();
}

template <typename T>
std::span<const T> Section(std::span<const uint8_t> bytes, uint64_t at, uint64_t count) {
  // Sections begin at multiples of 64 of a page-aligned mapping.
  return {reinterpret_cast<const T*>(bytes.data() + at), static_cast<size_t>(count)};
}

VectorRows RowsOf(std::span<const uint8_t> bytes, const Header& h, const Layout& layout) {
  const uint64_t n = h.count;
  return {.count = h.count,
          .dimension = h.dimension,
          .stride = h.stride,
          .ids = Section<PassageId>(bytes, layout.ids, n).data(),
          .group_sets = Section<uint32_t>(bytes, layout.group_sets, n).data(),
          .languages = Section<LanguageCode>(bytes, layout.languages, n).data(),
          .scales = Section<float>(bytes, layout.scales, n).data(),
          .codes = Section<int8_t>(bytes, layout.codes, n * h.stride).data(),
          .halves = Section<uint16_t>(bytes, layout.halves, n * h.dimension).data(),
          .nibbles = h.version == kVersionWithoutNibbles ? nullptr : bytes.data() + layout.nibbles};
}

GraphView GraphOf(std::span<const uint8_t> bytes, const Header& h, const Layout& layout) {
  if (h.links == 0) return {};
  const uint64_t n = h.count;
  return {.links = h.links,
          .upper_links = h.upper_links,
          .entry = h.entry,
          .max_level = h.max_level,
          .levels = Section<uint8_t>(bytes, layout.levels, n),
          .first_upper = Section<uint32_t>(bytes, layout.first_upper, n),
          .level0 = Section<uint32_t>(bytes, layout.level0, n * h.links),
          .upper = Section<uint32_t>(bytes, layout.upper, uint64_t{h.upper_lists} * h.upper_links)};
}

std::optional<LanguageCode> CommonLanguage(const VectorRows& rows) {
  const LanguageCode first = rows.languages[0];
  const bool all = std::all_of(rows.languages, rows.languages + rows.count,
                               [&](LanguageCode language) { return language == first; });
  return all ? std::optional(first) : std::nullopt;
}

Header HeaderFor(const SegmentOwner& owner, const VectorRows& rows, const Graph* graph) {
  Header h{};
  std::memcpy(h.magic, kMagic, sizeof(kMagic));
  h.version = kSegmentVersion;
  h.header_bytes = sizeof(Header);
  std::memcpy(h.store_id, owner.store_id.data(), owner.store_id.size());
  h.space = owner.space;
  h.dimension = owner.dimension;
  h.commit = owner.commit;
  h.count = static_cast<uint32_t>(rows.count);
  h.stride = static_cast<uint32_t>(rows.stride);
  if (graph) {
    h.links = graph->links;
    h.upper_links = graph->upper_links;
    h.entry = graph->entry;
    h.max_level = graph->max_level;
    h.upper_lists = static_cast<uint32_t>(graph->upper.size() / graph->upper_links);
  }
  h.file_bytes = LayoutOf(h).end;
  return h;
}

}  // namespace

uint64_t EstimateSegmentBytes(size_t count, size_t dimension, size_t links) {
  Header h{};
  h.version = kSegmentVersion;
  h.count = static_cast<uint32_t>(count);
  h.dimension = static_cast<uint32_t>(dimension);
  h.stride = static_cast<uint32_t>(CodeStride(dimension));
  if (links > 1) {
    h.links = static_cast<uint32_t>(links);
    h.upper_links = h.links / 2;
    h.upper_lists =
        h.count / h.upper_links * 2;  // one node in upper_links has one, a few have more
  }
  return LayoutOf(h).end;
}

Status CheckRoomForDerived(const std::string& directory, uint64_t bytes) {
  const auto free = FreeDiskBytes(directory);
  if (!free.ok() || *free >= bytes + kReservedBytes) return OkStatus();
  return ResourceExhausted(StrCat("the disk of ", directory, " has ", *free >> 20,
                                  " MiB left; a vector segment of ", bytes >> 20,
                                  " MiB is not made, to keep ", kReservedBytes >> 20,
                                  " MiB for the documents: free some space"));
}

Status WriteSegment(const std::string& path, const SegmentOwner& owner, const VectorRows& rows,
                    const Graph* graph) {
  const Header h = HeaderFor(owner, rows, graph);
  const Layout at = LayoutOf(h);
  const uint64_t n = rows.count;
  std::string file(at.end, '\0');
  Place(&file, 0, &h, sizeof(h));
  Place(&file, at.ids, rows.ids, n * sizeof(PassageId));
  Place(&file, at.group_sets, rows.group_sets, n * sizeof(uint32_t));
  Place(&file, at.languages, rows.languages, n * sizeof(LanguageCode));
  Place(&file, at.scales, rows.scales, n * sizeof(float));
  Place(&file, at.codes, rows.codes, n * rows.stride);
  Place(&file, at.halves, rows.halves, n * rows.dimension * sizeof(uint16_t));
  if (graph) {
    Place(&file, at.levels, graph->levels.data(), n);
    Place(&file, at.first_upper, graph->first_upper.data(), n * sizeof(uint32_t));
    Place(&file, at.level0, graph->level0.data(), graph->level0.size() * sizeof(uint32_t));
    Place(&file, at.upper, graph->upper.data(), graph->upper.size() * sizeof(uint32_t));
  }
  for (size_t slot = 0; slot < rows.count; ++slot) {
    PackNibbles(
        rows.codes + slot * rows.stride, rows.dimension,
        reinterpret_cast<uint8_t*>(file.data()) + at.nibbles + slot * NibbleBytes(rows.dimension));
  }
  const uint64_t checksum = Checksum64(std::string_view(file).substr(kChecksummedFrom));
  Place(&file, kChecksumOffset, &checksum, sizeof(checksum));
  return WriteFileAtomically(path, file);
}

Result<std::shared_ptr<const Segment>> OpenSegment(const std::string& path, uint64_t number,
                                                   const SegmentOwner& owner) {
  ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
  const std::span<const uint8_t> bytes = file->bytes();
  if (bytes.size() < sizeof(Header)) return Bad(path, "is shorter than a header");
  Header h;
  std::memcpy(&h, bytes.data(), sizeof(h));
  RETURN_IF_ERROR(CheckHeader(path, h, bytes.size(), owner));
  if (Checksum64(bytes.subspan(kChecksummedFrom)) != h.checksum) {
    return Bad(path, "does not match its checksum");
  }
  const Layout layout = LayoutOf(h);
  auto segment = std::make_shared<Segment>();
  segment->rows_ = RowsOf(bytes, h, layout);
  segment->graph_ = GraphOf(bytes, h, layout);
  RETURN_IF_ERROR(CheckRows(path, segment->rows_));
  RETURN_IF_ERROR(CheckGraph(path, segment->graph_, h.count));
  segment->language_ = CommonLanguage(segment->rows_);
  segment->number_ = number;
  segment->file_ = std::move(file);
  return std::shared_ptr<const Segment>(std::move(segment));
}

}  // namespace vade
