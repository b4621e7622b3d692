// What decoder.h promises beside the numbers: the same bits whatever shares the batch, the threads,
// the pages; errors that change nothing; hostile files that are refused.
#include "model/transformer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/threads.h"
#include "model/cpu_backend.h"
#include "model/gguf_writer.h"
#include "tests/model/transformer_fixture.h"
#include "tests/testing/golden.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::LastLogits;
using testing::Must;
using testing::RandomTokens;
using testing::SameBits;
using testing::Saved;
using testing::TinyModel;
using testing::TransformerKvTest;
using testing::TransformerTest;

TEST_P(TransformerKvTest, OneTokenAtATimeGivesTheBitsOfTheWholePrompt) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(75, 1);
  const auto whole = Must(decoder->NewSequence()), single = Must(decoder->NewSequence());
  const Logits all = Must(testing::Read(*decoder, *whole, tokens, testing::AllOf(tokens.size())));
  for (size_t i = 0; i < tokens.size(); ++i) {
    ASSERT_TRUE(SameBits(LastLogits(*decoder, *single, {&tokens[i], 1}), all.row(i)))
        << "token " << i;
  }
}

TEST_P(TransformerKvTest, LongPromptsAreCutIntoStepsWithoutATrace) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(1100, 2);
  const auto pieces = Must(decoder->NewSequence());
  std::vector<float> last;
  for (size_t begin = 0; begin < tokens.size(); begin += 100) {
    last = LastLogits(*decoder, *pieces, std::span(tokens).subspan(begin, 100));
  }
  EXPECT_TRUE(SameBits(Fresh(*decoder, tokens), last));
}

TEST_F(TransformerTest, WantedRowsAreThoseOfTheFullAnswer) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(700, 3);
  const auto a = Must(decoder->NewSequence()), b = Must(decoder->NewSequence());
  const Logits all = Must(testing::Read(*decoder, *a, tokens, testing::AllOf(tokens.size())));
  const std::vector<int32_t> wanted = {0, 7, 511, 512, 640, 699};
  const Logits some = Must(testing::Read(*decoder, *b, tokens, wanted));
  ASSERT_EQ(some.values.size(), wanted.size() * 300);
  for (size_t i = 0; i < wanted.size(); ++i)
    EXPECT_TRUE(SameBits(some.row(i), all.row(wanted[i]))) << i;
}

TEST_F(TransformerTest, NoRowsWantedStillReads) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(40, 4);
  const auto sequence = Must(decoder->NewSequence());
  EXPECT_TRUE(
      Must(testing::Read(*decoder, *sequence, std::span(tokens).first(39), {})).values.empty());
  EXPECT_EQ(sequence->length(), 39);
  EXPECT_TRUE(SameBits(LastLogits(*decoder, *sequence, {&tokens[39], 1}), Fresh(*decoder, tokens)));
}

TEST_P(TransformerKvTest, ThreadsDoNotChangeABit) {
  const auto tokens = RandomTokens(150, 5);
  const auto expected = Fresh(*Load(), tokens);
  for (int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    EXPECT_TRUE(SameBits(Fresh(*Load(&pool), tokens), expected)) << threads;
  }
}

TEST_P(TransformerKvTest, MixedBatchGivesEachSequenceItsOwnBits) {
  ThreadPool pool(2);
  const auto decoder = Load(&pool);
  const std::vector<std::vector<int32_t>> prompts = {RandomTokens(1, 6), RandomTokens(40, 7),
                                                     RandomTokens(33, 8), RandomTokens(500, 9)};
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<std::vector<int32_t>> wanted;
  std::vector<ForwardItem> batch;
  for (const auto& prompt : prompts) wanted.push_back({static_cast<int32_t>(prompt.size()) - 1});
  for (size_t i = 0; i < prompts.size(); ++i) {
    sequences.push_back(Must(decoder->NewSequence()));
    batch.push_back({sequences.back().get(), prompts[i], {}, wanted[i]});
  }
  const Logits logits = Must(decoder->Forward(batch, Context()));
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_TRUE(SameBits(logits.row(i), Fresh(*decoder, prompts[i]))) << i;
  }
}

TEST_P(TransformerKvTest, ForksAreSequencesOfTheirOwn) {
  const auto decoder = Load();
  const auto shared = RandomTokens(50, 10), left = RandomTokens(20, 11),
             right = RandomTokens(35, 12);
  const auto root = Must(decoder->NewSequence());
  LastLogits(*decoder, *root, shared);
  const auto fork = Must(decoder->Fork(*root, 45));
  const auto a = LastLogits(*decoder, *root, left);
  const auto b = LastLogits(*decoder, *fork, right);
  auto straight = shared;
  straight.insert(straight.end(), left.begin(), left.end());
  EXPECT_TRUE(SameBits(a, Fresh(*decoder, straight)));
  straight.assign(shared.begin(), shared.begin() + 45);
  straight.insert(straight.end(), right.begin(), right.end());
  EXPECT_TRUE(SameBits(b, Fresh(*decoder, straight)));
  EXPECT_EQ(decoder->Fork(*root, 71).status().code(), StatusCode::kInvalidArgument);
}

TEST_P(TransformerKvTest, TruncatedSequenceIsTheShorterOne) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(90, 13), other = RandomTokens(10, 14);
  const auto sequence = Must(decoder->NewSequence());
  LastLogits(*decoder, *sequence, tokens);
  const auto fork = Must(decoder->Fork(*sequence, 90));  // holds the page that is cut
  ASSERT_TRUE(decoder->Truncate(*sequence, 70).ok());
  const auto logits = LastLogits(*decoder, *sequence, other);
  auto straight = std::vector<int32_t>(tokens.begin(), tokens.begin() + 70);
  straight.insert(straight.end(), other.begin(), other.end());
  EXPECT_TRUE(SameBits(logits, Fresh(*decoder, straight)));
  straight = tokens;
  straight.push_back(3);
  const int32_t three = 3;
  EXPECT_TRUE(SameBits(LastLogits(*decoder, *fork, {&three, 1}), Fresh(*decoder, straight)));
  EXPECT_EQ(decoder->Truncate(*sequence, 81).code(), StatusCode::kInvalidArgument);
}

TEST_P(TransformerKvTest, AppendedTokensGoOnWithTheBitsOfReadOnes) {
  ThreadPool pool(2);
  const auto decoder = Load(&pool);
  const auto tokens = RandomTokens(150, 21), rest = RandomTokens(20, 22);
  const auto donor = Must(decoder->NewSequence());
  LastLogits(*decoder, *donor, tokens);
  for (const auto& [begin, end] : std::vector<std::pair<int, int>>{
           {0, 150}, {0, 20}, {32, 64}, {33, 65}, {45, 130}, {1, 2}, {149, 150}, {70, 70}}) {
    const auto bytes = Saved(*decoder, *donor, begin, end);
    const auto read = Must(decoder->NewSequence());
    if (begin > 0) LastLogits(*decoder, *read, std::span(tokens).first(begin));
    const auto fork = Must(decoder->Fork(*donor, begin));  // shares its pages with the donor
    auto straight = std::vector<int32_t>(tokens.begin(), tokens.begin() + end);
    straight.insert(straight.end(), rest.begin(), rest.end());
    const auto expected = Fresh(*decoder, straight);
    for (Sequence* sequence : {read.get(), fork.get()}) {
      ASSERT_TRUE(decoder->Append(*sequence, bytes, end - begin).ok());
      EXPECT_EQ(sequence->length(), end);
      EXPECT_TRUE(SameBits(LastLogits(*decoder, *sequence, rest), expected))
          << begin << " to " << end;
    }
  }
  auto straight = tokens;
  straight.insert(straight.end(), rest.begin(), rest.end());
  EXPECT_TRUE(SameBits(LastLogits(*decoder, *donor, rest), Fresh(*decoder, straight)));
}

TEST_P(TransformerKvTest, SavedBytesOutliveTheirSequenceAndDecoder) {
  const auto tokens = RandomTokens(90, 23);
  std::vector<uint8_t> bytes;
  {
    const auto decoder = Load();
    const auto sequence = Must(decoder->NewSequence());
    LastLogits(*decoder, *sequence, tokens);
    bytes = Saved(*decoder, *sequence, 0, 89);
  }
  const auto decoder = Load();
  const auto sequence = Must(decoder->NewSequence());
  ASSERT_TRUE(decoder->Append(*sequence, bytes, 89).ok());
  EXPECT_TRUE(SameBits(LastLogits(*decoder, *sequence, {&tokens[89], 1}), Fresh(*decoder, tokens)));
}

TEST_P(TransformerKvTest, NoPageBoundaryShowsInWhatIsSaved) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(100, 24);
  const auto sequence = Must(decoder->NewSequence());
  LastLogits(*decoder, *sequence, tokens);
  const auto whole = Saved(*decoder, *sequence, 10, 90), head = Saved(*decoder, *sequence, 10, 50),
             tail = Saved(*decoder, *sequence, 50, 90);
  // [layer][key|value][kv_head] pieces of the rows of 32 values of all tokens.
  const size_t row = kernels::KvBytes(GetParam(), 32), pieces = 2 * 2 * 2;
  ASSERT_EQ(whole.size(), pieces * 80 * row);
  for (size_t piece = 0; piece < pieces; ++piece) {
    auto expected = std::vector<uint8_t>(head.begin() + piece * 40 * row,
                                         head.begin() + (piece + 1) * 40 * row);
    expected.insert(expected.end(), tail.begin() + piece * 40 * row,
                    tail.begin() + (piece + 1) * 40 * row);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), whole.begin() + piece * 80 * row))
        << piece;
  }
}

TEST_P(TransformerKvTest, BadSavesAndAppendsChangeNothing) {
  const auto decoder = Load(), stranger = Load();
  const auto tokens = RandomTokens(40, 25);
  const auto sequence = Must(decoder->NewSequence()), foreign = Must(stranger->NewSequence());
  LastLogits(*decoder, *sequence, tokens);
  auto bytes = Saved(*decoder, *sequence, 0, 40);
  EXPECT_EQ(decoder->SavedBytes(0), 0u);
  EXPECT_EQ(decoder->SavedBytes(40), 40 * decoder->info().kv_bytes_per_token);
  auto save = [&](int begin, int end, size_t size) {
    return decoder->Save(*sequence, begin, end, std::span(bytes).first(size)).code();
  };
  EXPECT_EQ(save(0, 40, bytes.size() - 1), StatusCode::kInvalidArgument);
  EXPECT_EQ(save(-1, 39, bytes.size()), StatusCode::kInvalidArgument);
  EXPECT_EQ(save(1, 41, bytes.size()), StatusCode::kInvalidArgument);
  EXPECT_EQ(save(3, 2, 0), StatusCode::kInvalidArgument);
  EXPECT_EQ(decoder->Save(*foreign, 0, 0, {}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(decoder->Append(*foreign, bytes, 40).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(decoder->Append(*sequence, bytes, -1).code(), StatusCode::kInvalidArgument);
  const Status wrong = decoder->Append(*sequence, bytes, 39);
  EXPECT_EQ(wrong.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(wrong.message().find(std::to_string(bytes.size())), std::string::npos);
  EXPECT_NE(wrong.message().find(std::to_string(decoder->SavedBytes(39))), std::string::npos);
  EXPECT_EQ(sequence->length(), 40);
  const int32_t last = 7;
  auto longer = tokens;
  longer.push_back(last);
  EXPECT_TRUE(SameBits(LastLogits(*decoder, *sequence, {&last, 1}), Fresh(*decoder, longer)));
}

TEST_P(TransformerKvTest, AppendKeepsToTheContextAndTheBudget) {
  const auto donor = Load();
  const auto tokens = RandomTokens(1199, 26), prefix = RandomTokens(10, 27);
  const auto long_one = Must(donor->NewSequence());
  LastLogits(*donor, *long_one, tokens);
  const auto bytes = Saved(*donor, *long_one, 0, 1199);
  const auto two = Saved(*donor, *long_one, 0, 2);
  ASSERT_TRUE(donor->Append(*long_one, std::span(two).first(donor->SavedBytes(0)), 0).ok());
  EXPECT_EQ(donor->Append(*long_one, two, 2).code(), StatusCode::kOutOfRange);
  EXPECT_EQ(long_one->length(), 1199);

  const auto small = Load(nullptr, donor->SavedBytes(5 * 32));
  const auto sequence = Must(small->NewSequence());
  LastLogits(*small, *sequence, prefix);
  EXPECT_EQ(small->Append(*sequence, std::span(bytes), 1199).code(), StatusCode::kOutOfRange);
  const auto many = Saved(*donor, *long_one, 0, 151);
  EXPECT_EQ(small->Append(*sequence, many, 151).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(sequence->length(), 10);
  const auto fits = Saved(*donor, *long_one, 0, 150);
  EXPECT_TRUE(small->Append(*sequence, fits, 150).ok());
}

TEST_P(TransformerKvTest, AppendedTokensStandBehindTheLastPosition) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(60, 28);
  const auto donor = Must(decoder->NewSequence());
  LastLogits(*decoder, *donor, std::span(tokens).first(20));
  const auto bytes = Saved(*decoder, *donor, 0, 20);
  const auto sequence = Must(decoder->NewSequence());
  std::vector<int32_t> positions(40);
  for (int i = 0; i < 40; ++i) positions[i] = 1 + i * 2;  // the last one is 79
  const ForwardItem item{sequence.get(), std::span(tokens).subspan(20), positions, {}};
  ASSERT_TRUE(decoder->Forward({&item, 1}, Context()).ok());
  ASSERT_TRUE(decoder->Append(*sequence, bytes, 20).ok());
  auto code = [&](int32_t position) {
    const ForwardItem next{sequence.get(), std::span(tokens).first(1), {&position, 1}, {}};
    return decoder->Forward({&next, 1}, Context()).status().code();
  };
  EXPECT_EQ(code(99), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(100), StatusCode::kOk);
}

TEST_F(TransformerTest, OnlyDifferencesOfPositionsMatter) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(30, 15);
  const auto sequence = Must(decoder->NewSequence());
  std::vector<int32_t> positions(30);
  for (int i = 0; i < 30; ++i) positions[i] = 100 + i;
  const int32_t last = 29;
  const ForwardItem item{sequence.get(), tokens, positions, {&last, 1}};
  const Logits logits = Must(decoder->Forward({&item, 1}, Context()));
  EXPECT_LT(testing::LargestDifference(logits.values, Fresh(*decoder, tokens)), 5e-3f);
  positions[29] = 150;
  const auto gap = Must(decoder->NewSequence());
  const ForwardItem other{gap.get(), tokens, positions, {&last, 1}};
  EXPECT_GT(testing::LargestDifference(Must(decoder->Forward({&other, 1}, Context())).values,
                                       logits.values),
            1e-2f);
}

TEST_F(TransformerTest, BadItemsAreRefusedAndChangeNothing) {
  const auto decoder = Load(), stranger = Load();
  const auto sequence = Must(decoder->NewSequence()), foreign = Must(stranger->NewSequence());
  const std::vector<int32_t> tokens = {1, 2, 3}, beyond = {1, 300}, negative = {-1}, none;
  const std::vector<int32_t> twice = {0, 0}, outside = {3}, back = {5, 5, 6}, far = {5, 6, 1200},
                             two = {1, 2};
  LastLogits(*decoder, *sequence, tokens);
  auto code = [&](const ForwardItem& item) {
    return decoder->Forward({&item, 1}, Context()).status().code();
  };
  EXPECT_EQ(code({sequence.get(), none, {}, {}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({nullptr, tokens, {}, {}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({foreign.get(), tokens, {}, {}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({sequence.get(), beyond, {}, {}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({sequence.get(), negative, {}, {}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({sequence.get(), tokens, {}, twice}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({sequence.get(), tokens, {}, outside}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({sequence.get(), tokens, back, {}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({sequence.get(), tokens, two, {}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({sequence.get(), tokens, far, {}}), StatusCode::kOutOfRange);
  const ForwardItem same{sequence.get(), tokens, {}, {}};
  const ForwardItem pair[] = {same, same};
  EXPECT_EQ(decoder->Forward(pair, Context()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(sequence->length(), 3);
}

TEST_F(TransformerTest, ContextIsALimit) {
  const auto decoder = Load();
  const auto sequence = Must(decoder->NewSequence());
  const auto tokens = RandomTokens(1201, 16);
  EXPECT_EQ(testing::Read(*decoder, *sequence, tokens, {}).status().code(),
            StatusCode::kOutOfRange);
  EXPECT_TRUE(testing::Read(*decoder, *sequence, std::span(tokens).first(1200), {}).ok());
  EXPECT_EQ(testing::Read(*decoder, *sequence, std::span(tokens).first(1), {}).status().code(),
            StatusCode::kOutOfRange);
}

TEST_F(TransformerTest, FullPoolChangesNoSequence) {
  const auto decoder = Load({}, nullptr, 100 << 10);  // a few pages
  const auto a = Must(decoder->NewSequence()), b = Must(decoder->NewSequence());
  const auto tokens = RandomTokens(60, 17), many = RandomTokens(1000, 18);
  LastLogits(*decoder, *a, tokens);
  const ForwardItem batch[] = {{a.get(), tokens, {}, {}}, {b.get(), many, {}, {}}};
  EXPECT_EQ(decoder->Forward(batch, Context()).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(a->length(), 60);
  EXPECT_EQ(b->length(), 0);
  auto longer = tokens;
  longer.push_back(9);
  const int32_t nine = 9;
  const auto logits = LastLogits(*decoder, *a, {&nine, 1});
  EXPECT_TRUE(SameBits(logits, Fresh(*Load(), longer)));
}

TEST_F(TransformerTest, CancelledForwardChangesNothing) {
  const auto decoder = Load();
  const auto sequence = Must(decoder->NewSequence());
  const auto tokens = RandomTokens(20, 19);
  LastLogits(*decoder, *sequence, tokens);
  CancelSource cancel;
  cancel.Cancel();
  const ForwardItem item{sequence.get(), tokens, {}, {}};
  EXPECT_EQ(decoder->Forward({&item, 1}, Context().WithCancel(cancel.token())).status().code(),
            StatusCode::kCancelled);
  EXPECT_EQ(sequence->length(), 20);
  auto longer = tokens;
  longer.push_back(4);
  const int32_t four = 4;
  EXPECT_TRUE(SameBits(LastLogits(*decoder, *sequence, {&four, 1}), Fresh(*decoder, longer)));
}

TEST_F(TransformerTest, EmptyBatchIsAnEmptyAnswer) {
  EXPECT_TRUE(Must(Load()->Forward({}, Context())).values.empty());
}

TEST_F(TransformerTest, InfoTellsWhatTheFileSays) {
  DecoderOptions options = testing::SmallOptions();
  options.context_tokens = 64;
  const auto decoder = Must(TryLoad({}, options));
  EXPECT_EQ(decoder->info().architecture, "qwen2");
  EXPECT_EQ(decoder->info().name, "model.gguf");
  EXPECT_EQ(decoder->info().context_tokens, 64);
  EXPECT_EQ(decoder->info().layers, 2);
  EXPECT_EQ(decoder->info().vocab_size, 300);
  EXPECT_EQ(decoder->info().kv_type, "f16");
  EXPECT_EQ(decoder->info().kv_bytes_per_token, 2u * 2 * 32 * 2);
  EXPECT_GT(decoder->info().weight_bytes_per_token, 4u * 300 * 64);
  EXPECT_EQ(decoder->tokenizer().vocab_size(), 300);
  EXPECT_FALSE(decoder->chat_template().ok());
}

TEST_F(TransformerTest, HeadsThatAreNotWholeBlocksAreKeptAsHalves) {
  for (const auto& [type, bytes] :
       {std::pair(kernels::KvType::kQ8, 34u), {kernels::KvType::kQ4, 20u}}) {
    const DecoderOptions options = testing::SmallOptions(type);
    EXPECT_EQ(Must(TryLoad({}, options))->info().kv_type, "f16");  // heads of 16 values
    const auto decoder = Must(TryLoad({.width = 128}, options));
    EXPECT_EQ(decoder->info().kv_type, kernels::KvTypeName(type));
    EXPECT_EQ(decoder->info().kv_bytes_per_token, 2u * 2 * 2 * bytes);
  }
}

TEST_F(TransformerTest, UnknownKindsAreRefusedByName) {
  auto message = [&](const TinyModel& model) {
    const auto result = TryLoad(model);
    EXPECT_EQ(result.status().code(), StatusCode::kUnimplemented);
    return result.status().message();
  };
  EXPECT_NE(message({.architecture = "mamba"}).find("'mamba'"), std::string::npos);
  EXPECT_NE(message({.strings = {{"rope.scaling.type", "yarn"}}}).find("'yarn'"),
            std::string::npos);
  EXPECT_NE(message({.extra_tensor = "blk.0.attn_q_norm.weight"}).find("attn_q_norm"),
            std::string::npos);
  EXPECT_NE(message({.numbers = {{"expert_count", 4}}}).find("experts"), std::string::npos);
}

TEST_F(TransformerTest, HostileNumbersAreRefused) {
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, uint32_t>>{{"block_count", 0},
                                                     {"block_count", 4000000000u},
                                                     {"embedding_length", 0},
                                                     {"embedding_length", 4294967295u},
                                                     {"feed_forward_length", 0},
                                                     {"context_length", 0},
                                                     {"attention.head_count", 0},
                                                     {"attention.head_count", 65},
                                                     {"attention.head_count", 4294967295u},
                                                     {"attention.head_count_kv", 0},
                                                     {"attention.head_count_kv", 3},
                                                     {"attention.head_count_kv", 8},
                                                     {"attention.key_length", 0},
                                                     {"attention.key_length", 4294967295u},
                                                     {"attention.key_length", 17},
                                                     {"rope.dimension_count", 7},
                                                     {"rope.dimension_count", 4096}}) {
    const auto result = TryLoad({.numbers = {{key, value}}});
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument) << key << " = " << value;
  }
}

TEST_F(TransformerTest, WrongShapeTellsExpectedAndActual) {
  const auto result = TryLoad({.wrong_rows = 97});
  EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(result.status().message().find("ffn_up"), std::string::npos);
  EXPECT_NE(result.status().message().find("97"), std::string::npos) << result.status().message();
  EXPECT_NE(result.status().message().find("96"), std::string::npos);
}

TEST_F(TransformerTest, PackedFileGivesTheBitsOfMemory) {
  const auto tokens = RandomTokens(20, 20);
  const auto expected = Fresh(*Load(), tokens);
  DecoderOptions options = testing::SmallOptions();
  options.packed_cache_dir = dir_.File("packed");
  for (int run = 0; run < 2; ++run) {
    EXPECT_TRUE(SameBits(Fresh(*Must(TryLoad({}, options)), tokens), expected)) << run;
  }
}

INSTANTIATE_TEST_SUITE_P(KvTypes, TransformerKvTest, ::testing::ValuesIn(kernels::kAllKvTypes),
                         [](const auto& test) { return std::string(KvTypeName(test.param)); });

}  // namespace
}  // namespace vade
