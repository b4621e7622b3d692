// A decoder that says what a test wrote down, and remembers what it was asked to read.
//
//   ScriptedDecoder decoder;
//   decoder.Say("How long", "It is 14 days.");          // a prompt with the first goes on so
//   decoder.SayTokens("bytes", {0xE4, 0xBD, 0xA0});     // ids; 0..255 are single bytes
//
// Its tokenizer: ids 0..255 are bytes, then the control tokens <|im_start|>, <|im_end|>,
// <|endoftext|>, then the words given to the constructor (longest match first). An answer ends with
// <|im_end|>. Probabilities: the scripted token has a logit of 10, all others 0; SetLogits()
// changes that.
//
// Thread-safe. A sequence's forks share nothing but count against the page budget in full.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "model/decoder.h"
#include "model/gguf.h"
#include "tests/testing/best_logits.h"

namespace vade::testing {

class ByteTokenizer : public Tokenizer {
 public:
  static constexpr int32_t kImStart = 256, kImEnd = 257, kEndOfText = 258, kFirstWord = 259;

  explicit ByteTokenizer(std::vector<std::string> words = {}) : words_(std::move(words)) {
    for (int i = 0; i < 256; ++i) bytes_.push_back(std::string(1, static_cast<char>(i)));
  }

  int32_t vocab_size() const override { return kFirstWord + static_cast<int32_t>(words_.size()); }

  std::vector<int32_t> Encode(std::string_view text, Special special) const override {
    std::vector<int32_t> ids;
    while (!text.empty()) {
      auto [id, length] = Match(text, special);
      ids.push_back(id);
      text.remove_prefix(length);
    }
    return ids;
  }

  size_t Count(std::string_view text) const override { return Encode(text, Special::kText).size(); }

  std::string_view Piece(int32_t id) const override {
    if (id >= 0 && id < 256) return bytes_[id];
    if (id >= kFirstWord && id < vocab_size()) return words_[id - kFirstWord];
    return "";
  }

  bool IsControl(int32_t id) const override { return id >= kImStart && id < kFirstWord; }
  bool IsEnd(int32_t id) const override { return id == kImEnd || id == kEndOfText; }
  int32_t bos() const override { return -1; }
  int32_t eos() const override { return kEndOfText; }
  int32_t FindControl(std::string_view text) const override {
    for (int32_t id = kImStart; id < kFirstWord; ++id) {
      if (ControlText(id) == text) return id;
    }
    return -1;
  }

  static std::string_view ControlText(int32_t id) {
    return id == kImStart ? "<|im_start|>" : id == kImEnd ? "<|im_end|>" : "<|endoftext|>";
  }

  // With control tokens shown, for reading a prompt in a test.
  std::string Show(std::span<const int32_t> ids) const {
    std::string out;
    for (int32_t id : ids) out += IsControl(id) ? ControlText(id) : Piece(id);
    return out;
  }

 private:
  std::pair<int32_t, size_t> Match(std::string_view text, Special special) const {
    if (special == Special::kParse) {
      for (int32_t id = kImStart; id < kFirstWord; ++id) {
        if (text.starts_with(ControlText(id))) return {id, ControlText(id).size()};
      }
    }
    std::pair<int32_t, size_t> best = {static_cast<unsigned char>(text[0]), 1};
    for (size_t i = 0; i < words_.size(); ++i) {
      if (words_[i].size() > best.second && text.starts_with(words_[i])) {
        best = {kFirstWord + static_cast<int32_t>(i), words_[i].size()};
      }
    }
    return best;
  }

  std::vector<std::string> words_, bytes_;
};

class ScriptedDecoder : public Decoder {
 public:
  struct Batch {
    std::vector<std::vector<int32_t>> tokens;  // one entry an item
    size_t rows = 0;
  };
  using LogitsHook =
      std::function<void(const std::vector<int32_t>& sequence, std::span<float> logits)>;
  using ForwardHook = std::function<Status(std::span<const ForwardItem> batch)>;

  explicit ScriptedDecoder(std::vector<std::string> words = {}, int context_tokens = 1 << 20)
      : tokenizer_(std::move(words)) {
    // As a model whose readings have weights of their own (generator/reading.cc).
    info_.name = "Qwen2.5 1.5B, scripted";
    info_.architecture = "scripted";
    info_.fingerprint = "scripted";
    info_.context_tokens = context_tokens;
    info_.vocab_size = tokenizer_.vocab_size();
    info_.layers = 1;
    info_.kv_type = "ids";
    info_.kv_bytes_per_token = sizeof(int32_t);
    chat_ = MakeChatTemplate();
  }

  // The first rule whose needle the prompt (its text, control tokens shown) contains decides.
  void Say(std::string needle, std::string_view answer) {
    SayTokens(std::move(needle), tokenizer_.Encode(answer, Special::kText));
  }
  void SayTokens(std::string needle, std::vector<int32_t> answer) {
    std::lock_guard lock(mutex_);
    rules_.emplace_back(std::move(needle), std::move(answer));
  }
  void SetLogits(LogitsHook hook) { logits_hook_ = std::move(hook); }  // before use
  // The log probability of `next` behind a sequence; 0 unless set. Before use.
  using ScoreHook = std::function<float(const std::vector<int32_t>& sequence, int32_t next)>;
  void SetScores(ScoreHook hook) { score_hook_ = std::move(hook); }
  void BeforeForward(ForwardHook hook) { forward_hook_ = std::move(hook); }
  // As a decoder of another device. Before use.
  void OfferBest(int limit) { max_best_ = limit; }
  // That were asked for although the best were there.
  int whole_rows() const { return whole_rows_; }
  int row_parts() const { return row_parts_; }
  void LimitPages(int tokens) { page_tokens_ = tokens; }  // of all sequences together

  std::vector<Batch> batches() const {
    std::lock_guard lock(mutex_);
    return batches_;
  }
  size_t tokens_read() const {  // in all batches
    std::lock_guard lock(mutex_);
    size_t tokens = 0;
    for (const Batch& batch : batches_) {
      for (const auto& item : batch.tokens) tokens += item.size();
    }
    return tokens;
  }
  int forks() const { return forks_; }
  int saves() const { return saves_; }
  int appends() const { return appends_; }
  int sequences_alive() const { return *alive_; }
  // The longest prompt that was read, shown; "" before the first.
  std::string last_prompt() const {
    std::lock_guard lock(mutex_);
    return last_prompt_;
  }
  const ByteTokenizer& bytes() const { return tokenizer_; }

  const DecoderInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  Result<const ChatTemplate*> chat_template() const override {
    if (!chat_.ok()) return chat_.status();
    return &*chat_;
  }

  Result<std::unique_ptr<Sequence>> NewSequence() override {
    return std::unique_ptr<Sequence>(new Scripted(used_, alive_));
  }
  Result<std::unique_ptr<Sequence>> Fork(const Sequence& from, int length) override {
    const auto& source = static_cast<const Scripted&>(from);
    if (length < 0 || length > source.length()) return InvalidArgument("fork beyond the sequence");
    if (page_tokens_ > 0 && *used_ + length > page_tokens_)
      return ResourceExhausted("no page is left");
    ++forks_;
    auto sequence = std::make_unique<Scripted>(used_, alive_);
    sequence->Append(std::span(source.tokens).first(length));
    return std::unique_ptr<Sequence>(std::move(sequence));
  }
  Status Truncate(Sequence& sequence, int length) override {
    auto& scripted = static_cast<Scripted&>(sequence);
    if (length < 0 || length > scripted.length())
      return InvalidArgument("truncation beyond the sequence");
    *used_ -= scripted.length() - length;
    scripted.tokens.resize(length);
    return OkStatus();
  }

  // What is saved of a token is its id: appended, it has been read.
  uint64_t SavedBytes(int tokens) const override {
    return tokens <= 0 ? 0 : tokens * sizeof(int32_t);
  }
  Status Save(const Sequence& sequence, int begin, int end, std::span<uint8_t> out) override {
    const auto& tokens = static_cast<const Scripted&>(sequence).tokens;
    if (begin < 0 || end < begin || end > sequence.length())
      return InvalidArgument("saving beyond the sequence");
    if (out.size() != SavedBytes(end - begin))
      return InvalidArgument("saved bytes of another size");
    const auto* ids = reinterpret_cast<const uint8_t*>(tokens.data() + begin);
    std::copy_n(ids, out.size(), out.begin());
    ++saves_;
    return OkStatus();
  }
  Status Append(Sequence& sequence, std::span<const uint8_t> saved, int count) override {
    if (count < 0 || saved.size() != SavedBytes(count))
      return InvalidArgument("saved bytes of another size");
    if (count > info_.context_tokens - sequence.length()) return OutOfRange("beyond the context");
    if (page_tokens_ > 0 && *used_ + count > page_tokens_)
      return ResourceExhausted("no page is left");
    std::vector<int32_t> tokens(count);
    std::copy(saved.begin(), saved.end(), reinterpret_cast<uint8_t*>(tokens.data()));
    static_cast<Scripted&>(sequence).Append(tokens);
    ++appends_;
    return OkStatus();
  }

  int max_best() const override { return max_best_; }
  Result<std::vector<float>> WholeRow(ForwardNumber forward, size_t i) override {
    std::lock_guard lock(mutex_);
    if (forward.value != batches_.size() || i >= best_rows_.size())
      return FailedPrecondition("the row is gone");
    ++whole_rows_;
    return best_rows_[i];
  }
  Result<std::vector<float>> RowPart(ForwardNumber forward, size_t i, int32_t begin,
                                     int32_t count) override {
    std::lock_guard lock(mutex_);
    if (forward.value != batches_.size() || i >= best_rows_.size())
      return FailedPrecondition("the row is gone");
    ++row_parts_;
    const auto first = best_rows_[i].begin() + begin;
    return std::vector<float>(first, first + count);
  }

  Result<Logits> Forward(std::span<const ForwardItem> batch, const Context& ctx) override {
    RETURN_IF_ERROR(ctx.Check());
    if (forward_hook_) RETURN_IF_ERROR(forward_hook_(batch));
    int wanted_tokens = 0;
    for (const ForwardItem& item : batch) {
      wanted_tokens += static_cast<int>(item.tokens.size());
      if (item.tokens.empty()) return InvalidArgument("an item without tokens");
      if (item.sequence->length() + static_cast<int>(item.tokens.size()) > info_.context_tokens) {
        return OutOfRange("beyond the context");
      }
    }
    if (page_tokens_ > 0 && *used_ + wanted_tokens > page_tokens_)
      return ResourceExhausted("no page is left");
    return Read(batch);
  }

 private:
  struct Scripted : Sequence {
    Scripted(std::shared_ptr<std::atomic<int>> used, std::shared_ptr<std::atomic<int>> alive)
        : used_tokens(std::move(used)), alive_count(std::move(alive)) {
      ++*alive_count;
    }
    ~Scripted() override {
      *used_tokens -= length();
      --*alive_count;
    }
    int length() const override { return static_cast<int>(tokens.size()); }
    void Append(std::span<const int32_t> more) {
      tokens.insert(tokens.end(), more.begin(), more.end());
      *used_tokens += static_cast<int>(more.size());
    }
    std::vector<int32_t> tokens;
    std::shared_ptr<std::atomic<int>> used_tokens, alive_count;
  };

  Result<Logits> Read(std::span<const ForwardItem> batch) {
    std::lock_guard lock(mutex_);
    Logits logits;
    logits.vocab_size = tokenizer_.vocab_size();
    Batch record;
    best_rows_.clear();
    for (const ForwardItem& item : batch) {
      auto& sequence = static_cast<Scripted&>(*item.sequence);
      sequence.Append(item.tokens);
      record.tokens.emplace_back(item.tokens.begin(), item.tokens.end());
      for (int32_t index : item.wanted) {
        const size_t length = sequence.tokens.size() - item.tokens.size() + index + 1;
        AppendRow({sequence.tokens.begin(), sequence.tokens.begin() + length}, &logits);
        ++record.rows;
        if (item.best > 0) MoveToBest(item, &logits);
      }
      for (int32_t index : item.scored) {
        const size_t length = sequence.tokens.size() - item.tokens.size() + index + 1;
        const std::vector<int32_t> before(sequence.tokens.begin(),
                                          sequence.tokens.begin() + static_cast<long>(length));
        logits.scores.push_back(score_hook_ ? score_hook_(before, item.tokens[index + 1]) : 0);
      }
    }
    batches_.push_back(std::move(record));
    logits.forward.value = batches_.size();
    return logits;
  }

  // The last row of `logits` was asked for as its best.
  void MoveToBest(const ForwardItem& item, Logits* logits) {
    const size_t start = logits->values.size() - static_cast<size_t>(logits->vocab_size);
    best_rows_.emplace_back(logits->values.begin() + static_cast<long>(start),
                            logits->values.end());
    logits->values.resize(start);
    const std::vector<float>& row = best_rows_.back();
    logits->best.push_back(
        BestOf(row, static_cast<size_t>(item.best), item.temperature, item.apart));
    if (item.weights) AddWeights(row, item.temperature, 100, &logits->best.back());
  }

  void AppendRow(const std::vector<int32_t>& tokens, Logits* logits) {
    const size_t start = logits->values.size();
    logits->values.resize(start + tokenizer_.vocab_size(), 0.0f);
    logits->values[start + NextToken(tokens)] = 10;
    if (logits_hook_) logits_hook_(tokens, std::span(logits->values).subspan(start));
  }

  // What was generated is what follows the last "<|im_start|>assistant\n".
  int32_t NextToken(const std::vector<int32_t>& tokens) {
    size_t start = tokens.size();
    while (start > 0 && tokens[start - 1] != ByteTokenizer::kImStart) --start;
    const size_t header = tokenizer_.Count("assistant\n");
    const size_t generated = tokens.size() - std::min(tokens.size(), start + header);
    const std::string prompt = tokenizer_.Show(std::span(tokens).first(tokens.size() - generated));
    if (generated == 0) last_prompt_ = prompt;
    for (const auto& [needle, answer] : rules_) {
      if (prompt.find(needle) == std::string::npos) continue;
      return generated < answer.size() ? answer[generated] : ByteTokenizer::kImEnd;
    }
    return ByteTokenizer::kImEnd;
  }

  // ChatTemplate is made from weight files only: this is the smallest, without metadata or tensors.
  Result<ChatTemplate> MakeChatTemplate() const {
    static std::atomic<int> serial{0};
    const char* tmp = std::getenv("TMPDIR");
    const std::string path =
        StrCat(tmp != nullptr ? tmp : "/tmp", "/vade-scripted-", getpid(), "-", serial++, ".gguf");
    {
      std::ofstream out(path, std::ios::binary);
      std::string bytes = "GGUF";
      for (uint64_t value : {uint64_t{3}}) bytes.append(reinterpret_cast<const char*>(&value), 4);
      bytes.append(16, '\0');  // no tensors, no keys
      bytes.resize(64, '\0');  // padding to the data
      out << bytes;
    }
    auto file = GgufFile::Open(path);
    std::remove(path.c_str());
    if (!file.ok()) return file.status();
    return ChatTemplate::FromGguf(**file, tokenizer_);
  }

  const ByteTokenizer tokenizer_;
  DecoderInfo info_;
  Result<ChatTemplate> chat_ = Unimplemented("not made yet");
  std::vector<std::pair<std::string, std::vector<int32_t>>> rules_;
  LogitsHook logits_hook_;
  ForwardHook forward_hook_;
  ScoreHook score_hook_;
  std::shared_ptr<std::atomic<int>> used_ = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<std::atomic<int>> alive_ = std::make_shared<std::atomic<int>>(0);
  std::atomic<int> forks_{0}, saves_{0}, appends_{0};
  std::atomic<int> page_tokens_{0}, max_best_{0}, whole_rows_{0}, row_parts_{0};
  std::vector<std::vector<float>> best_rows_;  // of the last batch
  mutable std::mutex mutex_;
  std::vector<Batch> batches_;
  std::string last_prompt_;
};

}  // namespace vade::testing
