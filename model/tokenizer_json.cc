#include "model/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "model/unigram_tokenizer.h"
#include "model/vocabulary.h"
#include "model/wordpiece_tokenizer.h"

namespace vade {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxTokens = 1 << 22;
constexpr size_t kMaxPieceBytes = 1024;

const Json& Member(const Json& json, const char* key) {
  static const Json kNone;
  if (!json.is_object()) return kNone;
  const auto found = json.find(key);
  return found == json.end() ? kNone : *found;
}

// "" where there is no string.
std::string String(const Json& json, const char* key) {
  const Json& value = Member(json, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

// Null and a missing member are the default.
bool Bool(const Json& json, const char* key, bool otherwise) {
  const Json& value = Member(json, key);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

std::optional<int32_t> TokenId(const Json& json) {
  if (!json.is_number_integer()) return std::nullopt;
  const auto id = json.get<int64_t>();
  if (id < 0 || id >= kMaxTokens) return std::nullopt;
  return static_cast<int32_t>(id);
}

// A type's name in a message.
std::string Named(const Json& json) {
  return StrCat("'", ReplaceInvalidUtf8(String(json, "type").substr(0, 64)), "'");
}

class Reader {
 public:
  Reader(const Json& json, const std::string& path) : json_(json), path_(path) {}

  Result<std::unique_ptr<Tokenizer>> Read() {
    const Json& model = Member(json_, "model");
    std::string type = String(model, "type");
    if (type.empty() && Member(model, "vocab").is_array()) type = "Unigram";  // older files
    if (type.empty() && Member(model, "vocab").is_object()) type = "WordPiece";
    if (type == "WordPiece") return ReadWordPiece(model);
    if (type == "Unigram") return ReadUnigram(model);
    return Unimplemented(StrCat(path_, ": tokenizer ", Named(model),
                                " is not supported (WordPiece and Unigram are)"));
  }

 private:
  Status Problem(std::string_view what) const {
    return InvalidArgument(StrCat(path_, ": ", what, "; is it a complete tokenizer.json?"));
  }

  // Adds the special tokens, then those that begin and end a text.
  Status Complete(VocabularyParts* parts) const {
    parts->types.resize(parts->tokens.size(), TokenType::kNormal);
    const Json& added = Member(json_, "added_tokens");
    for (const Json& token : added.is_array() ? added : Json::array()) {
      const auto id = TokenId(Member(token, "id"));
      const std::string content = String(token, "content");
      if (!id || content.size() > kMaxPieceBytes) return Problem("an added token has no id");
      if (static_cast<size_t>(*id) >= parts->tokens.size()) {
        if (static_cast<size_t>(*id) > parts->tokens.size() + added.size()) {
          return Problem(StrCat("the added token ", *id, " leaves a gap"));
        }
        parts->tokens.resize(*id + 1);
        parts->types.resize(*id + 1, TokenType::kUnused);
      }
      parts->tokens[*id] = content;
      parts->types[*id] =
          Bool(token, "special", false) ? TokenType::kControl : TokenType::kUserDefined;
    }
    if (parts->unknown >= 0) parts->types[parts->unknown] = TokenType::kUnknown;
    return ReadEnds(parts);
  }

  // Both kinds of post-processors that encoders have.
  Status ReadEnds(VocabularyParts* parts) const {
    const Json& post = Member(json_, "post_processor");
    const std::string type = String(post, "type");
    std::string first, last;
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      const Json& cls = Member(post, "cls");
      const Json& sep = Member(post, "sep");
      if (cls.is_array() && !cls.empty() && cls[0].is_string()) first = cls[0];
      if (sep.is_array() && !sep.empty() && sep[0].is_string()) last = sep[0];
    } else if (type == "TemplateProcessing") {
      const Json& single = Member(post, "single");
      if (single.is_array() && single.size() == 3) {
        first = String(Member(single[0], "SpecialToken"), "id");
        last = String(Member(single[2], "SpecialToken"), "id");
      }
    } else {
      return Unimplemented(StrCat(path_, ": post-processor ", Named(post),
                                  " is not supported (TemplateProcessing is)"));
    }
    const auto find = [&](const std::string& text) {
      const auto found = std::find(parts->tokens.begin(), parts->tokens.end(), text);
      return text.empty() || found == parts->tokens.end()
                 ? -1
                 : static_cast<int32_t>(found - parts->tokens.begin());
    };
    parts->bos = find(first);
    parts->eos = find(last);
    if (parts->bos < 0 || parts->eos < 0) {
      return Problem("its post-processor does not put one token before a text and one behind it");
    }
    return OkStatus();
  }

  Result<std::unique_ptr<Tokenizer>> ReadWordPiece(const Json& model) const {
    const Json& vocab = Member(model, "vocab");
    if (!vocab.is_object() || vocab.empty() || vocab.size() > kMaxTokens) {
      return Problem("model.vocab is no object of token ids");
    }
    VocabularyParts parts;
    // Ids beyond the count would leave gaps, and gaps are filled by added tokens at most.
    parts.tokens.resize(vocab.size());
    std::vector<bool> taken(vocab.size());
    for (const auto& [text, value] : vocab.items()) {
      const auto id = TokenId(value);
      if (!id || text.size() > kMaxPieceBytes) return Problem("a token of model.vocab has no id");
      if (static_cast<size_t>(*id) >= taken.size() || taken[*id]) {
        return Problem(StrCat("token id ", *id, " of model.vocab is there twice or leaves a gap"));
      }
      taken[*id] = true;
      parts.tokens[*id] = text;
    }
    const std::string unknown = String(model, "unk_token");
    const auto found = vocab.find(unknown);
    if (unknown.empty() || found == vocab.end()) {
      return Problem("model.unk_token is not in model.vocab");
    }
    parts.unknown = found->get<int32_t>();
    RETURN_IF_ERROR(Complete(&parts));
    ASSIGN_OR_RETURN(const WordPieceOptions options, ReadWordPieceOptions(model));
    ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::FromParts(parts));
    return WordPieceTokenizer::FromParts(std::move(vocabulary), options);
  }

  Result<WordPieceOptions> ReadWordPieceOptions(const Json& model) const {
    const Json& normalizer = Member(json_, "normalizer");
    const Json& cut = Member(json_, "pre_tokenizer");
    if (String(normalizer, "type") != "BertNormalizer" ||
        String(cut, "type") != "BertPreTokenizer") {
      return Unimplemented(StrCat(path_, ": WordPiece with normalizer ", Named(normalizer),
                                  " and pre-tokenizer ", Named(cut),
                                  " is not supported (BertNormalizer, BertPreTokenizer are)"));
    }
    WordPieceOptions options;
    options.clean_text = Bool(normalizer, "clean_text", true);
    options.split_ideographs = Bool(normalizer, "handle_chinese_chars", true);
    options.lowercase = Bool(normalizer, "lowercase", true);
    options.strip_accents = Bool(normalizer, "strip_accents", options.lowercase);
    const Json& longest = Member(model, "max_input_chars_per_word");
    if (longest.is_number_unsigned()) {
      options.max_word_characters = std::min<uint64_t>(longest.get<uint64_t>(), 1000);
    }
    const Json& prefix = Member(model, "continuing_subword_prefix");
    if (prefix.is_string()) options.continuing_prefix = prefix.get<std::string>();
    return options;
  }

  Result<std::unique_ptr<Tokenizer>> ReadUnigram(const Json& model) const {
    const Json& vocab = Member(model, "vocab");
    const auto unknown = TokenId(Member(model, "unk_id"));
    if (!vocab.is_array() || vocab.empty() || vocab.size() > kMaxTokens || !unknown ||
        static_cast<size_t>(*unknown) >= vocab.size()) {
      return Problem("model.vocab is no list of tokens, or unk_id is not among them");
    }
    if (Bool(model, "byte_fallback", false)) {
      return Unimplemented(StrCat(path_, ": Unigram with byte_fallback is not supported"));
    }
    VocabularyParts parts;
    std::vector<float> scores;
    for (const Json& entry : vocab) {
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() ||
          !entry[1].is_number() || entry[0].get_ref<const std::string&>().size() > kMaxPieceBytes) {
        return Problem(
            StrCat("entry ", parts.tokens.size(), " of model.vocab is no token and score"));
      }
      parts.tokens.push_back(entry[0]);
      scores.push_back(entry[1].get<float>());
    }
    parts.unknown = *unknown;
    RETURN_IF_ERROR(Complete(&parts));
    scores.resize(parts.tokens.size());
    RETURN_IF_ERROR(CheckUnigramCut());
    CodePointMap map;
    RETURN_IF_ERROR(ReadUnigramNormalizer(Member(json_, "normalizer"), &map));
    ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::FromParts(parts));
    return UnigramTokenizer::FromParts(std::move(vocabulary), std::move(scores), std::move(map),
                                       path_);
  }

  // Metaspace, alone or behind WhitespaceSplit: that is what UnigramTokenizer does.
  Status CheckUnigramCut() const {
    const Json& cut = Member(json_, "pre_tokenizer");
    const Json& list = Member(cut, "pretokenizers");
    const Json& last = list.is_array() && !list.empty() ? list.back() : cut;
    bool known = String(last, "type") == "Metaspace" && Bool(last, "add_prefix_space", true);
    if (list.is_array() && list.size() > 1) {
      known = known && list.size() == 2 && String(list[0], "type") == "WhitespaceSplit";
    }
    const Json& scheme = Member(last, "prepend_scheme");
    if (scheme.is_string() && scheme != "always" && scheme != "first") known = false;
    if (known) return OkStatus();
    return Unimplemented(StrCat(path_, ": Unigram with pre-tokenizer ", Named(last),
                                " is not supported (Metaspace with a space in front is)"));
  }

  Status ReadUnigramNormalizer(const Json& normalizer, CodePointMap* map) const {
    if (normalizer.is_null()) return OkStatus();
    const std::string type = String(normalizer, "type");
    if (type == "Sequence") {
      const Json& list = Member(normalizer, "normalizers");
      if (!list.is_array() || list.size() > 8) return Problem("its normalizer is no short list");
      for (const Json& step : list) RETURN_IF_ERROR(ReadUnigramNormalizer(step, map));
      return OkStatus();
    }
    // Runs of spaces are one and spaces at the ends fall away in any case.
    if (type == "Strip" || (type == "Replace" && String(normalizer, "content") == " ")) {
      return OkStatus();
    }
    if (type != "Precompiled" || !map->from.empty()) {
      return Unimplemented(StrCat(path_, ": Unigram with normalizer ", Named(normalizer),
                                  " is not supported (one Precompiled is)"));
    }
    const std::string bytes = DecodeBase64(String(normalizer, "precompiled_charsmap"));
    if (bytes.empty()) return OkStatus();
    auto table = ReadPrecompiledCharsmap(bytes);
    if (!table.ok()) return table.status().WithContext(path_);
    *map = std::move(*table);
    return OkStatus();
  }

  const Json& json_;
  const std::string& path_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> TokenizerFromJson(std::string_view text,
                                                     const std::string& name) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return InvalidArgument(StrCat(name, " is no JSON object"));
  return Reader(json, name).Read();
}

}  // namespace vade
