#include "generator/reader.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace vade {
namespace {

// Tokens behind all the passages of one question together: what they cost in time and pages even
// where every passage is kept.
constexpr size_t kMaxSuffixTokens = 1024;

// Of a question's tokens, the last so many are scored behind every passage.
constexpr size_t kMaxScored = 64;

// Reading alone may cost this much more than reading together: it tells which passage answers.
constexpr double kWorth = 2;

BlockKey KeyOf(const GenerateRequest& request, const ReadingPlan& plan, size_t place) {
  const Passage& passage = request.hits[plan.used[place]].passage;
  BlockKey key;
  key.collection = request.collection;
  key.document_id = passage.document_id;
  key.passage_id = request.collection == 0 ? 0 : passage.id;
  key.content = BlockContent(plan.prefix, plan.blocks[place]);
  return key;
}

// Of the suffix; empty where no score is wanted.
PromptWriter::Span Scored(const ReadingPlan& plan) {
  const size_t end = plan.question.end;
  return {std::max({plan.question.begin, size_t{1}, end - std::min(end, kMaxScored)}), end};
}

}  // namespace

struct Reader::Candidate {
  size_t place = 0;  // in the plan
  BlockKey key;
  std::shared_ptr<const std::string> saved;
  bool kept = false;
};

std::vector<Reader::Candidate> Reader::Choose(const GenerateRequest& request,
                                              const ReadingPlan& plan) const {
  double least = -std::numeric_limits<double>::infinity();
  if (passage_gap_ > 0 && !plan.far_too) {
    for (const Hit& hit : request.hits) least = std::max(least, hit.score - passage_gap_);
  }
  const KeptBlocks& kept = engine_->kept_blocks();
  std::vector<Candidate> candidates;
  for (size_t place = 0; place < plan.used.size(); ++place) {
    Candidate candidate;
    candidate.place = place;
    candidate.key = KeyOf(request, plan, place);
    if (candidate.key.passage_id != 0) candidate.kept = kept.Has(candidate.key);
    if (!candidate.kept && request.hits[plan.used[place]].score < least) continue;
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

Asker AskerOf(const GenerateRequest& request) {
  return {.commit = request.commit,
          .conversation = !request.history.empty(),
          .audience = AudienceOf(request.groups)};
}

bool Reader::Pays(const GenerateRequest& request, const ReadingPlan& plan) const {
  size_t alone = 0, together = plan.suffix.size();
  const std::vector<Candidate> candidates = Choose(request, plan);
  if (candidates.size() > 1 && candidates.size() * plan.suffix.size() > kMaxSuffixTokens)
    return false;
  for (const Candidate& candidate : candidates) {
    const size_t block = plan.blocks[candidate.place].size();
    alone += plan.suffix.size() + (candidate.kept ? 0 : block);
    together += block;
  }
  return static_cast<double>(alone) <= kWorth * static_cast<double>(together);
}

Result<std::vector<std::unique_ptr<ReadBlock>>> Reader::Ask(
    const GenerateRequest& request, const ReadingPlan& plan,
    const std::vector<Candidate>& candidates, ReadJob job) const {
  job.prefix = plan.prefix;
  job.suffix = plan.suffix;
  const PromptWriter::Span scored = Scored(plan);
  job.scored_begin = scored.begin;
  job.scored_end = scored.end;
  job.asker = AskerOf(request);
  for (const Candidate& candidate : candidates)
    job.blocks.push_back({candidate.key, plan.blocks[candidate.place], candidate.saved});
  if (scored.begin < scored.end) {  // the question without a passage
    BlockToRead& bare = job.blocks.emplace_back();
    bare.key.collection = request.collection;
  }
  return engine_->Read(std::move(job));
}

// Files are read here, on the caller's thread, while the engine works for others.
Result<PassageReadings> Reader::Read(const GenerateRequest& request, const ReadingPlan& plan,
                                     const Tokens& watched, const Context& ctx) const {
  const KeptBlocks& kept = engine_->kept_blocks();
  std::vector<Candidate> candidates = Choose(request, plan);
  auto load = [&](const BlockKey& key, size_t tokens) -> std::shared_ptr<const std::string> {
    if (kept.InMemory(key)) return nullptr;
    auto saved = kept.Load(key, static_cast<int>(tokens));
    return saved ? std::make_shared<const std::string>(*std::move(saved)) : nullptr;
  };
  std::shared_ptr<const std::string> prefix;
  for (Candidate& candidate : candidates) {
    if (!candidate.kept) continue;
    candidate.saved = load(candidate.key, plan.blocks[candidate.place].size());
    candidate.kept = candidate.saved || kept.InMemory(candidate.key);
    if (candidate.saved && !prefix)
      prefix = load(KeptBlocks::PrefixKey(candidate.key.content[0]), plan.prefix.size());
  }
  for (;;) {
    ReadJob job;
    job.saved_prefix = prefix;
    job.watched = watched;
    job.ctx = ctx.WithTrace(nullptr);
    auto read = Ask(request, plan, candidates, std::move(job));
    if (read.ok()) {
      const PromptWriter::Span scored = Scored(plan);
      const bool scores = scored.begin < scored.end;
      PassageReadings readings;
      double bare = 0;
      if (scores) {
        bare = read->back()->scored_log_probability;
        readings.bare_prompt_tokens = read->back()->prompt_tokens;
        readings.bare_cached_tokens = read->back()->cached_tokens;
      }
      for (size_t i = 0; i < candidates.size(); ++i) {
        PassageReading reading;
        reading.hit = plan.used[candidates[i].place];
        reading.kept = candidates[i].kept;
        reading.block = std::move((*read)[i]);
        if (scores) {
          reading.question_gain = (reading.block->scored_log_probability - bare) /
                                  static_cast<double>(scored.end - scored.begin);
        }
        readings.passages.push_back(std::move(reading));
      }
      return readings;
    }
    const bool fewer_may_fit =
        read.status().code() == StatusCode::kResourceExhausted && candidates.size() > 1;
    if (!fewer_may_fit) return read.status();
    candidates.resize((candidates.size() + 1) / 2);
  }
}

Result<uint64_t> Reader::Warm(const GenerateRequest& request, const ReadingPlan& plan,
                              const Context& ctx) const {
  KeptBlocks& kept = engine_->kept_blocks();
  std::vector<Candidate> candidates;
  for (size_t place = 0; place < plan.used.size(); ++place) {
    Candidate candidate;
    candidate.place = place;
    candidate.key = KeyOf(request, plan, place);
    if (candidate.key.passage_id != 0 && !kept.Has(candidate.key))
      candidates.push_back(std::move(candidate));
  }
  if (candidates.empty()) return uint64_t{0};
  ReadJob job;
  job.ctx = ctx.WithTrace(nullptr);
  job.ahead = true;
  ASSIGN_OR_RETURN(const auto read, Ask(request, plan, candidates, std::move(job)));
  while (kept.SaveOne()) RETURN_IF_ERROR(ctx.Check());
  return uint64_t{read.size()};
}

}  // namespace vade
