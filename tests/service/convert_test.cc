// The wire's messages <-> our values, and the limits of requests.
#include "service/convert_proto.h"

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "base/strings.h"
#include "service/grpc_log.h"
#include "service/limits.h"
#include "vade/v1/answer.pb.h"
#include "vade/v1/corpus.pb.h"
#include "vade/v1/search.pb.h"

namespace vade {
namespace {

DocumentInfo FullInfo() {
  DocumentInfo info;
  info.id = "guide/leave.md";
  info.title = "Urlaub \xe2\x80\x93 leave";
  info.source = "guide/leave.md";
  info.mime_type = "text/markdown";
  info.content_hash = "abc123";
  info.metadata["owner"] = std::string("hr");
  info.metadata["year"] = 2024.5;
  info.metadata["draft"] = true;
  info.metadata["tags"] = std::vector<std::string>{"a", "b"};
  info.groups = {"hr", "board"};
  info.supersedes = "guide/old.md";
  info.valid_from = "2024-01-01";
  info.revision = 3;
  info.commit = 1ull << 60;
  info.passage_count = 7;
  info.text_bytes = 12345;
  info.created_unix_micros = 1'700'000'000'123'456;
  info.updated_unix_micros = 1'700'000'001'000'001;
  return info;
}

TEST(Convert, ADocumentsDescriptionComesThroughWhole) {
  const DocumentInfo info = FullInfo();
  v1::DocumentInfo message;
  ToProto(info, &message);
  const auto back = FromProto(message);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->id, info.id);
  EXPECT_EQ(back->title, info.title);
  EXPECT_EQ(back->source, info.source);
  EXPECT_EQ(back->mime_type, info.mime_type);
  EXPECT_EQ(back->content_hash, info.content_hash);
  EXPECT_EQ(back->metadata, info.metadata);
  EXPECT_EQ(back->groups, info.groups);
  EXPECT_EQ(back->supersedes, info.supersedes);
  EXPECT_EQ(back->valid_from, info.valid_from);
  EXPECT_EQ(back->revision, info.revision);
  EXPECT_EQ(back->commit, info.commit);
  EXPECT_EQ(back->passage_count, info.passage_count);
  EXPECT_EQ(back->text_bytes, info.text_bytes);
  EXPECT_EQ(back->created_unix_micros, info.created_unix_micros);
  EXPECT_EQ(back->updated_unix_micros, info.updated_unix_micros);
}

TEST(Convert, AHitAndACitationComeThroughWhole) {
  Hit hit;
  hit.passage.id = std::numeric_limits<uint64_t>::max();
  hit.passage.document_id = "d";
  hit.passage.begin = 5;
  hit.passage.end = 9;
  hit.passage.page = 2;
  hit.passage.heading_path = "A > B";
  hit.passage.text = "text";
  hit.title = "T";
  hit.source = "s";
  hit.valid_from = "2024-01-01";
  hit.score = 1.5;
  hit.dense_score = -0.25;
  hit.term_score = 3;
  v1::Hit message;
  ToProto(hit, &message);
  const Hit back = FromProto(message);
  EXPECT_EQ(back.passage.id, hit.passage.id);
  EXPECT_EQ(back.passage.document_id, "d");
  EXPECT_EQ(back.passage.begin, 5u);
  EXPECT_EQ(back.passage.end, 9u);
  EXPECT_EQ(back.passage.page, 2u);
  EXPECT_EQ(back.passage.heading_path, "A > B");
  EXPECT_EQ(back.passage.text, "text");
  EXPECT_EQ(back.title, "T");
  EXPECT_EQ(back.source, "s");
  EXPECT_EQ(back.valid_from, "2024-01-01");
  EXPECT_EQ(back.score, 1.5);
  EXPECT_EQ(back.dense_score, -0.25);
  EXPECT_EQ(back.term_score, 3);

  Citation citation;
  citation.answer_begin = 1;
  citation.answer_end = 20;
  citation.passage_id = 77;
  citation.document_id = "d";
  citation.source_begin = 100;
  citation.source_end = 120;
  citation.page = 4;
  citation.quote = "words";
  citation.label = 2;
  Answer answer;
  answer.text = "An answer.";
  answer.abstained = true;
  answer.reason = "irrelevant";
  answer.confidence = 0.75;
  answer.citations = {citation};
  answer.omitted = {{9, "e", "budget"}};
  answer.others = {{8, "f", "27 days", "2023-01-01", true}};
  answer.readings = {{.passage_id = 7,
                      .document_id = "d",
                      .answers = .75,
                      .kept = true,
                      .decline_probability = .125,
                      .question_gain = -1.5,
                      .score_gap = .25,
                      .lead = .5}};
  answer.alternatives = {{"or this", "max_tokens", .5, {citation}}};
  answer.tokens = {{{5, "\xE4\xBD", -.25}, {{6, "A", -.125}, {5, "\xE4\xBD", -.25}}}};
  answer.rounds = 2;
  answer.usage = {
      .prompt_tokens = 1, .cached_tokens = 2, .completion_tokens = 3, .draft_accepted = 4};
  v1::Done done;
  ToProto(answer, {{"embed", 1.5}, {"total", 9}}, &done);
  StageTimes times;
  const Answer same = FromProto(done, &times);
  EXPECT_EQ(times, (StageTimes{{"embed", 1.5}, {"total", 9}}));
  EXPECT_EQ(same.text, answer.text);
  EXPECT_TRUE(same.abstained);
  EXPECT_EQ(same.reason, "irrelevant");
  EXPECT_EQ(same.confidence, 0.75);
  ASSERT_EQ(same.citations.size(), 1u);
  EXPECT_EQ(same.citations[0].answer_end, 20u);
  EXPECT_EQ(same.citations[0].passage_id, 77u);
  EXPECT_EQ(same.citations[0].source_begin, 100u);
  EXPECT_EQ(same.citations[0].source_end, 120u);
  EXPECT_EQ(same.citations[0].page, 4u);
  EXPECT_EQ(same.citations[0].quote, "words");
  EXPECT_EQ(same.citations[0].label, 2);
  ASSERT_EQ(same.omitted.size(), 1u);
  EXPECT_EQ(same.omitted[0].passage_id, 9u);
  EXPECT_EQ(same.omitted[0].document_id, "e");
  EXPECT_EQ(same.omitted[0].reason, "budget");
  ASSERT_EQ(same.others.size(), 1u);
  EXPECT_EQ(same.others[0].passage_id, 8u);
  EXPECT_EQ(same.others[0].document_id, "f");
  EXPECT_EQ(same.others[0].text, "27 days");
  EXPECT_EQ(same.others[0].valid_from, "2023-01-01");
  EXPECT_TRUE(same.others[0].agrees);
  ASSERT_EQ(same.readings.size(), 1u);
  const ReadingFact& reading = same.readings[0];
  EXPECT_EQ(reading.passage_id, 7u);
  EXPECT_EQ(reading.document_id, "d");
  EXPECT_EQ(reading.answers, .75);
  EXPECT_TRUE(reading.kept);
  EXPECT_EQ(reading.decline_probability, .125);
  EXPECT_EQ(reading.question_gain, -1.5);
  EXPECT_EQ(reading.score_gap, .25);
  EXPECT_EQ(reading.lead, .5);
  ASSERT_EQ(same.alternatives.size(), 1u);
  EXPECT_EQ(same.alternatives[0].text, "or this");
  EXPECT_EQ(same.alternatives[0].reason, "max_tokens");
  EXPECT_EQ(same.alternatives[0].confidence, .5);
  ASSERT_EQ(same.alternatives[0].citations.size(), 1u);
  EXPECT_EQ(same.alternatives[0].citations[0].quote, "words");
  ASSERT_EQ(same.tokens.size(), 1u);
  EXPECT_EQ(same.tokens[0].chosen.id, 5);
  EXPECT_EQ(same.tokens[0].chosen.bytes, "\xE4\xBD") << "part of a code point";
  ASSERT_EQ(same.tokens[0].likeliest.size(), 2u);
  EXPECT_EQ(same.tokens[0].likeliest[0].bytes, "A");
  EXPECT_EQ(same.tokens[0].likeliest[0].log_probability, -.125);
  EXPECT_EQ(same.rounds, 2);
  EXPECT_EQ(same.usage.cached_tokens, 2u);
  EXPECT_EQ(same.usage.draft_accepted, 4u);
  EXPECT_EQ(same.usage.completion_tokens, 3u);
}

TEST(Convert, AQuestionComesThroughWhole) {
  AskRequest request;
  request.query = {
      .question = "q", .collection = "c", .k = 7, .filter = "f", .as_of = "2024", .groups = {"g"}};
  request.system = "be brief";
  request.strict = true;
  request.mode = AnswerMode::kVote;
  request.joining = Joining::kDetected;
  request.search_as_asked = true;
  request.sampling = {.temperature = 0.5,
                      .top_p = 0.9,
                      .top_k = 3,
                      .min_p = 0.25,
                      .typical_p = 0.75,
                      .repetition_penalty = 1.5,
                      .presence_penalty = -0.5,
                      .frequency_penalty = 0.125,
                      .logit_bias = {{3, -100}, {70, 2.5}, {151000, 0}},
                      .top_logprobs = 4,
                      .seed = 11,
                      .max_tokens = 12,
                      .stop = {"x"}};
  request.history = {{Role::kUser, "before"}, {Role::kAssistant, "and after"}};
  v1::ChatRequest message;
  ToProto(request, &message);
  const auto back = FromProto(message);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->query.question, "q");
  EXPECT_EQ(back->query.collection, "c");
  EXPECT_EQ(back->query.k, 7);
  EXPECT_EQ(back->query.filter, "f");
  EXPECT_EQ(back->query.as_of, "2024");
  EXPECT_EQ(back->query.groups, std::vector<std::string>{"g"});
  EXPECT_EQ(back->system, "be brief");
  EXPECT_TRUE(back->strict);
  EXPECT_EQ(back->joining, Joining::kDetected);
  EXPECT_TRUE(back->search_as_asked);
  EXPECT_EQ(back->mode, AnswerMode::kVote);
  EXPECT_EQ(back->sampling.temperature, 0.5);
  EXPECT_EQ(back->sampling.top_p, 0.9);
  EXPECT_EQ(back->sampling.top_k, 3);
  EXPECT_EQ(back->sampling.min_p, 0.25);
  EXPECT_EQ(back->sampling.typical_p, 0.75);
  EXPECT_EQ(back->sampling.repetition_penalty, 1.5);
  EXPECT_EQ(back->sampling.presence_penalty, -0.5);
  EXPECT_EQ(back->sampling.frequency_penalty, 0.125);
  EXPECT_EQ(back->sampling.logit_bias, request.sampling.logit_bias);  // in the order of the ids
  EXPECT_EQ(back->sampling.top_logprobs, 4);
  EXPECT_EQ(back->sampling.seed, 11u);
  EXPECT_EQ(back->sampling.max_tokens, 12);
  EXPECT_EQ(back->sampling.stop, std::vector<std::string>{"x"});
  ASSERT_EQ(back->history.size(), 2u);
  EXPECT_EQ(back->history[0].role, Role::kUser);
  EXPECT_EQ(back->history[1].role, Role::kAssistant);
  EXPECT_EQ(back->history[1].content, "and after");
}

TEST(Convert, ZeroOnTheWireIsTheDefault) {
  const auto ask = FromProto(v1::AskRequest());
  ASSERT_TRUE(ask.ok());
  EXPECT_EQ(ask->joining, std::nullopt) << "as the server is set up";
  EXPECT_EQ(ask->query.collection, "default");
  EXPECT_EQ(ask->query.k, 5);
  EXPECT_EQ(ask->mode, AnswerMode::kDirect);
  EXPECT_EQ(ask->sampling.max_tokens, 256);
  EXPECT_EQ(ask->sampling.top_p, 1);
  EXPECT_EQ(ask->sampling.top_k, 0);
  EXPECT_EQ(ask->sampling.min_p, 0);
  EXPECT_EQ(ask->sampling.typical_p, 1);
  EXPECT_EQ(ask->sampling.repetition_penalty, 1);
  EXPECT_EQ(ask->sampling.presence_penalty, 0);
  EXPECT_EQ(ask->sampling.frequency_penalty, 0);
  EXPECT_TRUE(ask->sampling.logit_bias.empty());
  EXPECT_EQ(ask->sampling.top_logprobs, 0);
  EXPECT_EQ(FromProto(v1::SearchRequest())->k, 5);
  EXPECT_EQ(FromPageSize(0), 100);
  EXPECT_EQ(FromPageSize(7), 7);
}

TEST(Convert, NumbersBeyondIntStayBeyondEveryLimit) {
  v1::SearchRequest message;
  message.set_question("q");
  message.set_k(std::numeric_limits<uint32_t>::max());
  const auto query = FromProto(message);
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(CheckQuery(*query).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckListDocuments({.after = "", .limit = FromPageSize(4'000'000'000u)}).code(),
            StatusCode::kInvalidArgument);
}

TEST(Convert, UnknownEnumsAndMissingValuesAreRefused) {
  v1::AskRequest ask;
  ask.mutable_options()->set_mode(static_cast<v1::Mode>(99));
  EXPECT_EQ(FromProto(ask).status().code(), StatusCode::kInvalidArgument);

  v1::DocumentInfo info;
  (*info.mutable_metadata())["empty"];
  const auto refused = FromProto(info);
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("'empty'"), std::string::npos);

  v1::ChatRequest chat;
  EXPECT_EQ(FromProto(chat).status().code(), StatusCode::kInvalidArgument) << "no turns";
  chat.add_turns()->set_content("who says this?");
  chat.add_turns()->set_role(v1::Turn::ROLE_USER);
  EXPECT_NE(FromProto(chat).status().message().find("turn 1 has no role"), std::string::npos);
  chat.mutable_turns(0)->set_role(v1::Turn::ROLE_USER);
  chat.mutable_turns(1)->set_role(v1::Turn::ROLE_ASSISTANT);
  EXPECT_NE(FromProto(chat).status().message().find("the last of the turns"), std::string::npos);
}

TEST(Convert, EveryCodeMapsToItsNumberAndBack) {
  for (int code = 1; code <= 16; ++code) {
    const Status status(static_cast<StatusCode>(code), "why, and the remedy");
    const grpc::Status wire = ToGrpc(status);
    EXPECT_EQ(static_cast<int>(wire.error_code()), code);
    EXPECT_EQ(FromGrpc(wire), status);
  }
  EXPECT_TRUE(ToGrpc(OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  EXPECT_EQ(FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(20), "x")).code(),
            StatusCode::kUnknown);
}

TEST(Convert, AMessageFitsIntoAHeaderAndIsUtf8) {
  std::string text = "bad: ";
  for (int i = 0; i < 5000; ++i) text += "\xe4\xbd\xa0";
  const grpc::Status cut = ToGrpc(InvalidArgument(text));
  EXPECT_LT(cut.error_message().size(), 2010u);
  EXPECT_GT(cut.error_message().size(), 1990u);
  EXPECT_EQ(ToGrpc(InvalidArgument("file \xff\xfe.md")).error_message(),
            "file \xef\xbf\xbd\xef\xbf\xbd.md");
  v1::DocumentInfo message;
  DocumentInfo info;
  info.id = "caf\xe9.md";
  ToProto(info, &message);
  EXPECT_EQ(message.document_id(), "caf\xef\xbf\xbd.md");
}

TEST(Convert, TimesBeforeTheEpochAndAbsurdOnesDoNotOverflow) {
  DocumentInfo info;
  info.created_unix_micros = -1;
  v1::DocumentInfo message;
  ToProto(info, &message);
  EXPECT_EQ(message.created().seconds(), -1);
  EXPECT_EQ(message.created().nanos(), 999'999'000);
  EXPECT_EQ(FromProto(message)->created_unix_micros, -1);
  message.mutable_created()->set_seconds(std::numeric_limits<int64_t>::max());
  message.mutable_created()->set_nanos(std::numeric_limits<int32_t>::max());
  message.mutable_updated()->set_seconds(std::numeric_limits<int64_t>::min());
  message.mutable_updated()->set_nanos(std::numeric_limits<int32_t>::min());
  EXPECT_TRUE(FromProto(message).ok());
}

TEST(Convert, MutatedMessagesAreConvertedOrRefusedNeverMore) {
  AskRequest request;
  request.query.question = "How many days of leave?";
  request.history = {{Role::kUser, "Hello"}, {Role::kAssistant, "Hello."}};
  request.sampling.logit_bias = {{5, -100}, {6, 1}};
  v1::ChatRequest chat;
  ToProto(request, &chat);
  v1::PutDocumentRequest put;
  ToProto(PutRequest{FullInfo(), "text"}, &put);
  const std::string chat_bytes = chat.SerializeAsString(), put_bytes = put.SerializeAsString();
  RouteGrpcLog();  // what protobuf has to say of each mutant
  const unsigned seed = 20241;
  std::mt19937 random(seed);
  size_t parsed = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = round % 2 == 0 ? chat_bytes : put_bytes;
    for (unsigned i = random() % 3 + 1; i > 0; --i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (round % 2 == 0 && chat.ParseFromString(bytes)) {
      ++parsed;
      if (const auto ask = FromProto(chat); ask.ok()) (void)CheckAsk(*ask).ok();
    } else if (put.ParseFromString(bytes)) {
      ++parsed;
      if (const auto one = FromProto(std::move(put)); one.ok()) (void)CheckPut(*one).ok();
    }
  }
  EXPECT_GT(parsed, 300u) << "seed " << seed
                          << ": too few mutants were well-formed to prove anything";
}

// Limits.

AskRequest GoodAsk() {
  AskRequest request;
  request.query.question = "q";
  return request;
}

TEST(Limits, AnOrdinaryRequestIsAllowed) {
  EXPECT_TRUE(CheckAsk(GoodAsk()).ok());
  EXPECT_TRUE(CheckPut({FullInfo(), "text"}).ok()) << CheckPut({FullInfo(), "text"}).ToString();
  EXPECT_TRUE(CheckCollectionName("a-B_9.x").ok());
  EXPECT_TRUE(CheckDeleteIds({"a"}).ok());
  EXPECT_TRUE(CheckListDocuments({.after = "a", .limit = 1000}).ok());
}

TEST(Limits, EachFieldOfAQuestionIsRefusedByName) {
  const auto refusal = [](auto change) {
    AskRequest request = GoodAsk();
    change(request);
    return CheckAsk(request).ToString();
  };
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  using R = AskRequest&;
  const std::pair<std::string, std::string> cases[] = {
      {refusal([](R r) { r.query.question = ""; }), "INVALID_ARGUMENT: question"},
      {refusal([](R r) { r.query.question = " \n\t "; }), "INVALID_ARGUMENT: question"},
      {refusal([](R r) { r.query.question = std::string(32 * 1024 + 1, 'x'); }),
       "INVALID_ARGUMENT: question"},
      {refusal([](R r) { r.query.question = "\xff"; }), "INVALID_ARGUMENT: question"},
      {refusal([](R r) { r.query.collection = ".x"; }), "INVALID_ARGUMENT: the collection"},
      {refusal([](R r) { r.query.k = 0; }), "INVALID_ARGUMENT: k is 0"},
      {refusal([](R r) { r.query.k = 101; }), "INVALID_ARGUMENT: k is 101"},
      {refusal([](R r) { r.query.filter = "year >"; }), "INVALID_ARGUMENT: filter, column 7"},
      {refusal([](R r) { r.query.as_of = "last week"; }), "INVALID_ARGUMENT: as_of"},
      {refusal([](R r) { r.query.groups.assign(257, "g"); }), "INVALID_ARGUMENT: 257 groups"},
      {refusal([](R r) { r.query.groups = {""}; }), "INVALID_ARGUMENT: a name in groups"},
      {refusal([](R r) { r.mode = AnswerMode::kCot; }), "UNIMPLEMENTED: mode"},
      {refusal([](R r) { r.system = std::string(32 * 1024 + 1, 'x'); }),
       "INVALID_ARGUMENT: system"},
      {refusal([](R r) { r.sampling.temperature = -0.1; }), "INVALID_ARGUMENT: temperature"},
      {refusal([](R r) { r.sampling.temperature = 5.1; }), "INVALID_ARGUMENT: temperature"},
      {refusal([&](R r) { r.sampling.temperature = nan; }), "INVALID_ARGUMENT: temperature"},
      {refusal([](R r) { r.sampling.top_p = 1.5; }), "INVALID_ARGUMENT: top_p"},
      {refusal([](R r) { r.sampling.top_p = 0; }), "INVALID_ARGUMENT: top_p is 0"},
      {refusal([&](R r) { r.sampling.top_p = nan; }), "INVALID_ARGUMENT: top_p"},
      {refusal([](R r) { r.sampling.top_k = -1; }), "INVALID_ARGUMENT: top_k"},
      {refusal([](R r) { r.sampling.min_p = -0.5; }),
       "INVALID_ARGUMENT: min_p is -0.5; give 0 to 1"},
      {refusal([](R r) { r.sampling.min_p = 1.5; }), "INVALID_ARGUMENT: min_p is 1.5"},
      {refusal([&](R r) { r.sampling.min_p = nan; }), "INVALID_ARGUMENT: min_p"},
      {refusal([](R r) { r.sampling.typical_p = -1; }), "INVALID_ARGUMENT: typical_p is -1; give"},
      {refusal([](R r) { r.sampling.typical_p = 1.1; }), "INVALID_ARGUMENT: typical_p is 1.1"},
      {refusal([&](R r) { r.sampling.typical_p = nan; }), "INVALID_ARGUMENT: typical_p"},
      {refusal([](R r) { r.sampling.repetition_penalty = 0.05; }),
       "INVALID_ARGUMENT: repetition_penalty is 0.05; give 0.1 to 10"},
      {refusal([](R r) { r.sampling.repetition_penalty = 10.5; }),
       "INVALID_ARGUMENT: repetition_penalty is 10.5"},
      {refusal([&](R r) { r.sampling.repetition_penalty = nan; }),
       "INVALID_ARGUMENT: repetition_penalty"},
      {refusal([](R r) { r.sampling.presence_penalty = 2.5; }),
       "INVALID_ARGUMENT: presence_penalty is 2.5; give -2 to 2"},
      {refusal([&](R r) { r.sampling.presence_penalty = nan; }),
       "INVALID_ARGUMENT: presence_penalty"},
      {refusal([](R r) { r.sampling.frequency_penalty = -2.5; }),
       "INVALID_ARGUMENT: frequency_penalty is -2.5; give -2 to 2"},
      {refusal([&](R r) { r.sampling.frequency_penalty = nan; }),
       "INVALID_ARGUMENT: frequency_penalty"},
      {refusal([](R r) {
         r.sampling.logit_bias = {{7, 101}};
       }),
       "INVALID_ARGUMENT: logit_bias of token 7 is 101; give -100 to 100"},
      {refusal([&](R r) {
         r.sampling.logit_bias = {{7, nan}};
       }),
       "INVALID_ARGUMENT: logit_bias of token 7"},
      {refusal([](R r) {
         r.sampling.logit_bias = {{-7, 1}};
       }),
       "INVALID_ARGUMENT: a token in logit_bias is -7"},
      {refusal([](R r) {
         r.sampling.logit_bias = {{7, 1}, {8, 1}, {7, 2}};
       }),
       "INVALID_ARGUMENT: logit_bias names token 7 twice"},
      {refusal([](R r) {
         r.sampling.logit_bias.assign(1025, {1, 1});
       }),
       "INVALID_ARGUMENT: logit_bias has 1025"},
      {refusal([](R r) { r.sampling.top_logprobs = 21; }),
       "INVALID_ARGUMENT: top_logprobs is 21; give 0 to 20"},
      {refusal([](R r) { r.sampling.top_logprobs = -1; }), "INVALID_ARGUMENT: top_logprobs"},
      {refusal([](R r) { r.sampling.answers = 9; }), "INVALID_ARGUMENT: answers is 9; give 1 to 8"},
      {refusal([](R r) { r.sampling.answers = -1; }), "INVALID_ARGUMENT: answers"},
      {refusal([](R r) { r.sampling.beams = 9; }), "INVALID_ARGUMENT: beams is 9; give 1 to 8"},
      {refusal([](R r) { r.sampling.max_tokens = 0; }), "INVALID_ARGUMENT: max_tokens"},
      {refusal([](R r) { r.sampling.max_tokens = 8193; }), "INVALID_ARGUMENT: max_tokens"},
      {refusal([](R r) { r.sampling.stop.assign(17, "x"); }), "INVALID_ARGUMENT: stop has 17"},
      {refusal([](R r) { r.sampling.stop = {""}; }), "INVALID_ARGUMENT: a string in stop"},
      {refusal([](R r) { r.sampling.stop = {std::string(257, 'x')}; }),
       "INVALID_ARGUMENT: a string in stop"},
      {refusal([](R r) { r.query.earlier.assign(1001, "x"); }),
       "INVALID_ARGUMENT: 1001 earlier questions"},
      {refusal([](R r) { r.query.earlier = {std::string((256 << 10) + 1, 'x')}; }),
       "INVALID_ARGUMENT: an earlier question is 262145 bytes"},
      {refusal([](R r) {
         r.history.assign(1000, {Role::kUser, "x"});
       }),
       "INVALID_ARGUMENT: 1001 turns"},
      {refusal([](R r) {
         r.history = {{Role::kSystem, "x"}};
       }),
       "INVALID_ARGUMENT: a turn of the system"},
      {refusal([](R r) {
         r.history = {{Role::kUser, std::string((256 << 10) + 1, 'x')}};
       }),
       "INVALID_ARGUMENT: the content of a turn"},
  };
  for (const auto& [actual, expected] : cases)
    EXPECT_EQ(actual.substr(0, expected.size()), expected);
}

TEST(Limits, EachFieldOfADocumentIsRefusedByName) {
  const auto refusal = [](auto change) {
    PutRequest request{FullInfo(), "text"};
    change(request);
    return CheckPut(request).ToString();
  };
  using R = PutRequest&;
  const std::pair<std::string, std::string> cases[] = {
      {refusal([](R r) { r.info.id = ""; }), "INVALID_ARGUMENT: document_id is empty"},
      {refusal([](R r) { r.info.id = std::string(1025, 'x'); }), "INVALID_ARGUMENT: document_id"},
      {refusal([](R r) { r.info.id = "a\nb"; }), "INVALID_ARGUMENT: document_id"},
      {refusal([](R r) { r.info.id = "\xc3"; }), "INVALID_ARGUMENT: document_id"},
      {refusal([](R r) { r.info.title = std::string(4097, 'x'); }), "INVALID_ARGUMENT: title"},
      {refusal([](R r) { r.info.source = std::string(8193, 'x'); }), "INVALID_ARGUMENT: source"},
      {refusal([](R r) { r.info.mime_type = std::string(257, 'x'); }),
       "INVALID_ARGUMENT: mime_type"},
      {refusal([](R r) { r.info.groups = {std::string(257, 'x')}; }),
       "INVALID_ARGUMENT: a name in groups"},
      {refusal([](R r) { r.info.supersedes = "\x01"; }), "INVALID_ARGUMENT: supersedes"},
      {refusal([](R r) { r.info.valid_from = "yesterday"; }), "INVALID_ARGUMENT: valid_from"},
      {refusal([](R r) { r.info.metadata[""] = true; }), "INVALID_ARGUMENT: a key of metadata"},
      {refusal([](R r) { r.info.metadata["n"] = std::numeric_limits<double>::infinity(); }),
       "INVALID_ARGUMENT: metadata 'n'"},
      {refusal([](R r) { r.info.metadata["s"] = std::string((64 << 10) + 1, 'x'); }),
       "INVALID_ARGUMENT: metadata 's'"},
      {refusal([](R r) { r.info.metadata["l"] = std::vector<std::string>(1025); }),
       "INVALID_ARGUMENT: metadata 'l'"},
      {refusal([](R r) {
         for (int i = 0; i < 257; ++i) r.info.metadata[StrCat(i)] = true;
       }),
       "INVALID_ARGUMENT: metadata has"},
      {refusal([](R r) { r.bytes = ""; }), "INVALID_ARGUMENT: document 'guide/leave.md' is empty"},
  };
  for (const auto& [actual, expected] : cases)
    EXPECT_EQ(actual.substr(0, expected.size()), expected);
}

TEST(Limits, NamesIdsAndCountsHaveBounds) {
  for (const std::string name : {"", ".hidden", "a b", "a/b", "\xc3\xa9"}) {
    EXPECT_EQ(CheckCollectionName(name).code(), StatusCode::kInvalidArgument) << name;
  }
  EXPECT_TRUE(CheckCollectionName(std::string(64, 'x')).ok());
  EXPECT_EQ(CheckCollectionName(std::string(65, 'x')).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckDeleteIds({}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckDeleteIds(std::vector<std::string>(1001, "x")).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckDeleteIds({"x", ""}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckListDocuments({.after = "", .limit = 0}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckListDocuments({.after = "", .limit = 1001}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckListDocuments({.after = std::string(1025, 'x'), .limit = 1}).code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
