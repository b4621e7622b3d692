// What does a filter cost? Searches of a throwaway store with and without one: the first with a
// filter goes through all documents, the next ones remember, a put in between is looked at alone.
// Then what it takes to erase a document.
//
//   filter_bench [DOCUMENTS=100000]      vectors of 128, one passage a document
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/trace.h"
#include "index/index.h"
#include "tests/testing/hashing_embedder.h"

namespace vade {
namespace {

void Require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

class FilterBench {
 public:
  explicit FilterBench(const std::string& directory) {
    StoreOptions options;
    options.background = false;
    auto opened = OpenStore(directory, options);
    Require(opened.status());
    store_ = std::move(*opened);
    Require(store_->CreateCollection(
        {.name = "default", .embedder_id = embedder_.id(), .dimension = embedder_.dimension()}));
  }

  void Put(int number) {
    DocumentInfo info;
    info.id = StrCat("document/", number, ".md");
    info.title = StrCat("Report ", number);
    info.content_hash = StrCat(number);
    info.metadata = {{"number", double(number)}, {"language", std::string("en")}};
    const std::string text = StrCat("subject ", number % 977, " of part ", number % 31, ".");
    auto writer = store_->BeginDocument("default", info);
    Require(writer.status());
    Require((*writer)->AddText(text));
    Passage passage;
    passage.end = text.size();
    Require((*writer)->AddPassages({&passage, 1}, embedder_.EmbedOne(text)));
    Require((*writer)->Commit(Context()).status());
  }
  void Seal() { Require(store_->SealAll(Context())); }

  // Median of some searches, milliseconds; `before` runs before each, untimed.
  double Search(const std::string& filter, int times, const std::function<void()>& before = {}) {
    std::vector<double> taken;
    for (int i = 0; i < times; ++i) {
      if (before) before();
      SearchRequest request;
      request.collection = "default";
      request.question = StrCat("subject ", i * 7);
      request.vector = embedder_.EmbedOne(request.question);
      request.k = 10;
      request.filter = filter;
      taken.push_back(Time([&] { Require(store_->Search(request, Context()).status()); }));
    }
    std::sort(taken.begin(), taken.end());
    return taken[taken.size() / 2];
  }
  double Erase(const std::string& id) {
    return Time([&] {
      Require(store_->DeleteDocuments("default", std::vector<std::string>{id}, Context()).status());
      Require(store_->Erase(Context()));
    });
  }

 private:
  static double Time(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
        .count();
  }

  HashingEmbedder embedder_{128};
  std::unique_ptr<Store> store_;
};

void Run(int documents, const std::string& directory) {
  FilterBench bench(directory);
  for (int i = 0; i < documents; ++i) bench.Put(i);
  bench.Seal();
  const std::string rare = StrCat("number < ", documents / 1000);
  const std::string wide = StrCat("number < ", documents / 2, " and language = 'en'");
  std::printf("%d documents, milliseconds a search\n", documents);
  std::printf("without a filter           %8.2f\n", bench.Search("", 101));
  std::printf("keeps 0.1%%, the first time %8.2f\n", bench.Search(rare, 1));
  std::printf("keeps 0.1%%, then           %8.2f\n", bench.Search(rare, 101));
  int next = documents;
  std::printf("keeps 0.1%%, behind a put   %8.2f\n",
              bench.Search(rare, 21, [&] { bench.Put(next++); }));
  std::printf("keeps 50%%, the first time  %8.2f\n", bench.Search(wide, 1));
  std::printf("keeps 50%%, then            %8.2f\n", bench.Search(wide, 101));
  std::printf("delete and erase one       %8.0f\n", bench.Erase("document/17.md"));
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) {
  const int documents = argc > 1 ? std::atoi(argv[1]) : 100000;
  if (documents < 1000) {
    std::fprintf(stderr, "usage: filter_bench [DOCUMENTS], at least 1000\n");
    return 2;
  }
  const std::string directory =
      (std::filesystem::temp_directory_path() / ("filter-bench-" + vade::NewRequestId())).string();
  vade::Run(documents, directory);
  std::filesystem::remove_all(directory);
  return 0;
}
