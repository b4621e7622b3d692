// One step of the engine: what it reads, and what becomes of what was read.
#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "generator/engine_impl.h"

namespace vade {

// What two tasks need is read by the older one, once.
bool Engine::Impl::WaitsForAnother(const Task& task) const {
  for (const TaskPtr& other : active) {
    if (other.get() == &task) return false;
    if (!other || other->prefix_tokens != task.prefix_tokens) continue;
    const bool same_prefix =
        std::equal(task.tokens.begin(), task.tokens.begin() + static_cast<long>(task.prefix_tokens),
                   other->tokens.begin());
    if (!same_prefix) continue;
    if (options.kept_prefixes > 0 && other->read < other->prefix_tokens) return true;
    const bool same_block =
        task.block_end > 0 && task.key.passage_id != 0 && other->key == task.key;
    if (options.kept_bytes > 0 && same_block && other->read < other->block_end) return true;
  }
  return false;
}

// The sequence of a task, with as much of its prompt as is kept.
Status Engine::Impl::Open(Task* task) {
  if (TakeTurns(task)) return OkStatus();
  if (task->block_end > 0 && task->key.passage_id != 0) {
    task->sequence = kept.Fork(task->key);
    if (task->sequence) {
      task->read = task->block_end;
      CountPassage(task, &counters.from_memory);
    }
  }
  if (!task->sequence) {
    const Tokens prefix(task->tokens.begin(),
                        task->tokens.begin() + static_cast<long>(task->prefix_tokens));
    task->sequence = prefixes.Fork(prefix);
    if (task->sequence) task->read = task->prefix_tokens;
  }
  if (!task->sequence) {
    ASSIGN_OR_RETURN(task->sequence, decoder->NewSequence());
  }
  TakeSavedPrefix(task);
  if (task->sampled() == 0) task->cached_tokens = task->read;
  counters.prompt_kept += task->read;
  TakeSavedBlock(task);
  return OkStatus();
}

// Where more than the block was read for an earlier question, the task goes on from there. What its
// score rests on is read anew, and at least the last token.
bool Engine::Impl::TakeTurns(Task* task) {
  if (task->key.collection == 0 || task->ahead) return false;
  const bool scores = task->scored_begin < task->scored_end;
  const size_t most = std::min(task->tokens.size(), scores ? task->scored_begin : SIZE_MAX) - 1;
  const size_t least = std::max(task->prefix_tokens, task->block_end);
  task->sequence = kept.ForkTurns(task->key, task->asker.audience, task->tokens, least, most);
  if (!task->sequence) return false;
  task->read = static_cast<size_t>(task->sequence->length());
  task->saved.reset();
  if (task->sampled() == 0) task->cached_tokens = task->read;
  if (task->key.passage_id != 0) CountPassage(task, &counters.from_memory);
  ++counters.turns;
  counters.turn_tokens += task->read - least;
  counters.prompt_kept += std::min(task->read, task->prompt_tokens);
  return true;
}

void Engine::Impl::KeepTurns(const Task& task) {
  if (task.ahead || !task.sequence) return;
  kept.KeepTurns(
      task.key, std::span(task.tokens).first(task.read),
      {.prefix_tokens = task.prefix_tokens, .block_end = task.block_end, .asker = task.asker},
      *task.sequence);
}

// Once, whatever becomes of the task: it may be set aside and opened again.
void Engine::Impl::CountPassage(Task* task, std::atomic<uint64_t>* place) {
  if (task->counted) return;
  task->counted = true;
  ++*(task->ahead ? &counters.read_ahead : place);
}

namespace {

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

void Engine::Impl::TakeSavedPrefix(Task* task) {
  if (!task->saved_prefix || task->read > 0) return;
  const auto saved = std::move(task->saved_prefix);
  const int tokens = static_cast<int>(task->prefix_tokens);
  if (!decoder->Append(*task->sequence, Bytes(*saved), tokens).ok()) return;
  task->read = task->prefix_tokens;
  KeepPrefix(task);
}

void Engine::Impl::KeepPrefix(Task* task) {
  prefixes.Keep(
      Tokens(task->tokens.begin(), task->tokens.begin() + static_cast<long>(task->prefix_tokens)),
      *task->sequence);
}

// Behind the prefix, the block from its file. Where there is no page for it, it is read.
void Engine::Impl::TakeSavedBlock(Task* task) {
  if (!task->saved || task->read != task->prefix_tokens) return;
  const auto saved = std::move(task->saved);
  const int tokens = static_cast<int>(task->block_end - task->prefix_tokens);
  if (!decoder->Append(*task->sequence, Bytes(*saved), tokens).ok()) return;
  task->read = task->block_end;
  task->cached_tokens += static_cast<uint64_t>(tokens);
  counters.prompt_kept += static_cast<uint64_t>(tokens);
  CountPassage(task, &counters.from_file);
  kept.Keep(task->key, *task->sequence,
            {.begin = static_cast<int>(task->prefix_tokens),
             .end = static_cast<int>(task->block_end),
             .commit = task->asker.commit,
             .from_file = true});
}

std::vector<Engine::Impl::Piece> Engine::Impl::PlanStep() {
  std::vector<Piece> pieces;
  size_t room = std::max(options.prefill_tokens, 1);
  for (size_t i = 0; i < active.size(); ++i) {
    Task* const task = active[i].get();
    if (task == nullptr) continue;
    if (!task->sequence) {
      if (room == 0 || WaitsForAnother(*task)) continue;
      if (const Status opened = Open(task); !opened.ok()) {
        End(task, opened);
        continue;
      }
    }
    if (!task->first_logits.empty()) {
      const std::vector<float> logits = std::move(task->first_logits);
      task->first_logits.clear();
      if (!TakeNext(task, logits)) continue;
    }
    if (auto piece = PieceOf(task, &room)) pieces.push_back(std::move(*piece));
  }
  return pieces;
}

// Tokens that are scored are read in one piece, so that what else is in the batch shows in no
// score; where a step is too small for them, those at the border count as certain.
size_t Engine::Impl::WithScoresWhole(const Task& task, size_t tokens) const {
  const size_t begin = task.scored_begin, end = task.read + tokens;
  if (begin >= task.scored_end || end < begin || end >= task.scored_end) return tokens;
  const size_t whole = task.scored_end - (begin - 1);
  if (whole > static_cast<size_t>(std::max(options.prefill_tokens, 1))) return tokens;
  return task.read < begin - 1 ? begin - 1 - task.read : 0;
}

std::optional<Engine::Impl::Piece> Engine::Impl::PieceOf(Task* task, size_t* room) {
  size_t tokens = std::min<size_t>(task->unread(), 1);  // none: a beam that waits for others
  if (task->unread() > 1) {
    tokens = std::min(*room, task->unread());
    // The block comes from a file once the prefix is there.
    if (task->saved) tokens = std::min(tokens, task->prefix_tokens - task->read);
    tokens = WithScoresWhole(*task, tokens);
    *room -= tokens;
  }
  if (tokens == 0) return std::nullopt;
  Piece piece{task, task->number, std::span(task->tokens).subspan(task->read, tokens)};
  // The row before a token tells how probable it is; the last row of a piece belongs to the next.
  const size_t scored_begin = std::max(task->scored_begin, task->read + 1);
  const size_t scored_end = std::min(task->scored_end, task->read + tokens);
  for (size_t i = scored_begin; i < scored_end; ++i)
    piece.scored.push_back(static_cast<int32_t>(i - 1 - task->read));
  if (tokens == task->unread()) piece.wanted = {static_cast<int32_t>(tokens) - 1};
  const bool guesses = task->sampled() > 0 && task->unread() == 1 && !task->request->search;
  if (guesses) GuessFor(task, &piece);
  if (guesses && decoder->max_best() > 0) {  // what a first token is asked besides needs all
    const auto next = piece.tokens.subspan(piece.tokens.size() - piece.guessed());
    piece.best = task->sampler->Wanted(decoder->max_best(), next);
    const std::vector<int32_t>& apart = piece.best.apart;
    if (!apart.empty() && apart.back() >= decoder->info().vocab_size) piece.best = {};
    piece.temperature = task->sampler->temperature();
  }
  return piece;
}

// Lets a piece that reads the last token read a guess behind it, if that is likely to pay.
void Engine::Impl::GuessFor(Task* task, Piece* piece) {
  // Guessing goes on, a little, where it did not pay: the text may have come to a quotation.
  constexpr uint64_t kTryAgainEvery = 16;
  const int64_t left = task->max_tokens - static_cast<int64_t>(task->sampled());
  const int64_t room = decoder->info().context_tokens - static_cast<int64_t>(task->tokens.size());
  const auto longest =
      static_cast<int>(std::min<int64_t>({options.guessed_tokens, left - 1, room}));
  const Guess guess = GuessNext(task->tokens, task->prefix_tokens, longest);
  if (guess.tokens.empty()) return;
  const int length =
      guess_policy.BestLength(guess.matched, task->guesses, static_cast<int>(active.size()),
                              static_cast<int>(guess.tokens.size()));
  const bool again = ++task->steps % kTryAgainEvery == 0;
  if (length == 0 && !again) return;
  const auto taken = guess.tokens.first(static_cast<size_t>(std::max(length, 1)));
  task->guessing = {task->tokens.back()};
  task->guessing.insert(task->guessing.end(), taken.begin(), taken.end());
  piece->tokens = task->guessing;
  piece->matched = guess.matched;
  for (size_t i = 1; i <= taken.size(); ++i) piece->wanted.push_back(static_cast<int32_t>(i));
}

void Engine::Impl::Step(std::vector<Piece> pieces) {
  if (pieces.empty()) return;
  const auto started = SteadyClock::now();
  Result<Logits> logits = Forward(pieces);
  if (!logits.ok()) return Relieve(logits.status(), std::move(pieces));
  patience = kPatience;
  ObserveStep(pieces, MillisecondsSince(started));
  size_t whole_row = 0, best_row = 0;
  std::span<const float> scores = logits->scores;
  for (const Piece& piece : pieces) {
    AddScores(piece, scores.first(piece.scored.size()));
    scores = scores.subspan(piece.scored.size());
    Advance(piece);
    size_t& row = piece.best.count > 0 ? best_row : whole_row;
    if (!piece.wanted.empty()) Finish(piece, *logits, row);
    row += piece.wanted.size();
  }
}

void Engine::Impl::AddScores(const Piece& piece, std::span<const float> scores) {
  for (float score : scores) piece.task->scored_log_probability += score;
}

// The piece has been read; what others may go on from is kept.
void Engine::Impl::Advance(const Piece& piece) {
  Task* const task = piece.task;
  const size_t before = task->read;
  task->read += piece.tokens.size() - piece.guessed();
  counters.prompt_read +=
      std::min(task->read, task->prompt_tokens) - std::min(before, task->prompt_tokens);
  auto crossed = [&](size_t border) { return before < border && task->read >= border; };
  if (crossed(task->prefix_tokens)) {
    KeepPrefix(task);
    if (task->is_reading() && task->key.passage_id != 0) {
      kept.KeepPrefix(task->key.content[0], *task->sequence, static_cast<int>(task->prefix_tokens));
    }
    TakeSavedBlock(task);
  }
  if (crossed(task->block_end) && task->key.passage_id != 0) {
    CountPassage(task, &counters.read);
    kept.Keep(task->key, *task->sequence,
              {.begin = static_cast<int>(task->prefix_tokens),
               .end = static_cast<int>(task->block_end),
               .commit = task->asker.commit});
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
  size_t rows = 0, best = 0;
  for (const Piece& piece : pieces) {
    ForwardItem item;
    item.sequence = piece.task->sequence.get();
    item.tokens = piece.tokens;
    item.wanted = piece.wanted;
    item.scored = piece.scored;
    item.best = piece.best.count;
    item.weights = piece.best.weights;
    item.apart = piece.best.apart;
    item.temperature = piece.temperature;
    (piece.best.count > 0 ? best : rows) += piece.wanted.size();
    items.push_back(item);
  }
  ASSIGN_OR_RETURN(Logits logits, decoder->Forward(items, step_context));
  size_t scored = 0;
  for (const Piece& piece : pieces) scored += piece.scored.size();
  if (logits.vocab_size < 0 || logits.scores.size() != scored || logits.best.size() != best ||
      logits.values.size() != rows * static_cast<size_t>(logits.vocab_size)) {
    return Internal(StrCat("the decoder returned ", logits.values.size(), " logits for ", rows,
                           " rows of ", logits.vocab_size, " and the best of ", logits.best.size(),
                           " rows for ", best));
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
    // The next step tries again.
    if (kept.Shrink() || prefixes.Clear()) return;
    std::erase(active, nullptr);  // those that ended earlier in this step
    if (OthersAreActive()) return SetAside(active.back().get());
    if (OthersHoldPages(*pieces[0].task) && patience-- > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      return;
    }
  }
  if (pieces.size() == 1) return End(pieces[0].task, status);
  for (const Piece& piece : pieces) {
    if (IsActive(piece)) Step({piece});  // an earlier piece may have set it aside
  }
}

// Whether pages can be had by setting a task aside: not by one of a search from another.
bool Engine::Impl::OthersAreActive() const {
  if (active.size() < 2) return false;
  const Request* const newest = active.back()->request.get();
  return !newest->search || std::any_of(active.begin(), active.end(), [&](const TaskPtr& task) {
    return task->request.get() != newest;
  });
}

// Readings that callers are about to go on from, or to let go of.
bool Engine::Impl::OthersHoldPages(const Task& task) const {
  long own = 1;  // the engine's
  if (task.is_reading()) {
    Readings& readings = *task.request->readings;
    std::lock_guard lock(readings.mutex);
    own += static_cast<long>(readings.blocks.size() - readings.missing);
  }
  return held_readings.use_count() > own;
}

// Takes the next token, and those behind it for as long as they were guessed rightly.
void Engine::Impl::Finish(const Piece& piece, const Logits& logits, size_t row) {
  Task* const task = piece.task;
  if (task->is_reading()) return FinishReading(task, logits.row(row));
  if (task->request->search) return static_cast<void>(TakeBeam(task, logits.row(row)));
  const size_t guessed = piece.guessed();
  CountGuesses(*task, guessed, 0);
  bool goes_on = true;
  size_t held = 0;
  for (;; ++held) {
    const size_t length = task->tokens.size();
    goes_on = piece.best.count > 0 ? TakeBest(task, logits, row + held)
                                   : TakeNext(task, logits.row(row + held));
    if (!goes_on || held == guessed) break;
    if (task->tokens[length] != piece.tokens[held + 1]) break;
    ++task->read;  // as a guess it lies in the sequence
    CountGuesses(*task, 0, 1);
  }
  if (guessed == 0) return;
  guess_policy.ObserveGuess(piece.matched, static_cast<int>(guessed), static_cast<int>(held));
  if (!goes_on) return;
  task->guesses.Observe(piece.matched, static_cast<int>(guessed), static_cast<int>(held));
  const Status taken_back = decoder->Truncate(*task->sequence, static_cast<int>(task->read));
  if (!taken_back.ok()) End(task, taken_back);
}

void Engine::Impl::FinishReading(Task* task, std::span<const float> logits) {
  KeepTurns(*task);
  auto block = std::make_unique<ReadBlock>();
  block->watched_probability = ProbabilityOf(logits, task->watched);
  block->scored_log_probability = task->scored_log_probability;
  block->prompt_tokens = task->prompt_tokens;
  block->cached_tokens = task->cached_tokens;
  block->tokens = std::move(task->tokens);
  block->prefix_tokens = task->prefix_tokens;
  block->logits.assign(logits.begin(), logits.end());
  block->sequence = std::move(task->sequence);
  block->origin = {task->key, task->block_end, task->asker};
  block->held = held_readings;

  const std::shared_ptr<Request> request = task->request;
  Readings& readings = *request->readings;
  bool last = false;
  {
    std::lock_guard lock(readings.mutex);
    readings.blocks[task->index] = std::move(block);
    last = --readings.missing == 0;
    if (last) {
      const double milliseconds = MillisecondsSince(request->admitted_at);
      for (auto& done : readings.blocks) done->prefill_ms = milliseconds;
    }
  }
  if (last) return End(task, OkStatus());
  for (TaskPtr& place : active) {
    if (place.get() == task) place.reset();
  }
}

void Engine::Impl::CountGuesses(const Task& task, size_t guessed, size_t held) {
  if (guessed + held == 0) return;
  counters.guessed += guessed;
  counters.held += held;
  TokenStream::Channel& channel = *task.request->channel;
  std::lock_guard lock(channel.mutex);
  channel.facts.guessed_tokens += guessed;
  channel.facts.held_tokens += held;
}

// False when the answer has ended with it.
bool Engine::Impl::TakeNext(Task* task, std::span<const float> logits) {
  if (task->request->search) return TakeBeam(task, logits);
  if (!task->copies.empty()) ReleaseCopies(task, logits);
  Result<SampledToken> sampled = task->sampler->Next(logits);
  if (!sampled.ok()) {
    End(task, sampled.status());
    return false;
  }
  if (task->sampled() == 0) NoteBeginning(*task, ProbabilityOf(logits, task->watched));
  return Deliver(task, *std::move(sampled));
}

// Of a token behind the first. Where the best logits do not tell, all of them do.
bool Engine::Impl::TakeBest(Task* task, const Logits& logits, size_t i) {
  const auto part = [&](int32_t begin, int32_t count) {
    return decoder->RowPart(logits.forward, i, begin, count);
  };
  Result<std::optional<SampledToken>> sampled = task->sampler->NextOf(logits.best[i], part);
  if (sampled.ok() && *sampled) return Deliver(task, **std::move(sampled));
  Status status = sampled.status();
  if (status.ok()) {
    const Result<std::vector<float>> row = decoder->WholeRow(logits.forward, i);
    if (row.ok()) return TakeNext(task, *row);
    status = row.status();
  }
  End(task, status);
  return false;
}

void Engine::Impl::NoteBeginning(const Task& task, double watched) {
  TokenStream::Channel& channel = *task.request->channel;
  std::lock_guard lock(channel.mutex);
  channel.facts.cached_tokens = task.cached_tokens;
  channel.facts.watched_probability = watched;
  channel.facts.prefill_ms = MillisecondsSince(task.request->admitted_at) + task.reading_ms;
}

bool Engine::Impl::Deliver(Task* task, SampledToken sampled) {
  const int32_t id = sampled.id;
  if (decoder->tokenizer().IsEnd(id)) {
    End(task, OkStatus());
    return false;
  }
  {
    TokenStream::Channel& channel = *task->request->channel;
    std::lock_guard lock(channel.mutex);
    channel.tokens.push_back(std::move(sampled));
    channel.ready.notify_one();
  }
  ++counters.answer;
  task->tokens.push_back(id);
  if (task->sampled() < static_cast<size_t>(task->max_tokens)) return true;
  End(task, OkStatus(), StopCause::kMaxTokens);
  return false;
}

}  // namespace vade
