// Which tokens do vade's prompts consist of? So that a rival can be given the very same ones.
//
//   prompt_tokens MODEL.gguf < requests.jsonl > tokens.jsonl
//
// A request is {"question", "system", "hits": [{"title", "heading_path", "text", "valid_from"}]};
// its line of output {"tokens": [id..], "prefix": P, "blocks": [n..]}: the prompt of full prefill
// over all hits, the length of its fixed prefix, and of each hit's block.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "generator/prompt.h"
#include "model/gguf.h"

namespace vade {
namespace {

using Json = nlohmann::json;

Hit HitOf(const Json& json) {
  Hit hit;
  hit.title = json.value("title", "");
  hit.valid_from = json.value("valid_from", "");
  hit.passage.heading_path = json.value("heading_path", "");
  hit.passage.text = json.value("text", "");
  return hit;
}

Json PromptOf(const Json& request, const PromptWriter& writer) {
  const std::string question = request.value("question", "");
  const PromptLanguage language = LanguageOf(question);
  Tokens tokens = writer.Prefix(language);
  const auto append = [&](const Tokens& more) {
    tokens.insert(tokens.end(), more.begin(), more.end());
  };
  const size_t prefix = tokens.size();
  Json blocks = Json::array();
  int label = 0;
  for (const Json& json : request.value("hits", Json::array())) {
    const Tokens block = writer.Block(HitOf(json));
    append(writer.Label(++label));
    append(block);
    blocks.push_back(block.size());
  }
  append(writer.UserSystem(request.value("system", "")));
  append(writer.Question(question, language));
  return {{"tokens", tokens}, {"prefix", prefix}, {"blocks", blocks}};
}

Status Run(const std::string& path) {
  ASSIGN_OR_RETURN(const auto file, GgufFile::Open(path));
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::FromGguf(*file));
  ASSIGN_OR_RETURN(const ChatTemplate chat, ChatTemplate::FromGguf(*file, *tokenizer));
  const PromptWriter writer(tokenizer.get(), &chat);
  for (std::string line; std::getline(std::cin, line);) {
    const Json request = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!request.is_object()) return InvalidArgument("a line of input is no JSON object: " + line);
    std::cout << PromptOf(request, writer) << "\n";
  }
  return OkStatus();
}

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: prompt_tokens MODEL.gguf < requests.jsonl > tokens.jsonl\n";
    return 2;
  }
  const Status status = Run(argv[1]);
  if (!status.ok()) std::cerr << status.ToString() << "\n";
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) { return vade::Main(argc, argv); }
