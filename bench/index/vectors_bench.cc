// How fast, and how surely, are the nearest of many vectors found? The worker of
// bench/rivals/search: it does with given vectors what the store does with a segment, and prints
// one JSON object a line.
//
//   vectors_bench dump STORE OUT.fbin                    all vectors of a store's collections
//   vectors_bench build BASE.fbin OUT.seg M EF           codes and graph, into a segment
//   vectors_bench build BASE.fbin OUT.seg CELLS          codes and cells
//   vectors_bench search BASE.seg QUERIES.fbin TRUTH.ibin FLAT|EF..
//
// .fbin and .ibin: bench/index/matrix.h. TRUTH has the rows of the ten nearest of each query. One
// thread; re-scoring with float16 is in every figure.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "bench/index/matrix.h"
#include "index/graph.h"
#include "index/index.h"
#include "index/segment.h"
#include "index/vector_search.h"

namespace vade {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kNearest = 10;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Status AppendCollection(Store* store, const CollectionInfo& info, std::vector<float>* all) {
  ASSIGN_OR_RETURN(const auto reader, store->ReadCollection(info.name));
  for (;;) {
    ASSIGN_OR_RETURN(const auto document, reader->NextDocument());
    if (!document) return OkStatus();
    for (std::vector<float> vectors;;) {
      ASSIGN_OR_RETURN(const auto passages, reader->NextPassages(&vectors));
      if (passages.empty()) break;
      all->insert(all->end(), vectors.begin(), vectors.end());
    }
  }
}

Status Dump(const std::string& directory, const std::string& out) {
  ASSIGN_OR_RETURN(const auto store,
                   OpenStore(directory, {.create_if_missing = false, .background = false}));
  ASSIGN_OR_RETURN(const auto collections, store->ListCollections());
  std::vector<float> all;
  uint32_t dimension = 0;
  for (const CollectionInfo& info : collections) {
    if (dimension == 0) dimension = static_cast<uint32_t>(info.dimension);
    if (static_cast<uint32_t>(info.dimension) != dimension) continue;
    RETURN_IF_ERROR(AppendCollection(store.get(), info, &all));
  }
  if (all.empty()) return NotFound(directory + " holds no vectors");
  const uint32_t header[2] = {static_cast<uint32_t>(all.size() / dimension), dimension};
  std::string bytes(reinterpret_cast<const char*>(header), sizeof(header));
  bytes.append(reinterpret_cast<const char*>(all.data()), all.size() * sizeof(float));
  RETURN_IF_ERROR(WriteFileAtomically(out, bytes));
  std::printf("{\"vectors\":%u,\"dimension\":%u}\n", header[0], dimension);
  return OkStatus();
}

SegmentOwner Owner(uint32_t dimension) { return {.space = 1, .dimension = dimension, .commit = 1}; }

// With a graph, or without options for one with cells.
Status Build(const std::string& base, const std::string& out,
             const std::optional<GraphOptions>& options) {
  ASSIGN_OR_RETURN(const Matrix<float> vectors, ReadMatrix<float>(base));
  const auto start = Clock::now();
  VectorBuffer buffer(vectors.columns);
  for (size_t i = 0; i < vectors.rows; ++i) {
    buffer.Append({.id = i + 1, .language = ParseLanguage("en")}, vectors.Row(i));
  }
  const double quantised = SecondsSince(start);
  const std::atomic<bool> stop{false};
  SegmentIndex index;
  if (options) {
    ASSIGN_OR_RETURN(index, BuildGraph(buffer.rows(), *options, stop));
  } else {
    ASSIGN_OR_RETURN(index, BuildCells(buffer.rows(), stop));
  }
  const double built = SecondsSince(start);
  RETURN_IF_ERROR(WriteSegment(out, Owner(vectors.columns), buffer.rows(), index));
  ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(out));
  std::printf(
      "{\"quantise_seconds\":%.2f,\"build_seconds\":%.2f,\"write_seconds\":%.2f,"
      "\"bytes_per_vector\":%.1f}\n",
      quantised, built, SecondsSince(start) - built,
      static_cast<double>(bytes) / static_cast<double>(vectors.rows));
  return OkStatus();
}

// Recall and queries a second of one way to search.
Status Measure(const CollectionState& state, const Matrix<float>& queries,
               const Matrix<uint32_t>& truth, const VectorSearchOptions& options) {
  const Admission everything{.group_sets = {1}};
  size_t right = 0;
  std::vector<double> rates, latencies;
  for (int round = 0; round < 3; ++round) {
    const auto start = Clock::now();
    for (size_t q = 0; q < queries.rows; ++q) {
      const auto one = Clock::now();
      ASSIGN_OR_RETURN(const auto hits, SearchVectors(state, {queries.Row(q), queries.columns},
                                                      everything, options, Context()));
      latencies.push_back(SecondsSince(one));
      for (const VectorHit& hit : hits) {
        if (round > 0) break;
        right += std::count(truth.Row(q), truth.Row(q) + kNearest, hit.id - 1);
      }
    }
    rates.push_back(queries.rows / SecondsSince(start));
  }
  std::sort(rates.begin(), rates.end());
  std::sort(latencies.begin(), latencies.end());
  const bool flat = options.flat_below > 1;
  std::printf(
      "{\"kind\":\"%s\",\"ef\":%zu,\"recall\":%.4f,\"queries_per_second\":%.1f,\"p50_ms\":%.3f,"
      "\"p99_ms\":%.3f}\n",
      flat                                     ? "flat"
      : state.segments[0].segment->has_cells() ? "cells"
                                               : "graph",
      options.ef, static_cast<double>(right) / static_cast<double>(queries.rows * kNearest),
      rates[1], latencies[latencies.size() / 2] * 1000,
      latencies[latencies.size() * 99 / 100] * 1000);
  return OkStatus();
}

Status Search(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const Matrix<float> queries, ReadMatrix<float>(arguments[1]));
  ASSIGN_OR_RETURN(const Matrix<uint32_t> truth, ReadMatrix<uint32_t>(arguments[2]));
  if (truth.rows != queries.rows || truth.columns < kNearest) {
    return InvalidArgument("the truth is not of these queries");
  }
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(auto segment, OpenSegment(arguments[0], 1, Owner(queries.columns)));
  std::printf("{\"open_ms\":%.1f}\n", SecondsSince(start) * 1000);
  CollectionState state;
  state.id = state.space = 1;
  state.info.dimension = static_cast<int>(queries.columns);
  state.group_sets = std::make_shared<GroupSets>(1);
  state.segments.push_back({segment, nullptr, 0});
  for (size_t i = 3; i < arguments.size(); ++i) {
    const bool flat = arguments[i] == "FLAT";
    const VectorSearchOptions options{
        .k = kNearest,
        .ef = flat ? 1 : static_cast<size_t>(ParseUint(arguments[i]).value_or(64)),
        .flat_below = flat ? SIZE_MAX : 0};
    RETURN_IF_ERROR(Measure(state, queries, truth, options));
  }
  return OkStatus();
}

Status Run(const std::vector<std::string>& arguments) {
  const std::vector<std::string> rest(arguments.begin() + (arguments.empty() ? 0 : 1),
                                      arguments.end());
  const std::string command = arguments.empty() ? "" : arguments[0];
  if (command == "dump" && rest.size() == 2) return Dump(rest[0], rest[1]);
  if (command == "build" && rest.size() == 4) {
    const GraphOptions options{.m = static_cast<int>(ParseUint(rest[2]).value_or(GraphOptions().m)),
                               .ef_construction = static_cast<int>(
                                   ParseUint(rest[3]).value_or(GraphOptions().ef_construction))};
    return Build(rest[0], rest[1], options);
  }
  if (command == "build" && rest.size() == 3 && rest[2] == "CELLS") {
    return Build(rest[0], rest[1], std::nullopt);
  }
  if (command == "search" && rest.size() >= 4) return Search(rest);
  return InvalidArgument("see the top of bench/index/vectors_bench.cc for what it takes");
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) {
  const vade::Status done = vade::Run(std::vector<std::string>(argv + 1, argv + argc));
  if (!done.ok()) std::fprintf(stderr, "vectors_bench: %s\n", done.ToString().c_str());
  return done.ok() ? 0 : 1;
}
