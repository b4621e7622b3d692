// Several sequences behind one prompt: the answers that share it, and the beams of a search.
#include <algorithm>

#include "generator/engine_impl.h"

namespace vade {

// A task that goes on from where `task` is, which has read all of its tokens. Where there is no
// page for the copy it reads them anew in its turn.
void Engine::Impl::GoOnFrom(const Task& task, Task* copy) {
  Result<std::unique_ptr<Sequence>> forked =
      decoder->Fork(*task.sequence, static_cast<int>(task.read));
  copy->sequence = forked.ok() ? *std::move(forked) : nullptr;
  copy->read = copy->sequence ? task.read : 0;
}

// The prompt of `task` has been read and its next token is about to be chosen: those that share the
// prompt go on by themselves from here.
void Engine::Impl::ReleaseCopies(Task* task, std::span<const float> logits) {
  std::vector<TaskPtr> copies = std::move(task->copies);
  task->copies.clear();
  for (TaskPtr& copy : copies) {
    GoOnFrom(*task, copy.get());
    if (copy->sequence) copy->first_logits.assign(logits.begin(), logits.end());
    copy->cached_tokens = copy->sequence ? task->prompt_tokens : 0;
    copy->request->admitted = true;
    copy->request->admitted_at = task->request->admitted_at;
    ++active_requests;
    active.push_back(std::move(copy));
  }
}

// All tasks of a search, in the order of its beams.
std::vector<Engine::Impl::Task*> Engine::Impl::BeamsOf(const Request& request) const {
  std::vector<Task*> beams(request.search->running(), nullptr);
  for (const TaskPtr& task : active) {
    if (task && task->request.get() == &request && task->index < beams.size())
      beams[task->index] = task.get();
  }
  return beams;
}

// The next token of one beam can be chosen. Once that holds for all of them the search goes on;
// until then this one waits. False when the task has ended.
bool Engine::Impl::TakeBeam(Task* task, std::span<const float> logits) {
  if (task->sampled() == 0) NoteBeginning(*task, ProbabilityOf(logits, task->watched));
  BeamSearch& search = *task->request->search;
  Result<std::vector<RankedToken>> ranked = task->sampler->Rank(logits, search.offered());
  task->offer.emplace();
  if (ranked.ok()) {
    for (const RankedToken& ranked_token : *ranked)
      task->offer->ends.push_back(decoder->tokenizer().IsEnd(ranked_token.token.id));
    task->offer->tokens = *std::move(ranked);
  } else {
    task->request->search_error = ranked.status();
  }
  const std::vector<Task*> beams = BeamsOf(*task->request);
  for (const Task* beam : beams) {
    if (beam == nullptr || !beam->offer) return true;
  }
  return AdvanceBeams(beams, task);
}

Engine::Impl::TaskPtr Engine::Impl::ForkBeam(const Task& parent, size_t index) {
  TaskPtr child = NewTask(parent.request);
  child->index = index;
  child->tokens = parent.tokens;
  child->prefix_tokens = parent.prefix_tokens;
  child->prompt_tokens = parent.prompt_tokens;
  child->max_tokens = parent.max_tokens;
  child->watched = parent.watched;
  child->sampler = parent.sampler->Fork(0);  // nothing is drawn
  GoOnFrom(parent, child.get());
  return child;
}

// False when `current` is no more.
bool Engine::Impl::AdvanceBeams(const std::vector<Task*>& beams, Task* current) {
  const std::shared_ptr<Request> request = beams[0]->request;
  if (!request->search_error.ok()) {
    End(beams[0], request->search_error);
    return false;
  }
  std::vector<BeamRow> rows;
  for (Task* beam : beams) {
    rows.push_back(*std::move(beam->offer));
    beam->offer.reset();
  }
  const std::vector<BeamStep> steps = request->search->Advance(rows);
  if (request->search->done()) {
    EndSearch(beams[0]);
    return false;
  }
  // The first that goes on from a beam takes its place and its sequence, others fork it.
  const size_t nowhere = steps.size();
  for (Task* beam : beams) beam->index = nowhere;
  for (size_t i = 0; i < steps.size(); ++i) {
    Task* const parent = beams[steps[i].parent];
    if (parent->index == nowhere) {
      parent->index = i;
    } else {
      active.push_back(ForkBeam(*parent, i));
    }
  }
  const bool lives = current->index != nowhere;
  for (TaskPtr& place : active) {
    if (place && place->request == request && place->index == nowhere) place.reset();
  }
  Status status;
  for (Task* beam : BeamsOf(*request)) {
    const int32_t token = steps[beam->index].token;
    beam->tokens.push_back(token);
    if (status.ok()) status = beam->sampler->Accept(token);
  }
  if (status.ok()) return lives;
  End(BeamsOf(*request)[0], status);
  return false;
}

// The likeliest answer is handed over at once.
void Engine::Impl::EndSearch(Task* task) {
  const BeamSearch::Ended& best = task->request->search->best();
  {
    TokenStream::Channel& channel = *task->request->channel;
    std::lock_guard lock(channel.mutex);
    for (const SampledToken& token : best.tokens) channel.tokens.push_back(token);
    counters.answer += best.tokens.size();
  }
  End(task, OkStatus(), best.cut ? StopCause::kMaxTokens : StopCause::kEnd);
}

// A search that has to wait for pages begins anew from its prompt: beams that were left out would
// make the answer depend on what else is asked.
void Engine::Impl::CollapseBeams(Task* task) {
  for (TaskPtr& other : active) {
    if (other && other.get() != task && other->request == task->request) other.reset();
  }
  std::erase(active, nullptr);
  task->request->search.emplace(task->request->search->width(),
                                static_cast<size_t>(task->max_tokens));
  task->tokens.resize(task->prompt_tokens);
  task->index = 0;
  task->offer.reset();
  task->sampler = task->request->first_sampler->Fork(0);
}

}  // namespace vade
