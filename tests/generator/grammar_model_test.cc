// Forms with a real vocabulary: whatever tokens of it are taken at random, the text has the form.
#include <gtest/gtest.h>

#include "generator/grammar.h"
#include "tests/generator/form_checks.h"
#include "tests/testing/model_files.h"

namespace vade {
namespace {

using testing::Json;

constexpr char kModel[] = "smollm2-135m-instruct-q4_1.gguf";

class RealVocabulary : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path = testing::ModelPath(kModel);
    VADE_SKIP_IF_MISSING(path, kModel);
    file_ = GgufFile::Open(path).value();
    tokenizer_ = Tokenizer::FromGguf(*file_).value();
  }

  std::string Answer(const std::shared_ptr<const Grammar>& grammar, unsigned seed, bool* ended) {
    std::mt19937 random(seed);
    auto constraint = Constrain(grammar, tokenizer_.get()).value();
    return testing::RandomAnswer(*constraint, *tokenizer_, random, ended, 300);
  }

  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(RealVocabulary, RandomAnswersMeetTheirSchema) {
  const char* schemas[] = {
      R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,
          "maximum":130},"tags":{"type":"array","items":{"enum":["new","old","renewed"]},"maxItems":3},
          "size":{"type":"number","minimum":0.5,"maximum":99}},"required":["name","age"],
          "additionalProperties":false})",
      R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"value":{"type":
          "string","minLength":1,"maxLength":9},"kids":{"type":"array","items":{"$ref":
          "#/$defs/tree"}}},"required":["value"]}}})",
      R"({"type":"object","additionalProperties":{"type":["boolean","string"],"maxLength":30}})",
      R"({"type":"array","items":{"type":"string","pattern":"^[A-Z][a-z]+( [A-Z][a-z]+){0,2}$"},
          "minItems":2})",
  };
  for (const char* text : schemas) {
    const Json schema = Json::parse(text);
    const auto grammar = Grammar::FromJsonSchema(text).value();
    int ended_count = 0;
    for (unsigned seed = 0; seed < 12; ++seed) {
      bool ended = false;
      const std::string answer = Answer(grammar, seed, &ended);
      if (!ended) continue;
      ++ended_count;
      ASSERT_TRUE(Json::accept(answer)) << "seed " << seed << ": " << answer;
      EXPECT_TRUE(testing::MeetsSchema(schema, schema, Json::parse(answer)))
          << "seed " << seed << ": " << answer << " for " << text;
    }
    EXPECT_GT(ended_count, 6) << text;
  }
}

TEST_F(RealVocabulary, RandomAnswersAreSentencesOfTheGrammar) {
  const auto grammar = Grammar::FromText(
                           "root ::= item (\"; \" item){1,3} \".\"\n"
                           "item ::= [A-Z] [a-z]{2,8} (\" (\" [^()]{1,20} \")\")?")
                           .value();
  for (unsigned seed = 0; seed < 12; ++seed) {
    bool ended = false;
    const std::string answer = Answer(grammar, seed, &ended);
    EXPECT_TRUE(ended) << answer;
    EXPECT_TRUE(grammar->Matches(answer)) << answer;
    EXPECT_TRUE(IsValidUtf8(answer)) << answer;
  }
}

TEST_F(RealVocabulary, TheTokensOfATextThatHasTheFormAreAllowed) {
  const auto grammar = Grammar::AnyJson().value();
  for (const char* text :
       {"{\"title\": \"Sick leave\", \"days\": 14, \"pages\": [1, 2, 30], \"paid\": true}",
        "[\"日本語のテキスト\", \"😀 emoji\", \"a\\\\b\\n\", -0.5e10, {\"\": {}}, [[]], null]"}) {
    EXPECT_EQ(testing::WhyRefused(Constrain(grammar, tokenizer_.get()).value(), *tokenizer_, text),
              "");
  }
}

}  // namespace
}  // namespace vade
