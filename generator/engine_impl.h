// The inside of the engine: what one request and one sequence of it are, and the steps of its
// thread. engine.cc has the requests' side and the life of a task, engine_step.cc what a step reads
// and what becomes of it, engine_beams.cc several sequences behind one prompt. Private to the
// engine.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "generator/beam_search.h"
#include "generator/draft.h"
#include "generator/engine.h"
#include "generator/prefix_cache.h"

namespace vade {

// Between the engine's thread, which fills it, and the one that reads the stream.
struct TokenStream::Channel {
  std::mutex mutex;
  std::condition_variable ready;
  std::deque<SampledToken> tokens;
  StreamFacts facts;
  Status status;
  bool ended = false;
  std::atomic<bool> abandoned{false};
};

struct Engine::Impl {
  using SteadyClock = std::chrono::steady_clock;

  // What a Read() waits for.
  struct Readings {
    std::mutex mutex;
    std::condition_variable ready;
    std::vector<std::unique_ptr<ReadBlock>> blocks;
    size_t missing = 0;
    Status status;
    bool ended = false;
  };

  // One Start() or Read(): it is admitted, counted and ended as a whole.
  struct Request {
    Context ctx;
    std::shared_ptr<TokenStream::Channel> channel;  // of an answer
    std::shared_ptr<Readings> readings;             // of a reading
    // Of an answer that is searched for: its tasks are the running beams, each at its index.
    std::optional<BeamSearch> search;
    std::optional<Sampler> first_sampler;  // before any token
    Status search_error;
    bool admitted = false;
    SteadyClock::time_point submitted = SteadyClock::now(), admitted_at{};
  };

  // One sequence, from its request until its end. `tokens` is the prompt and what has been sampled;
  // the first `read` of them lie in the sequence. Setting it aside is dropping the sequence and
  // reading again.
  struct Task {
    size_t unread() const { return tokens.size() - read; }
    size_t sampled() const { return tokens.size() - prompt_tokens; }
    bool is_reading() const { return request->readings != nullptr; }
    bool goes_on() const { return !first_logits.empty(); }  // from a reading

    uint64_t number = 0;  // never used again, unlike an address
    std::shared_ptr<Request> request;
    Tokens tokens;
    size_t prefix_tokens = 0, prompt_tokens = 0, read = 0;
    Tokens watched;
    std::unique_ptr<Sequence> sequence;  // null until its first step
    uint64_t cached_tokens = 0;

    size_t index = 0;  // in Readings::blocks, or among the beams of a search

    // A passage that is read alone.
    size_t block_end = 0;  // the block is tokens [prefix_tokens, block_end); 0: there is none
    BlockKey key;          // of an answer: behind which it stands
    std::shared_ptr<const std::string> saved_prefix, saved;  // from files; null: none
    Asker asker;
    bool ahead = false, counted = false;      // as ReadJob; the passage is in the counts
    size_t scored_begin = 0, scored_end = 0;  // indices into `tokens`
    double scored_log_probability = 0;

    // An answer.
    std::optional<Sampler> sampler;
    int max_tokens = 0;
    std::vector<float> first_logits;  // of an answer that goes on from a reading, until used
    double reading_ms = 0;
    Tokens guessing;  // the last token and a guess, while a step reads them
    GuessRecord guesses;
    uint64_t steps = 0;
    // Other answers to the same prompt, each a request: they begin once it has been read.
    std::vector<std::unique_ptr<Task>> copies;
    std::optional<BeamRow> offer;  // of a beam whose turn has come, until that of all has
  };
  using TaskPtr = std::unique_ptr<Task>;

  // What one task reads in one step.
  struct Piece {
    size_t guessed() const { return wanted.empty() ? 0 : wanted.size() - 1; }
    void DropGuess() {
      tokens = tokens.first(tokens.size() - guessed());
      wanted.resize(std::min<size_t>(wanted.size(), 1));
    }
    Task* task;
    uint64_t number;  // of the task
    std::span<const int32_t> tokens;
    // Of the last token of what is to be read, when the piece reaches it, and of each guessed one.
    std::vector<int32_t> wanted = {};
    std::vector<int32_t> scored = {};  // whose next tokens' probabilities are summed
    int matched = 0;
    // Of the wanted rows the best logits alone, for a sampler's temperature.
    WantedBest best = {};
    double temperature = 1;
  };

  Impl(Decoder* decoder, const EngineOptions& options);
  ~Impl();

  // EngineCounts, written by the engine's thread and read by any.
  struct Counters {
    std::atomic<uint64_t> turns{0}, turn_tokens{0};
    std::atomic<uint64_t> from_memory{0}, from_file{0}, read{0}, read_ahead{0};
    std::atomic<uint64_t> prompt_kept{0}, prompt_read{0}, answer{0}, guessed{0}, held{0};
  };

  // engine.cc
  EngineCounts Counts() const;
  Status Submit(std::vector<TaskPtr> tasks);
  Result<std::vector<std::unique_ptr<TokenStream>>> Start(EngineJob job);
  TaskPtr NewTask(std::shared_ptr<Request> request);
  Result<std::vector<std::unique_ptr<ReadBlock>>> Read(ReadJob job);
  void Run();
  bool WaitForWork();
  void EndUnwanted();
  void Admit();
  void SetAside(Task* task);
  bool IsActive(const Piece& piece) const;
  void End(Task* task, const Status& status, StopCause cause = StopCause::kEnd);
  void Drop(const Request* request);
  void EndAll(const Status& status);

  // engine_step.cc
  bool WaitsForAnother(const Task& task) const;
  Status Open(Task* task);
  bool TakeTurns(Task* task);
  void KeepTurns(const Task& task);
  void CountPassage(Task* task, std::atomic<uint64_t>* place);
  void TakeSavedPrefix(Task* task);
  void TakeSavedBlock(Task* task);
  void KeepPrefix(Task* task);
  std::vector<Piece> PlanStep();
  size_t WithScoresWhole(const Task& task, size_t tokens) const;
  std::optional<Piece> PieceOf(Task* task, size_t* room);
  void GuessFor(Task* task, Piece* piece);
  void Step(std::vector<Piece> pieces);
  void Advance(const Piece& piece);
  void AddScores(const Piece& piece, std::span<const float> scores);
  void ObserveStep(const std::vector<Piece>& pieces, double milliseconds);
  Result<Logits> Forward(const std::vector<Piece>& pieces);
  void Relieve(const Status& status, std::vector<Piece> pieces);
  bool OthersAreActive() const;
  bool OthersHoldPages(const Task& task) const;
  void Finish(const Piece& piece, const Logits& logits, size_t row);
  void FinishReading(Task* task, std::span<const float> logits);
  void CountGuesses(const Task& task, size_t guessed, size_t held);
  bool TakeNext(Task* task, std::span<const float> logits);
  bool TakeBest(Task* task, const Logits& logits, size_t i);
  void NoteBeginning(const Task& task, double watched);
  bool Deliver(Task* task, SampledToken sampled);

  // engine_beams.cc
  void GoOnFrom(const Task& task, Task* copy);
  void ReleaseCopies(Task* task, std::span<const float> logits);
  std::vector<Task*> BeamsOf(const Request& request) const;
  bool TakeBeam(Task* task, std::span<const float> logits);
  TaskPtr ForkBeam(const Task& parent, size_t index);
  bool AdvanceBeams(const std::vector<Task*>& beams, Task* current);
  void EndSearch(Task* task);
  void CollapseBeams(Task* task);

  Decoder* const decoder;
  const EngineOptions options;
  PrefixCache prefixes;  // engine's thread
  KeptBlocks kept;
  GuessPolicy guess_policy;     // engine's thread
  std::vector<TaskPtr> active;  // engine's thread; oldest first; null: has ended
  size_t active_requests = 0;   // engine's thread
  bool admission_held = false;  // engine's thread: pages ran out, wait for an end
  uint64_t step_count = 0;      // engine's thread
  // Engine's thread: how often a step that found no page waits 2 ms for a caller who holds some.
  static constexpr int kPatience = 500;
  int patience = kPatience;
  std::shared_ptr<int> held_readings = std::make_shared<int>(0);  // each ReadBlock holds it too
  Context step_context;
  CancelSource stopping;

  std::atomic<uint64_t> tasks_made{0};
  Counters counters;

  std::mutex mutex;  // guards what follows
  std::condition_variable work;
  std::deque<TaskPtr> waiting;
  size_t under_way = 0;  // requests that have not ended
  double answer_ms = 0;  // running mean
  bool stop = false;

  std::thread thread;  // last: starts when all else stands
};

inline double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace vade
