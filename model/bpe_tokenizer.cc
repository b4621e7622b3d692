// In the file, each byte of a token is written as one printable code point: the printable bytes of
// Latin-1 as themselves, the other 68 as U+0100 and up in byte order.
#include "model/bpe_tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <queue>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

// Words up to this many bytes are merged by scanning, longer ones with a heap: the results are
// equal.
constexpr size_t kShortWord = 32;

bool IsPrintableLatin1(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

// code point -> byte, -1 for code points that stand for none.
constexpr size_t kByteCodePoints = 0x100 + 68;
std::array<int16_t, kByteCodePoints> BytesOfCodePoints() {
  std::array<int16_t, kByteCodePoints> bytes;
  bytes.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    bytes[IsPrintableLatin1(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return bytes;
}

// The bytes that a token's text stands for; text that is not of this kind stays as it is.
void AppendDecoded(std::string_view text, const std::array<int16_t, kByteCodePoints>& bytes,
                   std::string* out) {
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    const char32_t c = NextCodePoint(text, &pos);
    if (c < kByteCodePoints && bytes[c] >= 0) {
      out->push_back(static_cast<char>(bytes[c]));
    } else {
      out->append(text.substr(begin, pos - begin));
    }
  }
}

uint64_t Pair(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

uint64_t MixPair(uint64_t pair) {
  pair *= 0x9e3779b97f4a7c15ull;
  return pair ^ (pair >> 31);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> BpeTokenizer::FromGguf(const GgufFile& file) {
  ASSIGN_OR_RETURN(const std::string_view name, file.RequireString("tokenizer.ggml.pre"));
  const auto pre = ParsePreTokenizer(name);
  if (!pre) {
    return Unimplemented(StrCat("weights file ", file.path(), ": pre-tokenizer '",
                                ReplaceInvalidUtf8(name.substr(0, 64)),
                                "' is not supported (qwen2 and smollm are)"));
  }
  ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::FromGguf(file));
  std::unique_ptr<BpeTokenizer> tokenizer(new BpeTokenizer(std::move(vocabulary), *pre));
  RETURN_IF_ERROR(tokenizer->BuildPieces(file));
  RETURN_IF_ERROR(tokenizer->ReadMerges(file));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

Status BpeTokenizer::BuildPieces(const GgufFile& file) {
  const auto bytes = BytesOfCodePoints();
  piece_ends_.reserve(vocabulary_.size());
  std::fill(std::begin(byte_ids_), std::end(byte_ids_), -1);
  int known_bytes = 0;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const size_t begin = piece_bytes_.size();
    switch (vocabulary_.type(id)) {
      case TokenType::kControl:
      case TokenType::kUnused: break;
      case TokenType::kUserDefined: piece_bytes_.append(vocabulary_.text(id)); break;
      default: {
        AppendDecoded(vocabulary_.text(id), bytes, &piece_bytes_);
        if (piece_bytes_.size() - begin == 1) {
          int32_t& known = byte_ids_[static_cast<uint8_t>(piece_bytes_[begin])];
          if (known < 0) known = id, ++known_bytes;
        }
      }
    }
    piece_ends_.push_back(static_cast<uint32_t>(piece_bytes_.size()));
  }
  if (known_bytes < 128) {
    return InvalidArgument(StrCat("weights file ", file.path(), ": the vocabulary has only ",
                                  known_bytes,
                                  " of the 256 single bytes; is it a byte-level one?"));
  }
  return OkStatus();
}

Status BpeTokenizer::ReadMerges(const GgufFile& file) {
  const auto merges = file.GetStrings("tokenizer.ggml.merges");
  if (!merges || merges->size() > std::numeric_limits<uint32_t>::max() / 4) {
    return InvalidArgument(
        StrCat("weights file ", file.path(), " has no usable tokenizer.ggml.merges"));
  }
  uint64_t capacity = 16;
  while (capacity < merges->size() * 2) capacity *= 2;
  merges_.resize(capacity);
  merge_mask_ = capacity - 1;
  std::string joined;
  for (size_t rank = 0; rank < merges->size(); ++rank) {
    const std::string_view merge = (*merges)[rank];
    const size_t space = merge.find(' ');
    if (space == std::string_view::npos) {
      return InvalidArgument(
          StrCat("weights file ", file.path(), ": merge ", rank, " is not a pair"));
    }
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    joined.assign(left).append(right);
    const int32_t a = vocabulary_.table().Find(left), b = vocabulary_.table().Find(right);
    const int32_t result = vocabulary_.table().Find(joined);
    // A merge of tokens that the vocabulary lacks can never happen.
    if (a < 0 || b < 0 || result < 0) continue;
    InsertMerge({Pair(a, b), static_cast<uint32_t>(rank), result});
  }
  return OkStatus();
}

void BpeTokenizer::InsertMerge(const Merge& merge) {
  uint64_t slot = MixPair(merge.pair) & merge_mask_;
  while (merges_[slot].pair != kNoPair) {
    if (merges_[slot].pair == merge.pair) return;  // the earlier rank stays
    slot = (slot + 1) & merge_mask_;
  }
  merges_[slot] = merge;
}

const BpeTokenizer::Merge* BpeTokenizer::FindMerge(int32_t left, int32_t right) const {
  const uint64_t pair = Pair(left, right);
  for (uint64_t slot = MixPair(pair) & merge_mask_;; slot = (slot + 1) & merge_mask_) {
    if (merges_[slot].pair == pair) return &merges_[slot];
    if (merges_[slot].pair == kNoPair) return nullptr;
  }
}

std::vector<int32_t> BpeTokenizer::Encode(std::string_view text, Special special) const {
  return vocabulary_.Encode(
      text, special,
      [this](std::string_view part, std::vector<int32_t>* out) { EncodeText(part, out); });
}

size_t BpeTokenizer::Count(std::string_view text) const {
  return Encode(text, Special::kText).size();
}

void BpeTokenizer::EncodeText(std::string_view text, std::vector<int32_t>* out) const {
  WordSplitter splitter(pre_, text);
  for (std::string_view word; splitter.Next(&word);) EncodeWord(word, out);
}

void BpeTokenizer::EncodeWord(std::string_view word, std::vector<int32_t>* out) const {
  if (word.size() <= kShortWord) return MergeShort(word, out);
  MergeLong(word, out);
}

void BpeTokenizer::MergeShort(std::string_view word, std::vector<int32_t>* out) const {
  int32_t ids[kShortWord];
  const Merge* merges[kShortWord];  // merges[i]: of ids[i] and ids[i + 1]
  size_t size = 0;
  for (const char c : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    if (id >= 0) ids[size++] = id;  // a byte without a token cannot be said
  }
  for (size_t i = 0; i + 1 < size; ++i) merges[i] = FindMerge(ids[i], ids[i + 1]);
  for (;;) {
    size_t best = size;
    for (size_t i = 0; i + 1 < size; ++i) {
      if (merges[i] && (best == size || merges[i]->rank < merges[best]->rank)) best = i;
    }
    if (best == size) break;
    ids[best] = merges[best]->result;
    std::copy(ids + best + 2, ids + size, ids + best + 1);
    if (best + 2 < size) std::copy(merges + best + 2, merges + size - 1, merges + best + 1);
    --size;
    if (best > 0) merges[best - 1] = FindMerge(ids[best - 1], ids[best]);
    if (best + 1 < size) merges[best] = FindMerge(ids[best], ids[best + 1]);
  }
  out->insert(out->end(), ids, ids + size);
}

// A linked list of symbols and a heap of the pairs that may merge; pairs that have changed
// meanwhile are recognised by their ids and skipped.
void BpeTokenizer::MergeLong(std::string_view word, std::vector<int32_t>* out) const {
  struct Symbol {
    int32_t id, previous, next;
  };
  struct Candidate {
    uint32_t rank;
    int32_t left;  // index of the left symbol
    uint64_t pair;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (const char c : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    if (id < 0) continue;
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, index - 1, index + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
  const auto push = [&](int32_t left) {
    if (left < 0 || symbols[left].next < 0) return;
    const int32_t a = symbols[left].id, b = symbols[symbols[left].next].id;
    if (const Merge* merge = FindMerge(a, b)) heap.push({merge->rank, left, merge->pair});
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i) push(static_cast<int32_t>(i));
  while (!heap.empty()) {
    const Candidate candidate = heap.top();
    heap.pop();
    Symbol& left = symbols[candidate.left];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    if (Pair(left.id, right.id) != candidate.pair) continue;
    left.id = FindMerge(left.id, right.id)->result;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = candidate.left;
    push(left.previous);
    push(candidate.left);
  }
  for (int32_t i = 0; i >= 0; i = symbols[i].next) out->push_back(symbols[i].id);
}

std::string_view BpeTokenizer::Piece(int32_t id) const {
  if (!vocabulary_.Contains(id)) return {};
  const uint32_t begin = id == 0 ? 0 : piece_ends_[id - 1];
  return std::string_view(piece_bytes_).substr(begin, piece_ends_[id] - begin);
}

}  // namespace vade
