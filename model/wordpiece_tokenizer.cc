#include "model/wordpiece_tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr char32_t kReplacement = 0xfffd;
constexpr char32_t kCapitalIWithDot = 0x130;

bool IsAscii(char32_t c) { return c < 0x80; }

// What is cut off as a word of its own: ASCII's symbols too, but no other script's.
bool IsCut(char32_t c) {
  if (IsAscii(c))
    return c > 0x20 && c < 0x7f && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
           !(c >= '0' && c <= '9');
  return IsPunctuationMark(c);
}

// The blocks that BERT's tokenizer takes for Chinese. The first code points of U+2B820..2B91F are
// missing in it, so they are missing here.
bool IsIdeograph(char32_t c) {
  constexpr std::pair<char32_t, char32_t> kBlocks[] = {
      {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0x20000, 0x2a6df},
      {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f}};
  return std::any_of(std::begin(kBlocks), std::end(kBlocks),
                     [c](const auto& block) { return c >= block.first && c <= block.second; });
}

bool IsSpace(char32_t c) { return IsAscii(c) ? c == ' ' || (c >= 9 && c <= 13) : IsWhitespace(c); }

// Tab and line ends are white space, not controls.
bool IsDropped(char32_t c) {
  if (IsAscii(c)) return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
  return c == kReplacement || IsControl(c);
}

}  // namespace

Status WordPieceTokenizer::Pieces::Build(const std::vector<std::string_view>& texts) {
  for (const std::string_view text : texts) longest = std::max(longest, text.size());
  return table.Build(texts);
}

Result<std::unique_ptr<Tokenizer>> WordPieceTokenizer::FromParts(Vocabulary vocabulary,
                                                                 const WordPieceOptions& options) {
  if (vocabulary.unknown() < 0)
    return InvalidArgument("a WordPiece vocabulary without unknown token");
  std::unique_ptr<WordPieceTokenizer> tokenizer(
      new WordPieceTokenizer(std::move(vocabulary), options));
  RETURN_IF_ERROR(tokenizer->IndexPieces());
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

Status WordPieceTokenizer::IndexPieces() {
  std::vector<std::string_view> first, continuing;
  const std::string_view prefix = options_.continuing_prefix;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view text = vocabulary_.text(id);
    const bool continues = text.size() > prefix.size() && text.starts_with(prefix);
    if (vocabulary_.type(id) == TokenType::kNormal && !text.empty()) {
      // A piece that begins with the prefix may also begin a word that does.
      first.push_back(text);
      first_.ids.push_back(id);
      if (continues) {
        continuing.push_back(text.substr(prefix.size()));
        continuing_.ids.push_back(id);
      }
    }
    if (!vocabulary_.IsControl(id)) {
      pieces_ += continues ? std::string(text.substr(prefix.size())) : StrCat(" ", text);
    }
    piece_ends_.push_back(static_cast<uint32_t>(pieces_.size()));
  }
  RETURN_IF_ERROR(first_.Build(first));
  return continuing_.Build(continuing);
}

std::vector<int32_t> WordPieceTokenizer::Encode(std::string_view text, Special special) const {
  return vocabulary_.Encode(
      text, special,
      [this](std::string_view part, std::vector<int32_t>* out) { EncodeText(part, out); });
}

size_t WordPieceTokenizer::Count(std::string_view text) const {
  return Encode(text, Special::kText).size();
}

void WordPieceTokenizer::AppendNormalized(char32_t c, std::string* out) const {
  const auto space = [out] {
    if (!out->empty() && out->back() != ' ') out->push_back(' ');
  };
  if (IsSpace(c)) return space();
  if (options_.strip_accents && !IsAscii(c) && IsNonspacingMark(c)) return;
  const bool alone = IsCut(c) || (options_.split_ideographs && IsIdeograph(c));
  if (alone) space();
  if (!options_.lowercase) {
    AppendCodePoint(out, c);
  } else if (c == kCapitalIWithDot) {  // the one that becomes two
    out->append("i\xcc\x87");
  } else {
    AppendCodePoint(out, IsAscii(c) ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : ToLower(c));
  }
  if (alone) space();
}

std::string WordPieceTokenizer::Normalize(std::string_view text) const {
  std::string cleaned;
  if (options_.clean_text) {
    cleaned.reserve(text.size());
    for (size_t pos = 0; pos < text.size();) {
      const size_t begin = pos;
      if (!IsDropped(NextCodePoint(text, &pos))) cleaned.append(text, begin, pos - begin);
    }
    text = cleaned;
  }
  const std::string decomposed = options_.strip_accents ? Nfd(text) : std::string(text);
  std::string out;
  out.reserve(decomposed.size() + decomposed.size() / 8);
  for (size_t pos = 0; pos < decomposed.size();) {
    AppendNormalized(NextCodePoint(decomposed, &pos), &out);
  }
  return out;
}

void WordPieceTokenizer::EncodeText(std::string_view text, std::vector<int32_t>* out) const {
  if (text.empty()) return;
  const std::string normalized = Normalize(text);
  for (size_t begin = 0; begin < normalized.size();) {
    const size_t end = std::min(normalized.find(' ', begin), normalized.size());
    if (end > begin) EncodeWord(std::string_view(normalized).substr(begin, end - begin), out);
    begin = end + 1;
  }
}

void WordPieceTokenizer::EncodeWord(std::string_view word, std::vector<int32_t>* out) const {
  const size_t before = out->size();
  const bool too_long = word.size() > options_.max_word_characters &&
                        CodePointCount(word) > options_.max_word_characters;
  for (size_t begin = 0; !too_long && begin < word.size();) {
    const Pieces& pieces = begin == 0 ? first_ : continuing_;
    size_t best_end = begin;
    int32_t best = -1;
    uint64_t hash = TokenTable::kHashSeed;
    for (size_t end = begin; end < word.size() && end - begin < pieces.longest;) {
      do {
        hash = TokenTable::HashStep(hash, word[end++]);
      } while (end < word.size() && (static_cast<uint8_t>(word[end]) & 0xc0) == 0x80);
      const int32_t found =
          pieces.table.Find(word.substr(begin, end - begin), TokenTable::HashFinish(hash));
      if (found >= 0) best = pieces.ids[found], best_end = end;
    }
    if (best < 0) break;
    out->push_back(best);
    begin = best_end;
    if (begin == word.size()) return;
  }
  out->resize(before);
  out->push_back(vocabulary_.unknown());
}

std::string_view WordPieceTokenizer::Piece(int32_t id) const {
  if (!vocabulary_.Contains(id)) return {};
  const uint32_t begin = id == 0 ? 0 : piece_ends_[id - 1];
  return std::string_view(pieces_).substr(begin, piece_ends_[id] - begin);
}

}  // namespace vade
