// Folders that are ingested through a service, and what its errors do to them.
#include "service/remote_ingest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

#include "base/bytes.h"
#include "ingest/formats/ocr_data.h"
#include "tests/service/service_fixture.h"
#include "tests/service/wire_client.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/zip.h"

namespace vade {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ServedFake;
using testing::TempDir;

// A white picture: OCR sees nothing in it, but has to look.
std::string WhiteTiff() {
  constexpr uint16_t kShort = 3, kLong = 4;
  constexpr uint32_t kSide = 40, kEntries = 9, kData = 8 + 2 + 12 * kEntries + 4;
  const uint32_t entries[kEntries][3] = {
      {256, kLong, kSide}, {257, kLong, kSide}, {258, kShort, 8},
      {259, kShort, 1},    {262, kShort, 1},    {273, kLong, kData},
      {277, kShort, 1},    {278, kLong, kSide}, {279, kLong, kSide * kSide}};
  std::string out("II*\0", 4);
  AppendFixed<uint32_t>(&out, 8);
  AppendFixed<uint16_t>(&out, kEntries);
  for (const auto& [tag, type, value] : entries) {
    AppendFixed(&out, static_cast<uint16_t>(tag));
    AppendFixed(&out, static_cast<uint16_t>(type));
    AppendFixed<uint32_t>(&out, 1);
    AppendFixed(&out, value);
  }
  AppendFixed<uint32_t>(&out, 0);
  return out.append(kSide * kSide, '\xff');
}

class RemoteIngest : public ::testing::Test {
 protected:
  RemoteIngest() {
    dir_.Write("docs/a.md", "One text.");
    dir_.Write("docs/b.md", "Another text.");
  }
  Result<IngestReport> Ingest(const Context& ctx = {}) {
    return fake_.remote->Ingest({dir_.File("docs")}, options_, nullptr, ctx);
  }
  // "created updated unchanged duplicate failed renamed deleted"
  std::string Outcome() {
    auto report = Ingest();
    if (!report.ok()) return report.status().ToString();
    last_ = *report;
    return StrCat(report->created, " ", report->updated, " ", report->unchanged, " ",
                  report->duplicate, " ", report->failed, " ", report->renamed, " ",
                  report->deleted);
  }
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    auto page = fake_.store->ListDocuments("default", {.limit = 1000});
    if (page.ok()) {
      for (const DocumentInfo& info : page->documents) ids.push_back(info.id);
    }
    return ids;
  }

  TempDir dir_;
  ServedFake fake_;
  IngestOptions options_;
  IngestReport last_;
};

TEST_F(RemoteIngest, TellsWhatBecameOfEachFileAsInThisProcess) {
  EXPECT_EQ(Outcome(), "2 0 0 0 0 0 0");
  EXPECT_EQ(last_.passages, 2u);
  EXPECT_EQ(Outcome(), "0 0 2 0 0 0 0");
  dir_.Write("docs/a.md", "One text, corrected.");
  dir_.Write("docs/c.md", "Another text.");
  dir_.Write("docs/empty.md", "");
  EXPECT_EQ(Outcome(), "0 1 1 1 1 0 0");
  ASSERT_EQ(last_.errors.size(), 1u);
  EXPECT_EQ(last_.errors[0].source, dir_.File("docs/empty.md"));
  EXPECT_EQ(last_.errors[0].reason, "is empty");
  EXPECT_EQ(fake_.store->GetDocument("default", "a.md")->text, "One text, corrected.");
}

TEST_F(RemoteIngest, PrunesAndRenamesAsInThisProcess) {
  dir_.Write("docs/notes.zip", testing::Zip({{"x.md", "Inside."}, {"y.md", "Inside too."}}));
  EXPECT_EQ(Outcome(), "4 0 0 0 0 0 0");
  std::filesystem::rename(dir_.File("docs/a.md"), dir_.File("docs/renamed.md"));
  std::filesystem::remove(dir_.File("docs/b.md"));
  dir_.Write("docs/notes.zip", testing::Zip({{"x.md", "Inside."}, {"z.png", "\x89PNG\r\n"}}));
  options_.prune = true;
  EXPECT_EQ(Outcome(), "0 0 1 0 1 1 3");
  EXPECT_THAT(Ids(), ElementsAre("notes.zip!/x.md", "renamed.md"));
  ASSERT_EQ(last_.errors.size(), 1u);
  EXPECT_EQ(last_.errors[0].source, dir_.File("docs/notes.zip!/z.png"));
  // The same folder, the store opened by a process itself.
  std::filesystem::remove(dir_.File("docs/renamed.md"));
  auto here = fake_.local->Ingest({dir_.File("docs")}, options_, nullptr, {});
  ASSERT_TRUE(here.ok());
  EXPECT_EQ(here->deleted, 1u);
}

TEST_F(RemoteIngest, ManyFilesAndLargeOnesArrive) {
  std::string large;
  while (large.size() < (3u << 20)) large += StrCat("Line ", large.size(), " of a large file.\n");
  dir_.Write("docs/large.txt", large);
  for (int i = 0; i < 300; ++i) dir_.Write(StrCat("docs/many/", i, ".md"), StrCat("File ", i, "."));
  EXPECT_EQ(Outcome(), "303 0 0 0 0 0 0");
  EXPECT_EQ(fake_.store->GetDocument("default", "large.txt")->text, large);
  EXPECT_EQ(Outcome(), "0 0 303 0 0 0 0");
}

// More of them than are under way at once.
TEST_F(RemoteIngest, FilesBehindManyScansDoNotWaitForThem) {
  if (OcrAtStart().languages.empty()) GTEST_SKIP() << "tesseract-ocr is not installed";
  constexpr size_t kScans = 80;
  for (size_t i = 0; i < kScans; ++i) dir_.Write(StrCat("docs/a", 100 + i, ".tiff"), WhiteTiff());
  dir_.Write("docs/z.html", "<html><p>Text.");
  std::optional<uint64_t> scans_before;
  const auto seen = [&](const IngestProgress& progress) {
    if (!scans_before && progress.created == 3) scans_before = progress.failed;
  };
  const auto report = fake_.remote->Ingest({dir_.File("docs")}, options_, seen, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->created, 3u);
  EXPECT_EQ(report->failed, kScans);
  ASSERT_TRUE(scans_before.has_value());
  EXPECT_LT(*scans_before, kScans - 64) << "it waited for a place among 64";
}

TEST_F(RemoteIngest, APasswordReachesTheParsers) {
  options_.password = "secret";
  EXPECT_EQ(Outcome(), "2 0 0 0 0 0 0");
  options_.parser_path = "/elsewhere/vade-parse";
  EXPECT_THAT(Outcome(), HasSubstr("UNIMPLEMENTED: --parser is the service's own"));
}

TEST_F(RemoteIngest, AFailureOfTheStoreEndsTheRun) {
  for (const Status& status : {Internal("the store"), DataLoss("a damaged file")}) {
    dir_.Write("docs/a.md", StrCat("One text, until ", status.message()));
    fake_.store->FailNext("commit", status);
    const auto report = Ingest();
    EXPECT_EQ(report.status().code(), status.code()) << report.status().ToString();
    EXPECT_THAT(report.status().message(), HasSubstr(status.message()));
  }
  EXPECT_TRUE(Ingest().ok());
}

// RESOURCE_EXHAUSTED before anything was stored: it may only be busy.
TEST_F(RemoteIngest, ABusyServiceIsAskedAgainButNotWhenItStoredSomething) {
  fake_.store->FailNext("together", ResourceExhausted("the disk is full"));
  EXPECT_EQ(Outcome(), "2 0 0 0 0 0 0");
  dir_.Write("docs/c.md", "A third text.");
  fake_.store->FailNext("commit", ResourceExhausted("the disk is full"));
  EXPECT_THAT(Outcome(), HasSubstr("RESOURCE_EXHAUSTED: the disk is full"));
}

TEST_F(RemoteIngest, WhatIsTheDocumentsOwnIsReportedAndStopsNothing) {
  fake_.store->FailNext("text", InvalidArgument("no text"));
  EXPECT_EQ(Outcome(), "1 0 0 0 1 0 0");
  EXPECT_EQ(last_.errors.at(0).reason, "no text");
  EXPECT_EQ(Outcome(), "1 0 1 0 0 0 0") << "it is tried again";
}

TEST_F(RemoteIngest, ACancelledRunEndsAndKeepsWhatIsStored) {
  for (int i = 0; i < 200; ++i) dir_.Write(StrCat("docs/", i, ".md"), StrCat("File ", i, "."));
  CancelSource cancel;
  const Context ctx = Context().WithCancel(cancel.token());
  auto running = std::async(std::launch::async, [&] { return Ingest(ctx); });
  while (fake_.store->counts().committed < 3) std::this_thread::yield();
  cancel.Cancel();
  const auto report = running.get();
  if (!report.ok()) {
    EXPECT_EQ(report.status().code(), StatusCode::kCancelled);
  }
  EXPECT_GE(Ids().size(), 3u);
  EXPECT_TRUE(Ingest().ok());
  EXPECT_EQ(Ids().size(), 202u);
}

TEST_F(RemoteIngest, NobodyThereIsSaidSo) {
  fake_.server->Shutdown(std::chrono::milliseconds(0));
  const auto report = Ingest();
  EXPECT_EQ(report.status().code(), StatusCode::kUnavailable) << report.status().ToString();
}

TEST_F(RemoteIngest, OnlyPathsOfAnotherMachineAreMarked) {
  EXPECT_EQ(MachineBefore("127.0.0.1:50051"), "");
  EXPECT_EQ(MachineBefore("localhost:50051"), "");
  EXPECT_EQ(MachineBefore("[::1]:50051"), "");
  EXPECT_THAT(MachineBefore("192.0.2.7:50051"), ::testing::StartsWith("//"));
}

// Clients that do not keep to the protocol.
class IngestWire : public ::testing::Test {
 protected:
  using Request = v1::IngestDocumentsRequest;
  using Response = v1::IngestDocumentsResponse;

  static ServerOptions Impatient() {
    ServerOptions options;
    options.export_patience = std::chrono::milliseconds(500);
    return options;
  }
  static Request Settings(bool prune = false) {
    Request message;
    message.mutable_settings()->set_prune(prune);
    return message;
  }
  static Request Offer(uint64_t number, const std::string& id, uint64_t size = 5) {
    Request message;
    v1::OfferedFile& file = *message.mutable_file();
    file.set_number(number);
    file.set_origin("/somewhere/" + id);
    file.set_document_id(id);
    file.set_size_bytes(size);
    file.set_sha256(std::string(64, 'a'));
    return message;
  }
  static Request Data(uint64_t number, const std::string& bytes, bool last = true) {
    Request message;
    message.mutable_data()->set_number(number);
    message.mutable_data()->set_data(bytes);
    message.mutable_data()->set_last(last);
    return message;
  }
  static Request End() {
    Request message;
    message.mutable_end();
    return message;
  }
  // Sends it all, then reads to the end.
  grpc::Status Say(const std::vector<Request>& messages) {
    grpc::ClientContext rpc;
    const auto stream = stub_->IngestDocuments(&rpc);
    for (const Request& message : messages) {
      if (!stream->Write(message)) break;
    }
    stream->WritesDone();
    answers_.clear();
    for (Response answer; stream->Read(&answer);) answers_.push_back(answer);
    return stream->Finish();
  }

  ServedFake fake_{Impatient()};
  std::unique_ptr<v1::CorpusService::Stub> stub_ = v1::CorpusService::NewStub(
      grpc::CreateChannel(fake_.server->address(), grpc::InsecureChannelCredentials()));
  std::vector<Response> answers_;
};

TEST_F(IngestWire, AnswersWithAWishAnOutcomeAndASummary) {
  ASSERT_TRUE(
      Say({Settings(), Offer(7, "a.txt"), Data(7, "he", false), Data(7, "llo"), End()}).ok());
  ASSERT_EQ(answers_.size(), 3u);
  EXPECT_EQ(answers_[0].wanted().number(), 7u);
  EXPECT_EQ(answers_[1].outcome().number(), 7u);
  EXPECT_TRUE(answers_[1].outcome().ends_file());
  EXPECT_EQ(answers_[1].outcome().result().outcome(), v1::PutDocumentResponse::OUTCOME_CREATED);
  EXPECT_EQ(answers_[1].outcome().result().document_id(), "a.txt");
  EXPECT_TRUE(answers_[2].has_summary());
  EXPECT_EQ(fake_.store->GetDocument("default", "a.txt")->info.content_hash,
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
      << "of the bytes that came, not what was said of them";
}

TEST_F(IngestWire, WhatIsOutOfOrderOrBeyondALimitEndsTheCall) {
  Request bad_hash = Offer(1, "a.txt"), bad_origin = bad_hash, empty;
  bad_hash.mutable_file()->set_sha256("A");
  bad_origin.mutable_file()->set_origin("relative");
  Request late_gone;
  late_gone.mutable_gone()->set_origin("/x");
  const std::vector<std::pair<std::vector<Request>, std::string>> cases = {
      {{Offer(1, "a.txt")}, "first message"},
      {{Settings(), Settings()}, "out of order"},
      {{Settings(), empty}, "out of order"},
      {{Settings(), bad_hash}, "sha256"},
      {{Settings(), bad_origin}, "absolute path"},
      {{Settings(), Offer(1, "")}, "document"},
      {{Settings(), Offer(1, "a.txt", 1ull << 40)}, "256 MiB"},
      {{Settings(), Data(1, "x")}, "not asked for"},
      {{Settings(), Offer(1, "a.txt"), Offer(1, "b.txt")}, "used twice"},
      {{Settings(), Offer(1, "a.txt"), Data(1, std::string(100'000, 'x'))}, "more bytes"},
      {{Settings(), Offer(1, "a.txt"), Data(1, "x", false), Offer(2, "b.txt")}, "middle"},
      {{Settings(), Offer(1, "a.txt"), late_gone}, "out of order"},
      {{Settings(), Offer(1, "a.txt"), End()}, "asked for"}};
  for (const auto& [messages, part] : cases) {
    const grpc::Status status = Say(messages);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << part << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(part));
  }
  ASSERT_TRUE(Say({Settings(), End()}).ok()) << "and the next call is well";
}

TEST_F(IngestWire, WithoutAnEndNothingIsDeleted) {
  ASSERT_TRUE(Say({Settings(), Offer(1, "a.txt"), Data(1, "hello"), End()}).ok());
  Request gone;
  gone.mutable_gone()->set_origin("/somewhere/a.txt");
  gone.mutable_gone()->set_document_id("a.txt");
  EXPECT_FALSE(Say({Settings(true), gone}).ok());
  EXPECT_FALSE(Say({Settings(true), gone, Offer(2, "b.txt"), Data(2, "hullo")}).ok());
  EXPECT_TRUE(fake_.store->GetDocument("default", "a.txt").ok());
  ASSERT_TRUE(Say({Settings(false), gone, End()}).ok());
  EXPECT_TRUE(fake_.store->GetDocument("default", "a.txt").ok()) << "not without prune";
  ASSERT_TRUE(Say({Settings(true), gone, End()}).ok());
  EXPECT_EQ(answers_.back().summary().deleted(), 1u);
  EXPECT_FALSE(fake_.store->GetDocument("default", "a.txt").ok());
}

TEST_F(IngestWire, AFileThatIsWithdrawnHoldsNothingUp) {
  Request withdrawn = Data(1, "he", false);
  withdrawn.mutable_data()->set_withdrawn(true);
  ASSERT_TRUE(Say({Settings(), Offer(1, "a.txt"), Offer(2, "b.txt"), Data(1, "h", false), withdrawn,
                   Data(2, "hello"), End()})
                  .ok());
  EXPECT_FALSE(fake_.store->GetDocument("default", "a.txt").ok());
  EXPECT_TRUE(fake_.store->GetDocument("default", "b.txt").ok());
}

TEST_F(IngestWire, AClientThatFallsSilentIsLetGo) {
  grpc::ClientContext rpc;
  const auto stream = stub_->IngestDocuments(&rpc);
  stream->Write(Settings());
  stream->Write(Offer(1, "a.txt"));
  Response answer;
  while (stream->Read(&answer)) continue;
  EXPECT_FALSE(stream->Finish().ok());
  EXPECT_TRUE(Say({Settings(), End()}).ok());
}

// It waits for outcomes, as one does whose files are all under way: none comes as long as the first
// file is held where it is embedded.
TEST_F(IngestWire, AClientThatOwesNothingMayBeSilent) {
  fake_.embedder->Hold();
  const std::string picture = WhiteTiff();
  grpc::ClientContext rpc;
  const auto stream = stub_->IngestDocuments(&rpc);
  stream->Write(Settings());
  stream->Write(Offer(0, "a.txt"));
  stream->Write(Data(0, "hello"));
  constexpr uint64_t kScans = 30;
  for (uint64_t i = 1; i <= kScans; ++i) {
    stream->Write(Offer(i, StrCat(i, ".tiff"), picture.size()));
    stream->Write(Data(i, picture));
  }
  const bool ocr = !OcrAtStart().languages.empty();
  uint64_t wanted = 0, put_off = 0, outcomes = 0;
  const auto take = [&] {
    Response answer;
    if (!stream->Read(&answer)) return false;
    wanted += answer.has_wanted();
    put_off += answer.has_put_off();
    outcomes += answer.has_outcome();
    return true;
  };
  while ((wanted < kScans + 1 || (ocr && put_off < kScans)) && take()) continue;
  ASSERT_EQ(wanted, kScans + 1);
  EXPECT_EQ(put_off, ocr ? kScans : 0);
  const auto since = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(3 * Impatient().export_patience);
  EXPECT_EQ(outcomes, 0u);
  EXPECT_GT(std::chrono::steady_clock::now() - since, 2 * Impatient().export_patience)
      << "it was silent for longer than the service is patient";
  fake_.embedder->LetGo();
  while (outcomes < kScans + 1 && take()) continue;
  EXPECT_EQ(outcomes, kScans + 1);
  stream->Write(End());
  stream->WritesDone();
  for (Response answer; stream->Read(&answer);) continue;
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(IngestWire, TellsASilentClientThatItsCallHasFailed) {
  fake_.store->FailNext("commit", DataLoss("a damaged file"));
  grpc::ClientContext rpc;
  const auto stream = stub_->IngestDocuments(&rpc);
  stream->Write(Settings());
  stream->Write(Offer(1, "a.txt"));
  stream->Write(Data(1, "hello"));
  bool told = false;
  for (Response answer; !told && stream->Read(&answer);) told = answer.has_stop();
  EXPECT_TRUE(told);
  stream->WritesDone();
  EXPECT_EQ(stream->Finish().error_code(), grpc::DATA_LOSS);
}

}  // namespace
}  // namespace vade
