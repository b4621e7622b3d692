// The decoder of model/decoder.h: llama and qwen2 networks (root-mean-square norms, rotated keys
// and queries, grouped-query attention, a gated feed-forward part), written once over
// model/backend.h.
//
// Thread-safe as decoder.h says: a Forward holds the mutex from its first page to its last logit.
// Owns the mapped file, the backend, the weights and the pages; sequences hold pages and must go
// first.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/backend.h"
#include "model/decoder.h"
#include "model/decoder_config.h"
#include "model/decoder_weights.h"
#include "model/kv_pool.h"
#include "model/step.h"

namespace vade {

class Transformer final : public Decoder {
 public:
  static Result<std::unique_ptr<Transformer>> Load(const std::string& path,
                                                   const DecoderOptions& options,
                                                   std::unique_ptr<Backend> backend);

  const DecoderInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  Result<const ChatTemplate*> chat_template() const override;

  Result<std::unique_ptr<Sequence>> NewSequence() override;
  Result<std::unique_ptr<Sequence>> Fork(const Sequence& from, int length) override;
  Status Truncate(Sequence& sequence, int length) override;
  uint64_t SavedBytes(int tokens) const override;
  Status Save(const Sequence& sequence, int begin, int end, std::span<uint8_t> out) override;
  Status Append(Sequence& sequence, std::span<const uint8_t> saved, int tokens) override;
  Result<Logits> Forward(std::span<const ForwardItem> batch, const Context& ctx) override;
  int max_best() const override;
  Result<std::vector<float>> WholeRow(ForwardNumber forward, size_t i) override;
  Result<std::vector<float>> RowPart(ForwardNumber forward, size_t i, int32_t begin,
                                     int32_t count) override;

  void set_device(std::string name) { info_.device = std::move(name); }
  const DecoderConfig& config() const { return config_; }
  const KvPool& kv_pool() const { return *kv_pool_; }

 private:
  // Scratch of one step, reused by the next; grows to the largest step seen, at most Step::kMaxRows
  // rows.
  struct Workspace {
    int rows = 0, head_rows = 0;
    BufferHandle x;       // [rows, width]: the residual stream
    BufferHandle qkv;     // [rows, qkv_width]
    BufferHandle mixed;   // [rows, q_width]: what attention gives
    BufferHandle hidden;  // [rows, feed_forward_width]
    BufferHandle logits;  // [head_rows, vocab_size]
    Step step;
  };

  // Tokens of one item on their way in.
  struct Reading {
    PagedSequence* sequence = nullptr;
    std::vector<int32_t> positions;
    std::vector<int32_t> head_rows;  // indices into the tokens: the wanted and the scored ones
    std::unique_ptr<KvGrowth> growth;
  };

  // What is made of a row that goes through the head.
  struct HeadRow {
    int32_t target = -1;  // its log probability is returned; negative: none is
    bool wanted = false;  // its logits are
    int best = 0;         // not all of them
    double temperature = 1;
    bool weights = false;
    std::span<const int32_t> apart = {};  // the item's
  };

  Transformer() = default;
  Status LoadFile(const std::string& path, const DecoderOptions& options);
  void DescribeFile();

  Result<Reading> CheckItem(const ForwardItem& item) const;
  Status CheckPositions(const ForwardItem& item, const PagedSequence& sequence,
                        std::vector<int32_t>* positions) const;
  Status CheckSaved(uint64_t bytes, int tokens) const;
  Status CopySharedPage(const KvGrowth& growth);
  Status EnsureWorkspace(int rows, int head_rows);
  static Status CheckHeadRows(const ForwardItem& item, Reading* reading,
                              std::vector<HeadRow>* rows);
  Status RunStep(const Step& step, const Context& ctx, std::span<const HeadRow> rows,
                 Logits* logits);
  Status RunLayers(const Step& step, const Context& ctx);
  Status ProjectHead(size_t first, size_t count);
  Status ReadHead(std::span<const HeadRow> rows, Logits* logits);
  Status ReadRow(int32_t row, int32_t begin, std::span<float> values);  // from that token on
  Status ReadBest(std::span<const HeadRow> rows, Logits* logits);
  Status KeepBestRows();

  std::unique_ptr<GgufFile> file_;
  DecoderConfig config_;
  DecoderInfo info_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<Result<ChatTemplate>> chat_template_;
  // The backend reads what the weights hold, the pool holds a buffer of the backend: ended in
  // reverse.
  DecoderWeights weights_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<KvPool> kv_pool_;

  std::mutex forward_mutex_;
  ForwardNumber last_forward_;
  // A row of its `best`: still among the logits, or kept since others took their place.
  struct BestRow {
    int32_t row = 0;
    std::vector<float> kept = {};
  };
  std::vector<BestRow> best_rows_;
  Workspace workspace_;
};

// LoadDecoder on a backend of the caller's choice.
Result<std::unique_ptr<Decoder>> LoadDecoderOn(std::unique_ptr<Backend> backend,
                                               const std::string& path,
                                               const DecoderOptions& options);

}  // namespace vade
