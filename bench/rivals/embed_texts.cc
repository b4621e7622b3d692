// Embeds texts as `vade ingest` does, several times, and says how long each time took: the side of
// bench/rivals/embed that is ours.
//
//   embed_texts MODEL THREADS BATCH ROLE < texts.jsonl > result.json
//
// texts.jsonl: one JSON string a line. BATCH: texts of one call; 0: all. ROLE: query or passage. The
// commands on standard input behind the texts, one a line: "run" embeds all texts and answers
// {"seconds": s, "tokens": n}; "vectors FILE" writes the vectors as float32. So a rival can be
// measured in turn with it.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/files.h"
#include "base/strings.h"
#include "base/threads.h"
#include "model/embedder.h"

namespace vade {
namespace {

using Json = nlohmann::json;

struct Arguments {
  std::string model;
  int threads = 1;
  size_t batch = 0;
  EmbedRole role = EmbedRole::kPassage;
};

Result<std::vector<float>> EmbedAll(Embedder* embedder, const std::vector<std::string>& texts,
                                    const Arguments& arguments) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const size_t batch = arguments.batch == 0 ? views.size() : arguments.batch;
  std::vector<float> all;
  for (size_t i = 0; i < views.size(); i += batch) {
    const auto part = std::span(views).subspan(i, std::min(batch, views.size() - i));
    ASSIGN_OR_RETURN(const auto vectors, embedder->Embed(part, arguments.role, Context()));
    all.insert(all.end(), vectors.begin(), vectors.end());
  }
  return all;
}

Status Run(const Arguments& arguments) {
  ThreadPool pool(arguments.threads);
  ASSIGN_OR_RETURN(const auto embedder, LoadEmbedder(arguments.model, {.pool = &pool, .packed_cache_dir = ""}));
  std::vector<std::string> texts;
  size_t tokens = 0;
  std::vector<float> vectors;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.starts_with("\"")) {
      texts.push_back(Json::parse(line));
      tokens += embedder->CountTokens(texts.back());
    } else if (line == "run") {
      const auto start = std::chrono::steady_clock::now();
      ASSIGN_OR_RETURN(vectors, EmbedAll(embedder.get(), texts, arguments));
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      std::cout << Json{{"seconds", took.count()}, {"tokens", tokens}}.dump() << std::endl;
    } else if (line.starts_with("vectors ")) {
      RETURN_IF_ERROR(WriteFileAtomically(
          line.substr(8), {reinterpret_cast<const char*>(vectors.data()), vectors.size() * 4}));
      std::cout << "{}" << std::endl;
    } else {
      return InvalidArgument(StrCat("no text and no command: ", line));
    }
  }
  return OkStatus();
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: embed_texts MODEL THREADS BATCH query|passage < texts.jsonl\n");
    return 2;
  }
  const bool query = std::string_view(argv[4]) == "query";
  const vade::Status status = vade::Run({.model = argv[1],
                                         .threads = std::atoi(argv[2]),
                                         .batch = static_cast<size_t>(std::atoi(argv[3])),
                                         .role = query ? vade::EmbedRole::kQuery
                                                       : vade::EmbedRole::kPassage});
  if (status.ok()) return 0;
  std::fprintf(stderr, "embed_texts: %s\n", status.ToString().c_str());
  return 1;
}
