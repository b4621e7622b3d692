// The sampler where the answer must have a form, and where it goes on in several ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <type_traits>
#include <utility>

#include "generator/sampler.h"

namespace vade {
namespace {

using Ids = std::vector<int32_t>;
using IdSet = std::set<int32_t>;

std::vector<float> SomeLogits(int n, uint64_t seed) {
  std::vector<float> logits(n);
  for (int i = 0; i < n; ++i) logits[i] = static_cast<float>(UniformAt(seed, i) * 12 - 6);
  return logits;
}

std::vector<float> LogitsOf(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

// Allows at each place what a test wrote down (at the last one for ever) and remembers what it was
// told.
class ScriptedConstraint : public TokenConstraint {
 public:
  ScriptedConstraint(int words, std::vector<IdSet> script, std::shared_ptr<Ids> told = nullptr)
      : words_(words), script_(std::move(script)), told_(std::move(told)) {}

  std::span<const uint64_t> Allowed() override {
    bits_.assign(words_, 0);
    for (int32_t id : script_[place_]) bits_[id / 64] |= uint64_t{1} << (id % 64);
    return bits_;
  }
  Status Accept(int32_t id) override {
    if (told_) told_->push_back(id);
    if (!script_[place_].contains(id)) return Internal("not allowed");
    place_ = std::min(place_ + 1, script_.size() - 1);
    return OkStatus();
  }
  std::unique_ptr<TokenConstraint> Clone() const override {
    return std::make_unique<ScriptedConstraint>(*this);
  }

 private:
  int words_;
  std::vector<IdSet> script_;
  std::shared_ptr<Ids> told_;
  size_t place_ = 0;
  std::vector<uint64_t> bits_;
};

// The shape of the answer.

TEST(SamplerConstraint, WhatIsNotAllowedIsNeverChosenAndEachTokenIsTold) {
  const auto logits = SomeLogits(130, 3);
  for (double temperature : {0.0, 2.0}) {
    auto told = std::make_shared<Ids>();
    const std::vector<IdSet> script = {{129}, {0, 63, 64}, {5}, {1, 2, 127, 128}};
    Sampler sampler({.temperature = temperature, .seed = 1},
                    std::make_unique<ScriptedConstraint>(3, script, told));
    Ids chosen;
    for (size_t i = 0; i < 60; ++i) {
      const auto token = sampler.Next(logits);
      ASSERT_TRUE(token.ok()) << token.status().ToString();
      EXPECT_TRUE(script[std::min<size_t>(i, 3)].contains(token->id)) << i << " " << token->id;
      chosen.push_back(token->id);
    }
    EXPECT_EQ(*told, chosen);
  }
}

TEST(SamplerConstraint, GreedyTakesTheGreatestThatIsAllowed) {
  Sampler sampler({}, std::make_unique<ScriptedConstraint>(1, std::vector<IdSet>{{1, 2, 3}}));
  const auto token = sampler.Next(LogitsOf({.7, .05, .1, .1}));
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token->id, 2);
  EXPECT_NEAR(token->probability, .1 / .95, 1e-6);  // of the model's own distribution
}

TEST(SamplerConstraint, TheCutsSeeOnlyWhatIsAllowed) {
  const auto logits = LogitsOf({.6, .2, .15, .05});
  auto drawn = [&](const Sampling& sampling) {
    Sampler sampler(sampling,
                    std::make_unique<ScriptedConstraint>(1, std::vector<IdSet>{{1, 2, 3}}));
    IdSet ids;
    for (int i = 0; i < 500; ++i) ids.insert(sampler.Next(logits)->id);
    return ids;
  };
  EXPECT_EQ(drawn({.temperature = 1}), (IdSet{1, 2, 3}));
  EXPECT_EQ(drawn({.temperature = 1, .top_k = 1}), (IdSet{1}));
  EXPECT_EQ(drawn({.temperature = 1, .top_p = .6}), (IdSet{1, 2}));
  EXPECT_EQ(drawn({.temperature = 1, .min_p = .5}), (IdSet{1, 2}));
}

TEST(SamplerConstraint, ABiasDoesNotBringBackWhatIsNotAllowed) {
  Sampler sampler({.repetition_penalty = .1, .logit_bias = {{0, 100}}},
                  std::make_unique<ScriptedConstraint>(1, std::vector<IdSet>{{1, 2}}));
  EXPECT_EQ(sampler.Next(std::vector<float>{9, 1, 0})->id, 1);
}

TEST(SamplerConstraint, TokensBeyondItsWordsAreNotAllowedAndBitsBeyondTheLogitsAreIgnored) {
  std::vector<float> logits(100, 0);
  logits[99] = 5;
  Sampler shorter({}, std::make_unique<ScriptedConstraint>(1, std::vector<IdSet>{{7, 8}}));
  EXPECT_EQ(shorter.Next(logits)->id, 7);
  Sampler longer({}, std::make_unique<ScriptedConstraint>(3, std::vector<IdSet>{{101, 150, 3}}));
  EXPECT_EQ(longer.Next(logits)->id, 3);
}

TEST(SamplerConstraint, NothingLeftIsAnErrorThatSaysWhoseDoingItIs) {
  const std::vector<float> logits = {1, 2, 3};
  for (double temperature : {0.0, 1.0}) {
    const Sampling sampling{.temperature = temperature};
    Sampler empty(sampling, std::make_unique<ScriptedConstraint>(1, std::vector<IdSet>{{}}));
    EXPECT_EQ(empty.Next(logits).status().code(), StatusCode::kInternal);
    Sampling banning = sampling;
    banning.logit_bias = {{1, -100}};
    Sampler banned(banning, std::make_unique<ScriptedConstraint>(1, std::vector<IdSet>{{1}}));
    const Status status = banned.Next(logits).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("the form of the answer"), std::string::npos);
  }
}

TEST(SamplerConstraint, ItsRefusalEndsTheAnswer) {
  // Says that it allows token 1 and does not take it.
  struct Fickle : ScriptedConstraint {
    Fickle() : ScriptedConstraint(1, {{1}}) {}
    Status Accept(int32_t) override { return Internal("changed its mind"); }
  };
  Sampler sampler({}, std::make_unique<Fickle>());
  EXPECT_EQ(sampler.Next(std::vector<float>{0, 0}).status(), Internal("changed its mind"));
}

// Several answers to one prompt.

static_assert(std::is_move_constructible_v<Sampler> && std::is_move_assignable_v<Sampler>);
static_assert(!std::is_copy_constructible_v<Sampler> && !std::is_copy_assignable_v<Sampler>);

Ids Continue(Sampler* sampler, const std::vector<float>& logits, int count) {
  Ids ids;
  for (int i = 0; i < count; ++i) ids.push_back(sampler->Next(logits)->id);
  return ids;
}

TEST(SamplerFork, GoesOnAsTheOriginalWouldWithItsSeedAndOtherwiseWithAnother) {
  const auto logits = SomeLogits(400, 17);
  const Sampling sampling{.temperature = 2, .frequency_penalty = 1, .seed = 9};
  Sampler first(sampling), undisturbed(sampling);
  EXPECT_EQ(Continue(&first, logits, 20), Continue(&undisturbed, logits, 20));
  Sampler same = first.Fork(9), other = first.Fork(10), another = first.Fork(10);
  const Ids others = Continue(&other, logits, 50);
  const Ids expected = Continue(&undisturbed, logits, 50);
  EXPECT_EQ(Continue(&same, logits, 50), expected);
  EXPECT_NE(others, expected);
  EXPECT_EQ(Continue(&another, logits, 50), others);
  EXPECT_EQ(Continue(&first, logits, 50), expected) << "its forks disturbed it";
}

TEST(SamplerFork, KnowsWhatTheAnswerHoldsAndCountsForItself) {
  const std::vector<float> logits = {2, 1, 0};
  Sampler first({.presence_penalty = 1.5});
  EXPECT_EQ(Continue(&first, logits, 1), (Ids{0}));
  Sampler fork = first.Fork(1);
  EXPECT_EQ(Continue(&fork, logits, 3), (Ids{1, 0, 0}));
  EXPECT_EQ(Continue(&first, logits, 3), (Ids{1, 0, 0}));
}

TEST(SamplerFork, HasAConstraintOfItsOwnAtTheSamePlace) {
  const std::vector<float> logits(4, 0);
  Sampler first({},
                std::make_unique<ScriptedConstraint>(1, std::vector<IdSet>{{3}, {2}, {1}, {0}}));
  EXPECT_EQ(Continue(&first, logits, 1), (Ids{3}));
  Sampler fork = first.Fork(1);
  EXPECT_EQ(Continue(&fork, logits, 2), (Ids{2, 1}));
  EXPECT_EQ(Continue(&first, logits, 3), (Ids{2, 1, 0}));
  EXPECT_EQ(Continue(&fork, logits, 1), (Ids{0}));
}

TEST(SamplerFork, AMovedSamplerGoesOn) {
  const auto logits = SomeLogits(400, 17);
  const Sampling sampling{.temperature = 2, .presence_penalty = 1, .seed = 9};
  Sampler stays(sampling), moves(sampling);
  EXPECT_EQ(Continue(&stays, logits, 5), Continue(&moves, logits, 5));
  Sampler moved = std::move(moves);
  EXPECT_EQ(Continue(&moved, logits, 20), Continue(&stays, logits, 20));
}

}  // namespace
}  // namespace vade
