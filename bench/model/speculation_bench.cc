// What does guessing tokens from the passages save? Answers of full sentences to questions over
// passages of a data set, through the Generator, with guessing on and off in turn; says so when the
// two differ in a single token's text, which they must not.
//
//   speculation_bench MODEL.gguf DATASET_DIR LANG QUESTIONS [PASSAGES=3] [GUESSED=7] [REPEAT=3]
//
// The right passage comes first, others of the set behind it. Prints tokens a second of decoding
// (from the first token to the last), the ratio, and how many of the guesses held.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/threads.h"
#include "base/trace.h"
#include "generator/generator.h"
#include "tests/generator/dataset.h"

namespace vade {
namespace {

using testing::JsonRow;
using testing::ToHit;

std::vector<GenerateRequest> Requests(const std::string& dir, const std::string& lang, size_t count,
                                      size_t passages_each) {
  const auto rows = testing::ReadJsonLines(dir + "/qa." + lang + ".jsonl");
  const auto passages = testing::ReadJsonLines(dir + "/passages." + lang + ".jsonl");
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < count && !rows.empty(); ++i) {
    const JsonRow& row = rows[(i * rows.size()) / count];
    GenerateRequest request;
    request.question = row.Get("question");
    request.system = lang == "zh" ? "请用一两个完整的句子回答，并引用文档中的原文。"
                                  : "Answer in one or two full sentences that quote the documents.";
    request.sampling.max_tokens = 96;
    for (size_t p = 0; p < passages.size(); ++p) {
      if (passages[p].Get("id") != row.Get("passage_id")) continue;
      for (size_t k = 0; k < passages_each && k < passages.size(); ++k)
        request.hits.push_back(ToHit(passages[(p + k) % passages.size()]));
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

struct Totals {
  double decode_ms = 0;
  uint64_t tokens = 0, held = 0;
  std::vector<std::string> texts;
};

Totals Run(Decoder* decoder, const std::vector<GenerateRequest>& requests, int guessed) {
  auto generator = Generator::Create(decoder, {.guessed_tokens = guessed});
  VADE_CHECK(generator.ok(), "the model's chat template is known");
  Totals totals;
  for (const GenerateRequest& request : requests) {
    Trace trace("bench");
    auto answer = (*generator)->Generate(request, {}, Context().WithTrace(&trace));
    VADE_CHECK(answer.ok(), "the prompt fits");
    for (const auto& [name, ms] : trace.times_ms()) totals.decode_ms += name == "decode" ? ms : 0;
    totals.tokens += answer->usage.completion_tokens;
    totals.held += answer->usage.draft_accepted;
    totals.texts.push_back(answer->text);
  }
  return totals;
}

double Rate(const Totals& t, size_t answers) {
  // The first token of each answer belongs to the reading.
  return (static_cast<double>(t.tokens) - static_cast<double>(answers)) / (t.decode_ms / 1000);
}

int Main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr,
                 "usage: speculation_bench MODEL DATASET_DIR LANG QUESTIONS [PASSAGES] [GUESSED] "
                 "[REPEAT]\n");
    return 2;
  }
  const auto number = [&](int i, size_t otherwise) {
    return argc > i ? std::stoul(argv[i]) : otherwise;
  };
  ThreadPool pool(UsableCores());
  auto decoder = LoadDecoder(argv[1], {.pool = &pool, .context_tokens = 4096});
  if (!decoder.ok()) {
    std::fprintf(stderr, "%s\n", decoder.status().ToString().c_str());
    return 1;
  }
  const auto requests = Requests(argv[2], argv[3], number(4, 10), number(5, 3));
  const int guessed = static_cast<int>(number(6, 7));
  std::vector<double> ratios;
  for (size_t repeat = 0; repeat < number(7, 3); ++repeat) {
    const Totals off = Run(decoder->get(), requests, 0),
                 on = Run(decoder->get(), requests, guessed);
    if (on.texts != off.texts) {
      std::printf("DIFFERENT ANSWERS\n");
      return 1;
    }
    ratios.push_back(Rate(on, requests.size()) / Rate(off, requests.size()));
    std::printf("off %.1f tokens/s, on %.1f, ratio %.2f; %llu of %llu tokens were guessed\n",
                Rate(off, requests.size()), Rate(on, requests.size()), ratios.back(),
                static_cast<unsigned long long>(on.held),
                static_cast<unsigned long long>(on.tokens));
    std::fflush(stdout);
  }
  std::sort(ratios.begin(), ratios.end());
  if (!ratios.empty()) std::printf("median ratio %.2f\n", ratios[ratios.size() / 2]);
  return 0;
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) { return vade::Main(argc, argv); }
