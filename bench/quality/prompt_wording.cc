// Which wording of the prompt answers best? Compares wordings on questions of a data set, with the
// right passage alone or among the passages that share most words with the question, and on
// questions that the passage does not answer.
//
//   prompt_wording MODEL.gguf WORDINGS DATASET_DIR LANG QUESTIONS PASSAGES [all]
//
// WORDINGS: bench/quality/wordings.h. PASSAGES: 1 is the right one alone. `all`: every reply is
// printed, with the probability of declining at its first token. The rules of scoring are those of
// the data sets: SQuAD for English, signs for Chinese.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/threads.h"
#include "base/unicode.h"
#include "bench/quality/wordings.h"
#include "generator/answer_text.h"
#include "generator/budget.h"
#include "generator/engine.h"
#include "generator/refusal.h"
#include "generator/terms.h"
#include "tests/generator/dataset.h"

namespace vade {

namespace {

using testing::JsonRow;
using testing::ToHit;

std::vector<std::string> ScoredTokens(std::string_view text, bool chinese) {
  std::vector<std::string> tokens;
  const std::string folded = chinese ? NfkcCaseFold(text) : AsciiLower(text);
  std::string word;
  auto end_word = [&] {
    if (!word.empty() && (chinese || (word != "a" && word != "an" && word != "the")))
      tokens.push_back(word);
    word.clear();
  };
  for (size_t pos = 0; pos < folded.size();) {
    const char32_t c = NextCodePoint(folded, &pos);
    if (IsWhitespace(c)) {
      if (!chinese) end_word();
    } else if (chinese && IsHan(c)) {
      end_word();
      AppendCodePoint(&word, c);
      end_word();
    } else if (!(chinese ? IsPunctuation(c) : (c < 128 && IsPunctuation(c)))) {
      AppendCodePoint(&word, c);
    }
  }
  end_word();
  return tokens;
}

double F1(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::map<std::string, int> left;
  for (const std::string& token : b) ++left[token];
  double common = 0;
  for (const std::string& token : a) common += left[token]-- > 0;
  return common == 0 ? 0 : 2 * common / static_cast<double>(a.size() + b.size());
}

struct Sums {
  int answerable = 0, unanswerable = 0, wrong_abstentions = 0, rejections = 0;
  double f1 = 0, em = 0, tokens = 0;
};

// The passages that share the rarest words with the question, best first; a stand-in for retrieval.
std::vector<Hit> Nearest(const std::string& question, const std::vector<JsonRow>& passages,
                         const std::vector<TermSet>& terms, size_t count) {
  const TermSet wanted = TermsOf(question);
  std::map<std::string, double> weight;
  auto holds = [](const TermSet& set, const std::string& t) {
    return set.words.contains(t) || set.bigrams.contains(t);
  };
  for (const auto* set : {&wanted.words, &wanted.bigrams}) {
    for (const std::string& term : *set) {
      double n = 0;
      for (const TermSet& passage : terms) n += holds(passage, term);
      weight[term] = TermWeight(term) / (1 + n);
    }
  }
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < terms.size(); ++i) {
    double score = 0;
    for (const auto& [term, w] : weight) score += holds(terms[i], term) ? w : 0;
    order.emplace_back(-score, i);
  }
  std::sort(order.begin(), order.end());
  std::vector<Hit> hits;
  for (size_t i = 0; i < count && i < order.size(); ++i)
    hits.push_back(ToHit(passages[order[i].second]));
  return hits;
}

struct Asked {
  GenerateRequest request;
  std::vector<std::string> answers;
};

std::vector<Asked> ChooseQuestions(const std::string& dir, const std::string& lang, size_t count,
                                   size_t passage_count) {
  const std::string suffix = std::ifstream(dir + "/qa." + lang + ".jsonl").good() ? "." + lang : "";
  const auto rows = testing::ReadJsonLines(dir + "/qa" + suffix + ".jsonl");
  const auto passages = testing::ReadJsonLines(dir + "/passages" + suffix + ".jsonl");
  std::vector<TermSet> terms;
  if (passage_count > 1) {
    for (const JsonRow& row : passages)
      terms.push_back(TermsOf(row.Get("title") + " " + row.Get("text")));
  }
  std::vector<Asked> asked;
  for (size_t i = 0; i < count && !rows.empty(); ++i) {
    const JsonRow& row = rows[(i * rows.size()) / count];
    Asked one;
    one.request.question = row.Get("question");
    one.request.sampling.max_tokens = 48;
    if (row.Get("is_impossible") != "true") one.answers = row.List("answers");
    if (passage_count > 1) {
      one.request.hits = Nearest(row.Get("question"), passages, terms, passage_count);
    } else {
      for (const JsonRow& passage : passages) {
        if (passage.Get("id") == row.Get("passage_id")) one.request.hits = {ToHit(passage)};
      }
    }
    asked.push_back(std::move(one));
  }
  return asked;
}

std::string ReadReply(const Decoder& decoder, TokenStream* stream) {
  AnswerText text({});
  std::string reply;
  for (;;) {
    auto token = stream->Next();
    if (!token.ok() || !*token) break;
    reply += text.Append(decoder.tokenizer().Piece((*token)->id));
  }
  return reply + text.Finish();
}

void Score(const Asked& asked, const std::string& reply, double declined, bool chinese, bool print,
           Sums* sums) {
  const bool refused = JudgeReply(reply, true) == RefusalVerdict::kRefusal;
  double best = 0, exact = 0;
  const auto got = ScoredTokens(refused ? "" : reply, chinese);
  for (const std::string& answer : asked.answers) {
    const auto wanted = ScoredTokens(answer, chinese);
    best = std::max(best, F1(got, wanted));
    exact = std::max(exact, got == wanted ? 1.0 : 0.0);
  }
  if (asked.answers.empty()) {
    ++sums->unanswerable;
    sums->rejections += refused;
  } else {
    ++sums->answerable;
    sums->wrong_abstentions += refused;
    sums->f1 += best;
    sums->em += exact;
    sums->tokens += static_cast<double>(got.size());
  }
  if (!print) return;
  std::printf("  %.2f p(decline) %.3f | %s | %s | %s\n", best, declined,
              asked.request.question.c_str(),
              asked.answers.empty() ? "(unanswerable)" : asked.answers[0].c_str(), reply.c_str());
}

Sums Measure(Decoder* decoder, const std::vector<Asked>& questions, bool chinese, bool print) {
  Engine engine(decoder, {.max_active = 4, .max_waiting = 100000});
  const PromptWriter writer(&decoder->tokenizer(), *decoder->chat_template());
  const BudgetLimits limits{.context_tokens = decoder->info().context_tokens};
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (const Asked& asked : questions) {
    auto plan = PlanPrompt(asked.request, limits, writer);
    VADE_CHECK(plan.ok(), "the prompt fits");
    auto stream = engine.Start({plan->prefix,
                                plan->rest,
                                asked.request.sampling,
                                writer.DeclineTokens(plan->language),
                                {}});
    VADE_CHECK(stream.ok(), "the queue is long enough");
    streams.push_back(std::move(*stream));
  }
  Sums sums;
  for (size_t i = 0; i < questions.size(); ++i) {
    const std::string reply = ReadReply(*decoder, streams[i].get());
    Score(questions[i], reply, streams[i]->facts().watched_probability, chinese, print, &sums);
  }
  return sums;
}

int Main(int argc, char** argv) {
  if (argc < 7) {
    std::fprintf(
        stderr, "usage: prompt_wording MODEL WORDINGS DATASET_DIR LANG QUESTIONS PASSAGES [all]\n");
    return 2;
  }
  ThreadPool pool(UsableCores());
  auto decoder =
      LoadDecoder(argv[1], {.pool = &pool, .context_tokens = 4096, .kv_budget_bytes = 1ull << 30});
  if (!decoder.ok()) {
    std::fprintf(stderr, "%s\n", decoder.status().ToString().c_str());
    return 1;
  }
  const bool chinese = std::string_view(argv[4]) == "zh";
  const auto questions =
      ChooseQuestions(argv[3], argv[4], std::stoul(argv[5]), std::stoul(argv[6]));
  for (const NamedWording& named : ReadWordings(argv[2])) {
    UseWording(named.wording);
    const Sums s = Measure(decoder->get(), questions, chinese, argc > 7);
    const double n = std::max(s.answerable, 1);
    std::printf(
        "%-12s F1 %.3f EM %.3f tokens %.1f | wrong abstentions %d of %d | rejections %d of %d\n",
        named.name.c_str(), s.f1 / n, s.em / n, s.tokens / n, s.wrong_abstentions, s.answerable,
        s.rejections, s.unanswerable);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) { return vade::Main(argc, argv); }
