// What is kept of a question for the next one of its conversation.
#include "generator/kept_turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "generator/engine.h"
#include "generator/generator.h"
#include "tests/generator/engine_jobs.h"
#include "tests/generator/hits.h"
#include "tests/testing/scripted_decoder.h"

namespace vade {
namespace {

using testing::ByteTokenizer;
using testing::ScriptedDecoder;

constexpr char kPrefix[] = "the shared prefix:";
constexpr char kLease[] = "the lease.";
constexpr std::chrono::milliseconds kNoTurns{0};

class EngineTurns : public EngineJobs {
 protected:
  EngineTurns() {
    // Of everything before it, so that a place that was read otherwise shows.
    decoder_.SetScores([](const std::vector<int32_t>& sequence, int32_t next) {
      int64_t sum = next;
      for (int32_t token : sequence) sum = (sum * 31 + token) % 9973;
      return -static_cast<float>(sum);
    });
    decoder_.Say("lease", "14 days");
    decoder_.Say("ferry", "None");
  }

  Tokens Encode(const std::string& text) {
    return decoder_.tokenizer().Encode(text, Special::kText);
  }
  static void Add(Tokens* to, const Tokens& from) {
    to->insert(to->end(), from.begin(), from.end());
  }
  // A question with the turns before it, as they stand behind a passage.
  Tokens Suffix(const std::vector<std::pair<std::string, std::string>>& turns,
                const std::string& question) {
    Tokens suffix;
    auto speak = [&](const char* role) {
      suffix.push_back(ByteTokenizer::kImStart);
      Add(&suffix, Encode(std::string(role) + "\n"));
    };
    for (const auto& [asked, answered] : turns) {
      Add(&suffix, Encode(asked));
      suffix.push_back(ByteTokenizer::kImEnd);
      speak("assistant");
      Add(&suffix, Encode(answered));
      suffix.push_back(ByteTokenizer::kImEnd);
      speak("user");
    }
    Add(&suffix, Encode(question));
    suffix.push_back(ByteTokenizer::kImEnd);
    speak("assistant");
    return suffix;
  }
  ReadJob Job(const Tokens& suffix,
              const std::vector<std::string>& texts = {kLease, "the ferry."}) {
    ReadJob job;
    job.prefix = Encode(kPrefix);
    for (const std::string& text : texts) {
      const Tokens tokens = Encode(text);
      const PassageId passage = job.blocks.size() + 1;
      job.blocks.push_back({{1, "doc.md", passage, BlockContent(job.prefix, tokens)}, tokens});
    }
    job.blocks.emplace_back().key.collection = 1;  // the question without a passage
    job.suffix = suffix;
    job.watched = Encode("N");
    job.asker.commit = 1;
    return job;
  }
  // With the question's own tokens scored.
  ReadJob Scored(ReadJob job, const std::string& question) {
    const Tokens wanted = Encode(question);
    const auto at =
        std::search(job.suffix.begin() + 1, job.suffix.end(), wanted.begin(), wanted.end());
    job.scored_begin = static_cast<size_t>(at - job.suffix.begin());
    job.scored_end = job.scored_begin + wanted.size();
    return job;
  }
  std::vector<std::unique_ptr<ReadBlock>> Read(Engine& engine, ReadJob job) {
    auto read = engine.Read(std::move(job));
    EXPECT_TRUE(read.ok()) << read.status().message();
    return read.ok() ? *std::move(read) : std::vector<std::unique_ptr<ReadBlock>>();
  }
};

TEST_F(EngineTurns, TheNextQuestionReadsOnlyWhatIsNew) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  auto first = Read(engine, Job(Suffix({}, "How long?")));
  ASSERT_EQ(first.size(), 3u);
  EXPECT_EQ(AnswerFrom(engine, std::move(first[0])), "14 days");
  const Tokens next = Suffix({{"How long?", "14 days"}}, "And why?");
  const size_t asked = Suffix({}, "How long?").size();
  const size_t before = decoder_.tokens_read();
  auto second = Read(engine, Job(next));
  ASSERT_EQ(second.size(), 3u);
  // Behind the passage that answered the answer is there too; behind the other, and without a
  // passage, the question.
  const size_t answered = asked + Encode("14 days").size();
  EXPECT_EQ(decoder_.tokens_read() - before, (next.size() - answered) + 2 * (next.size() - asked));
  EXPECT_EQ(second[0]->cached_tokens, second[0]->prompt_tokens - (next.size() - answered));
  EXPECT_EQ(second[1]->cached_tokens, second[1]->prompt_tokens - (next.size() - asked));
  const EngineCounts counts = engine.counts();
  EXPECT_EQ(counts.turns_found, 3u);
  EXPECT_EQ(counts.turn_tokens_kept, answered + 2 * asked);
}

TEST_F(EngineTurns, NobodyGoesOnFromAConversationOfOtherGroups) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  auto of = [&](const std::vector<std::string>& groups, const Tokens& suffix) {
    ReadJob job = Job(suffix);
    job.asker.audience = AudienceOf(groups);
    return job;
  };
  Read(engine, of({"board", "staff"}, Suffix({}, "How long?")));
  const Tokens next = Suffix({{"How long?", "14 days"}}, "And why?");
  for (const std::vector<std::string>& others :
       {std::vector<std::string>{}, {"staff"}, {"board"}, {"boardstaff"}}) {
    EXPECT_EQ(Read(engine, of(others, next)).back()->cached_tokens, sizeof(kPrefix) - 1);
    EXPECT_EQ(engine.counts().turns_found, 0u);
    ASSERT_TRUE(engine.kept_blocks().Shrink());  // what this one has left
    Read(engine, of({"board", "staff"}, Suffix({}, "How long?")));
  }
  Read(engine, of({"staff", "board", "staff"}, next));
  EXPECT_EQ(engine.counts().turns_found, 3u);
}

TEST_F(EngineTurns, ReadingsAreThoseOfTheWholePromptReadAnew) {
  const std::string question = "And why is it so?";
  const Tokens next = Suffix({{"How long?", "14 days"}}, question);
  Engine anew(&decoder_, {.kept_bytes = 1 << 20, .turns_kept_for = kNoTurns});
  const auto expected = Read(anew, Scored(Job(next), question));
  EXPECT_EQ(anew.kept_blocks().turns(), 0u);
  // The last of them breaks the prompt into pieces of its own.
  for (int prefill : {7, 40, 256}) {
    Engine engine(&decoder_, {.prefill_tokens = prefill, .kept_bytes = 1 << 20});
    auto first = Read(engine, Job(Suffix({}, "How long?")));
    EXPECT_EQ(AnswerFrom(engine, std::move(first[0])), "14 days");
    for (int again = 0; again < 2; ++again) {  // the second time all of it is kept
      const auto second = Read(engine, Scored(Job(next), question));
      ASSERT_EQ(second.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(second[i]->logits, expected[i]->logits) << i;
        if (prefill >= 40) {  // a smaller step cannot score it whole
          EXPECT_EQ(second[i]->scored_log_probability, expected[i]->scored_log_probability) << i;
        }
        EXPECT_EQ(second[i]->tokens, expected[i]->tokens) << i;
      }
    }
    EXPECT_EQ(engine.counts().turns_found, 6u);
  }
}

TEST_F(EngineTurns, AnAnswerGoesOnFromThemAsFromAWholePrompt) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  auto first = Read(engine, Job(Suffix({}, "How long?")));
  EXPECT_EQ(AnswerFrom(engine, std::move(first[0])), "14 days");
  ReadJob next = Job(Suffix({{"How long?", "14 days"}}, "Once more?"));
  next.blocks.resize(1);
  auto second = Read(engine, std::move(next));
  EXPECT_EQ(AnswerFrom(engine, std::move(second[0])), "14 days");
  EXPECT_EQ(
      decoder_.last_prompt(),
      "the shared prefix:the lease.How long?<|im_end|><|im_start|>assistant\n14 days<|im_end|>"
      "<|im_start|>user\nOnce more?<|im_end|><|im_start|>assistant\n");
}

TEST_F(EngineTurns, ATurnThatComesBackOtherwiseIsReadFromWhereItDiffers) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  auto first = Read(engine, Job(Suffix({}, "How long?")));
  EXPECT_EQ(AnswerFrom(engine, std::move(first[0])), "14 days");
  const Tokens next = Suffix({{"How long?", "14 nights"}}, "And why?");
  const auto second = Read(engine, Job(next, {kLease}));
  const size_t same = Suffix({}, "How long?").size() + Encode("14 ").size();
  EXPECT_EQ(second[0]->cached_tokens, second[0]->prompt_tokens - (next.size() - same));
}

TEST_F(EngineTurns, AnotherPassageOrCollectionHasNoUseForThem) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  const Tokens suffix = Suffix({}, "How long?");
  Read(engine, Job(suffix, {kLease}));
  const auto other = Read(engine, Job(suffix, {"the lessor."}));
  EXPECT_EQ(other[0]->cached_tokens, sizeof(kPrefix) - 1);
  ReadJob foreign = Job(suffix, {kLease});
  for (BlockToRead& block : foreign.blocks) block.key.collection = 2;
  const auto read = Read(engine, std::move(foreign));
  EXPECT_EQ(read[0]->cached_tokens, sizeof(kPrefix) - 1);
  EXPECT_EQ(read[1]->cached_tokens, sizeof(kPrefix) - 1);
}

TEST_F(EngineTurns, PassagesReadTogetherGoOnFromTheSamePrompt) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  auto ask = [&](const Tokens& suffix, StreamFacts* facts) {
    EngineJob job;
    job.prefix = Encode(kPrefix);
    job.rest = Encode("[1]the lease.[2]the ferry.");
    Add(&job.rest, suffix);
    job.sampling.max_tokens = 64;
    job.origin.block.collection = 1;
    job.origin.asker.commit = 1;
    auto stream = engine.Start(std::move(job));
    EXPECT_TRUE(stream.ok());
    std::string out;
    for (;;) {
      auto token = (*stream)->Next();
      if (!token.ok() || !*token) break;
      out += decoder_.tokenizer().Piece((*token)->id);
    }
    *facts = (*stream)->facts();
    return out;
  };
  StreamFacts facts;
  EXPECT_EQ(ask(Suffix({}, "How long?"), &facts), "14 days");
  EXPECT_EQ(facts.cached_tokens, 0u);
  EXPECT_EQ(ask(Suffix({{"How long?", "14 days"}}, "Why?"), &facts), "14 days");
  EXPECT_EQ(facts.cached_tokens, sizeof(kPrefix) - 1 + Encode("[1]the lease.[2]the ferry.").size() +
                                     Suffix({}, "How long?").size() + 7);
}

TEST_F(EngineTurns, WhateverIsForgottenTakesAllOfThemAlong) {
  auto files = BlockFiles::Open({}).value();
  Engine engine(&decoder_, {.kept_bytes = 1 << 20, .block_files = files.get()});
  Read(engine, Job(Suffix({}, "How long?")));
  EXPECT_EQ(engine.kept_blocks().turns(), 3u);
  // They may quote it, whatever passage they stand behind.
  ASSERT_TRUE(files->Forget({2, "other.md", 5}).ok());
  engine.kept_blocks().Forget(2, "other.md");
  EXPECT_EQ(engine.kept_blocks().turns(), 0u);
  EXPECT_EQ(engine.kept_blocks().turn_bytes(), 0u);
  EXPECT_EQ(engine.kept_blocks().blocks(), 2u);
  Read(engine, Job(Suffix({}, "How long?")));  // of a view before that
  EXPECT_EQ(engine.kept_blocks().turns(), 0u);
  ReadJob later = Job(Suffix({}, "How long?"));
  later.asker.commit = 5;
  Read(engine, std::move(later));
  EXPECT_EQ(engine.kept_blocks().turns(), 3u);
}

TEST_F(EngineTurns, TheyGoWithThePassageThatTheyStandBehind) {
  const uint64_t token = decoder_.info().kv_bytes_per_token;
  Engine engine(&decoder_, {.kept_bytes = 800 * token});  // three passages and their turns
  const Tokens suffix = Suffix({}, "How long?");
  auto job = [&](PassageId passage) {
    ReadJob made = Job(suffix, {"the lease " + std::string(190, static_cast<char>('a' + passage))});
    made.blocks[0].key.passage_id = passage;
    made.blocks.resize(1);
    return made;
  };
  for (PassageId passage : {2, 2, 3, 3, 1}) Read(engine, job(passage));
  EXPECT_EQ(engine.kept_blocks().turns(), 3u);
  Read(engine, job(4));  // in the place of the first, which was used least, if last
  EXPECT_EQ(engine.kept_blocks().blocks(), 3u);
  EXPECT_EQ(engine.kept_blocks().turns(), 3u);
  const auto again = Read(engine, job(1));
  EXPECT_EQ(again[0]->cached_tokens, sizeof(kPrefix) - 1);
}

TEST_F(EngineTurns, TheyGoBeforeAnyPassageWherePagesAreWanted) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  Read(engine, Job(Suffix({}, "How long?")));
  ASSERT_TRUE(engine.kept_blocks().Shrink());
  EXPECT_EQ(engine.kept_blocks().turns(), 0u);
  EXPECT_EQ(engine.kept_blocks().blocks(), 2u);
  ASSERT_TRUE(engine.kept_blocks().Shrink());
  EXPECT_EQ(engine.kept_blocks().blocks(), 1u);
}

TEST_F(EngineTurns, TheyStayWithinAQuarterOfTheBudget) {
  const uint64_t token = decoder_.info().kv_bytes_per_token, budget = 2048 * token;
  Engine engine(&decoder_, {.kept_bytes = budget});
  for (int i = 0; i < 30; ++i) {
    ReadJob job = Job(Suffix({}, "Question " + std::to_string(i) + " of the conversation?"),
                      {"the lease " + std::to_string(i)});
    job.asker.conversation = i % 2 == 0;
    Read(engine, std::move(job));
    EXPECT_LE(engine.kept_blocks().turn_bytes(), budget / 4);
    EXPECT_LE(engine.kept_blocks().turn_bytes() + engine.kept_blocks().bytes(), budget);
  }
  EXPECT_GT(engine.kept_blocks().turns(), 0u);
}

TEST_F(EngineTurns, NobodyHasToAskForTheirTimeToEnd) {
  Engine engine(&decoder_,
                {.kept_bytes = 1 << 20, .turns_kept_for = std::chrono::milliseconds(20)});
  Read(engine, Job(Suffix({}, "How long?")));
  for (int i = 0; i < 5000 && engine.kept_blocks().turns() > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(engine.kept_blocks().turns(), 0u);
  EXPECT_EQ(engine.kept_blocks().blocks(), 2u);
}

TEST_F(EngineTurns, TheyGiveTheirPagesToAnswers) {
  decoder_.LimitPages(900);
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  for (int i = 0; i < 20; ++i) {
    auto read = Read(engine, Job(Suffix({}, "Question " + std::to_string(i) + "?")));
    ASSERT_EQ(read.size(), 3u) << i;
    EXPECT_EQ(AnswerFrom(engine, std::move(read[0])), "14 days");
    if (i == 0) {
      EXPECT_GT(engine.kept_blocks().turns(), 0u);
    }
  }
  EXPECT_LT(engine.kept_blocks().turns(), 60u);  // not all of them had room
}

// The whole generator: a conversation is answered as it would be without them.
TEST(GeneratorTurns, AConversationIsTheSameWithAndWithoutWhatIsKept) {
  ScriptedDecoder decoder;
  decoder.SetScores([](const std::vector<int32_t>& sequence, int32_t next) {
    int64_t sum = next;
    for (int32_t token : sequence) sum = (sum * 31 + token) % 997;
    return -static_cast<float>(sum) / 500;
  });
  decoder.Say("Sick leave is 14 days", "14 days.");
  decoder.Say("", "None");
  auto converse = [&](std::chrono::seconds kept_for, std::vector<Usage>* usages) {
    auto generator =
        Generator::Create(&decoder, {.kept_bytes = 1 << 22, .turns_kept_for = kept_for});
    EXPECT_TRUE(generator.ok());
    GenerateRequest request;
    request.collection = 1;
    request.commit = 1;
    for (const char* text : {"Sick leave is 14 days a year. Ask the office.",
                             "Parking is free for all who work on the quay."}) {
      request.hits.push_back(
          testing::HitOf(request.hits.size() + 1, std::string(text) + std::string(300, '.'), .9));
    }
    std::vector<Answer> answers;
    for (const char* question :
         {"How long is sick leave?", "And what of a year?", "Who says so?"}) {
      request.question = question;
      auto answer = (*generator)->Generate(request, {}, {});
      EXPECT_TRUE(answer.ok()) << answer.status().message();
      if (!answer.ok()) break;
      usages->push_back(answer->usage);
      request.history.push_back({Role::kUser, question});
      request.history.push_back({Role::kAssistant, answer->text});
      answers.push_back(*std::move(answer));
    }
    return answers;
  };
  std::vector<Usage> with, without;
  const auto kept = converse(std::chrono::seconds(600), &with);
  const auto anew = converse(std::chrono::seconds(0), &without);
  ASSERT_EQ(kept.size(), 3u);
  ASSERT_EQ(anew.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(kept[i].text, anew[i].text);
    EXPECT_EQ(kept[i].confidence, anew[i].confidence);
    ASSERT_EQ(kept[i].readings.size(), anew[i].readings.size());
    for (size_t j = 0; j < kept[i].readings.size(); ++j) {
      EXPECT_EQ(kept[i].readings[j].answers, anew[i].readings[j].answers);
      EXPECT_EQ(kept[i].readings[j].question_gain, anew[i].readings[j].question_gain);
    }
    EXPECT_EQ(with[i].prompt_tokens, without[i].prompt_tokens);
  }
  EXPECT_EQ(with[0].cached_tokens, without[0].cached_tokens);
  EXPECT_GT(with[1].cached_tokens, without[1].cached_tokens);
  EXPECT_GT(with[2].cached_tokens, without[2].cached_tokens);
}

}  // namespace
}  // namespace vade
