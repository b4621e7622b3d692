// search, ask, chat.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "base/strings.h"
#include "base/trace.h"
#include "service/cli_session.h"
#include "service/json_output.h"

namespace vade {
namespace {

struct AskFlags {
  std::string question;
  int k = 5;
  std::string filter, groups, as_of;
  bool explain = false;
  std::string mode = "direct";
  bool strict = false;
  Sampling sampling;
};

void AddQueryOptions(CLI::App& command, AskFlags& flags) {
  command.add_option("-k", flags.k, "Passages to find")->capture_default_str();
  command.add_option("--filter", flags.filter, "Only documents whose metadata satisfy this expression");
  command.add_option("--groups", flags.groups, "Groups of the asker, comma-separated");
  command.add_option("--as-of", flags.as_of, "As the collection stood at this time");
  command.add_flag("--explain", flags.explain, "Show how each candidate was ranked");
}

void AddAnswerOptions(CLI::App& command, AskFlags& flags) {
  AddQueryOptions(command, flags);
  command.add_option("--mode", flags.mode, "direct, cot, vote or decompose")
      ->check(CLI::IsMember({"direct", "cot", "vote", "decompose"}))
      ->capture_default_str();
  command.add_flag("--strict", flags.strict, "Say only sentences that a passage supports");
  command.add_option("--seed", flags.sampling.seed, "Seed of the sampling");
  command.add_option("--temperature", flags.sampling.temperature, "0: always the likeliest word")
      ->capture_default_str();
  command.add_option("--top-p", flags.sampling.top_p, "Nucleus; 1: off")->capture_default_str();
  command.add_option("--max-tokens", flags.sampling.max_tokens, "Length of the answer at most")
      ->capture_default_str();
}

Status RefuseExplain(const AskFlags& flags) {
  return flags.explain ? Unimplemented("--explain is not available in this version") : OkStatus();
}

Query MakeQuery(const AskFlags& flags, const CommonOptions& options) {
  Query query;
  query.question = flags.question;
  query.collection = options.collection;
  query.k = flags.k;
  query.filter = flags.filter;
  query.as_of = flags.as_of;
  query.groups = SplitList(flags.groups);
  return query;
}

AskRequest MakeRequest(const AskFlags& flags, const CommonOptions& options) {
  static const std::map<std::string, AnswerMode> kModes = {{"direct", AnswerMode::kDirect},
                                                           {"cot", AnswerMode::kCot},
                                                           {"vote", AnswerMode::kVote},
                                                           {"decompose", AnswerMode::kDecompose}};
  AskRequest request;
  request.query = MakeQuery(flags, options);
  request.mode = kModes.at(flags.mode);
  request.strict = flags.strict;
  request.sampling = flags.sampling;
  return request;
}

void PrintHit(size_t number, const Hit& hit) {
  std::printf("%zu. %s  (%s, bytes %llu-%llu, score %.3f)\n", number, hit.title.c_str(),
              hit.passage.document_id.c_str(), static_cast<unsigned long long>(hit.passage.begin),
              static_cast<unsigned long long>(hit.passage.end), hit.score);
  if (!hit.passage.heading_path.empty()) std::printf("   %s\n", hit.passage.heading_path.c_str());
  std::printf("   %s\n\n", hit.passage.text.c_str());
}

Status RunSearch(CliSession& session, const AskFlags& flags) {
  RETURN_IF_ERROR(RefuseExplain(flags));
  Trace trace(NewRequestId());
  ASSIGN_OR_RETURN(Api * api, session.api());
  ASSIGN_OR_RETURN(Retrieved found,
                   api->Search(MakeQuery(flags, session.options), session.ctx().WithTrace(&trace)));
  if (session.options.json) {
    std::printf("%s\n", SearchJson(found, trace).c_str());
    return OkStatus();
  }
  for (size_t i = 0; i < found.hits.size(); ++i) PrintHit(i + 1, found.hits[i]);
  if (found.hits.empty()) std::printf("nothing was found\n");
  return OkStatus();
}

// Writes an answer as it comes: words, then [n] behind each supported sentence, then the sources.
class AnswerPrinter {
 public:
  GenerateSink sink() {
    return [this](const GenerateEvent& event) {
      if (event.kind == GenerateEvent::Kind::kToken) {
        std::fwrite(event.text.data(), 1, event.text.size(), stdout);
      } else {
        std::printf("[%zu]", NumberOf(event.citation));
      }
      return std::fflush(stdout) == 0;
    };
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
      std::printf("  [%zu] %s (%s, bytes %llu-%llu)\n      \"%s\"\n", i + 1, title.c_str(),
                  c.document_id.c_str(), static_cast<unsigned long long>(c.source_begin),
                  static_cast<unsigned long long>(c.source_end), OneLine(c.quote).c_str());
    }
  }

 private:
  // The same quoted words have one number, however often they are cited.
  size_t NumberOf(const Citation& citation) {
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].document_id == citation.document_id &&
          sources_[i].source_begin == citation.source_begin) {
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

Status RunAsk(CliSession& session, const AskFlags& flags) {
  RETURN_IF_ERROR(RefuseExplain(flags));
  Trace trace(NewRequestId());
  const Context ctx = session.ctx().WithTrace(&trace);
  ASSIGN_OR_RETURN(Api * api, session.api());
  const AskRequest request = MakeRequest(flags, session.options);
  if (session.options.json) {
    ASSIGN_OR_RETURN(AskReply reply, api->Ask(request, {}, ctx));
    std::printf("%s\n", AskJson(reply, trace).c_str());
    return OkStatus();
  }
  AnswerPrinter printer;
  ASSIGN_OR_RETURN(AskReply reply, api->Ask(request, {nullptr, printer.sink()}, ctx));
  printer.PrintSources(reply);
  PrintTimings(reply, trace);
  return OkStatus();
}

// Reads a question a line until the end of input or "/quit"; "/new" forgets the turns.
Status RunChat(CliSession& session, AskFlags flags) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  std::vector<ChatTemplate::Turn> history;
  const bool prompt = StderrIsTerminal();
  if (prompt) std::fprintf(stderr, "Ask; /new begins anew, /quit or Ctrl-D ends.\n");
  std::string line;
  while (session.ctx().Check().ok()) {
    if (prompt) std::fprintf(stderr, "> ");
    if (!std::getline(std::cin, line)) break;
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
    Trace trace(NewRequestId());
    AnswerPrinter printer;
    auto reply = session.options.json
                     ? api->Ask(request, {}, session.ctx().WithTrace(&trace))
                     : api->Ask(request, {nullptr, printer.sink()}, session.ctx().WithTrace(&trace));
    if (!reply.ok()) {
      // A question that failed does not end the conversation.
      std::fprintf(stderr, "vade: %s\n", reply.status().message().c_str());
      continue;
    }
    if (session.options.json) {
      std::printf("%s\n", AskJson(*reply, trace).c_str());
      std::fflush(stdout);
    } else {
      printer.PrintSources(*reply);
      PrintTimings(*reply, trace);
    }
    history.push_back({Role::kUser, question});
    history.push_back({Role::kAssistant, reply->answer.text});
  }
  return OkStatus();
}

}  // namespace

void AddAskCommands(CLI::App& app, CliSession& session) {
  auto flags = std::make_shared<AskFlags>();
  CLI::App* search = app.add_subcommand("search", "Find the passages nearest to a question");
  search->add_option("question", flags->question, "The question")->required();
  AddQueryOptions(*search, *flags);
  search->callback([&session, flags] { session.Run([&] { return RunSearch(session, *flags); }); });

  CLI::App* ask = app.add_subcommand("ask", "Answer a question from the documents, with citations");
  ask->add_option("question", flags->question, "The question")->required();
  AddAnswerOptions(*ask, *flags);
  ask->callback([&session, flags] { session.Run([&] { return RunAsk(session, *flags); }); });

  CLI::App* chat = app.add_subcommand("chat", "A conversation: one question a line of standard input");
  AddAnswerOptions(*chat, *flags);
  chat->callback([&session, flags] { session.Run([&] { return RunChat(session, *flags); }); });
}

}  // namespace vade
