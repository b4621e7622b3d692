// How many tokens a second do several chats get at once? Starts the chats together on one engine
// and waits for all of them.
//
//   chats_bench MODEL.gguf [--chats N=8] [--prompt N=250] [--tokens N=64] [--threads N] [--packed DIR]
//
// The prompts are token ids that any model of the size knows, different in each chat; ends of the
// answer are forbidden, so that each chat writes N tokens. Prints one line of JSON:
// completion_tokens_per_second (all chats' tokens by the time from the first start to the last
// end), seconds, first_token_seconds (the last chat's), load_seconds, peak_bytes (of the process).
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/threads.h"
#include "generator/engine.h"

namespace vade {
namespace {

using SteadyClock = std::chrono::steady_clock;

double SecondsSince(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

struct Flags {
  std::string model, packed;
  int chats = 8, prompt = 250, tokens = 64, threads = UsableCores();
};

bool Parse(int argc, char** argv, Flags* flags) {
  if (argc < 2 || argc % 2 != 0) return false;
  flags->model = argv[1];
  for (int i = 2; i < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--packed") {
      flags->packed = value;
      continue;
    }
    int* const number = name == "--chats"     ? &flags->chats
                        : name == "--prompt"  ? &flags->prompt
                        : name == "--tokens"  ? &flags->tokens
                        : name == "--threads" ? &flags->threads
                                              : nullptr;
    if (!number) return false;
    *number = std::stoi(value);
  }
  return true;
}

// Keeps an answer from ending before its last token.
std::vector<std::pair<int32_t, double>> WithoutEnds(const Tokenizer& tokenizer) {
  std::vector<std::pair<int32_t, double>> bias;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.IsEnd(id)) bias.emplace_back(id, -100);
  }
  return bias;
}

Result<int> Drain(TokenStream* stream) {
  for (int tokens = 0;; ++tokens) {
    ASSIGN_OR_RETURN(const auto token, stream->Next());
    if (!token) return tokens;
  }
}

Status Run(const Flags& flags) {
  const auto load = SteadyClock::now();
  ThreadPool pool(flags.threads);
  ASSIGN_OR_RETURN(auto decoder,
                   LoadDecoder(flags.model, {.pool = &pool, .packed_cache_dir = flags.packed}));
  const double load_seconds = SecondsSince(load);
  Engine engine(decoder.get(), {.max_active = flags.chats});
  const auto bias = WithoutEnds(decoder->tokenizer());
  const auto start = SteadyClock::now();
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (int chat = 0; chat < flags.chats; ++chat) {
    EngineJob job;
    for (int i = 0; i < flags.prompt; ++i)
      job.rest.push_back((i * 7919 + chat * 104729) % 20000 + 100);
    job.sampling.max_tokens = flags.tokens;
    job.sampling.logit_bias = bias;
    ASSIGN_OR_RETURN(auto stream, engine.Start(std::move(job)));
    streams.push_back(std::move(stream));
  }
  int tokens = 0;
  double first = 0;
  for (const auto& stream : streams) {
    ASSIGN_OR_RETURN(const int written, Drain(stream.get()));
    tokens += written;
    first = std::max(first, stream->facts().prefill_ms / 1000);
  }
  const double seconds = SecondsSince(start);
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"completion_tokens_per_second\": %.2f, \"tokens\": %d, \"seconds\": %.2f, "
      "\"first_token_seconds\": %.2f, \"load_seconds\": %.2f, \"peak_bytes\": %lld}\n",
      tokens / seconds, tokens, seconds, first, load_seconds,
      static_cast<long long>(usage.ru_maxrss) * 1024);
  return OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  if (!Parse(argc, argv, &flags)) {
    std::fprintf(stderr,
                 "usage: chats_bench MODEL.gguf [--chats N] [--prompt N] [--tokens N] "
                 "[--threads N] [--packed DIR]\n");
    return 2;
  }
  const Status status = Run(flags);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) { return vade::Main(argc, argv); }
