#include "model/transformer.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>

#include "base/strings.h"

namespace vade {
namespace {

// Rows that go through the head at once: its weights are read once for all of them, while the
// logits, the widest rows of all, stay bounded.
constexpr int kHeadRows = 64;

// The largest answer of one Forward; more rows are asked for in several.
constexpr uint64_t kMaxLogitBytes = 4ull << 30;

}  // namespace

// --- the network ---------------------------------------------------------------------------------

// After the last layer has stored its keys and values, only the wanted rows go on.
Status Transformer::RunLayers(const Step& step, const Context& ctx) {
  const AttentionShape& shape = config_.attention;
  const Workspace& w = workspace_;
  const bool all_wanted = step.wanted().size() == static_cast<size_t>(step.rows());
  std::span<const AttentionSpan> spans = step.spans();
  int rows = step.rows();

  RETURN_IF_ERROR(backend_->Embed(weights_.embedding, step.tokens(), w.x));
  for (int index = 0; index < config_.layers; ++index) {
    RETURN_IF_ERROR(ctx.Check());
    const LayerWeights& layer = weights_.layers[index];
    const Projection qkv[] = {layer.q, layer.k, layer.v};

    RETURN_IF_ERROR(backend_->NormProject({.x = w.x,
                                           .rows = rows,
                                           .norm = layer.attention_norm,
                                           .eps = config_.norm_epsilon,
                                           .projections = qkv,
                                           .out = w.qkv}));
    RETURN_IF_ERROR(backend_->StoreKeysValues({.shape = &shape,
                                               .layer = index,
                                               .qkv = w.qkv,
                                               .key_bias = layer.k.bias,
                                               .slots = step.slots(),
                                               .pages = kv_pool_->buffer()}));
    if (index + 1 == config_.layers && !all_wanted) {
      rows = static_cast<int>(step.wanted().size());
      spans = step.wanted_spans();
      if (rows == 0) return OkStatus();
      RETURN_IF_ERROR(backend_->KeepRows(w.x, config_.width, step.wanted()));
      RETURN_IF_ERROR(backend_->KeepRows(w.qkv, shape.qkv_width(), step.wanted()));
    }
    RETURN_IF_ERROR(backend_->Attend({.shape = &shape,
                                      .layer = index,
                                      .qkv = w.qkv,
                                      .key_bias = layer.k.bias,
                                      .spans = spans,
                                      .pages = kv_pool_->buffer(),
                                      .out = w.mixed}));
    RETURN_IF_ERROR(backend_->ProjectAdd(layer.attention_out.matrix, w.mixed, rows, w.x));
    RETURN_IF_ERROR(backend_->FeedForward({.x = w.x,
                                           .rows = rows,
                                           .norm = layer.feed_forward_norm,
                                           .eps = config_.norm_epsilon,
                                           .gate = layer.gate.matrix,
                                           .up = layer.up.matrix,
                                           .down = layer.down.matrix,
                                           .hidden = w.hidden}));
  }
  return OkStatus();
}

Status Transformer::ProjectHead(size_t first, size_t count) {
  const Projection head[] = {weights_.head};
  return backend_->NormProject({.x = workspace_.x,
                                .first_row = static_cast<int>(first),
                                .rows = static_cast<int>(count),
                                .norm = weights_.output_norm,
                                .eps = config_.norm_epsilon,
                                .projections = head,
                                .out = workspace_.logits});
}

// Logits and scores are appended to `logits`, in the order of the rows. The head of the first rows
// belongs to the step.
Status Transformer::ReadHead(std::span<const HeadRow> rows, Logits* logits) {
  const size_t width = static_cast<size_t>(config_.vocab_size);
  for (size_t first = 0; first < rows.size(); first += kHeadRows) {
    const auto some = rows.subspan(first, std::min<size_t>(kHeadRows, rows.size() - first));
    if (first > 0) {
      RETURN_IF_ERROR(KeepBestRows());
      RETURN_IF_ERROR(ProjectHead(first, some.size()));
    }
    std::vector<int32_t> targets;
    for (const HeadRow& row : some) targets.push_back(row.target);
    std::vector<float> scores(some.size());
    RETURN_IF_ERROR(
        backend_->LogProbabilities(workspace_.logits, config_.vocab_size, targets, scores));
    for (size_t i = 0; i < some.size(); ++i) {
      if (some[i].target >= 0) logits->scores.push_back(scores[i]);
      if (!some[i].wanted || some[i].best > 0) continue;
      const size_t begin = logits->values.size();
      logits->values.resize(begin + width);
      RETURN_IF_ERROR(
          ReadRow(static_cast<int32_t>(i), 0, std::span(logits->values).subspan(begin)));
    }
    RETURN_IF_ERROR(ReadBest(some, logits));
  }
  return OkStatus();
}

Status Transformer::ReadRow(int32_t row, int32_t begin, std::span<float> values) {
  const uint64_t first = static_cast<uint64_t>(row) * static_cast<uint64_t>(config_.vocab_size) +
                         static_cast<uint64_t>(begin);
  return backend_->Download(workspace_.logits, first * sizeof(float),
                            {reinterpret_cast<uint8_t*>(values.data()), values.size_bytes()});
}

// Rows that want one and rows that want many are found by themselves: one costs far less.
Status Transformer::ReadBest(std::span<const HeadRow> rows, Logits* logits) {
  std::map<std::pair<int, bool>, std::vector<int32_t>> by_wish;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].wanted || rows[i].best == 0) continue;
    by_wish[{rows[i].best, rows[i].weights}].push_back(static_cast<int32_t>(i));
    best_rows_.push_back({static_cast<int32_t>(i)});
  }
  std::map<int32_t, BestLogits> by_row;
  for (const auto& [wish, which] : by_wish) {
    std::vector<double> temperatures;
    std::vector<std::span<const int32_t>> apart;
    for (int32_t row : which) {
      temperatures.push_back(rows[static_cast<size_t>(row)].temperature);
      apart.push_back(rows[static_cast<size_t>(row)].apart);
    }
    ASSIGN_OR_RETURN(auto found, backend_->FindBest({.logits = workspace_.logits,
                                                     .width = config_.vocab_size,
                                                     .rows = which,
                                                     .temperatures = temperatures,
                                                     .count = static_cast<uint32_t>(wish.first),
                                                     .weights = wish.second,
                                                     .apart = apart}));
    for (size_t i = 0; i < which.size(); ++i) by_row[which[i]] = std::move(found[i]);
  }
  for (auto& [row, best] : by_row) logits->best.push_back(std::move(best));
  return OkStatus();
}

int Transformer::max_best() const {
  return static_cast<int>(backend_->MaxBest(config_.vocab_size));
}

Result<std::vector<float>> Transformer::WholeRow(ForwardNumber forward, size_t i) {
  return RowPart(forward, i, 0, config_.vocab_size);
}

Result<std::vector<float>> Transformer::RowPart(ForwardNumber forward, size_t i, int32_t begin,
                                                int32_t count) {
  std::lock_guard lock(forward_mutex_);
  if (forward.value != last_forward_.value || i >= best_rows_.size()) {
    return FailedPrecondition("the logits of a step are gone: another one came after it");
  }
  if (begin < 0 || count < 0 || begin > config_.vocab_size - count) {
    return OutOfRange(
        StrCat("tokens ", begin, " and ", count, " on of a vocabulary of ", config_.vocab_size));
  }
  const BestRow& row = best_rows_[i];
  if (!row.kept.empty()) {
    return std::vector<float>(row.kept.begin() + begin, row.kept.begin() + begin + count);
  }
  std::vector<float> values(static_cast<size_t>(count));
  RETURN_IF_ERROR(ReadRow(row.row, begin, values));
  return values;
}

// Other logits are about to take the place of those that are there: in a Forward of several steps.
Status Transformer::KeepBestRows() {
  for (BestRow& best : best_rows_) {
    if (!best.kept.empty()) continue;
    best.kept.resize(static_cast<size_t>(config_.vocab_size));
    RETURN_IF_ERROR(ReadRow(best.row, 0, best.kept));
  }
  return OkStatus();
}

Status Transformer::RunStep(const Step& step, const Context& ctx, std::span<const HeadRow> rows,
                            Logits* logits) {
  RETURN_IF_ERROR(KeepBestRows());
  RETURN_IF_ERROR(EnsureWorkspace(step.rows(), std::min(static_cast<int>(rows.size()), kHeadRows)));
  const bool all_wanted = step.wanted().size() == static_cast<size_t>(step.rows());
  Backend::StepArgs args = {.shape = &config_.attention,
                            .tokens = step.tokens(),
                            .slots = step.slots(),
                            .spans = step.spans(),
                            .rows_out = step.wanted().size()};
  if (!all_wanted) args.kept = step.wanted(), args.last_spans = step.wanted_spans();
  const auto operations = [&]() -> Status {
    RETURN_IF_ERROR(RunLayers(step, ctx));
    RETURN_IF_ERROR(ctx.Check());
    return ProjectHead(0, std::min<size_t>(rows.size(), kHeadRows));
  };
  RETURN_IF_ERROR(backend_->RunStep(args, operations));
  return ReadHead(rows, logits);
}

// --- what goes in --------------------------------------------------------------------------------

Status Transformer::CheckPositions(const ForwardItem& item, const PagedSequence& sequence,
                                   std::vector<int32_t>* positions) const {
  const size_t count = item.tokens.size();
  if (!item.positions.empty() && item.positions.size() != count) {
    return InvalidArgument(
        StrCat(item.positions.size(), " positions were given for ", count, " tokens"));
  }
  int64_t last = sequence.length() == 0 ? -1 : sequence.positions().back();
  for (size_t i = 0; i < count; ++i) {
    const int64_t position =
        item.positions.empty() ? sequence.length() + static_cast<int64_t>(i) : item.positions[i];
    if (position <= last) {
      return InvalidArgument(StrCat("position ", position, " does not lie behind position ", last,
                                    ", which the sequence has read"));
    }
    if (position >= config_.context_tokens) {
      return OutOfRange(StrCat("position ", position, " is beyond the context of ",
                               config_.context_tokens,
                               " tokens; shorten the prompt or raise the context"));
    }
    positions->push_back(static_cast<int32_t>(position));
    last = position;
  }
  return OkStatus();
}

namespace {

Status CheckAscending(std::span<const int32_t> values, size_t end, std::string_view what) {
  int64_t last = -1;
  for (int32_t value : values) {
    if (value <= last || value >= static_cast<int64_t>(end))
      return InvalidArgument(StrCat(what, " must ascend below ", end, ", got ", value));
    last = value;
  }
  return OkStatus();
}

}  // namespace

// Ascending positions below the context also bound the length.
Result<Transformer::Reading> Transformer::CheckItem(const ForwardItem& item) const {
  Reading reading;
  reading.sequence = dynamic_cast<PagedSequence*>(item.sequence);
  if (!reading.sequence || reading.sequence->pool() != kv_pool_.get()) {
    return InvalidArgument("a sequence must come from the decoder that reads into it");
  }
  if (item.tokens.empty()) return InvalidArgument("a batch item has no tokens");
  for (int32_t token : item.tokens) {
    if (token < 0 || token >= config_.vocab_size) {
      return InvalidArgument(
          StrCat("token ", token, " is not in the vocabulary of ", config_.vocab_size));
    }
  }
  if (item.best < 0 || item.best > max_best() || !(item.temperature > 0)) {
    return InvalidArgument(StrCat("of the best logits there are up to ", max_best(),
                                  ", for a temperature above 0; ", item.best, " were asked for"));
  }
  if (item.best == 0 && !item.apart.empty()) {
    return InvalidArgument("tokens can be set apart where the best of the others are asked for");
  }
  RETURN_IF_ERROR(CheckAscending(item.apart, static_cast<size_t>(config_.vocab_size),
                                 "tokens that are set apart"));
  RETURN_IF_ERROR(CheckPositions(item, *reading.sequence, &reading.positions));
  return reading;
}

// Appends what is to be made of the item's rows to `rows`.
Status Transformer::CheckHeadRows(const ForwardItem& item, Reading* reading,
                                  std::vector<HeadRow>* rows) {
  RETURN_IF_ERROR(CheckAscending(item.wanted, item.tokens.size(), "wanted rows"));
  RETURN_IF_ERROR(CheckAscending(item.scored, item.tokens.size() - 1, "scored rows"));
  std::set_union(item.wanted.begin(), item.wanted.end(), item.scored.begin(), item.scored.end(),
                 std::back_inserter(reading->head_rows));
  for (int32_t row : reading->head_rows) {
    const bool scored = std::binary_search(item.scored.begin(), item.scored.end(), row);
    const bool wanted = std::binary_search(item.wanted.begin(), item.wanted.end(), row);
    rows->push_back({.target = scored ? item.tokens[static_cast<size_t>(row) + 1] : -1,
                     .wanted = wanted,
                     .best = item.best,
                     .temperature = item.temperature,
                     .weights = item.weights,
                     .apart = item.apart});
  }
  return OkStatus();
}

Status Transformer::CopySharedPage(const KvGrowth& growth) {
  const auto [from, to] = growth.copy();
  if (from < 0) return OkStatus();
  return backend_->CopyPage(config_.attention, kv_pool_->buffer(), from, to);
}

Status Transformer::EnsureWorkspace(int rows, int head_rows) {
  Workspace& w = workspace_;
  auto make = [&](BufferHandle* buffer, uint64_t count, uint64_t width) -> Status {
    if (buffer->id >= 0) backend_->FreeBuffer(*buffer);
    *buffer = BufferHandle();
    ASSIGN_OR_RETURN(*buffer, backend_->NewBuffer(count * width * sizeof(float)));
    return OkStatus();
  };
  if (rows > w.rows) {
    const int want = rows <= 16 ? 16 : rows <= 128 ? 128 : Step::kMaxRows;
    w.rows = 0;  // until all of them are there
    RETURN_IF_ERROR(make(&w.x, want, config_.width));
    RETURN_IF_ERROR(make(&w.qkv, want, config_.attention.qkv_width()));
    RETURN_IF_ERROR(make(&w.mixed, want, config_.attention.q_width()));
    RETURN_IF_ERROR(make(&w.hidden, want, config_.feed_forward_width));
    w.rows = want;
  }
  if (head_rows > w.head_rows) {
    w.head_rows = 0;
    RETURN_IF_ERROR(make(&w.logits, head_rows, config_.vocab_size));
    w.head_rows = head_rows;
  }
  return OkStatus();
}

namespace {

// Cuts the items of a batch into steps of at most Step::kMaxRows rows, in order.
class StepCutter {
 public:
  explicit StepCutter(std::span<const ForwardItem> batch) : batch_(batch) {}

  // The parts of the next step; empty at the end. Growths and the rows for the head by item.
  template <typename GrowthOf, typename RowsOf>
  const std::vector<StepPart>& Next(GrowthOf growth_of, RowsOf rows_of) {
    parts_.clear();
    size_t room = Step::kMaxRows;
    while (item_ < batch_.size() && room > 0) {
      const ForwardItem& item = batch_[item_];
      const size_t count = std::min(room, item.tokens.size() - begin_);
      const KvGrowth* growth = growth_of(item_);
      const std::span<const int32_t> rows = rows_of(item_);
      const auto wanted_end =
          std::lower_bound(rows.begin(), rows.end(), static_cast<int32_t>(begin_ + count));
      const auto wanted_begin =
          std::lower_bound(rows.begin(), rows.end(), static_cast<int32_t>(begin_));
      const size_t old_length = growth->positions().size() - item.tokens.size();
      parts_.push_back({.growth = growth,
                        .first_index = static_cast<int>(old_length + begin_),
                        .tokens = item.tokens.subspan(begin_, count),
                        .wanted = {wanted_begin, wanted_end},
                        .wanted_shift = static_cast<int>(begin_)});
      room -= count;
      begin_ += count;
      if (begin_ == item.tokens.size()) ++item_, begin_ = 0;
    }
    return parts_;
  }

 private:
  std::span<const ForwardItem> batch_;
  size_t item_ = 0, begin_ = 0;
  std::vector<StepPart> parts_;
};

}  // namespace

Result<Logits> Transformer::Forward(std::span<const ForwardItem> batch, const Context& ctx) {
  std::lock_guard lock(forward_mutex_);
  std::vector<Reading> readings;
  std::vector<HeadRow> head_rows;
  uint64_t wanted = 0;
  ++last_forward_.value;
  best_rows_.clear();
  for (const ForwardItem& item : batch) {
    ASSIGN_OR_RETURN(Reading reading, CheckItem(item));
    for (const Reading& other : readings) {
      if (other.sequence == reading.sequence)
        return InvalidArgument("a sequence is twice in one batch");
    }
    RETURN_IF_ERROR(CheckHeadRows(item, &reading, &head_rows));
    readings.push_back(std::move(reading));
    if (item.best == 0) wanted += item.wanted.size();
  }
  const uint64_t row_bytes = static_cast<uint64_t>(config_.vocab_size) * sizeof(float);
  if (wanted > kMaxLogitBytes / row_bytes) {
    return ResourceExhausted(
        StrCat("the logits of ", wanted, " rows are too many at once; ask for fewer"));
  }
  for (Reading& reading : readings) {
    ASSIGN_OR_RETURN(reading.growth, KvGrowth::Begin(reading.sequence, reading.positions));
  }
  for (const Reading& reading : readings) RETURN_IF_ERROR(CopySharedPage(*reading.growth));

  Logits logits;
  logits.vocab_size = config_.vocab_size;
  logits.forward = last_forward_;
  logits.values.reserve(wanted * config_.vocab_size);
  std::span<const HeadRow> rows_left = head_rows;
  StepCutter cutter(batch);
  for (;;) {
    const auto& parts =
        cutter.Next([&](size_t item) { return readings[item].growth.get(); },
                    [&](size_t item) { return std::span(readings[item].head_rows); });
    if (parts.empty()) break;
    workspace_.step.Build(parts);
    const size_t rows = workspace_.step.wanted().size();
    RETURN_IF_ERROR(RunStep(workspace_.step, ctx, rows_left.first(rows), &logits));
    rows_left = rows_left.subspan(rows);
  }
  for (Reading& reading : readings) reading.growth->Commit();
  return logits;
}

// --- sequences -----------------------------------------------------------------------------------

Result<std::unique_ptr<Sequence>> Transformer::NewSequence() {
  return std::unique_ptr<Sequence>(std::make_unique<PagedSequence>(kv_pool_.get()));
}

Result<std::unique_ptr<Sequence>> Transformer::Fork(const Sequence& from, int length) {
  const auto* sequence = dynamic_cast<const PagedSequence*>(&from);
  if (!sequence || sequence->pool() != kv_pool_.get()) {
    return InvalidArgument("a sequence must be forked by the decoder that made it");
  }
  if (length < 0 || length > sequence->length()) {
    return InvalidArgument(
        StrCat("cannot fork the first ", length, " tokens of a sequence of ", sequence->length()));
  }
  return std::unique_ptr<Sequence>(sequence->Fork(length));
}

Status Transformer::Truncate(Sequence& sequence, int length) {
  auto* paged = dynamic_cast<PagedSequence*>(&sequence);
  if (!paged || paged->pool() != kv_pool_.get()) {
    return InvalidArgument("a sequence must be truncated by the decoder that made it");
  }
  if (length < 0 || length > paged->length()) {
    return InvalidArgument(
        StrCat("cannot truncate a sequence of ", paged->length(), " tokens to ", length));
  }
  paged->Truncate(length);
  return OkStatus();
}

uint64_t Transformer::SavedBytes(int tokens) const {
  return tokens <= 0 ? 0 : tokens * TokenBytes(config_.attention);
}

Status Transformer::CheckSaved(uint64_t bytes, int tokens) const {
  if (bytes == SavedBytes(tokens)) return OkStatus();
  return InvalidArgument(StrCat(tokens, " saved tokens are ", SavedBytes(tokens), " bytes, got ",
                                bytes, "; were they saved with these weights and kv_type ",
                                info_.kv_type, "?"));
}

Status Transformer::Save(const Sequence& sequence, int begin, int end, std::span<uint8_t> out) {
  std::lock_guard lock(forward_mutex_);
  const auto* paged = dynamic_cast<const PagedSequence*>(&sequence);
  if (!paged || paged->pool() != kv_pool_.get()) {
    return InvalidArgument("a sequence must be saved by the decoder that made it");
  }
  if (begin < 0 || end < begin || end > paged->length()) {
    return InvalidArgument(
        StrCat("cannot save tokens [", begin, ", ", end, ") of a sequence of ", paged->length()));
  }
  RETURN_IF_ERROR(CheckSaved(out.size(), end - begin));
  std::vector<KvSlot> slots;
  for (int i = begin; i < end; ++i) slots.push_back(paged->SlotOf(i));
  return backend_->CopyOut(
      {.shape = &config_.attention, .slots = slots, .pages = kv_pool_->buffer()}, out);
}

Status Transformer::Append(Sequence& sequence, std::span<const uint8_t> saved, int tokens) {
  std::lock_guard lock(forward_mutex_);
  auto* paged = dynamic_cast<PagedSequence*>(&sequence);
  if (!paged || paged->pool() != kv_pool_.get()) {
    return InvalidArgument("saved tokens must be appended by the decoder that made the sequence");
  }
  if (tokens < 0) return InvalidArgument(StrCat("cannot append ", tokens, " tokens"));
  RETURN_IF_ERROR(CheckSaved(saved.size(), tokens));
  const int first = paged->length() == 0 ? 0 : paged->positions().back() + 1;
  if (tokens > config_.context_tokens - first) {
    return OutOfRange(StrCat(tokens, " saved tokens from position ", first,
                             " on are beyond the context of ", config_.context_tokens, " tokens"));
  }
  if (tokens == 0) return OkStatus();
  std::vector<int32_t> positions(tokens);
  std::iota(positions.begin(), positions.end(), first);
  ASSIGN_OR_RETURN(auto growth, KvGrowth::Begin(paged, positions));
  RETURN_IF_ERROR(CopySharedPage(*growth));
  std::vector<KvSlot> slots;
  for (int i = paged->length(); i < paged->length() + tokens; ++i) {
    slots.push_back(growth->SlotOf(i));
  }
  RETURN_IF_ERROR(backend_->CopyIn(
      {.shape = &config_.attention, .slots = slots, .pages = kv_pool_->buffer()}, saved));
  growth->Commit();
  return OkStatus();
}

Result<const ChatTemplate*> Transformer::chat_template() const {
  if (!chat_template_->ok()) return chat_template_->status();
  return &chat_template_->value();
}

}  // namespace vade
