// An encoder in the Hugging Face folder layout:
//
//   config.json                           numbers of the network (BertModel, XLMRobertaModel)
//   tokenizer.json                        model/tokenizer_json.h
//   model.safetensors                     model/safetensors.h
//   modules.json, 1_Pooling/config.json   how a text's vectors become one; the mean when missing
//   sentence_bert_config.json             the longest text; the position table's rows when missing
//   config_sentence_transformers.json     "prompts": what is put before a text, see PrefixesOf()
//
// Every file is hostile until proven sane; what is not computed here is refused by name.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "model/encoder_weights.h"
#include "model/safetensors.h"
#include "model/tokenizer.h"

namespace vade {

// By EmbedRole: what stands before a question and before a passage.
struct EmbedPrefixes {
  std::string query, passage;
};

struct EncoderFolder {
  std::string name;  // of the model, for people
  // Tells folders apart that give other vectors: weights, tokenizer and pooling.
  std::string fingerprint;
  EncoderConfig config;
  Pooling pooling = Pooling::kMean;
  int max_tokens = 0;
  EmbedPrefixes prefixes;
  std::unique_ptr<Tokenizer> tokenizer;
  std::shared_ptr<const SafetensorsFile> weights;
};

// The folder that a path stands for: itself, or where a model.safetensors lies. "" for other paths.
std::string EncoderFolderOf(const std::string& path);

// NOT_FOUND, INVALID_ARGUMENT, DATA_LOSS, UNIMPLEMENTED name the file and what is wrong with it.
Result<EncoderFolder> OpenEncoderFolder(const std::string& folder);

// The family's own prefixes, where the folder has no "prompts" of its own: e5 wants "query: " and
// "passage: ", the English bge models an instruction before questions. Others: none.
EmbedPrefixes PrefixesOf(std::string_view model_name);

}  // namespace vade
