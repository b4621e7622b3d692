#include "generator/engine.h"

#include <algorithm>

#include "base/strings.h"
#include "generator/engine_impl.h"

namespace vade {

void ReadBlock::Ban(const Tokens& banned) {
  constexpr float kBanned = -1e9f;  // finite, and no probability is left
  for (int32_t token : banned) {
    if (token >= 0 && static_cast<size_t>(token) < logits.size()) logits[token] = kBanned;
  }
}

TokenStream::TokenStream(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}

TokenStream::~TokenStream() { channel_->abandoned.store(true, std::memory_order_relaxed); }

Result<std::optional<SampledToken>> TokenStream::Next() {
  std::unique_lock lock(channel_->mutex);
  channel_->ready.wait(lock, [&] { return channel_->ended || !channel_->tokens.empty(); });
  if (!channel_->tokens.empty()) {
    const SampledToken token = channel_->tokens.front();
    channel_->tokens.pop_front();
    return std::optional<SampledToken>(token);
  }
  if (!channel_->status.ok()) return channel_->status;
  return std::optional<SampledToken>();
}

StreamFacts TokenStream::facts() const {
  std::lock_guard lock(channel_->mutex);
  return channel_->facts;
}

namespace {

// A guess for the first hint, before any answer has ended.
constexpr double kFirstAnswerMs = 2000;

// While answers are being made, one kept block is written every so many steps.
constexpr uint64_t kSaveEvery = 16;
constexpr size_t kUnsavedMost = 16;  // more: one a step, before they are displaced

// How long the end of the engine may write kept blocks.
constexpr double kSaveAtEndMs = 2000;

}  // namespace

Engine::Engine(Decoder* decoder, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(decoder, options)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<TokenStream>> Engine::Start(EngineJob job) {
  ASSIGN_OR_RETURN(auto streams, impl_->Start(std::move(job)));
  return std::move(streams[0]);
}

Result<std::vector<std::unique_ptr<TokenStream>>> Engine::StartSeveral(EngineJob job) {
  return impl_->Start(std::move(job));
}

Result<std::vector<std::unique_ptr<ReadBlock>>> Engine::Read(ReadJob job) {
  return impl_->Read(std::move(job));
}

KeptBlocks& Engine::kept_blocks() { return impl_->kept; }
EngineCounts Engine::counts() const { return impl_->Counts(); }

Engine::Impl::Impl(Decoder* d, const EngineOptions& o)
    : decoder(d),
      options(o),
      prefixes(d, std::max(o.kept_prefixes, 0)),
      kept(d, o.kept_bytes, o.block_files, o.turns_kept_for),
      answer_ms(kFirstAnswerMs) {
  step_context = Context().WithCancel(stopping.token());
  thread = std::thread([this] { Run(); });
}

Engine::Impl::~Impl() {
  {
    std::lock_guard lock(mutex);
    stop = true;
  }
  stopping.Cancel();
  work.notify_all();
  thread.join();
}

EngineCounts Engine::Impl::Counts() const {
  return {.passages_from_memory = counters.from_memory,
          .passages_from_file = counters.from_file,
          .passages_read = counters.read,
          .passages_read_ahead = counters.read_ahead,
          .turns_found = counters.turns,
          .turn_tokens_kept = counters.turn_tokens,
          .prompt_tokens_kept = counters.prompt_kept,
          .prompt_tokens_read = counters.prompt_read,
          .answer_tokens = counters.answer,
          .guessed_tokens = counters.guessed,
          .held_tokens = counters.held};
}

// All of one request. What goes on from a reading holds pages that others may be waiting for: it
// has the place of its reading, is never refused and waits for nobody.
Status Engine::Impl::Submit(std::vector<TaskPtr> tasks) {
  RETURN_IF_ERROR(tasks[0]->request->ctx.Check());
  std::lock_guard lock(mutex);
  const size_t requests = 1 + tasks[0]->copies.size();
  if (tasks[0]->goes_on()) {
    under_way += requests;
    waiting.push_front(std::move(tasks[0]));
    work.notify_one();
    return OkStatus();
  }
  const size_t active_room = std::max(options.max_active, 1);
  if (under_way >= active_room + std::max(options.max_waiting, 0)) {
    const double seconds = answer_ms / 1000 * (under_way - active_room + 1) / active_room;
    return ResourceExhausted(StrCat(under_way,
                                    " answers are under way and no more may wait; retry in about ",
                                    static_cast<int64_t>(seconds) + 1, " s"));
  }
  under_way += requests;
  for (TaskPtr& task : tasks) waiting.push_back(std::move(task));
  work.notify_one();
  return OkStatus();
}

Engine::Impl::TaskPtr Engine::Impl::NewTask(std::shared_ptr<Request> request) {
  auto task = std::make_unique<Task>();
  task->number = ++tasks_made;
  task->request = std::move(request);
  return task;
}

Result<std::vector<std::unique_ptr<TokenStream>>> Engine::Impl::Start(EngineJob job) {
  if (job.from == nullptr && job.rest.empty())
    return InvalidArgument("a prompt needs at least one token behind its prefix");
  Tokens tokens = job.from ? std::move(job.from->tokens) : std::move(job.prefix);
  const size_t prefix_tokens = job.from ? job.from->prefix_tokens : tokens.size();
  if (!job.from) tokens.insert(tokens.end(), job.rest.begin(), job.rest.end());
  const Sampler sampler(job.sampling, std::move(job.constraint));

  std::vector<std::unique_ptr<TokenStream>> streams;
  std::vector<TaskPtr> answers;
  for (int i = 0; i < std::max(job.sampling.answers, 1); ++i) {
    auto channel = std::make_shared<TokenStream::Channel>();
    streams.push_back(std::unique_ptr<TokenStream>(new TokenStream(channel)));
    answers.push_back(NewTask(std::make_shared<Request>()));
    Task& task = *answers.back();
    task.request->ctx = job.ctx;
    task.request->channel = std::move(channel);
    task.max_tokens = job.sampling.max_tokens;
    task.sampler = sampler.Fork(job.sampling.seed + static_cast<uint64_t>(i));
    task.watched = job.watched;
    task.tokens = tokens;
    task.prefix_tokens = prefix_tokens;
    task.prompt_tokens = tokens.size();
  }
  TaskPtr first = std::move(answers[0]);
  const TurnOrigin& origin = job.from ? job.from->origin : job.origin;
  first->key = origin.block;
  first->block_end = origin.block_end;
  first->asker = origin.asker;
  first->counted = true;  // as a reading
  if (job.sampling.beams > 1) {
    first->request->search.emplace(static_cast<size_t>(job.sampling.beams),
                                   static_cast<size_t>(first->max_tokens));
    first->request->first_sampler = first->sampler->Fork(job.sampling.seed);
  }
  if (job.from) {
    first->sequence = std::move(job.from->sequence);
    first->read = first->tokens.size();
    first->first_logits = std::move(job.from->logits);
    first->cached_tokens = job.from->cached_tokens;
    first->reading_ms = job.from->prefill_ms;
  }
  first->copies.assign(std::make_move_iterator(answers.begin() + 1),
                       std::make_move_iterator(answers.end()));
  std::vector<TaskPtr> tasks;
  tasks.push_back(std::move(first));
  RETURN_IF_ERROR(Submit(std::move(tasks)));
  return streams;
}

Result<std::vector<std::unique_ptr<ReadBlock>>> Engine::Impl::Read(ReadJob job) {
  if (job.suffix.empty()) return InvalidArgument("a reading needs a token behind its blocks");
  if (job.blocks.empty()) return InvalidArgument("a reading needs at least one block");
  const bool scores = job.scored_begin < job.scored_end;
  if (scores && (job.scored_begin == 0 || job.scored_end > job.suffix.size()))
    return InvalidArgument("tokens to be scored must lie in the suffix, behind its first");
  auto readings = std::make_shared<Readings>();
  readings->missing = job.blocks.size();
  readings->blocks.resize(job.blocks.size());
  auto request = std::make_shared<Request>();
  request->ctx = std::move(job.ctx);
  request->readings = readings;
  std::vector<TaskPtr> tasks;
  for (BlockToRead& block : job.blocks) {
    TaskPtr task = NewTask(request);
    task->index = tasks.size();
    task->tokens = job.prefix;
    task->prefix_tokens = job.prefix.size();
    task->saved_prefix = job.saved_prefix;
    task->tokens.insert(task->tokens.end(), block.tokens.begin(), block.tokens.end());
    task->block_end = block.tokens.empty() ? 0 : task->tokens.size();
    task->tokens.insert(task->tokens.end(), job.suffix.begin(), job.suffix.end());
    task->prompt_tokens = task->tokens.size();
    task->watched = job.watched;
    const size_t suffix_begin = task->tokens.size() - job.suffix.size();
    task->scored_begin = suffix_begin + job.scored_begin;
    task->scored_end = suffix_begin + job.scored_end;
    task->key = std::move(block.key);
    task->saved = std::move(block.saved);
    task->asker = job.asker;
    task->ahead = job.ahead;
    tasks.push_back(std::move(task));
  }
  RETURN_IF_ERROR(Submit(std::move(tasks)));
  std::unique_lock lock(readings->mutex);
  readings->ready.wait(lock, [&] { return readings->ended; });
  RETURN_IF_ERROR(readings->status);
  return std::move(readings->blocks);
}

// --- the engine's thread -------------------------------------------------------------------------

void Engine::Impl::Run() {
  while (WaitForWork()) {
    EndUnwanted();
    Admit();
    if (!active.empty()) Step(PlanStep());
    std::erase(active, nullptr);
    if (++step_count % kSaveEvery == 0 || kept.unsaved() > kUnsavedMost) kept.SaveOne();
    if (step_count % kSaveEvery == 0) kept.ExpireTurns();
  }
  EndAll(Unavailable("the service is shutting down; ask again once it is back"));
  const auto ending = SteadyClock::now();
  while (MillisecondsSince(ending) < kSaveAtEndMs && kept.SaveOne()) {
  }
  kept.Clear();
  prefixes.Clear();
}

// False when the engine ends. Kept blocks are written, and turns forgotten, while there is nothing
// else to do.
bool Engine::Impl::WaitForWork() {
  std::unique_lock lock(mutex);
  auto nothing = [&] { return !stop && waiting.empty() && active.empty(); };
  while (nothing()) {
    lock.unlock();
    const bool saved = kept.SaveOne();
    const auto expire_in = kept.ExpireTurns();
    lock.lock();
    if (saved) continue;
    if (expire_in) {
      work.wait_for(lock, *expire_in, [&] { return !nothing(); });
    } else {
      work.wait(lock, [&] { return !nothing(); });
    }
  }
  return !stop;
}

// Cancellation, deadlines and readers that have gone away, once a step.
void Engine::Impl::EndUnwanted() {
  auto verdict = [](const Task& task) {
    const Request& request = *task.request;
    if (request.channel && request.channel->abandoned.load(std::memory_order_relaxed))
      return Cancelled("the reader left");
    return request.ctx.Check();
  };
  for (TaskPtr& task : active) {
    if (!task) continue;
    if (Status status = verdict(*task); !status.ok()) End(task.get(), status);
  }
  std::erase(active, nullptr);
  for (;;) {
    Task* unwanted = nullptr;
    Status status;
    {
      std::lock_guard lock(mutex);
      for (const TaskPtr& task : waiting) {
        if (status = verdict(*task); status.ok()) continue;
        unwanted = task.get();
        break;
      }
    }
    if (unwanted == nullptr) return;
    End(unwanted, status);
  }
}

void Engine::Impl::Admit() {
  for (;;) {
    std::lock_guard lock(mutex);
    if (waiting.empty()) return;
    const bool goes_on = waiting.front()->goes_on();
    if (admission_held && !active.empty() && !goes_on) return;
    Request& request = *waiting.front()->request;
    if (!request.admitted) {
      const size_t more = waiting.front()->copies.size();
      const bool full =
          active_requests > 0 &&
          active_requests + more >= static_cast<size_t>(std::max(options.max_active, 1));
      if (full && !goes_on) return;
      request.admitted = true;
      request.admitted_at = SteadyClock::now();
      ++active_requests;
    }
    active.push_back(std::move(waiting.front()));
    waiting.pop_front();
  }
}

bool Engine::Impl::IsActive(const Piece& piece) const {
  return std::any_of(active.begin(), active.end(), [&](const TaskPtr& other) {
    return other && other.get() == piece.task && other->number == piece.number;
  });
}

void Engine::Impl::SetAside(Task* task) {
  if (task->request->search) CollapseBeams(task);
  const auto it = std::find_if(active.begin(), active.end(),
                               [&](const TaskPtr& other) { return other.get() == task; });
  task->sequence.reset();
  task->first_logits.clear();
  task->read = 0;
  admission_held = true;
  TaskPtr aside = std::move(*it);
  active.erase(it);
  std::lock_guard lock(mutex);
  waiting.push_front(std::move(aside));
}

// Ends the request of the task, with all of its tasks: their places in `active` become null. So do
// the answers that wait for its prompt.
void Engine::Impl::End(Task* task, const Status& status, StopCause cause) {
  const std::shared_ptr<Request> request = task->request;
  if (status.ok() && request->channel && !request->search) KeepTurns(*task);
  const std::vector<TaskPtr> copies = std::move(task->copies);
  if (request->admitted) --active_requests;
  admission_held = false;
  Drop(request.get());
  {
    std::lock_guard lock(mutex);
    --under_way;
    if (status.ok() && request->channel)
      answer_ms += (MillisecondsSince(request->submitted) - answer_ms) / 8;
  }
  if (request->channel) {
    TokenStream::Channel& channel = *request->channel;
    std::lock_guard lock(channel.mutex);
    channel.ended = true;
    channel.status = status;
    channel.facts.cause = cause;
    channel.ready.notify_one();
  } else {
    Readings& readings = *request->readings;
    std::lock_guard lock(readings.mutex);
    readings.ended = true;
    readings.status = status;
    readings.ready.notify_one();
  }
  for (const TaskPtr& copy : copies) End(copy.get(), status);
}

void Engine::Impl::Drop(const Request* request) {
  for (TaskPtr& task : active) {
    if (task && task->request.get() == request) task.reset();
  }
  std::vector<TaskPtr> dropped;  // sequences are let go of outside the lock
  std::lock_guard lock(mutex);
  for (TaskPtr& task : waiting) {
    if (task->request.get() == request) dropped.push_back(std::move(task));
  }
  std::erase(waiting, nullptr);
}

void Engine::Impl::EndAll(const Status& status) {
  for (TaskPtr& task : active) {
    if (task) End(task.get(), status);
  }
  active.clear();
  for (;;) {
    Task* left = nullptr;
    {
      std::lock_guard lock(mutex);
      if (!waiting.empty()) left = waiting.front().get();
    }
    if (left == nullptr) return;
    End(left, status);
  }
}

}  // namespace vade
