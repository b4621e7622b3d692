#include "model/encoder_folder.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "model/tokenizer_json.h"

namespace vade {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxConfigBytes = 1 << 20;
constexpr std::string_view kWeightsName = "model.safetensors";

// A JSON object or array; an empty object where the file is missing and may be.
enum class Missing : uint8_t { kAnError, kEmpty };

Result<Json> ReadJson(const std::string& path, Missing missing) {
  if (missing == Missing::kEmpty && !FileExists(path)) return Json::object();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() && !json.is_array())
    return InvalidArgument(StrCat(path, " is no JSON object"));
  return json;
}

std::string String(const Json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string Quoted(const std::string& text) {
  return StrCat("'", ReplaceInvalidUtf8(std::string_view(text).substr(0, 64)), "'");
}

class ConfigReader {
 public:
  ConfigReader(const Json& json, const std::string& path) : json_(json), path_(path) {}

  Result<EncoderConfig> Read() const {
    const std::string type = String(json_, "model_type");
    if (type != "bert" && type != "xlm-roberta" && type != "roberta") {
      return Unimplemented(StrCat(path_, ": model_type ", Quoted(type),
                                  " is not supported as an embedder (bert, roberta and "
                                  "xlm-roberta are)"));
    }
    const std::string act = String(json_, "hidden_act");
    if (act != "gelu" && !act.empty()) {
      return Unimplemented(
          StrCat(path_, ": hidden_act ", Quoted(act), " is not supported (gelu is)"));
    }
    const std::string kind = String(json_, "position_embedding_type");
    if (kind != "absolute" && !kind.empty()) {
      return Unimplemented(StrCat(path_, ": position_embedding_type ", Quoted(kind),
                                  " is not supported (absolute is)"));
    }
    EncoderConfig config;
    ASSIGN_OR_RETURN(config.layers, Number("num_hidden_layers"));
    ASSIGN_OR_RETURN(config.dim, Number("hidden_size"));
    ASSIGN_OR_RETURN(config.heads, Number("num_attention_heads"));
    ASSIGN_OR_RETURN(config.ff, Number("intermediate_size"));
    ASSIGN_OR_RETURN(config.vocab, Number("vocab_size"));
    ASSIGN_OR_RETURN(config.positions, Number("max_position_embeddings"));
    if (type != "bert") {  // the rows up to that of the padding token are not used
      const auto pad = json_.find("pad_token_id");
      const bool is_one = pad != json_.end() && *pad == 1;
      if (!is_one) return InvalidArgument(StrCat(path_, ": pad_token_id of ", type, " is not 1"));
      config.first_position = 2;
      config.positions -= config.first_position;
    }
    const auto epsilon = json_.find("layer_norm_eps");
    const bool given = epsilon != json_.end() && epsilon->is_number();
    config.epsilon = given ? epsilon->get<float>() : 1e-12f;
    RETURN_IF_ERROR(config.Validate(path_));
    return config;
  }

 private:
  Result<int> Number(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_number_unsigned() ||
        found->get<uint64_t>() > std::numeric_limits<int>::max()) {
      return InvalidArgument(StrCat(path_, ": ", key, " is missing or no whole number"));
    }
    return found->get<int>();
  }

  const Json& json_;
  const std::string& path_;
};

// The file of the pooling that modules.json names; "" when there is none.
Result<std::string> PoolingPath(const std::string& folder) {
  const std::string path = JoinPath(folder, "modules.json");
  ASSIGN_OR_RETURN(const Json modules, ReadJson(path, Missing::kEmpty));
  std::string name = "1_Pooling";
  for (const Json& module : modules) {
    const std::string type = String(module, "type");
    const std::string_view kind = std::string_view(type).substr(type.rfind('.') + 1);
    if (kind == "Pooling") name = String(module, "path");
    if (kind != "Pooling" && kind != "Transformer" && kind != "Normalize") {
      return Unimplemented(StrCat(path, ": module ", Quoted(type),
                                  " is not supported (a "
                                  "Transformer, Pooling and Normalize are)"));
    }
  }
  // It is a folder beside this file, nothing further away.
  if (name.empty() || name.find('/') != std::string::npos || name[0] == '.') {
    return InvalidArgument(StrCat(path, ": the path ", Quoted(name), " is no folder beside it"));
  }
  return JoinPath(JoinPath(folder, name), "config.json");
}

Result<Pooling> ReadPooling(const std::string& folder) {
  ASSIGN_OR_RETURN(const std::string path, PoolingPath(folder));
  ASSIGN_OR_RETURN(const Json json, ReadJson(path, Missing::kEmpty));
  std::vector<std::string> modes;
  for (const auto& [key, value] : json.items()) {
    if (key.starts_with("pooling_mode_") && value == true) modes.push_back(key.substr(13));
  }
  const std::string mode = String(json, "pooling_mode");  // the newer way to say it
  if (modes.empty() && !mode.empty()) modes.push_back(mode);
  if (modes.empty() || modes == std::vector<std::string>{"mean_tokens"} || mode == "mean")
    return Pooling::kMean;
  if (modes == std::vector<std::string>{"cls_token"} || mode == "cls") return Pooling::kFirstToken;
  return Unimplemented(StrCat(path, ": pooling ", Quoted(Join(modes, "+")),
                              " is not supported (mean_tokens and cls_token are)"));
}

Result<int> ReadMaxTokens(const std::string& folder, int positions) {
  const std::string path = JoinPath(folder, "sentence_bert_config.json");
  ASSIGN_OR_RETURN(const Json json, ReadJson(path, Missing::kEmpty));
  const auto found = json.find("max_seq_length");
  if (found == json.end() || !found->is_number_unsigned()) return positions;
  const auto most = static_cast<int>(std::min<uint64_t>(found->get<uint64_t>(), positions));
  if (most < 4) return InvalidArgument(StrCat(path, ": max_seq_length is ", most));
  return most;
}

Result<EmbedPrefixes> ReadPrefixes(const std::string& folder, const std::string& name) {
  const std::string path = JoinPath(folder, "config_sentence_transformers.json");
  ASSIGN_OR_RETURN(const Json json, ReadJson(path, Missing::kEmpty));
  EmbedPrefixes prefixes = PrefixesOf(name);
  const auto prompts = json.find("prompts");
  if (prompts == json.end() || !prompts->is_object()) return prefixes;
  const std::string query = String(*prompts, "query");
  std::string passage = String(*prompts, "passage");
  if (passage.empty()) passage = String(*prompts, "document");
  if (!query.empty() || !passage.empty()) prefixes = {query, passage};
  if (prefixes.query.size() > 4096 || prefixes.passage.size() > 4096) {
    return InvalidArgument(StrCat(path, ": a prompt has more than 4096 bytes"));
  }
  return prefixes;
}

// Of the config's own name and the folder's the one that says more.
std::string NameOf(const Json& config, const std::string& folder) {
  std::string name = BaseName(String(config, "_name_or_path"));
  std::string own = folder;
  while (own.size() > 1 && own.back() == '/') own.pop_back();
  own = BaseName(own);
  return ReplaceInvalidUtf8(own.empty() || own[0] == '.' ? name : own);
}

}  // namespace

std::string EncoderFolderOf(const std::string& path) {
  if (IsDirectory(path)) return path;
  if (BaseName(path) != kWeightsName) return "";
  return ParentFolder(path);
}

EmbedPrefixes PrefixesOf(std::string_view model_name) {
  const std::string name = AsciiLower(model_name);
  const auto is = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  if (is("e5-small") || is("e5-base") || is("e5-large")) return {"query: ", "passage: "};
  if (is("bge-") && is("-en"))
    return {"Represent this sentence for searching relevant passages: ", ""};
  if (is("bge-") && is("-zh")) return {"为这个句子生成表示以用于检索相关文章：", ""};
  return {};
}

Result<EncoderFolder> OpenEncoderFolder(const std::string& folder) {
  EncoderFolder encoder;
  const std::string config_path = JoinPath(folder, "config.json");
  ASSIGN_OR_RETURN(const Json config, ReadJson(config_path, Missing::kAnError));
  if (!config.is_object()) return InvalidArgument(StrCat(config_path, " is no JSON object"));
  ASSIGN_OR_RETURN(encoder.config, ConfigReader(config, config_path).Read());
  encoder.name = NameOf(config, folder);
  ASSIGN_OR_RETURN(encoder.pooling, ReadPooling(folder));
  ASSIGN_OR_RETURN(encoder.max_tokens, ReadMaxTokens(folder, encoder.config.positions));
  ASSIGN_OR_RETURN(encoder.prefixes, ReadPrefixes(folder, encoder.name));
  const std::string weights_path = JoinPath(folder, kWeightsName);
  if (!FileExists(weights_path)) {
    return NotFound(StrCat("weights file ", weights_path,
                           " does not exist; weights in other formats (pytorch_model.bin) or in "
                           "several files are not read: save the model as one safetensors file"));
  }
  ASSIGN_OR_RETURN(encoder.weights, SafetensorsFile::Open(weights_path));
  const std::string tokenizer_path = JoinPath(folder, "tokenizer.json");
  ASSIGN_OR_RETURN(const std::string tokenizer, ReadFile(tokenizer_path, kMaxTokenizerBytes));
  ASSIGN_OR_RETURN(encoder.tokenizer, TokenizerFromJson(tokenizer, tokenizer_path));
  std::string others;
  AppendFixed(&others, Checksum64(tokenizer));
  AppendFixed(&others, encoder.pooling);
  AppendFixed(&others, encoder.max_tokens);
  std::string digest;
  AppendFixed(&digest, Checksum64(others));
  encoder.fingerprint = StrCat(encoder.weights->fingerprint(), "-", Hex(digest));
  return encoder;
}

}  // namespace vade
