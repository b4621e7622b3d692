// search, ask, chat.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "base/trace.h"
#include "service/cli_input.h"
#include "service/cli_session.h"
#include "service/json_output.h"
#include "service/limits.h"
#include "service/printable.h"

namespace vade {
namespace {

// Turns that a conversation carries along: far more than the token budget lets into a prompt, far
// fewer than a request may have.
constexpr size_t kKeptTurns = 200;

struct AskFlags {
  std::string question;
  int k = 5;
  std::string filter, groups, as_of;
  bool explain = false;
  std::optional<double> mmr;
  std::optional<int> neighbours;
  std::string mode = "direct";
  std::string join;  // "": as the service is set up
  bool strict = false;
  bool as_asked = false;
  std::vector<std::string> earlier;
  Sampling sampling;
  std::string schema_file, grammar_file;
};

void AddQueryOptions(CLI::App& command, AskFlags& flags, int most_passages) {
  command.add_option("-k", flags.k, "Passages to find")
      ->check(CLI::Range(1, most_passages))
      ->capture_default_str();
  command.add_option("--filter", flags.filter,
                     "Only documents that satisfy this expression (docs/filters.md)");
  command.add_option("--groups", flags.groups, "Groups of the asker, comma-separated");
  command.add_option("--as-of", flags.as_of,
                     "What holds at this time: RFC 3339 or a date (default: now)");
  command.add_flag("--explain", flags.explain,
                   "Show how each candidate was ranked; of an answer, how each passage was read");
}

// What CLI::Range cannot say: without its lower end. "" when it is right.
std::string CheckTopP(const std::string& text) {
  const auto value = ParseDouble(text);
  return value && *value > 0 && *value <= 1 ? "" : "give a number above 0 and at most 1";
}

void AddPenaltyOptions(CLI::App& command, Sampling& sampling) {
  command
      .add_option("--repetition-penalty", sampling.repetition_penalty,
                  "Makes words of the answer less likely to come again; 1: off")
      ->check(CLI::Range(kMinRepetitionPenalty, kMaxRepetitionPenalty))
      ->capture_default_str();
  command
      .add_option("--presence-penalty", sampling.presence_penalty,
                  "Taken from the score of a word that the answer holds; 0: off")
      ->check(CLI::Range(-kMaxTokenPenalty, kMaxTokenPenalty))
      ->capture_default_str();
  command
      .add_option("--frequency-penalty", sampling.frequency_penalty,
                  "The same, as often as the answer holds it; 0: off")
      ->check(CLI::Range(-kMaxTokenPenalty, kMaxTokenPenalty))
      ->capture_default_str();
}

void AddAnswerOptions(CLI::App& command, AskFlags& flags) {
  AddQueryOptions(command, flags, kMaxAskPassages);
  command.add_option("--mode", flags.mode, "direct, cot, vote or decompose")
      ->check(CLI::IsMember({"direct", "cot", "vote", "decompose"}))
      ->capture_default_str();
  command
      .add_option("--join", flags.join,
                  "Read passages together where none answers alone: never, where the question "
                  "speaks of two things (detected), always")
      ->check(CLI::IsMember({"never", "detected", "always"}));
  command.add_flag("--strict", flags.strict, "Say only sentences that a passage supports");
  auto* schema = command.add_option("--json-schema", flags.schema_file,
                                    "The answer is JSON of the schema in this file");
  command
      .add_option("--grammar", flags.grammar_file, "The answer follows the grammar in this file")
      ->excludes(schema);
  command.add_option("--seed", flags.sampling.seed, "Seed of the sampling");
  command.add_option("--temperature", flags.sampling.temperature, "0: always the likeliest word")
      ->check(CLI::Range(0.0, kMaxTemperature))
      ->capture_default_str();
  command.add_option("--top-p", flags.sampling.top_p, "Nucleus; 1: off")
      ->check(CheckTopP, "above 0, at most 1")
      ->capture_default_str();
  command.add_option("--top-k", flags.sampling.top_k, "Only the K likeliest words; 0: off")
      ->check(CLI::Range(0, kMaxTopK))
      ->capture_default_str();
  command
      .add_option("--min-p", flags.sampling.min_p,
                  "Only words this share as likely as the likeliest; 0: off")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  AddPenaltyOptions(command, flags.sampling);
  command
      .add_option("--answers", flags.sampling.answers,
                  "So many answers, the prompt read once; needs --temperature")
      ->check(CLI::Range(1, kMaxAnswers))
      ->capture_default_str();
  command
      .add_option("--beams", flags.sampling.beams,
                  "Search for the likeliest answer among so many; 1: off")
      ->check(CLI::Range(1, kMaxBeams))
      ->capture_default_str();
  command
      .add_option("--top-logprobs", flags.sampling.top_logprobs,
                  "With --json: the likeliest words at each place and their log probabilities")
      ->check(CLI::Range(0, kMaxTopLogprobs))
      ->capture_default_str();
  command.add_option("--max-tokens", flags.sampling.max_tokens, "Length of the answer at most")
      ->check(CLI::Range(1, kMaxAnswerTokens))
      ->capture_default_str();
}

Query MakeQuery(const AskFlags& flags, const CommonOptions& options) {
  Query query;
  query.question = flags.question;
  query.collection = options.collection;
  query.k = flags.k;
  query.filter = flags.filter;
  query.as_of = flags.as_of;
  query.groups = SplitList(flags.groups);
  query.mmr = flags.mmr;
  query.neighbours = flags.neighbours;
  query.earlier = flags.earlier;
  return query;
}

Result<AnswerForm> ReadForm(const AskFlags& flags) {
  AnswerForm form;
  std::string file;
  if (!flags.schema_file.empty()) {
    form.kind = AnswerForm::Kind::kJsonSchema, file = flags.schema_file;
  } else if (!flags.grammar_file.empty()) {
    form.kind = AnswerForm::Kind::kGrammar, file = flags.grammar_file;
  } else {
    return form;
  }
  ASSIGN_OR_RETURN(form.definition, ReadFile(file, kMaxFormBytes));
  return form;
}

AskRequest MakeRequest(const AskFlags& flags, const CommonOptions& options) {
  static const std::map<std::string, AnswerMode> kModes = {{"direct", AnswerMode::kDirect},
                                                           {"cot", AnswerMode::kCot},
                                                           {"vote", AnswerMode::kVote},
                                                           {"decompose", AnswerMode::kDecompose}};
  AskRequest request;
  request.query = MakeQuery(flags, options);
  request.mode = kModes.at(flags.mode);
  request.joining = ParseJoining(flags.join);
  request.strict = flags.strict;
  request.search_as_asked = flags.as_asked;
  request.sampling = flags.sampling;
  return request;
}

void PrintHit(size_t number, const Hit& hit) {
  std::printf("%zu. %s  (%s, bytes %llu-%llu, score %.3f)\n", number, ShownLine(hit.title).c_str(),
              ShownLine(hit.passage.document_id).c_str(),
              static_cast<unsigned long long>(hit.passage.begin),
              static_cast<unsigned long long>(hit.passage.end), hit.score);
  if (hit.found_end > 0) {
    std::printf("   found: bytes %llu-%llu, with their neighbours\n",
                static_cast<unsigned long long>(hit.found_begin),
                static_cast<unsigned long long>(hit.found_end));
  }
  if (!hit.passage.heading_path.empty()) {
    std::printf("   %s\n", ShownLine(hit.passage.heading_path).c_str());
  }
  std::printf("   %s\n\n", ShownText(hit.passage.text).c_str());
}

void PrintCandidates(const std::vector<Explained>& candidates) {
  std::printf("%9s %4s %7s %7s %7s %7s %7s  %-6s  document, passage\n", "score", "rank", "vectors",
              "rank", "words", "rank", "alike", "cut");
  for (const Explained& c : candidates) {
    std::printf("%9.4f %4u %7.4f %7u %7.3f %7u %7.4f  %-6s  %s, %llu\n", c.score, c.rank,
                c.dense_score, c.dense_rank, c.term_score, c.term_rank, c.likeness, c.cut.c_str(),
                ShownLine(c.document_id).c_str(), static_cast<unsigned long long>(c.passage_id));
  }
}

Status RunSearch(CliSession& session, const AskFlags& flags) {
  Trace trace(NewRequestId());
  ASSIGN_OR_RETURN(Api * api, session.api());
  Query query = MakeQuery(flags, session.options);
  query.explain = flags.explain;
  const auto found = api->Search(query, session.ctx().WithTrace(&trace));
  if (!found.ok()) return session.Explain(found.status());
  if (session.options.json) {
    std::printf("%s\n", SearchJson(*found, trace).c_str());
    return OkStatus();
  }
  for (size_t i = 0; i < found->hits.size(); ++i) PrintHit(i + 1, found->hits[i]);
  if (found->hits.empty()) std::printf("nothing was found\n");
  if (flags.explain) PrintCandidates(found->candidates);
  return OkStatus();
}

// Writes an answer as it comes: sentences with [n] behind those that are supported, then the
// sources.
class AnswerPrinter {
 public:
  GenerateSink sink() {
    return [this](const GenerateEvent& event) {
      if (event.kind == GenerateEvent::Kind::kToken) {
        written_ = written_ || !event.text.empty();
        const std::string text = ShownText(event.text);
        std::fwrite(text.data(), 1, text.size(), stdout);
      } else {
        std::printf("[%zu]", NumberOf(event.citation));
      }
      return std::fflush(stdout) == 0;
    };
  }

  // Behind an answer that broke off: what comes next begins on its own line.
  void EndLine() const {
    if (written_) std::printf("\n");
    std::fflush(stdout);
  }

  void PrintSources(const AskReply& reply) const {
    std::printf("\n");
    if (!sources_.empty()) std::printf("\n");
    for (size_t i = 0; i < sources_.size(); ++i) {
      const Citation& c = sources_[i];
      std::string title;
      for (const Hit& hit : reply.retrieved.hits) {
        if (hit.passage.document_id == c.document_id) title = hit.title;
      }
      std::printf(
          "  [%zu] %s (%s, bytes %llu-%llu)\n      \"%s\"\n", i + 1, ShownLine(title).c_str(),
          ShownLine(c.document_id).c_str(), static_cast<unsigned long long>(c.source_begin),
          static_cast<unsigned long long>(c.source_end), ShownLine(OneLine(c.quote)).c_str());
    }
    for (const OtherAnswer& other : reply.answer.others) PrintOther(other);
    for (const Alternative& one : reply.answer.alternatives) {
      std::printf("  or: %s\n",
                  one.text.empty() ? "(declined)" : ShownLine(OneLine(one.text)).c_str());
    }
  }

 private:
  static void PrintOther(const OtherAnswer& other) {
    const std::string since = other.valid_from.empty() ? "" : ", valid from " + other.valid_from;
    std::printf("  %s %s (%s%s)\n", other.agrees ? "also:" : "but another document says:",
                ShownLine(OneLine(other.text)).c_str(), ShownLine(other.document_id).c_str(),
                ShownLine(since).c_str());
  }

  // The same quoted words have one number, however often they are cited.
  size_t NumberOf(const Citation& citation) {
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].document_id == citation.document_id &&
          sources_[i].source_begin == citation.source_begin &&
          sources_[i].source_end == citation.source_end) {
        return i + 1;
      }
    }
    sources_.push_back(citation);
    return sources_.size();
  }

  static std::string OneLine(std::string text) {
    for (char& c : text) {
      if (c == '\n') c = ' ';
    }
    return text;
  }

  std::vector<Citation> sources_;
  bool written_ = false;
};

void PrintTimings(const AskReply& reply, const Trace& trace) {
  double first = 0, total = 0;
  for (const auto& [stage, ms] : trace.times_ms()) {
    if (stage == "first_token") first = ms;
    if (stage == "total") total = ms;
  }
  std::fflush(stdout);
  std::fprintf(stderr, "  (first word after %s, %llu tokens in %s)\n", HumanTime(first).c_str(),
               static_cast<unsigned long long>(reply.answer.usage.completion_tokens),
               HumanTime(total).c_str());
}

// What each passage said by itself, what was left out and why, and what had to be read for it.
void PrintReadings(const Answer& answer) {
  if (!answer.readings.empty()) {
    std::printf("\n%7s  %-4s %8s %7s %7s %7s  document, passage\n", "answers", "kept", "declines",
                "gain", "gap", "lead");
  }
  for (const ReadingFact& r : answer.readings) {
    std::printf("%7.3f  %-4s %8.4f %7.3f %7.3f %7.3f  %s, %llu\n", r.answers, r.kept ? "yes" : "no",
                r.decline_probability, r.question_gain, r.score_gap, r.lead,
                ShownLine(r.document_id).c_str(), static_cast<unsigned long long>(r.passage_id));
  }
  for (const Omission& one : answer.omitted) {
    std::printf("left out: %s, %llu (%s)\n", ShownLine(one.document_id).c_str(),
                static_cast<unsigned long long>(one.passage_id), ShownLine(one.reason).c_str());
  }
  if (!answer.reason.empty()) std::printf("reason: %s\n", ShownLine(answer.reason).c_str());
  if (answer.joined > 0) std::printf("%zu passages read together\n", answer.joined);
  std::printf("%zu passages read alone in %d rounds; of %llu prompt tokens %llu were kept\n",
              answer.readings.size(), answer.rounds,
              static_cast<unsigned long long>(answer.usage.prompt_tokens),
              static_cast<unsigned long long>(answer.usage.cached_tokens));
}

Status RunAsk(CliSession& session, const AskFlags& flags) {
  Trace trace(NewRequestId());
  const Context ctx = session.ctx().WithTrace(&trace);
  AskRequest request = MakeRequest(flags, session.options);
  ASSIGN_OR_RETURN(request.form, ReadForm(flags));
  ASSIGN_OR_RETURN(Api * api, session.api());
  AnswerPrinter printer;
  const auto reply =
      api->Ask(request, {nullptr, session.options.json ? nullptr : printer.sink()}, ctx);
  if (!reply.ok()) {
    printer.EndLine();
    return session.Explain(reply.status());
  }
  if (session.options.json) {
    std::printf("%s\n", AskJson(*reply, trace).c_str());
    return OkStatus();
  }
  printer.PrintSources(*reply);
  if (flags.explain) PrintReadings(reply->answer);
  PrintTimings(*reply, trace);
  return OkStatus();
}

// Reads a question a line until the end of input or "/quit"; "/new" forgets the turns.
Status RunChat(CliSession& session, AskFlags flags) {
  ASSIGN_OR_RETURN(const AnswerForm form, ReadForm(flags));
  ASSIGN_OR_RETURN(Api * api, session.api());
  std::vector<ChatTemplate::Turn> history;
  const bool prompt = StderrIsTerminal();
  if (prompt) std::fprintf(stderr, "Ask; /new begins anew, /quit or Ctrl-D ends.\n");
  LineReader input(STDIN_FILENO);
  std::string line;
  while (true) {
    if (prompt) std::fprintf(stderr, "> ");
    if (!input.Next(session.ctx(), &line)) break;
    const std::string question(StripAsciiWhitespace(line));
    if (question.empty()) continue;
    if (question == "/quit") break;
    if (question == "/new") {
      history.clear();
      continue;
    }
    flags.question = question;
    AskRequest request = MakeRequest(flags, session.options);
    request.history = history;
    request.form = form;
    Trace trace(NewRequestId());
    AnswerPrinter printer;
    const auto reply = api->Ask(request, {nullptr, session.options.json ? nullptr : printer.sink()},
                                session.ctx().WithTrace(&trace));
    if (!reply.ok()) {
      printer.EndLine();
      if (!session.ctx().Check().ok()) break;
      // A question that failed does not end the conversation.
      const std::string why = PrintableLine(session.Explain(reply.status()).message());
      std::fprintf(stderr, "vade: %s\n", why.c_str());
      continue;
    }
    if (session.options.json) {
      std::printf("%s\n", AskJson(*reply, trace).c_str());
      std::fflush(stdout);
    } else {
      printer.PrintSources(*reply);
      if (flags.explain) PrintReadings(reply->answer);
      PrintTimings(*reply, trace);
    }
    history.push_back({Role::kUser, question});
    history.push_back({Role::kAssistant, reply->answer.text});
    if (history.size() > kKeptTurns) history.erase(history.begin(), history.end() - kKeptTurns);
  }
  return OkStatus();
}

}  // namespace

void AddAskCommands(CLI::App& app, CliSession& session) {
  auto flags = std::make_shared<AskFlags>();
  CLI::App* search = app.add_subcommand("search", "Find the passages nearest to a question");
  search->add_option("question", flags->question, "The question")->required();
  AddQueryOptions(*search, *flags, kMaxSearchHits);
  search
      ->add_option("--mmr", flags->mmr,
                   "Share of the score where passages unlike those ahead come first; 1: off")
      ->check(CLI::Range(0.0, 1.0));
  search->add_option("--neighbours", flags->neighbours, "Passages joined to each hit on each side")
      ->check(CLI::Range(0, kMaxNeighbours));
  search
      ->add_option("--earlier", flags->earlier,
                   "A question before this one, which it may lean on; once for each")
      ->allow_extra_args(false);
  search->callback([&session, flags] { session.Run([&] { return RunSearch(session, *flags); }); });

  CLI::App* ask = app.add_subcommand("ask", "Answer a question from the documents, with citations");
  ask->add_option("question", flags->question, "The question")->required();
  AddAnswerOptions(*ask, *flags);
  ask->callback([&session, flags] { session.Run([&] { return RunAsk(session, *flags); }); });

  CLI::App* chat =
      app.add_subcommand("chat", "A conversation: one question a line of standard input");
  AddAnswerOptions(*chat, *flags);
  chat->add_flag("--as-asked", flags->as_asked,
                 "Search for each question by itself, and not with those before it");
  chat->callback([&session, flags] { session.Run([&] { return RunChat(session, *flags); }); });
}

}  // namespace vade
