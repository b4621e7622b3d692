#include "model/unigram_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr std::string_view kMarker = "\xe2\x96\x81";  // U+2581 stands for a space
constexpr char32_t kFirstCombining = 0x300;
constexpr char32_t kCodePoints = 0x110000;
// Below the worst piece by this much, so that any piece is better than the unknown one
// (SentencePiece's).
constexpr float kUnknownPenalty = 10.0f;
constexpr double kUnreached = -std::numeric_limits<double>::infinity();

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xc0) == 0x80; }

// Only normal pieces are found in text.
bool IsFound(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUserDefined;
}

bool MayNeedComposition(std::string_view text) {
  // Code points from U+0300 on begin with a byte from 0xcc on.
  static_assert(kFirstCombining == 0x300, "the lead byte below belongs to it");
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) >= 0xcc; });
}

Result<std::vector<uint32_t>> ReadUints(const GgufFile& file, std::string_view key) {
  const auto values = file.GetInts(key);
  if (!values) {
    return InvalidArgument(StrCat("weights file ", file.path(), ": key ", key,
                                  " is missing; make the file with `vade models convert`"));
  }
  std::vector<uint32_t> out(values->size());
  for (size_t i = 0; i < out.size(); ++i) {
    if ((*values)[i] < 0 || (*values)[i] > std::numeric_limits<uint32_t>::max()) {
      return InvalidArgument(
          StrCat("weights file ", file.path(), ": ", key, " has the value ", (*values)[i]));
    }
    out[i] = static_cast<uint32_t>((*values)[i]);
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> UnigramTokenizer::FromGguf(const GgufFile& file) {
  ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::FromGguf(file));
  if (vocabulary.unknown() < 0) {
    return InvalidArgument(
        StrCat("weights file ", file.path(), " has no tokenizer.ggml.unknown_token_id"));
  }
  auto scores = file.GetFloats("tokenizer.ggml.scores");
  CodePointMap map;
  ASSIGN_OR_RETURN(map.from, ReadUints(file, "vade.normalizer.code_points"));
  ASSIGN_OR_RETURN(map.end, ReadUints(file, "vade.normalizer.ends"));
  ASSIGN_OR_RETURN(map.to, ReadUints(file, "vade.normalizer.replacements"));
  return FromParts(std::move(vocabulary), scores ? std::move(*scores) : std::vector<float>(),
                   std::move(map), file.path());
}

Result<std::unique_ptr<Tokenizer>> UnigramTokenizer::FromParts(Vocabulary vocabulary,
                                                               std::vector<float> scores,
                                                               CodePointMap map,
                                                               const std::string& source) {
  std::unique_ptr<UnigramTokenizer> tokenizer(new UnigramTokenizer(std::move(vocabulary)));
  RETURN_IF_ERROR(tokenizer->TakeScores(std::move(scores), source));
  RETURN_IF_ERROR(tokenizer->TakeMap(std::move(map), source));
  tokenizer->IndexPieces();
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

Status UnigramTokenizer::TakeScores(std::vector<float> scores, const std::string& source) {
  if (scores.size() != static_cast<size_t>(vocabulary_.size())) {
    return InvalidArgument(StrCat("weights file ", source, ": tokenizer.ggml.scores has ",
                                  scores.size(), " values for ", vocabulary_.size(), " tokens"));
  }
  scores_ = std::move(scores);
  float worst = 0;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    if (!std::isfinite(scores_[id])) {
      return InvalidArgument(
          StrCat("weights file ", source, ": the score of token ", id, " is not a number"));
    }
    if (IsFound(vocabulary_.type(id))) worst = std::min(worst, scores_[id]);
  }
  unknown_score_ = worst - kUnknownPenalty;
  return OkStatus();
}

Status UnigramTokenizer::TakeMap(CodePointMap map, const std::string& source) {
  map_ = std::move(map);
  const auto damaged = [&](size_t i) {
    return InvalidArgument(
        StrCat("weights file ", source, ": vade.normalizer.* is damaged at ", i));
  };
  if (map_.end.size() != map_.from.size()) return damaged(map_.from.size());
  is_mapped_.assign(kCodePoints / 64, 0);
  for (size_t i = 0; i < map_.from.size(); ++i) {
    if (map_.from[i] >= kCodePoints || (i > 0 && map_.from[i] <= map_.from[i - 1]) ||
        map_.end[i] > map_.to.size() || (i > 0 && map_.end[i] < map_.end[i - 1])) {
      return damaged(i);
    }
    is_mapped_[map_.from[i] / 64] |= uint64_t{1} << (map_.from[i] % 64);
  }
  for (const uint32_t c : map_.to) {
    if (c >= kCodePoints || (c >= 0xd800 && c < 0xe000)) return damaged(c);
  }
  return OkStatus();
}

void UnigramTokenizer::IndexPieces() {
  prefixes_.assign(kPrefixes / 4, 0);
  piece_ends_.reserve(vocabulary_.size());
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view text = vocabulary_.text(id);
    if (IsFound(vocabulary_.type(id))) {
      uint64_t hash = TokenTable::kHashSeed;
      for (size_t i = 0; i < text.size(); ++i) {
        hash = TokenTable::HashStep(hash, text[i]);
        const bool whole = i + 1 == text.size();
        if (whole || !IsContinuation(text[i + 1])) {
          MarkPrefix(TokenTable::HashFinish(hash), whole ? kBegins | kIsPiece : kBegins);
        }
      }
      pieces_cross_words_ |= text.size() > 1 && text.find(kMarker, 1) != std::string_view::npos;
      for (size_t i = 0; i < text.size();) {
        const bool marker = text.substr(i, kMarker.size()) == kMarker;
        piece_bytes_.push_back(marker ? ' ' : text[i]);
        i += marker ? kMarker.size() : 1;
      }
    }
    piece_ends_.push_back(static_cast<uint32_t>(piece_bytes_.size()));
  }
}

std::vector<int32_t> UnigramTokenizer::Encode(std::string_view text, Special special) const {
  return vocabulary_.Encode(
      text, special,
      [this](std::string_view part, std::vector<int32_t>* out) { EncodeText(part, out); });
}

size_t UnigramTokenizer::Count(std::string_view text) const {
  return Encode(text, Special::kText).size();
}

std::string UnigramTokenizer::Normalize(std::string_view text) const {
  // The model was trained on composed characters; the map has single code points only.
  std::string composed;
  if (MayNeedComposition(text)) {
    composed = Nfc(text);
    text = composed;
  }
  std::string out;
  out.reserve(text.size() + text.size() / 4 + kMarker.size());
  bool after_space = false;
  const auto append = [&](char32_t c) {
    if (c == ' ') {
      if (!after_space) out.append(kMarker);
      after_space = true;
    } else {
      if (out.empty()) out.append(kMarker);
      AppendCodePoint(&out, c);
      after_space = false;
    }
  };
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = NextCodePoint(text, &pos);
    if (((is_mapped_[c / 64] >> (c % 64)) & 1) == 0) {
      append(c);
      continue;
    }
    const size_t i = std::lower_bound(map_.from.begin(), map_.from.end(), c) - map_.from.begin();
    for (uint32_t k = i == 0 ? 0 : map_.end[i - 1]; k < map_.end[i]; ++k) append(map_.to[k]);
  }
  return out;
}

void UnigramTokenizer::EncodeText(std::string_view text, std::vector<int32_t>* out) const {
  if (text.empty()) return;
  const std::string normalized = Normalize(text);
  std::string_view rest = normalized;
  std::vector<Step> steps;
  while (!rest.empty()) {
    // No piece crosses the beginning of a word, so words can be taken one by one.
    const size_t end =
        pieces_cross_words_ ? rest.size() : std::min(rest.find(kMarker, 1), rest.size());
    EncodeStretch(rest.substr(0, end), &steps, out);
    rest.remove_prefix(end);
  }
}

void UnigramTokenizer::TryPieces(std::string_view text, size_t begin,
                                 std::vector<Step>* steps) const {
  uint64_t hash = TokenTable::kHashSeed;
  for (size_t end = begin; end < text.size();) {
    do {
      hash = TokenTable::HashStep(hash, text[end++]);
    } while (end < text.size() && IsContinuation(text[end]));
    const uint64_t finished = TokenTable::HashFinish(hash);
    const uint8_t info = PrefixInfo(finished);
    if ((info & kBegins) == 0) return;
    if ((info & kIsPiece) == 0) continue;
    const int32_t id = vocabulary_.table().Find(text.substr(begin, end - begin), finished);
    if (id < 0 || !IsFound(vocabulary_.type(id))) continue;
    const double score = (*steps)[begin].score + scores_[id];
    if (score > (*steps)[end].score) (*steps)[end] = {score, id, static_cast<uint32_t>(begin)};
  }
}

void UnigramTokenizer::EncodeStretch(std::string_view text, std::vector<Step>* steps,
                                     std::vector<int32_t>* out) const {
  steps->assign(text.size() + 1, {kUnreached, -1, 0});
  (*steps)[0].score = 0;
  for (size_t begin = 0; begin < text.size();) {
    TryPieces(text, begin, steps);
    size_t next = begin + 1;
    while (next < text.size() && IsContinuation(text[next])) ++next;
    const double score = (*steps)[begin].score + unknown_score_;
    if (score > (*steps)[next].score) {
      (*steps)[next] = {score, vocabulary_.unknown(), static_cast<uint32_t>(begin)};
    }
    begin = next;
  }
  const size_t first = out->size();
  for (size_t end = text.size(); end > 0; end = (*steps)[end].begin) {
    const int32_t id = (*steps)[end].id;
    // Neighbouring unknown characters are one unknown token, as the models were trained.
    const bool repeats = out->size() > first && out->back() == id && id == vocabulary_.unknown();
    if (!repeats) out->push_back(id);
  }
  std::reverse(out->begin() + first, out->end());
}

std::string_view UnigramTokenizer::Piece(int32_t id) const {
  if (!vocabulary_.Contains(id)) return {};
  const uint32_t begin = id == 0 ? 0 : piece_ends_[id - 1];
  return std::string_view(piece_bytes_).substr(begin, piece_ends_[id] - begin);
}

}  // namespace vade
