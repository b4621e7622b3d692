// eval retrieval, eval answers.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "service/cli_session.h"
#include "service/eval.h"
#include "service/limits.h"

namespace vade {
namespace {

struct EvalFlags {
  std::string dataset, variant, report, records, against;
  size_t limit = 0;
  uint64_t seed = 0;
  int k = 5;
  bool strict = false;
  std::string join;
  std::string ranking = "both";
  double term_weight = RankingOptions{}.term_weight;
  double mmr = RankingOptions{}.mmr;
};

RankingOptions RankingOf(const EvalFlags& flags) {
  RankingOptions ranking{.term_weight = flags.term_weight, .mmr = flags.mmr};
  if (flags.ranking == "vectors") ranking.source = RankingOptions::Source::kVectors;
  if (flags.ranking == "terms") ranking.source = RankingOptions::Source::kTerms;
  if (flags.ranking == "ranks") ranking.fusion = RankingOptions::Fusion::kReciprocalRank;
  return ranking;
}

EvalProgress Progress(const CliSession& session) {
  if (!StderrIsTerminal() || session.options.json) return nullptr;
  return [](size_t done, size_t total) {
    std::fprintf(stderr, "\r\033[K%zu of %zu questions", done, total);
  };
}

// JSON prints as it is; without --json the same numbers, one a line.
Status Print(const CliSession& session, const std::string& old, const std::string& json) {
  if (session.options.json) {
    std::printf("%s\n", json.c_str());
  } else {
    if (StderrIsTerminal()) std::fprintf(stderr, "\r\033[K");
    std::printf("%s", EvalLines(json).c_str());
  }
  if (old.empty()) return OkStatus();
  ASSIGN_OR_RETURN(std::string lines, CompareJson(old, json));
  std::fflush(stdout);
  std::fprintf(stderr, "%s", lines.c_str());
  return OkStatus();
}

// What --against names, "" without it: read before hours are spent on the new numbers.
Result<std::string> ReadOld(const EvalFlags& flags) {
  if (flags.against.empty()) return std::string();
  ASSIGN_OR_RETURN(std::string old, ReadFile(flags.against, 64 << 20));
  RETURN_IF_ERROR(CompareJson(old, "{}").status().WithContext(flags.against));
  return old;
}

Result<EvalDataset> Load(const EvalFlags& flags) {
  ASSIGN_OR_RETURN(EvalDataset dataset, LoadEvalDataset(flags.dataset, flags.variant));
  if (!dataset.passed_over.empty()) {
    LogWarning(StrCat(dataset.passed_over.size(), " questions without a text are passed over: ",
                      Join(dataset.passed_over, ", ")));
  }
  LimitQuestions(&dataset, flags.limit, flags.seed);
  return dataset;
}

Status RunRetrieval(CliSession& session, const EvalFlags& flags) {
  if (!flags.report.empty()) return Unimplemented("--report is for vade eval answers");
  ASSIGN_OR_RETURN(const std::string old, ReadOld(flags));
  ASSIGN_OR_RETURN(EvalDataset dataset, Load(flags));
  session.options.background = true;  // what a service does, and this measures
  ASSIGN_OR_RETURN(Api * api, session.api());
  ASSIGN_OR_RETURN(std::string collection, PrepareEvalCollection(api, dataset, session.ctx()));
  ASSIGN_OR_RETURN(
      RetrievalEval eval,
      EvalRetrieval(api, dataset, collection,
                    {.ranking = RankingOf(flags), .progress = Progress(session)}, session.ctx()));
  return Print(session, old, RetrievalEvalJson(eval));
}

Status RunAnswers(CliSession& session, const EvalFlags& flags) {
  ASSIGN_OR_RETURN(const std::string old, ReadOld(flags));
  ASSIGN_OR_RETURN(EvalDataset dataset, Load(flags));
  session.options.background = true;  // what a service does, and this measures
  ASSIGN_OR_RETURN(Api * api, session.api());
  ASSIGN_OR_RETURN(std::string collection, PrepareEvalCollection(api, dataset, session.ctx()));
  AnswerEvalOptions options;
  options.k = flags.k;
  options.strict = flags.strict;
  options.joining = ParseJoining(flags.join);
  options.seed = flags.seed;
  ASSIGN_OR_RETURN(auto records, EvalAnswers(api, dataset, collection, options, Progress(session),
                                             session.ctx()));
  RETURN_IF_ERROR(Print(session, old, AnswerEvalJson(records)));
  if (!flags.records.empty())
    RETURN_IF_ERROR(WriteFileAtomically(flags.records, AnswerRecordLines(records)));
  if (flags.report.empty()) return OkStatus();
  return WriteFileAtomically(flags.report,
                             AnswerReportHtml("vade eval answers " + dataset.name, records));
}

void AddEvalOptions(CLI::App& command, EvalFlags& flags) {
  command.add_option("dataset", flags.dataset, "Dataset folder")->required();
  command.add_option("--variant", flags.variant, "Read passages.NAME.jsonl and qa.NAME.jsonl");
  command.add_option("--limit", flags.limit,
                     "Questions at most: the first, or with --seed a sample (0: all)");
  command.add_option("--seed", flags.seed, "Seed of the sample and of the answers");
  command.add_option("--report", flags.report,
                     "Write a page with plots and the questions that went wrong");
  command.add_option("--against", flags.against,
                     "Show the differences to an earlier --json output");
}

}  // namespace

void AddEvalCommands(CLI::App& app, CliSession& session) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* eval = app.add_subcommand("eval", "Measure retrieval or answers on a dataset folder");
  eval->require_subcommand(1);
  CLI::App* retrieval = eval->add_subcommand("retrieval", "Recall, gain and reciprocal rank");
  AddEvalOptions(*retrieval, *flags);
  retrieval
      ->add_option("--ranking", flags->ranking,
                   "What proposes and orders passages; ranks: both, fused by their ranks")
      ->check(CLI::IsMember({"both", "ranks", "vectors", "terms"}))
      ->capture_default_str();
  retrieval->add_option("--term-weight", flags->term_weight, "Share of the words")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  retrieval->add_option("--mmr", flags->mmr, "As of vade search")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  retrieval->callback(
      [&session, flags] { session.Run([&] { return RunRetrieval(session, *flags); }); });
  CLI::App* answers = eval->add_subcommand("answers", "F1, refusals, citations and times");
  AddEvalOptions(*answers, *flags);
  answers->add_option("-k", flags->k, "Passages to find")
      ->check(CLI::Range(1, kMaxAskPassages))
      ->capture_default_str();
  answers->add_option("--records", flags->records, "Write a line of JSON for each question");
  answers->add_flag("--strict", flags->strict, "Say only sentences that a passage supports");
  answers->add_option("--join", flags->join, "As of vade ask")
      ->check(CLI::IsMember({"never", "detected", "always"}));
  answers->callback(
      [&session, flags] { session.Run([&] { return RunAnswers(session, *flags); }); });
}

}  // namespace vade
