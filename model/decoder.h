// A language model as the rest of the system sees it: sequences of tokens in, logits out.
//
//   ASSIGN_OR_RETURN(auto decoder, LoadDecoder(path, {.pool = &pool}));
//   ASSIGN_OR_RETURN(auto sequence, decoder->NewSequence());
//   ForwardItem item{sequence.get(), tokens, positions, wanted};
//   ASSIGN_OR_RETURN(Logits logits, decoder->Forward({&item, 1}, ctx));
//
// A Sequence is a page table over the decoder's shared pool of key/value pages; keys lie there
// un-rotated. One Forward at a time per sequence; Forward itself may be called from several threads
// (calls queue up). Results for a sequence are bit for bit the same whatever else is in the batch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "kernels/kernels.h"
#include "model/best_logits.h"
#include "model/chat_template.h"
#include "model/device_choice.h"
#include "model/tokenizer.h"

namespace vade {

class ThreadPool;

// What a decoder has read so far. Destroying it gives its pages back. Must not outlive its decoder.
class Sequence {
 public:
  virtual ~Sequence() = default;
  virtual int length() const = 0;  // tokens read
};

struct ForwardItem {
  Sequence* sequence = nullptr;
  std::span<const int32_t> tokens;          // at least one; appended to the sequence
  std::span<const int32_t> positions = {};  // one a token, each greater than all positions read
                                            // before; empty: continue from sequence->length()
  std::span<const int32_t> wanted =
      {};  // indices into `tokens` whose logits are returned, ascending
  // Indices into `tokens`, ascending, below the last: of the token behind each, the log probability
  // (natural) is returned. What a text makes of another one behind it, without its logits.
  std::span<const int32_t> scored = {};
  // Not 0: of the wanted rows so many of the greatest logits are returned, as Logits::best, and not
  // all of them. At most Decoder::max_best(). For what `temperature` (above 0): BestLogits says.
  int best = 0;
  double temperature = 1;
  bool weights = false;  // BestLogits::weights too
  // Tokens, ascending, whose logits are returned by themselves for each of these rows, as
  // BestLogits::apart: the best are those of the others. Only with `best`.
  std::span<const int32_t> apart = {};
};

// Names one Forward of a decoder.
struct ForwardNumber {
  uint64_t value = 0;
};

struct Logits {
  int vocab_size = 0;
  // [rows, vocab_size], in the order of items and their `wanted`, but for items that want the best
  std::vector<float> values;
  std::vector<BestLogits> best;  // the rows of those, in the same order
  std::vector<float> scores;     // in the order of items and their `scored`
  ForwardNumber forward;         // for WholeRow
  std::span<const float> row(size_t i) const {
    return {values.data() + i * vocab_size, static_cast<size_t>(vocab_size)};
  }
};

struct DecoderInfo {
  std::string name;          // general.name of the file, or its file name
  std::string architecture;  // "qwen2", "llama"
  std::string fingerprint;   // of the weights
  int context_tokens = 0;    // longest sequence it was made for, capped by the options
  int vocab_size = 0;
  int layers = 0;
  uint64_t weight_bytes_per_token = 0;  // read from memory for one decoded token
  std::string kv_type;                  // of the pages: "q8", "q4", "f16", "f32"
  uint64_t kv_bytes_per_token = 0;
  std::string device = "cpu";  // or the GPU's name
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual const DecoderInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  virtual Result<const ChatTemplate*> chat_template()
      const = 0;  // UNIMPLEMENTED names an unknown one

  virtual Result<std::unique_ptr<Sequence>> NewSequence() = 0;
  // A new sequence that begins with the first `length` tokens of `from`: whole pages are shared,
  // the last partial one is copied. INVALID_ARGUMENT beyond from.length().
  virtual Result<std::unique_ptr<Sequence>> Fork(const Sequence& from, int length) = 0;
  virtual Status Truncate(Sequence& sequence, int length) = 0;

  // What was read, outside of the pages: the keys and values of tokens [begin, end) as bytes that
  // Append puts behind what another sequence of the same weights, pages of the same type and the
  // same prefix has read. Reading goes on from there with the bits that it would have had.
  // Saved form: [layer][key|value][kv_head][token] rows of one head in the type of the pages.
  virtual uint64_t SavedBytes(int tokens) const = 0;
  // INVALID_ARGUMENT for tokens that are not there or an `out` that is not
  // SavedBytes(end - begin).
  virtual Status Save(const Sequence& sequence, int begin, int end, std::span<uint8_t> out) = 0;
  // Positions go on from the last one. On any error nothing has changed: INVALID_ARGUMENT for
  // bytes that are not SavedBytes(tokens), OUT_OF_RANGE beyond context_tokens, RESOURCE_EXHAUSTED
  // when the pages do not suffice. What the bytes say is not checked: they are the caller's to
  // vouch for.
  virtual Status Append(Sequence& sequence, std::span<const uint8_t> saved, int tokens) = 0;

  // Reads the items' tokens. On any error no sequence has changed. RESOURCE_EXHAUSTED when the
  // pages do not suffice; OUT_OF_RANGE beyond context_tokens; checks `ctx` between layers.
  virtual Result<Logits> Forward(std::span<const ForwardItem> batch, const Context& ctx) = 0;

  // Where logits lie in another memory: how many of the greatest of a row may be asked for, which
  // saves copying the others. 0: whole rows cost nothing more.
  virtual int max_best() const { return 0; }
  // All logits of row i of the `best` of a Forward, while none has come after it;
  // FAILED_PRECONDITION then. So who asks for the best is the decoder's only caller.
  virtual Result<std::vector<float>> WholeRow(ForwardNumber /*forward*/, size_t /*i*/) {
    return Unimplemented("this decoder returns whole rows");
  }
  // Of these the ones of tokens [begin, begin + count); OUT_OF_RANGE beyond the vocabulary.
  virtual Result<std::vector<float>> RowPart(ForwardNumber /*forward*/, size_t /*i*/,
                                             int32_t /*begin*/, int32_t /*count*/) {
    return Unimplemented("this decoder returns whole rows");
  }
};

struct DecoderOptions {
  ThreadPool* pool = nullptr;  // not owned; null: the caller's thread alone
  int context_tokens = 8192;   // upper bound on one sequence
  // Of the key/value pages. kQ8 and kQ4 take head sizes that are multiples of 32; a model with
  // others gets kF16 instead, which info() and the log say. kQ4 takes .6 of the memory of kQ8 and
  // costs quality (docs/performance.md); the processor alone has it.
  kernels::KvType kv_type = kernels::KvType::kQ8;
  uint64_t kv_budget_bytes = 512ull << 20;  // of the page pool; a hard limit
  std::string packed_cache_dir = {};        // repacked weights are kept there; "": memory only
  // kAuto says why it is not the GPU, once a process. A model that does not fit the GPU is loaded
  // for the processor then.
  DeviceChoice device = DeviceChoice::kCpu;
  GpuOptions gpu = {};
};

// A GGUF file of architecture "qwen2" or "llama". UNIMPLEMENTED names another architecture.
Result<std::unique_ptr<Decoder>> LoadDecoder(const std::string& path,
                                             const DecoderOptions& options);

}  // namespace vade
