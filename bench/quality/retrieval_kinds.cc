// Which documents are found for which kind of question, by vectors, by words and by both? `vade
// eval retrieval` gives one number a set; this one prints a line for each kind and language of its
// questions and each way of ranking.
//
//   retrieval_kinds EMBEDDER.gguf STORE QUESTIONS.jsonl TERM_WEIGHT [DOCUMENTS...]
//
// Documents (files, folders) are ingested into STORE first, unless they are there already. A
// question's `passage_id` is the id of the document that answers it; ranks are over documents.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/threads.h"
#include "ingest/ingest.h"
#include "retriever/retriever.h"
#include "tests/generator/dataset.h"

namespace vade {
namespace {

constexpr int kHits = 30;  // enough for ten documents

struct Way {
  const char* name;
  RankingOptions ranking;
};

std::vector<Way> Ways(double term_weight) {
  using Source = RankingOptions::Source;
  using Fusion = RankingOptions::Fusion;
  return {{"vectors", {.source = Source::kVectors}},
          {"terms", {.source = Source::kTerms}},
          {"both", {.term_weight = term_weight}},
          {"ranks", {.fusion = Fusion::kReciprocalRank, .term_weight = term_weight}}};
}

struct Score {
  double questions = 0, first = 0, first5 = 0, first10 = 0, ndcg10 = 0;
  void Count(size_t rank) {
    questions += 1;
    first += rank <= 1;
    first5 += rank <= 5;
    first10 += rank <= 10;
    if (rank <= 10) ndcg10 += 1 / std::log2(static_cast<double>(rank) + 1);
  }
};

size_t RankOf(const std::string& id, const std::vector<Hit>& hits) {
  std::vector<std::string> documents;
  for (const Hit& hit : hits) {
    if (hit.passage.document_id == id) return documents.size() + 1;
    if (std::find(documents.begin(), documents.end(), hit.passage.document_id) == documents.end())
      documents.push_back(hit.passage.document_id);
  }
  return SIZE_MAX;
}

Status Run(const std::vector<std::string>& arguments) {
  ThreadPool pool(UsableCores());
  ASSIGN_OR_RETURN(const auto embedder,
                   LoadEmbedder(arguments[0], {.pool = &pool, .packed_cache_dir = ""}));
  ASSIGN_OR_RETURN(const auto store, OpenStore(arguments[1], {}));
  const auto term_weight = ParseDouble(arguments[3]);
  if (!term_weight) return InvalidArgument("TERM_WEIGHT is a number from 0 to 1");
  const std::vector<std::string> paths(arguments.begin() + 4, arguments.end());
  if (!paths.empty()) {
    Ingestor ingestor(store.get(), embedder.get(), {});
    ASSIGN_OR_RETURN(const IngestReport report, ingestor.IngestPaths(paths, nullptr, Context()));
    if (report.failed > 0) return InvalidArgument(StrCat(report.failed, " files failed"));
  }
  const Retriever retriever(store.get(), embedder.get());
  std::map<std::string, std::map<std::string, Score>> scores;  // by kind and language, by way
  for (const testing::JsonRow& row : testing::ReadJsonLines(arguments[2])) {
    if (row.Get("is_impossible") == "true") continue;
    for (const Way& way : Ways(*term_weight)) {
      ASSIGN_OR_RETURN(
          const Retrieved found,
          retriever.Retrieve({.question = row.Get("question"), .k = kHits, .ranking = way.ranking},
                             Context()));
      const size_t rank = RankOf(row.Get("passage_id"), found.hits);
      scores[StrCat(row.Get("kind"), " ", row.Get("lang"))][way.name].Count(rank);
      scores["all"][way.name].Count(rank);
    }
  }
  for (const auto& [kind, ways] : scores) {
    for (const auto& [way, s] : ways) {
      std::printf("%-24s %-8s %4.0f questions  recall@1 %.3f  @5 %.3f  @10 %.3f  nDCG@10 %.3f\n",
                  kind.c_str(), way.c_str(), s.questions, s.first / s.questions,
                  s.first5 / s.questions, s.first10 / s.questions, s.ndcg10 / s.questions);
    }
  }
  return OkStatus();
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(
        stderr, "retrieval_kinds EMBEDDER.gguf STORE QUESTIONS.jsonl TERM_WEIGHT [DOCUMENTS...]\n");
    return 2;
  }
  const vade::Status status = vade::Run({argv + 1, argv + argc});
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
