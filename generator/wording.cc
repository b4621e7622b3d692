// Every instruction that the model is given, and the reply that means "not in the passages". Chosen
// by measurement on small models (docs/ARCHITECTURE.md, generator): short imperative sentences, the
// reply format last, because a small model follows best what it read last.
#include "generator/prompt.h"

namespace vade {

const PromptWording& Wording(PromptLanguage language) {
  static const PromptWording english = {
      .system =
          "Answer the question with the shortest exact words from the documents. "
          "Do not explain. If the documents do not contain the answer, reply: None",
      .opening = "Documents:\n\n",
      .before_question = "Question: ",
      .after_question = "",
      .decline = {"None", "none", "NONE", " None"},
      .json_form = "Write the answer as one JSON value.",
      .schema_form = "Write the answer as JSON of this schema: ",
  };
  static const PromptWording chinese = {
      .system = "用文档中最简短的原文回答问题。不要解释。如果文档中没有答案，只回答：无",
      .opening = "文档：\n\n",
      .before_question = "问题：",
      .after_question = "\n简短答案：",
      .decline = {"无", "无。"},
      .json_form = "把答案写成一个 JSON 值。",
      .schema_form = "把答案写成符合下面模式的 JSON：",
  };
  return language == PromptLanguage::kChinese ? chinese : english;
}

}  // namespace vade
