// Several sequences behind one prompt: answers that share it, and beam search.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "generator/engine.h"
#include "tests/generator/engine_jobs.h"

namespace vade {
namespace {

using testing::ByteTokenizer;
using testing::ScriptedDecoder;

class SharedPrompts : public EngineJobs {
 protected:
  // What follows the prompt so far: "" at its first token.
  static std::string Said(const ScriptedDecoder& decoder, const std::vector<int32_t>& sequence) {
    const std::string all = decoder.bytes().Show(sequence);
    const size_t begin = all.rfind("assistant\n");
    return begin == std::string::npos ? all : all.substr(begin + 10);
  }
  // log probabilities of what may follow; everything else is out of reach.
  using Next = std::vector<std::pair<int32_t, double>>;
  void SetLanguage(std::function<Next(const std::string& said)> next) {
    decoder_.SetLogits([this, next](const std::vector<int32_t>& sequence, std::span<float> logits) {
      std::fill(logits.begin(), logits.end(), -60.0f);
      for (const auto& [id, p] : next(Said(decoder_, sequence)))
        logits[static_cast<size_t>(id)] = static_cast<float>(std::log(p));
    });
  }
  std::vector<std::string> AskAll(Engine& engine, EngineJob job) {
    auto streams = engine.StartSeveral(std::move(job));
    std::vector<std::string> answers;
    if (!streams.ok()) return {std::string(StatusCodeName(streams.status().code()))};
    for (auto& stream : *streams) answers.push_back(Read(*stream));
    return answers;
  }

  // Letters at random, and an end that grows likelier.
  static Next Babble(const std::string& said) {
    Next next = {{ByteTokenizer::kImEnd, .02 + .02 * static_cast<double>(said.size())}};
    for (int32_t letter = 'a'; letter < 'a' + 20; ++letter)
      next.emplace_back(letter, .03 + .002 * ((letter * 7 + static_cast<int>(said.size())) % 11));
    return next;
  }
  // Greedy goes to "ax", the likelier whole is "bc".
  static Next Garden(const std::string& said) {
    if (said.empty()) return {{'a', .6}, {'b', .4}};
    if (said == "a") return {{'x', .34}, {'y', .33}, {'z', .33}};
    if (said == "b") return {{'c', 1}};
    return {{ByteTokenizer::kImEnd, 1}};
  }
};

constexpr char kPrompt[] = "a prompt of some length, so that reading it twice would show";

TEST_F(SharedPrompts, SeveralAnswersAreThoseOfTheirSeedsAskedAlone) {
  SetLanguage(Babble);
  Engine engine(&decoder_, {.kept_prefixes = 0});
  const auto together = AskAll(engine, Job(kPrompt, {.temperature = 1, .seed = 41, .answers = 4}));
  ASSERT_EQ(together.size(), 4u);
  EXPECT_NE(together[0], together[1]);
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(Ask(engine, Job(kPrompt, {.temperature = 1, .seed = 41 + i})), together[i]) << i;
  }
}

TEST_F(SharedPrompts, ThePromptOfSeveralAnswersIsReadOnce) {
  SetLanguage(Babble);
  Engine engine(&decoder_, {.kept_prefixes = 0});
  const EngineJob job = Job(kPrompt, {});
  const auto answers =
      AskAll(engine, Job(kPrompt, {.temperature = 1, .seed = 7, .answers = 5, .max_tokens = 6}));
  size_t sampled = 0;
  for (const std::string& answer : answers) sampled += answer.size();
  EXPECT_LE(decoder_.tokens_read(), job.prefix.size() + job.rest.size() + sampled);
  EXPECT_EQ(decoder_.forks(), 4);
}

TEST_F(SharedPrompts, SeveralAnswersThatDoNotFitTogetherComeOutTheSame) {
  SetLanguage(Babble);
  std::vector<std::string> expected;
  {
    Engine engine(&decoder_, {});
    expected = AskAll(engine, Job(kPrompt, {.temperature = 1, .seed = 3, .answers = 4}));
  }
  decoder_.LimitPages(250);  // one takes about 100
  Engine engine(&decoder_, {.kept_prefixes = 0});
  EXPECT_EQ(AskAll(engine, Job(kPrompt, {.temperature = 1, .seed = 3, .answers = 4})), expected);
}

TEST_F(SharedPrompts, WhoeverLeavesBeforeThePromptIsReadLeavesAllAnswers) {
  SetLanguage(Babble);
  std::atomic<bool> left{false};
  decoder_.BeforeForward([&](std::span<const ForwardItem>) {
    while (!left) std::this_thread::yield();
    return OkStatus();
  });
  Engine engine(&decoder_, {.prefill_tokens = 8});
  auto streams =
      engine.StartSeveral(Job(kPrompt, {.temperature = 1, .answers = 3, .max_tokens = 8}));
  ASSERT_TRUE(streams.ok());
  (*streams)[0].reset();
  left = true;
  EXPECT_EQ(Read(*(*streams)[1]), "CANCELLED");
  EXPECT_EQ(Read(*(*streams)[2]), "CANCELLED");
  EXPECT_EQ(Ask(engine, Job("next", {.max_tokens = 1})).size(), 1u) << "nothing is left under way";
}

TEST_F(SharedPrompts, EachOfSeveralAnswersCountsAsOneUnderWay) {
  SetLanguage(Babble);
  std::atomic<bool> open{false};
  decoder_.BeforeForward([&](std::span<const ForwardItem>) {
    while (!open) std::this_thread::yield();
    return OkStatus();
  });
  Engine engine(&decoder_, {.max_active = 2, .max_waiting = 2});
  auto streams = engine.StartSeveral(Job(kPrompt, {.temperature = 1, .answers = 4}));
  ASSERT_TRUE(streams.ok());
  EXPECT_EQ(Ask(engine, Job("one more", {})), "RESOURCE_EXHAUSTED");
  open = true;
  for (auto& stream : *streams) EXPECT_NE(Read(*stream), "");
  EXPECT_NE(Ask(engine, Job("one more", {})), "RESOURCE_EXHAUSTED");
}

TEST_F(SharedPrompts, BeamsFindTheLikelierAnswer) {
  SetLanguage(Garden);
  Engine engine(&decoder_, {});
  EXPECT_EQ(Ask(engine, Job(kPrompt, {})), "ax");
  EXPECT_EQ(Ask(engine, Job(kPrompt, {.beams = 2})), "bc");
  EXPECT_EQ(Ask(engine, Job(kPrompt, {.beams = 8})), "bc");
}

TEST_F(SharedPrompts, BeamsReadThePromptOnceAndLeaveNothingBehind) {
  SetLanguage(Garden);
  {
    Engine engine(&decoder_, {.kept_prefixes = 0});
    const EngineJob job = Job(kPrompt, {.beams = 4});
    EXPECT_EQ(Ask(engine, Job(kPrompt, {.beams = 4})), "bc");
    EXPECT_LE(decoder_.tokens_read(), job.prefix.size() + job.rest.size() + 4 * 3);
  }
  EXPECT_EQ(decoder_.sequences_alive(), 0);
}

TEST_F(SharedPrompts, BeamsGiveTheSameAnswerBesideOthersAndWhenPagesAreShort) {
  SetLanguage(Babble);
  const Sampling beams{.beams = 3, .max_tokens = 12};
  std::string expected;
  {
    Engine engine(&decoder_, {});
    expected = Ask(engine, Job(kPrompt, beams));
  }
  ASSERT_FALSE(expected.empty());
  for (const int pages : {0, 320}) {  // three beams and the prompt take about 270
    decoder_.LimitPages(pages);
    Engine engine(&decoder_, {.kept_prefixes = 0});
    std::vector<std::unique_ptr<TokenStream>> others;
    for (uint64_t seed = 0; seed < 3; ++seed)
      others.push_back(*engine.Start(Job("other", {.temperature = 1, .seed = seed})));
    auto stream = engine.Start(Job(kPrompt, beams));
    ASSERT_TRUE(stream.ok());
    EXPECT_EQ(Read(**stream), expected) << pages;
    for (auto& other : others) EXPECT_NE(Read(*other), "RESOURCE_EXHAUSTED") << pages;
  }
}

TEST_F(SharedPrompts, BeamsThatDoNotFitAloneFailAndTheNextWorks) {
  SetLanguage(Babble);
  decoder_.LimitPages(130);
  Engine engine(&decoder_, {.kept_prefixes = 0});
  EXPECT_EQ(Ask(engine, Job(kPrompt, {.beams = 8})), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(Ask(engine, Job("next", {.max_tokens = 1})).size(), 1u);
}

TEST_F(SharedPrompts, ABanHoldsForEveryBeam) {
  SetLanguage(Garden);
  Engine engine(&decoder_, {});
  EXPECT_EQ(Ask(engine, Job(kPrompt, {.logit_bias = {{'c', -100}, {'x', -100}}, .beams = 2})),
            "ay");
}

TEST_F(SharedPrompts, LogitsThatAreNoNumbersFailTheirSearchOnly) {
  decoder_.Say("good", "fine");
  decoder_.SetLogits([&](const std::vector<int32_t>& sequence, std::span<float> logits) {
    if (decoder_.bytes().Show(sequence).find("bad") != std::string::npos &&
        Said(decoder_, sequence).size() == 1)
      logits[3] = std::nanf("");
  });
  decoder_.Say("bad", "any");
  Engine engine(&decoder_, {});
  auto bad = engine.Start(Job("bad", {.beams = 4}));
  auto good = engine.Start(Job("good", {}));
  EXPECT_EQ(Read(**bad), "INTERNAL");
  EXPECT_EQ(Read(**good), "fine");
}

TEST_F(SharedPrompts, ABeamsTokensComeWithProbabilitiesAndAlternatives) {
  SetLanguage(Garden);
  Engine engine(&decoder_, {});
  auto stream = engine.Start(Job(kPrompt, {.top_logprobs = 2, .beams = 2}));
  ASSERT_TRUE(stream.ok());
  auto token = (*stream)->Next();
  ASSERT_TRUE(token.ok() && *token);
  EXPECT_EQ((*token)->id, 'b');
  EXPECT_NEAR((*token)->probability, .4, 1e-6);
  ASSERT_EQ((*token)->alternatives.size(), 2u);
  EXPECT_EQ((*token)->alternatives[0].first, 'a');
  EXPECT_NEAR((*token)->alternatives[0].second, std::log(.6), 1e-6);
}

}  // namespace
}  // namespace vade
