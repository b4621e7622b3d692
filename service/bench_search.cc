// The search bench: a throwaway store, filled and asked as a user would.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "base/files.h"
#include "base/strings.h"
#include "kernels/kernels.h"
#include "service/bench.h"

namespace vade {
namespace {

constexpr size_t kPassagesPerDocument = 1000;
constexpr size_t kNeighbours = 10;

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

// A seeded generator that gives the same numbers on every machine.
class Noise {
 public:
  explicit Noise(uint64_t seed) : state_(seed) {}
  // About normal, mean 0, variance 1: the sum of 12 uniform numbers.
  float Next() {
    float sum = -6;
    for (int i = 0; i < 12; ++i)
      sum += static_cast<float>(Bits() >> 40) / static_cast<float>(1 << 24);
    return sum;
  }
  uint64_t Bits() {
    state_ += 0x9e3779b97f4a7c15ull;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

// Unit vectors around 1000 centres: neighbours exist, as among passages of one subject.
class Mixture {
 public:
  explicit Mixture(int dimension) : dimension_(dimension), noise_(20261122) {
    centres_.resize(1000 * static_cast<size_t>(dimension));
    for (float& x : centres_) x = noise_.Next();
  }
  void Draw(float* out) {
    const float* centre = &centres_[noise_.Bits() % 1000 * dimension_];
    float length = 0;
    for (int i = 0; i < dimension_; ++i) {
      out[i] = centre[i] + 0.7f * noise_.Next();
      length += out[i] * out[i];
    }
    length = std::sqrt(length);
    for (int i = 0; i < dimension_; ++i) out[i] /= length;
  }

 private:
  int dimension_;
  Noise noise_;
  std::vector<float> centres_;
};

Status Fill(Store* store, const std::vector<float>& vectors, int dimension, const Context& ctx) {
  const size_t count = vectors.size() / dimension;
  for (size_t begin = 0; begin < count; begin += kPassagesPerDocument) {
    const size_t size = std::min(kPassagesPerDocument, count - begin);
    DocumentInfo info;
    info.id = StrCat("d", begin / kPassagesPerDocument);
    info.content_hash = info.id;
    ASSIGN_OR_RETURN(auto writer, store->BeginDocument("bench", info));
    std::string text;
    std::vector<Passage> passages(size);
    for (size_t i = 0; i < size; ++i) {
      passages[i].ordinal = static_cast<uint32_t>(i);
      passages[i].begin = text.size();
      text += StrCat("passage ", begin + i, "\n");
      passages[i].end = text.size();
    }
    RETURN_IF_ERROR(writer->AddText(text));
    RETURN_IF_ERROR(writer->AddPassages(passages, {&vectors[begin * dimension], size * dimension}));
    RETURN_IF_ERROR(writer->Commit(ctx).status());
  }
  return store->SealAll(ctx);
}

SearchRequest Nearest(const float* query, int dimension) {
  SearchRequest request;
  request.collection = "bench";
  request.vector.assign(query, query + dimension);
  request.k = kNeighbours;
  return request;
}

// The texts of the ten nearest, found by looking at all.
std::vector<std::string> Exact(const std::vector<float>& vectors, const float* query,
                               int dimension) {
  const size_t count = vectors.size() / dimension;
  std::vector<std::pair<float, size_t>> scored(count);
  for (size_t i = 0; i < count; ++i) {
    scored[i] = {kernels::Active().distance.dot_f32(query, &vectors[i * dimension], dimension), i};
  }
  const size_t k = std::min(kNeighbours, count);
  std::partial_sort(scored.begin(), scored.begin() + k, scored.end(), std::greater<>());
  std::vector<std::string> nearest;
  for (size_t i = 0; i < k; ++i) nearest.push_back(StrCat("passage ", scored[i].second, "\n"));
  return nearest;
}

uint64_t DirectoryBytes(const std::string& directory) {
  uint64_t bytes = 0;
  (void)WalkFiles(
      directory,
      [&](const FileEntry& file) {
        bytes += file.size_bytes;
        return OkStatus();
      },
      [](const std::string&, const Status&) {});
  return bytes;
}

// Removes the throwaway store however the bench ends.
struct Remover {
  std::string directory;
  ~Remover() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
};

Result<double> Recall(Store* store, const std::vector<float>& vectors,
                      const std::vector<float>& queries, int dimension, const Context& ctx) {
  const size_t asked = std::min<size_t>(200, queries.size() / dimension);
  double found = 0, wanted = 0;
  for (size_t q = 0; q < asked; ++q) {
    const float* query = &queries[q * dimension];
    const SearchRequest request = Nearest(query, dimension);
    ASSIGN_OR_RETURN(SearchResult result, store->Search(request, ctx));
    for (const std::string& text : Exact(vectors, query, dimension)) {
      wanted += 1;
      found += std::any_of(result.hits.begin(), result.hits.end(),
                           [&](const Hit& hit) { return hit.passage.text == text; });
    }
  }
  return found / wanted;
}

}  // namespace

Result<SearchBench> BenchSearch(const SearchBenchOptions& options, const Context& ctx) {
  const Remover remover{options.directory};
  if (options.vectors < 100 || options.vectors > 10'000'000) {
    return InvalidArgument(StrCat("--vectors is ", options.vectors, "; give 100 to 10000000"));
  }
  StoreOptions store_options;
  store_options.flat_below = options.hnsw ? 0 : options.vectors + 1;
  store_options.hnsw_ef_search = options.ef;
  ASSIGN_OR_RETURN(auto store, OpenStore(options.directory, store_options));
  RETURN_IF_ERROR(store->CreateCollection(
      {.name = "bench", .embedder_id = "bench", .dimension = options.dimension}));

  Mixture mixture(options.dimension);
  std::vector<float> vectors(options.vectors * options.dimension);
  for (size_t i = 0; i < options.vectors; ++i) mixture.Draw(&vectors[i * options.dimension]);
  std::vector<float> queries(options.queries * options.dimension);
  for (size_t i = 0; i < options.queries; ++i) mixture.Draw(&queries[i * options.dimension]);

  SearchBench bench;
  const auto build = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(Fill(store.get(), vectors, options.dimension, ctx));
  bench.build_seconds = Seconds(build);
  bench.bytes_per_vector =
      static_cast<double>(DirectoryBytes(options.directory)) / static_cast<double>(options.vectors);
  ASSIGN_OR_RETURN(bench.recall_at_10,
                   Recall(store.get(), vectors, queries, options.dimension, ctx));

  std::vector<double> rates;
  for (int i = 0; i < options.repeat; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (size_t q = 0; q < options.queries; ++q) {
      const float* query = &queries[q * options.dimension];
      const SearchRequest request = Nearest(query, options.dimension);
      RETURN_IF_ERROR(store->Search(request, ctx).status());
    }
    rates.push_back(static_cast<double>(options.queries) / Seconds(start));
  }
  std::sort(rates.begin(), rates.end());
  bench.queries_per_second = rates[rates.size() / 2];
  return bench;
}

}  // namespace vade
