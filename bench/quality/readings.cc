// What does a model say of each passage alone? Reads every distinct passage once behind the prefix,
// runs each question behind its hits in one batch, and writes what the first token tells and the
// short answer that would follow, so that every later question about choosing and abstaining is
// answered from the file, without the model (bench/quality/readings.py).
//
//   readings MODEL.gguf WORDINGS QUESTIONS.jsonl [--hits N=6] [--threads N] [--kv-mib N=4096]
//            [--likelihood 0|1] [--decode N=99]
//
// WORDINGS: bench/quality/wordings.h. QUESTIONS: lines {"id", "question", "hits": [{"title",
// "heading", "text"}]}, as bench/quality/readings.py writes them. The prompt is that of the
// generator (prefix | block | question) without labels, since a passage alone needs none.
//
// Writes a line of JSON a wording, question and hit: "wording", "id", "rank" (from 0), "decline"
// (summed probability of the declining tokens at the first one), "entropy" (of the first token, in
// nats), "top" (the five most probable first tokens), "answer" (greedy, at most 24 tokens,
// declining forbidden at the first), "log_probabilities" (of its tokens in the model's own
// distribution, the end included where it came), "ended"; with --likelihood 1
// "question_log_probability" (summed over the question's tokens behind the passage),
// "question_alone" (the same without a passage) and "question_tokens".
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/strings.h"
#include "base/threads.h"
#include "bench/quality/wordings.h"
#include "generator/answer_text.h"
#include "generator/json_value.h"
#include "generator/prompt.h"
#include "generator/sampler.h"
#include "model/decoder.h"

namespace vade {
namespace {

constexpr int kAnswerTokens = 24;
constexpr int kTopTokens = 5;
constexpr JsonLimits kLineLimits{.bytes = 16 << 20};

struct Flags {
  std::string model, wordings, questions;
  int hits = 6, threads = UsableCores(), kv_mib = 4096, likelihood = 1, decode = 99;
};

struct Asked {
  std::string id, question;
  std::vector<Hit> hits;
};

// What a first row of logits and the answer behind it say of one passage.
struct Heard {
  double decline = 0, entropy = 0;
  std::vector<std::pair<int32_t, double>> top;  // probabilities
  Tokens answer;
  std::vector<double> log_probabilities;
  bool ended = false;
  std::vector<double> question;  // log probabilities of its tokens
  double verified = -1;          // probability of yes; -1: was not asked
};

std::string TextOf(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.Find(key);
  return value && value->is(JsonValue::Kind::kString) ? value->text : std::string();
}

Result<std::vector<Asked>> ReadQuestions(const std::string& path, size_t hits) {
  std::vector<Asked> all;
  std::ifstream in(path);
  if (!in.good()) return NotFound(path + " cannot be read; make it with readings.py hits");
  for (std::string line; std::getline(in, line);) {
    ASSIGN_OR_RETURN(const JsonValue row, ParseJson(line, kLineLimits));
    Asked asked{TextOf(row, "id"), TextOf(row, "question"), {}};
    const JsonValue* list = row.Find("hits");
    for (size_t i = 0; list && i < std::min(hits, list->items.size()); ++i) {
      Hit hit;
      hit.title = TextOf(list->items[i], "title");
      hit.passage.heading_path = TextOf(list->items[i], "heading");
      hit.passage.text = TextOf(list->items[i], "text");
      asked.hits.push_back(std::move(hit));
    }
    if (!asked.hits.empty()) all.push_back(std::move(asked));
  }
  return all;
}

double LogSum(std::span<const float> logits) {
  float greatest = logits[0];
  for (const float x : logits) greatest = std::max(greatest, x);
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - greatest);
  return greatest + std::log(sum);
}

// The most probable token that is none of `banned`.
int32_t Greedy(std::span<const float> logits, const Tokens& banned) {
  int32_t best = -1;
  for (int32_t id = 0; id < static_cast<int32_t>(logits.size()); ++id) {
    if (best >= 0 && logits[id] <= logits[best]) continue;
    if (std::find(banned.begin(), banned.end(), id) == banned.end()) best = id;
  }
  return best;
}

void HearFirst(std::span<const float> logits, const Tokens& declining, Heard* heard) {
  const double log_sum = LogSum(logits);
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = static_cast<int32_t>(i);
    const double log_p = logits[i] - log_sum;
    if (log_p > -40) heard->entropy -= std::exp(log_p) * log_p;
  }
  std::partial_sort(order.begin(), order.begin() + kTopTokens, order.end(),
                    [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  for (int i = 0; i < kTopTokens; ++i)
    heard->top.emplace_back(order[i], std::exp(logits[order[i]] - log_sum));
  heard->decline = ProbabilityOf(logits, declining);
}

// Reads one wording's passages and questions.
class Reader {
 public:
  Reader(Decoder* decoder, const ChatTemplate* chat, const Flags& flags)
      : decoder_(decoder), chat_(chat), writer_(&decoder->tokenizer(), chat), flags_(flags) {}

  // Passages that another wording with the same prefix has read are kept.
  Status Begin(const NamedWording& named) {
    UseWording(named.wording);
    named_ = named;
    const Tokens prefix = writer_.Prefix(kAny);
    if (prefix == prefix_) return OkStatus();
    kept_.clear();
    prefix_ = prefix;
    ASSIGN_OR_RETURN(prefix_sequence_, decoder_->NewSequence());
    const ForwardItem item{prefix_sequence_.get(), prefix_, {}, {}};
    return decoder_->Forward({&item, 1}, Context()).status();
  }

  // When the pages run out, all that was kept goes and the question is read anew.
  Result<std::vector<Heard>> Read(const Asked& asked, std::vector<double>* alone) {
    auto heard = ReadOnce(asked, alone);
    if (heard.status().code() != StatusCode::kResourceExhausted || kept_.empty()) return heard;
    kept_.clear();
    return ReadOnce(asked, alone);
  }

 private:
  static constexpr PromptLanguage kAny = PromptLanguage::kEnglish;  // one wording at a time

  struct Suffix {
    Tokens tokens;
    size_t question_begin = 0, question_end = 0;  // of the question's own tokens, nearly
  };

  Result<std::vector<Heard>> ReadOnce(const Asked& asked, std::vector<double>* alone) {
    RETURN_IF_ERROR(ReadMissing(asked.hits));
    std::vector<const Sequence*> blocks;
    for (const Hit& hit : asked.hits) blocks.push_back(kept_.at(BlockText(hit)).get());
    const Suffix suffix = SuffixOf(asked.question);
    std::vector<std::unique_ptr<Sequence>> sequences;
    for (const Sequence* block : blocks) {
      ASSIGN_OR_RETURN(auto fork, decoder_->Fork(*block, block->length()));
      sequences.push_back(std::move(fork));
    }
    if (flags_.likelihood) {  // behind no passage, last
      ASSIGN_OR_RETURN(auto fork, decoder_->Fork(*prefix_sequence_, prefix_sequence_->length()));
      sequences.push_back(std::move(fork));
    }
    ASSIGN_OR_RETURN(std::vector<Heard> heard, RunSuffix(suffix, sequences));
    if (flags_.likelihood) {
      *alone = heard.back().question;
      heard.pop_back();
      sequences.pop_back();
    }
    if (flags_.decode) RETURN_IF_ERROR(Decode(sequences, &heard));
    if (flags_.decode && !named_.verify.empty()) RETURN_IF_ERROR(Verify(sequences, &heard));
    return heard;
  }

  Suffix SuffixOf(const std::string& question) const {
    const PromptWording& wording = Wording(kAny);
    const auto count = [&](const std::string& text) { return Text(text).size(); };
    Suffix suffix{writer_.Question(question, kAny), count(wording.before_question),
                  count(wording.before_question + question)};
    suffix.question_begin = std::max<size_t>(suffix.question_begin, 1);
    return suffix;
  }

  Status ReadMissing(const std::vector<Hit>& hits) {
    std::map<std::string, std::unique_ptr<Sequence>> fresh;
    std::vector<Tokens> tokens;
    std::vector<ForwardItem> items;
    tokens.reserve(hits.size());
    for (const Hit& hit : hits) {
      const std::string text = BlockText(hit);
      if (kept_.contains(text) || fresh.contains(text)) continue;
      ASSIGN_OR_RETURN(fresh[text], decoder_->Fork(*prefix_sequence_, prefix_sequence_->length()));
      tokens.push_back(writer_.Block(hit));
      items.push_back({fresh[text].get(), tokens.back(), {}, {}});
    }
    if (items.empty()) return OkStatus();
    RETURN_IF_ERROR(decoder_->Forward(items, Context()).status());
    kept_.merge(fresh);
    return OkStatus();
  }

  Result<std::vector<Heard>> RunSuffix(const Suffix& suffix,
                                       const std::vector<std::unique_ptr<Sequence>>& sequences) {
    std::vector<int32_t> wanted;
    if (flags_.likelihood) {
      for (size_t i = suffix.question_begin; i < suffix.question_end; ++i)
        wanted.push_back(static_cast<int32_t>(i) - 1);
    }
    const size_t question_rows = wanted.size();
    wanted.push_back(static_cast<int32_t>(suffix.tokens.size()) - 1);
    std::vector<ForwardItem> items;
    for (const auto& sequence : sequences)
      items.push_back({sequence.get(), suffix.tokens, {}, wanted});
    ASSIGN_OR_RETURN(const Logits logits, decoder_->Forward(items, Context()));
    const Tokens declining = writer_.DeclineTokens(kAny);
    std::vector<Heard> heard(sequences.size());
    firsts_.clear();
    for (size_t s = 0; s < sequences.size(); ++s) {
      const size_t row = s * wanted.size();
      for (size_t i = 0; i < question_rows; ++i) {
        const auto values = logits.row(row + i);
        heard[s].question.push_back(values[suffix.tokens[suffix.question_begin + i]] -
                                    LogSum(values));
      }
      const auto first = logits.row(row + question_rows);
      HearFirst(first, declining, &heard[s]);
      const int32_t token = Greedy(first, declining);
      firsts_.emplace_back(token, first[token] - LogSum(first));
    }
    return heard;
  }

  std::vector<bool> ToDecode(const std::vector<Heard>& heard) const {
    std::vector<double> likelihoods;
    for (const Heard& one : heard)
      likelihoods.push_back(std::accumulate(one.question.begin(), one.question.end(), 0.0));
    std::vector<bool> wanted;
    for (const double own : likelihoods) {
      const auto above = std::count_if(likelihoods.begin(), likelihoods.end(),
                                       [own](double other) { return other > own; });
      wanted.push_back(wanted.empty() || above < flags_.decode);
    }
    return wanted;
  }

  // All answers in one batch, each until it ends.
  Status Decode(const std::vector<std::unique_ptr<Sequence>>& sequences,
                std::vector<Heard>* heard) {
    std::vector<std::pair<int32_t, double>> next = firsts_;
    next.resize(sequences.size());
    const std::vector<bool> wanted = ToDecode(*heard);
    for (int step = 0;; ++step) {
      std::vector<ForwardItem> items;
      std::vector<size_t> running;
      static constexpr int32_t kLast[] = {0};
      for (size_t s = 0; s < sequences.size(); ++s) {
        Heard& one = (*heard)[s];
        if (!wanted[s] || one.ended) continue;
        one.log_probabilities.push_back(next[s].second);
        one.ended = decoder_->tokenizer().IsEnd(next[s].first);
        if (one.ended) continue;
        one.answer.push_back(next[s].first);
        items.push_back({sequences[s].get(), {&next[s].first, 1}, {}, kLast});
        running.push_back(s);
      }
      if (items.empty() || step + 1 == kAnswerTokens) return OkStatus();
      ASSIGN_OR_RETURN(const Logits logits, decoder_->Forward(items, Context()));
      for (size_t i = 0; i < running.size(); ++i) {
        const auto row = logits.row(i);
        const int32_t token = Greedy(row, {});
        next[running[i]] = {token, row[token] - LogSum(row)};
      }
    }
  }

  // The answers stand in their sequences; one more turn asks whether they are right.
  Status Verify(const std::vector<std::unique_ptr<Sequence>>& sequences,
                std::vector<Heard>* heard) {
    Tokens turn = chat_->Close();
    for (const Tokens& part : {chat_->Open(Role::kUser), Text(named_.verify), chat_->Close(),
                               chat_->Open(Role::kAssistant)})
      turn.insert(turn.end(), part.begin(), part.end());
    const int32_t last[] = {static_cast<int32_t>(turn.size()) - 1};
    std::vector<ForwardItem> items;
    for (const auto& sequence : sequences) items.push_back({sequence.get(), turn, {}, last});
    ASSIGN_OR_RETURN(const Logits logits, decoder_->Forward(items, Context()));
    for (size_t s = 0; s < sequences.size(); ++s) {
      const double yes = ProbabilityOf(logits.row(s), FirstTokens(named_.yes));
      const double no = ProbabilityOf(logits.row(s), FirstTokens(named_.no));
      (*heard)[s].verified = yes / std::max(yes + no, 1e-9);
    }
    return OkStatus();
  }

  Tokens Text(std::string_view text) const {
    return decoder_->tokenizer().Encode(text, Special::kText);
  }
  Tokens FirstTokens(const std::vector<std::string>& replies) const {
    Tokens first;
    for (const std::string& reply : replies) first.push_back(Text(reply).at(0));
    return first;
  }

  Decoder* const decoder_;
  const ChatTemplate* const chat_;
  const PromptWriter writer_;
  const Flags flags_;
  NamedWording named_;
  Tokens prefix_;
  std::unique_ptr<Sequence> prefix_sequence_;
  std::map<std::string, std::unique_ptr<Sequence>> kept_;  // prefix and block, by the block's text
  std::vector<std::pair<int32_t, double>> firsts_;  // of the last suffix: token, log probability
};

std::string AnswerOf(const Tokenizer& tokenizer, const Tokens& tokens) {
  AnswerText text({});
  std::string answer;
  for (const int32_t id : tokens) answer += text.Append(tokenizer.Piece(id));
  return answer + text.Finish();
}

std::string List(const std::vector<double>& numbers) {
  std::string out;
  char text[32];
  for (const double number : numbers) {
    std::snprintf(text, sizeof text, "%s%.4f", out.empty() ? "" : ",", number);
    out += text;
  }
  return StrCat("[", out, "]");
}

void Print(const std::string& wording, const Asked& asked, size_t rank, const Tokenizer& tokenizer,
           const Heard& heard) {
  std::printf("{\"wording\":%s,\"id\":%s,\"rank\":%zu,\"decline\":%.6g,\"entropy\":%.4f,\"top\":[",
              QuotedJson(wording).c_str(), QuotedJson(asked.id).c_str(), rank, heard.decline,
              heard.entropy);
  for (size_t i = 0; i < heard.top.size(); ++i)
    std::printf("%s[%s,%.4g]", i ? "," : "",
                QuotedJson(AnswerOf(tokenizer, {heard.top[i].first})).c_str(), heard.top[i].second);
  std::printf("],\"answer\":%s,\"log_probabilities\":%s,\"ended\":%s,\"question\":%s",
              QuotedJson(AnswerOf(tokenizer, heard.answer)).c_str(),
              List(heard.log_probabilities).c_str(), heard.ended ? "true" : "false",
              List(heard.question).c_str());
  if (heard.verified >= 0) std::printf(",\"verified\":%.4f", heard.verified);
}

// Of wordings that share a prefix, so that what is known early compares them.
Status ReadAll(std::span<const NamedWording> wordings, const std::vector<Asked>& questions,
               const Tokenizer& tokenizer, Reader* reader) {
  for (const Asked& asked : questions) {
    for (const NamedWording& named : wordings) {
      RETURN_IF_ERROR(reader->Begin(named));
      std::vector<double> alone;
      ASSIGN_OR_RETURN(const auto heard, reader->Read(asked, &alone));
      for (size_t rank = 0; rank < heard.size(); ++rank) {
        Print(named.name, asked, rank, tokenizer, heard[rank]);
        std::printf(",\"alone\":%s}\n", List(alone).c_str());
      }
    }
    std::fflush(stdout);
  }
  return OkStatus();
}

Status Run(const Flags& flags) {
  ThreadPool pool(flags.threads);
  ASSIGN_OR_RETURN(
      auto decoder,
      LoadDecoder(flags.model, {.pool = &pool,
                                .context_tokens = 4096,
                                .kv_budget_bytes = static_cast<uint64_t>(flags.kv_mib) << 20}));
  ASSIGN_OR_RETURN(const ChatTemplate* chat, decoder->chat_template());
  ASSIGN_OR_RETURN(const auto questions, ReadQuestions(flags.questions, flags.hits));
  const auto wordings = ReadWordings(flags.wordings);
  if (wordings.empty()) return NotFound(flags.wordings + " holds no wording");
  Reader reader(decoder.get(), chat, flags);
  for (auto begin = wordings.begin(), end = begin; begin != wordings.end(); begin = end) {
    end = std::find_if(begin, wordings.end(), [&](const NamedWording& other) {
      return other.wording.system != begin->wording.system ||
             other.wording.opening != begin->wording.opening;
    });
    RETURN_IF_ERROR(ReadAll({begin, end}, questions, decoder->tokenizer(), &reader));
  }
  return OkStatus();
}

bool Parse(int argc, char** argv, Flags* flags) {
  if (argc < 4 || argc % 2 != 0) return false;
  flags->model = argv[1];
  flags->wordings = argv[2];
  flags->questions = argv[3];
  for (int i = 4; i < argc; i += 2) {
    const std::string name = argv[i];
    int* const number = name == "--hits"         ? &flags->hits
                        : name == "--threads"    ? &flags->threads
                        : name == "--kv-mib"     ? &flags->kv_mib
                        : name == "--likelihood" ? &flags->likelihood
                        : name == "--decode"     ? &flags->decode
                                                 : nullptr;
    const auto value = ParseInt(argv[i + 1]);
    if (!number || !value) return false;
    *number = static_cast<int>(*value);
  }
  return true;
}

int Main(int argc, char** argv) {
  Flags flags;
  if (!Parse(argc, argv, &flags)) {
    std::fprintf(stderr,
                 "usage: readings MODEL.gguf WORDINGS QUESTIONS.jsonl [--hits N] [--threads N] "
                 "[--kv-mib N] [--likelihood 0|1] [--decode N]\n");
    return 2;
  }
  const Status status = Run(flags);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) { return vade::Main(argc, argv); }
