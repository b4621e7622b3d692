#include "generator/engine.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "generator/draft.h"
#include "generator/prefix_cache.h"
#include "generator/sampler.h"

namespace vade {

using SteadyClock = std::chrono::steady_clock;

// Between the engine's thread, which fills it, and the one that reads the stream.
struct TokenStream::Channel {
  std::mutex mutex;
  std::condition_variable ready;
  std::deque<StreamToken> tokens;
  StreamFacts facts;
  Status status;
  bool ended = false;
  std::atomic<bool> abandoned{false};
};

TokenStream::TokenStream(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}

TokenStream::~TokenStream() { channel_->abandoned.store(true, std::memory_order_relaxed); }

Result<std::optional<StreamToken>> TokenStream::Next() {
  std::unique_lock lock(channel_->mutex);
  channel_->ready.wait(lock, [&] { return channel_->ended || !channel_->tokens.empty(); });
  if (!channel_->tokens.empty()) {
    const StreamToken token = channel_->tokens.front();
    channel_->tokens.pop_front();
    return std::optional<StreamToken>(token);
  }
  if (!channel_->status.ok()) return channel_->status;
  return std::optional<StreamToken>();
}

StreamFacts TokenStream::facts() const {
  std::lock_guard lock(channel_->mutex);
  return channel_->facts;
}

namespace {

double MillisecondsSince(SteadyClock::time_point start) {
  return std::chrono::duration<double, std::milli>(SteadyClock::now() - start).count();
}

// A guess for the first hint, before any answer has ended.
constexpr double kFirstAnswerMs = 2000;

}  // namespace

struct Engine::Impl {
  // One answer, from Start() until its end. `tokens` is the prompt and what has been sampled; the
  // first `read` of them lie in the sequence. Setting it aside is dropping the sequence and reading
  // again.
  struct Answering {
    Answering(EngineJob j, std::shared_ptr<TokenStream::Channel> c)
        : job(std::move(j)),
          channel(std::move(c)),
          sampler(job.sampling, std::move(job.constraint)),
          tokens(job.prefix) {
      tokens.insert(tokens.end(), job.rest.begin(), job.rest.end());
      prompt_tokens = tokens.size();
    }
    size_t unread() const { return tokens.size() - read; }
    size_t sampled() const { return tokens.size() - prompt_tokens; }

    EngineJob job;
    std::shared_ptr<TokenStream::Channel> channel;
    Sampler sampler;
    Tokens tokens;
    size_t prompt_tokens = 0;
    size_t read = 0;
    std::unique_ptr<Sequence> sequence;
    Tokens guessing;  // the last token and a guess, while a step reads them
    GuessRecord guesses;
    uint64_t steps = 0;
    uint64_t cached_tokens = 0;
    SteadyClock::time_point submitted = SteadyClock::now(), admitted{};
  };
  using AnsweringPtr = std::unique_ptr<Answering>;
  // What one answer reads in one step.
  struct Piece {
    size_t guessed() const { return wanted.empty() ? 0 : wanted.size() - 1; }
    void DropGuess() {
      tokens = tokens.first(tokens.size() - guessed());
      wanted.resize(std::min<size_t>(wanted.size(), 1));
    }
    Answering* answering;
    std::span<const int32_t> tokens;
    // Of the last token of what is to be read, when the piece reaches it, and of each guessed one.
    std::vector<int32_t> wanted = {};
    int matched = 0;
  };

  Impl(Decoder* d, const EngineOptions& o)
      : decoder(d), options(o), prefixes(d, std::max(o.kept_prefixes, 0)) {
    step_context = Context().WithCancel(stopping.token());
    thread = std::thread([this] { Run(); });
  }

  ~Impl() {
    {
      std::lock_guard lock(mutex);
      stop = true;
    }
    stopping.Cancel();
    work.notify_all();
    thread.join();
  }

  Result<std::unique_ptr<TokenStream>> Start(EngineJob job);
  void Run();
  void EndUnwanted();
  void Admit();
  bool AdmitOne(AnsweringPtr answering);
  Status OpenSequence(Answering* answering);
  std::vector<Piece> PlanStep();
  void GuessFor(Answering* answering, Piece* piece);
  void Step(std::vector<Piece> pieces);
  void ObserveStep(const std::vector<Piece>& pieces, double milliseconds);
  Result<Logits> Forward(const std::vector<Piece>& pieces);
  void Relieve(const Status& status, std::vector<Piece> pieces);
  bool IsActive(const Answering* answering) const;
  void SetAside(Answering* answering);
  void Finish(const Piece& piece, const Logits& logits, size_t row);
  void CountGuesses(const Answering& answering, size_t guessed, size_t held);
  bool TakeNext(Answering* answering, std::span<const float> logits);
  bool Deliver(Answering* answering, const SampledToken& sampled, double watched);
  void End(Answering* answering, const Status& status, StopCause cause = StopCause::kEnd);
  void EndAll(const Status& status);

  Decoder* const decoder;
  const EngineOptions options;
  PrefixCache prefixes;              // engine's thread
  GuessPolicy guess_policy;          // engine's thread
  std::vector<AnsweringPtr> active;  // engine's thread; oldest first; null: has ended
  bool admission_held = false;       // engine's thread: pages ran out, wait for an end
  Context step_context;
  CancelSource stopping;

  std::mutex mutex;  // guards what follows
  std::condition_variable work;
  std::deque<AnsweringPtr> waiting;
  size_t under_way = 0;               // waiting and active
  double answer_ms = kFirstAnswerMs;  // running mean
  bool stop = false;

  std::thread thread;  // last: starts when all else stands
};

Engine::Engine(Decoder* decoder, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(decoder, options)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<TokenStream>> Engine::Start(EngineJob job) {
  return impl_->Start(std::move(job));
}

Result<std::unique_ptr<TokenStream>> Engine::Impl::Start(EngineJob job) {
  if (job.rest.empty())
    return InvalidArgument("a prompt needs at least one token behind its prefix");
  RETURN_IF_ERROR(job.ctx.Check());
  auto channel = std::make_shared<TokenStream::Channel>();
  auto answering = std::make_unique<Answering>(std::move(job), channel);
  std::lock_guard lock(mutex);
  const size_t active_room = std::max(options.max_active, 1);
  if (under_way >= active_room + std::max(options.max_waiting, 0)) {
    const double seconds = answer_ms / 1000 * (under_way - active_room + 1) / active_room;
    return ResourceExhausted(StrCat(under_way,
                                    " answers are under way and no more may wait; retry in about ",
                                    static_cast<int64_t>(seconds) + 1, " s"));
  }
  ++under_way;
  waiting.push_back(std::move(answering));
  work.notify_one();
  return std::unique_ptr<TokenStream>(new TokenStream(std::move(channel)));
}

void Engine::Impl::Run() {
  for (;;) {
    {
      std::unique_lock lock(mutex);
      work.wait(lock, [&] { return stop || !waiting.empty() || !active.empty(); });
      if (stop) break;
    }
    EndUnwanted();
    Admit();
    if (!active.empty()) Step(PlanStep());
    std::erase(active, nullptr);
  }
  EndAll(Unavailable("the service is shutting down; ask again once it is back"));
  prefixes.Clear();
}

// Cancellation, deadlines and readers that have gone away, once a step.
void Engine::Impl::EndUnwanted() {
  auto verdict = [](const Answering& answering) {
    if (answering.channel->abandoned.load(std::memory_order_relaxed))
      return Cancelled("the reader left");
    return answering.job.ctx.Check();
  };
  for (AnsweringPtr& answering : active) {
    if (Status status = verdict(*answering); !status.ok()) End(answering.get(), status);
  }
  std::erase(active, nullptr);
  std::vector<std::pair<AnsweringPtr, Status>> unwanted;
  {
    std::lock_guard lock(mutex);
    for (AnsweringPtr& answering : waiting) {
      if (Status status = verdict(*answering); !status.ok()) {
        unwanted.emplace_back(std::move(answering), status);
      }
    }
    std::erase(waiting, nullptr);
  }
  for (auto& [answering, status] : unwanted) End(answering.get(), status);
}

void Engine::Impl::Admit() {
  while (active.size() < static_cast<size_t>(std::max(options.max_active, 1))) {
    if (admission_held && !active.empty()) return;
    AnsweringPtr next;
    {
      std::lock_guard lock(mutex);
      if (waiting.empty()) return;
      next = std::move(waiting.front());
      waiting.pop_front();
    }
    if (!AdmitOne(std::move(next))) return;
  }
}

// False when there is no page for it now and others will give theirs back.
bool Engine::Impl::AdmitOne(AnsweringPtr answering) {
  const Status opened = OpenSequence(answering.get());
  if (opened.ok()) {
    if (answering->admitted == SteadyClock::time_point{}) answering->admitted = SteadyClock::now();
    active.push_back(std::move(answering));
    return true;
  }
  if (opened.code() != StatusCode::kResourceExhausted || active.empty()) {
    End(answering.get(), opened);
    return true;
  }
  admission_held = true;
  std::lock_guard lock(mutex);
  waiting.push_front(std::move(answering));
  return false;
}

Status Engine::Impl::OpenSequence(Answering* answering) {
  answering->read = 0;
  answering->sequence = prefixes.Fork(answering->job.prefix);
  if (answering->sequence) {
    answering->read = answering->job.prefix.size();
    if (answering->sampled() == 0) answering->cached_tokens = answering->read;
    return OkStatus();
  }
  ASSIGN_OR_RETURN(answering->sequence, decoder->NewSequence());
  return OkStatus();
}

std::vector<Engine::Impl::Piece> Engine::Impl::PlanStep() {
  std::vector<Piece> pieces;
  size_t room = std::max(options.prefill_tokens, 1);
  for (const AnsweringPtr& answering : active) {
    size_t tokens = 1;
    if (answering->unread() > 1) {
      tokens = std::min(room, answering->unread());
      room -= tokens;
    }
    if (tokens == 0) continue;
    Piece piece{answering.get(), std::span(answering->tokens).subspan(answering->read, tokens)};
    if (tokens == answering->unread()) piece.wanted = {static_cast<int32_t>(tokens) - 1};
    if (answering->sampled() > 0 && answering->unread() == 1) GuessFor(answering.get(), &piece);
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

// Lets a piece that reads the last token read a guess behind it, if that is likely to pay.
void Engine::Impl::GuessFor(Answering* answering, Piece* piece) {
  // Guessing goes on, a little, where it did not pay: the text may have come to a quotation.
  constexpr uint64_t kTryAgainEvery = 16;
  const int64_t left =
      answering->job.sampling.max_tokens - static_cast<int64_t>(answering->sampled());
  const int64_t room =
      decoder->info().context_tokens - static_cast<int64_t>(answering->tokens.size());
  const auto longest =
      static_cast<int>(std::min<int64_t>({options.guessed_tokens, left - 1, room}));
  const Guess guess = GuessNext(answering->tokens, answering->job.prefix.size(), longest);
  if (guess.tokens.empty()) return;
  const int length =
      guess_policy.BestLength(guess.matched, answering->guesses, static_cast<int>(active.size()),
                              static_cast<int>(guess.tokens.size()));
  const bool again = ++answering->steps % kTryAgainEvery == 0;
  if (length == 0 && !again) return;
  const auto taken = guess.tokens.first(static_cast<size_t>(std::max(length, 1)));
  answering->guessing = {answering->tokens.back()};
  answering->guessing.insert(answering->guessing.end(), taken.begin(), taken.end());
  piece->tokens = answering->guessing;
  piece->matched = guess.matched;
  for (size_t i = 1; i <= taken.size(); ++i) piece->wanted.push_back(static_cast<int32_t>(i));
}

void Engine::Impl::Step(std::vector<Piece> pieces) {
  const auto started = SteadyClock::now();
  Result<Logits> logits = Forward(pieces);
  if (!logits.ok()) return Relieve(logits.status(), std::move(pieces));
  ObserveStep(pieces, MillisecondsSince(started));
  size_t row = 0;
  for (const Piece& piece : pieces) {
    Answering* const answering = piece.answering;
    const size_t prefix = answering->job.prefix.size(),
                 tokens = piece.tokens.size() - piece.guessed();
    const bool crossed = answering->read < prefix && answering->read + tokens >= prefix;
    answering->read += tokens;
    if (crossed) prefixes.Keep(answering->job.prefix, *answering->sequence);
    if (!piece.wanted.empty()) Finish(piece, *logits, row);
    row += piece.wanted.size();
  }
}

// Steps that read prompts tell nothing of what a guess costs.
void Engine::Impl::ObserveStep(const std::vector<Piece>& pieces, double milliseconds) {
  size_t guessed = 0;
  for (const Piece& piece : pieces) {
    if (piece.tokens.size() != 1 + piece.guessed()) return;
    guessed += piece.guessed();
  }
  guess_policy.ObserveStep(static_cast<int>(pieces.size()), static_cast<int>(guessed),
                           milliseconds);
}

Result<Logits> Engine::Impl::Forward(const std::vector<Piece>& pieces) {
  std::vector<ForwardItem> items;
  items.reserve(pieces.size());
  size_t rows = 0;
  for (const Piece& piece : pieces) {
    ForwardItem item;
    item.sequence = piece.answering->sequence.get();
    item.tokens = piece.tokens;
    item.wanted = piece.wanted;
    rows += piece.wanted.size();
    items.push_back(item);
  }
  ASSIGN_OR_RETURN(Logits logits, decoder->Forward(items, step_context));
  if (logits.vocab_size < 0 ||
      logits.values.size() != rows * static_cast<size_t>(logits.vocab_size)) {
    return Internal(StrCat("the decoder returned ", logits.values.size(), " logits for ", rows,
                           " rows of ", logits.vocab_size));
  }
  return logits;
}

// A step failed and has changed nothing. Makes room, or finds out whose fault it is.
void Engine::Impl::Relieve(const Status& status, std::vector<Piece> pieces) {
  if (stopping.token().cancelled()) return;
  bool guessed = false;
  for (Piece& piece : pieces) {
    guessed |= piece.guessed() > 0;
    piece.DropGuess();
  }
  if (guessed) return Step(std::move(pieces));  // no answer fails or waits for a guess's sake
  if (status.code() == StatusCode::kResourceExhausted) {
    if (prefixes.Clear()) return;  // the next step tries again
    std::erase(active, nullptr);   // those that ended earlier in this step
    if (active.size() > 1) return SetAside(active.back().get());
  }
  if (pieces.size() == 1) return End(pieces[0].answering, status);
  for (const Piece& piece : pieces) {
    if (IsActive(piece.answering)) Step({piece});  // an earlier piece may have set it aside
  }
}

bool Engine::Impl::IsActive(const Answering* answering) const {
  return std::any_of(active.begin(), active.end(),
                     [&](const AnsweringPtr& a) { return a.get() == answering; });
}

void Engine::Impl::SetAside(Answering* answering) {
  const auto it = std::find_if(active.begin(), active.end(),
                               [&](const AnsweringPtr& a) { return a.get() == answering; });
  answering->sequence.reset();
  answering->read = 0;
  admission_held = true;
  AnsweringPtr aside = std::move(*it);
  active.erase(it);
  std::lock_guard lock(mutex);
  waiting.push_front(std::move(aside));
}

// Takes the next token, and those behind it for as long as they were guessed rightly.
void Engine::Impl::Finish(const Piece& piece, const Logits& logits, size_t row) {
  Answering* const answering = piece.answering;
  const size_t guessed = piece.guessed();
  CountGuesses(*answering, guessed, 0);
  bool goes_on = true;
  size_t held = 0;
  for (;; ++held) {
    const size_t length = answering->tokens.size();
    goes_on = TakeNext(answering, logits.row(row + held));
    if (!goes_on || held == guessed) break;
    if (answering->tokens[length] != piece.tokens[held + 1]) break;
    CountGuesses(*answering, 0, 1);
  }
  if (guessed == 0) return;
  guess_policy.ObserveGuess(piece.matched, static_cast<int>(guessed), static_cast<int>(held));
  if (!goes_on) return;
  answering->guesses.Observe(piece.matched, static_cast<int>(guessed), static_cast<int>(held));
  answering->read += held;
  const Status taken_back =
      decoder->Truncate(*answering->sequence, static_cast<int>(answering->read));
  if (!taken_back.ok()) End(answering, taken_back);
}

void Engine::Impl::CountGuesses(const Answering& answering, size_t guessed, size_t held) {
  if (guessed + held == 0) return;
  std::lock_guard lock(answering.channel->mutex);
  answering.channel->facts.guessed_tokens += guessed;
  answering.channel->facts.held_tokens += held;
}

// False when the answer has ended with it.
bool Engine::Impl::TakeNext(Answering* answering, std::span<const float> logits) {
  Result<SampledToken> sampled = answering->sampler.Next(logits);
  if (!sampled.ok()) {
    End(answering, sampled.status());
    return false;
  }
  double watched = 0;
  if (answering->sampled() == 0) watched = ProbabilityOf(logits, answering->job.watched);
  return Deliver(answering, *sampled, watched);
}

bool Engine::Impl::Deliver(Answering* answering, const SampledToken& sampled, double watched) {
  const bool first = answering->sampled() == 0;
  const bool end = decoder->tokenizer().IsEnd(sampled.id);
  {
    TokenStream::Channel& channel = *answering->channel;
    std::lock_guard lock(channel.mutex);
    if (first) {
      channel.facts.cached_tokens = answering->cached_tokens;
      channel.facts.watched_probability = watched;
      channel.facts.prefill_ms = MillisecondsSince(answering->admitted);
    }
    if (!end) channel.tokens.push_back({sampled.id, sampled.probability});
    channel.ready.notify_one();
  }
  if (end) {
    End(answering, OkStatus());
    return false;
  }
  answering->tokens.push_back(sampled.id);
  if (answering->sampled() < static_cast<size_t>(answering->job.sampling.max_tokens)) return true;
  End(answering, OkStatus(), StopCause::kMaxTokens);
  return false;
}

// Destroys the answer when it is active: its place becomes null.
void Engine::Impl::End(Answering* answering, const Status& status, StopCause cause) {
  {
    std::lock_guard lock(mutex);
    --under_way;
    if (status.ok()) answer_ms += (MillisecondsSince(answering->submitted) - answer_ms) / 8;
  }
  {
    TokenStream::Channel& channel = *answering->channel;
    std::lock_guard lock(channel.mutex);
    channel.ended = true;
    channel.status = status;
    channel.facts.cause = cause;
    channel.ready.notify_one();
  }
  admission_held = false;
  for (AnsweringPtr& place : active) {
    if (place.get() == answering) {
      place.reset();
      return;
    }
  }
}

void Engine::Impl::EndAll(const Status& status) {
  std::deque<AnsweringPtr> left;
  {
    std::lock_guard lock(mutex);
    left.swap(waiting);
  }
  for (AnsweringPtr& answering : left) End(answering.get(), status);
  for (AnsweringPtr& answering : active) {
    if (answering) End(answering.get(), status);
  }
  active.clear();
}

}  // namespace vade
