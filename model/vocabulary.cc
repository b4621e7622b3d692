#include "model/vocabulary.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

// Control tokens that end a turn or a text in the models that we know, whatever their ids.
constexpr std::string_view kEndTokens[] = {
    "<|im_end|>",    "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>",  "<|end|>",
    "<end_of_turn>", "</s>",          "<eos>",           "<|fim_pad|>", "<|repo_name|>",
    "<|file_sep|>",  "<reponame>",
};

// A token id under `key`: -1 when absent, an error when outside the vocabulary.
Result<int32_t> ReadTokenId(const GgufFile& file, std::string_view key, int32_t size) {
  const auto id = file.GetUint(key);
  if (!id) return -1;
  if (*id >= static_cast<uint64_t>(size)) {
    return InvalidArgument(StrCat("weights file ", file.path(), ": ", key, " is ", *id,
                                  ", but there are ", size, " tokens"));
  }
  return static_cast<int32_t>(*id);
}

}  // namespace

Status TokenTable::Build(const std::vector<std::string_view>& tokens) {
  uint64_t total = 0;
  for (const std::string_view token : tokens) total += token.size();
  if (total > std::numeric_limits<uint32_t>::max() || tokens.size() > (1u << 28)) {
    return InvalidArgument(
        StrCat("a vocabulary of ", tokens.size(), " tokens and ", total, " bytes is too large"));
  }
  bytes_.reserve(total);
  ends_.reserve(tokens.size());
  uint64_t capacity = 16;
  while (capacity < tokens.size() * 2) capacity *= 2;
  slots_.assign(capacity, 0);
  mask_ = capacity - 1;
  for (const std::string_view token : tokens) {
    bytes_.append(token);
    ends_.push_back(static_cast<uint32_t>(bytes_.size()));
    uint64_t hash = kHashSeed;
    for (const char byte : token) hash = HashStep(hash, byte);
    hash = HashFinish(hash);
    if (Find(token, hash) >= 0) continue;
    uint64_t slot = hash & mask_;
    while (slots_[slot] != 0) slot = (slot + 1) & mask_;
    slots_[slot] = size();
  }
  return OkStatus();
}

int32_t TokenTable::Find(std::string_view text, uint64_t finished_hash) const {
  for (uint64_t slot = finished_hash & mask_;; slot = (slot + 1) & mask_) {
    const int32_t id = slots_[slot] - 1;
    if (id < 0) return -1;
    if ((*this)[id] == text) return id;
  }
}

int32_t TokenTable::Find(std::string_view text) const {
  uint64_t hash = kHashSeed;
  for (const char byte : text) hash = HashStep(hash, byte);
  return Find(text, HashFinish(hash));
}

Result<Vocabulary> Vocabulary::FromGguf(const GgufFile& file) {
  const auto tokens = file.GetStrings("tokenizer.ggml.tokens");
  if (!tokens || tokens->empty()) {
    return InvalidArgument(StrCat("weights file ", file.path(), " has no tokenizer.ggml.tokens"));
  }
  Vocabulary vocabulary;
  RETURN_IF_ERROR(vocabulary.tokens_.Build(*tokens).WithContext(file.path()));
  RETURN_IF_ERROR(vocabulary.ReadTypes(file));
  RETURN_IF_ERROR(vocabulary.ReadIds(file));
  vocabulary.IndexSpecials();
  return vocabulary;
}

Result<Vocabulary> Vocabulary::FromParts(const VocabularyParts& parts) {
  const auto count = static_cast<int64_t>(parts.tokens.size());
  for (const int32_t id : {parts.bos, parts.eos, parts.unknown}) {
    if (id < -1 || id >= count)
      return InvalidArgument(StrCat("token id ", id, " of ", count, " tokens"));
  }
  if (parts.types.size() != parts.tokens.size() || parts.tokens.empty()) {
    return InvalidArgument(
        StrCat("a vocabulary of ", count, " tokens and ", parts.types.size(), " kinds of them"));
  }
  Vocabulary vocabulary;
  const std::vector<std::string_view> views(parts.tokens.begin(), parts.tokens.end());
  RETURN_IF_ERROR(vocabulary.tokens_.Build(views));
  vocabulary.types_ = parts.types;
  vocabulary.bos_ = parts.bos;
  vocabulary.eos_ = parts.eos;
  vocabulary.unknown_ = parts.unknown;
  vocabulary.MarkEnds(-1);
  vocabulary.IndexSpecials();
  return vocabulary;
}

Status Vocabulary::ReadTypes(const GgufFile& file) {
  types_.assign(size(), TokenType::kNormal);
  const auto types = file.GetInts("tokenizer.ggml.token_type");
  if (!types) return OkStatus();
  if (types->size() != types_.size()) {
    return InvalidArgument(StrCat("weights file ", file.path(), ": tokenizer.ggml.token_type has ",
                                  types->size(), " entries for ", size(), " tokens"));
  }
  for (size_t i = 0; i < types_.size(); ++i) {
    const int64_t type = (*types)[i];
    types_[i] = type >= 1 && type <= 6 ? static_cast<TokenType>(type) : TokenType::kNormal;
  }
  return OkStatus();
}

Status Vocabulary::ReadIds(const GgufFile& file) {
  ASSIGN_OR_RETURN(bos_, ReadTokenId(file, "tokenizer.ggml.bos_token_id", size()));
  ASSIGN_OR_RETURN(eos_, ReadTokenId(file, "tokenizer.ggml.eos_token_id", size()));
  ASSIGN_OR_RETURN(unknown_, ReadTokenId(file, "tokenizer.ggml.unknown_token_id", size()));
  ASSIGN_OR_RETURN(const int32_t eot, ReadTokenId(file, "tokenizer.ggml.eot_token_id", size()));
  MarkEnds(eot);
  return OkStatus();
}

void Vocabulary::MarkEnds(int32_t eot) {
  ends_generation_.assign(size(), false);
  if (eos_ >= 0) ends_generation_[eos_] = true;
  if (eot >= 0) ends_generation_[eot] = true;
  for (const std::string_view text : kEndTokens) {
    if (const int32_t id = FindControl(text); id >= 0) ends_generation_[id] = true;
  }
}

void Vocabulary::IndexSpecials() {
  for (int32_t id = 0; id < size(); ++id) {
    if (type(id) != TokenType::kControl && type(id) != TokenType::kUserDefined) continue;
    if (text(id).empty()) continue;
    special_lengths_[static_cast<uint8_t>(text(id)[0])].push_back(text(id).size());
  }
  for (auto& lengths : special_lengths_) {
    std::sort(lengths.begin(), lengths.end(), std::greater<>());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  }
}

int32_t Vocabulary::FindControl(std::string_view text) const {
  const int32_t id = tokens_.Find(text);
  return IsControl(id) ? id : -1;
}

std::vector<int32_t> Vocabulary::Encode(std::string_view text, Special special,
                                        const TextEncoder& encode) const {
  std::string replaced;
  if (!IsValidUtf8(text)) {
    replaced = ReplaceInvalidUtf8(text);
    text = replaced;
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 4);
  for (size_t from = 0; from < text.size();) {
    const Match match = NextSpecial(text, from, special);
    encode(text.substr(from, match.begin - from), &ids);
    if (match.id >= 0) ids.push_back(match.id);
    from = match.end;
  }
  return ids;
}

Vocabulary::Match Vocabulary::NextSpecial(std::string_view text, size_t from,
                                          Special special) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    for (const uint32_t length : special_lengths_[static_cast<uint8_t>(text[begin])]) {
      if (length > text.size() - begin) continue;
      const int32_t id = tokens_.Find(text.substr(begin, length));
      if (id < 0) continue;
      if (type(id) == TokenType::kUserDefined ||
          (type(id) == TokenType::kControl && special == Special::kParse)) {
        return {begin, begin + length, id};
      }
    }
  }
  return {text.size(), text.size(), -1};
}

}  // namespace vade
