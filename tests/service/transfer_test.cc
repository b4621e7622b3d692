// Exports and imports through an Api: in this process and through a server on loopback.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "base/strings.h"
#include "service/transfer.h"
#include "tests/service/service_fixture.h"
#include "tests/service/wire_client.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::kLeaveText;
using testing::kQuayText;
using testing::MakePut;
using testing::OneThread;
using testing::ServedFake;
using testing::TempDir;

enum class Side { kLocal, kRemote };

class Transfer : public ::testing::TestWithParam<Side> {
 protected:
  Api& ApiOf(ServedFake& fake) {
    return GetParam() == Side::kLocal ? static_cast<Api&>(*fake.local) : *fake.remote;
  }
  void Put(const std::string& id, const std::string& text,
           const std::vector<std::string>& groups = {}) {
    PutRequest request = MakePut(id, text);
    request.info.groups = groups;
    ASSERT_TRUE(from_.local->PutDocument("default", request, ctx_).ok());
  }
  std::string File() const { return dir_.File("all.vade"); }
  std::vector<std::string> FilesThere() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path()))
      names.push_back(entry.path().filename().string());
    return names;
  }

  TempDir dir_;
  ServedFake from_, to_;
  Context ctx_;
};

INSTANTIATE_TEST_SUITE_P(Sides, Transfer, ::testing::Values(Side::kLocal, Side::kRemote),
                         [](const auto& side) {
                           return side.param == Side::kLocal ? "Local" : "Remote";
                         });

TEST_P(Transfer, ACollectionMovesWithItsGroupsAndNothingIsEmbedded) {
  Put("leave.md", kLeaveText);
  Put("quay.md", kQuayText, {"harbour"});
  const auto exported = ApiOf(from_).Export("default", File(), ctx_);
  ASSERT_TRUE(exported.ok()) << exported.status().ToString();
  EXPECT_EQ(exported->documents, 2u);
  EXPECT_EQ(exported->text_bytes, std::string(kLeaveText).size() + std::string(kQuayText).size());
  EXPECT_EQ(FilesThere(), std::vector<std::string>{"all.vade"});
  EXPECT_EQ(std::filesystem::status(File()).permissions() & std::filesystem::perms::mask,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);

  const auto imported = ApiOf(to_).Import("default", File(), ctx_);
  ASSERT_TRUE(imported.ok()) << imported.status().ToString();
  EXPECT_EQ(imported->created, 2u);
  EXPECT_EQ(imported->passages, exported->passages);
  EXPECT_EQ(to_.embedder->embedded(), 0u);
  EXPECT_EQ(ApiOf(to_).GetDocument("default", "quay.md", ctx_)->text, kQuayText);
  Query query{.question = "helmets on the quay"};
  EXPECT_EQ(ApiOf(to_).Search(query, ctx_)->hits.front().passage.document_id, "leave.md");
  query.groups = {"harbour"};
  EXPECT_EQ(ApiOf(to_).Search(query, ctx_)->hits.front().passage.document_id, "quay.md");

  const auto again = ApiOf(to_).Import("default", File(), ctx_);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->unchanged, 2u);
  EXPECT_EQ(again->created + again->updated + again->passages, 0u);
}

TEST_P(Transfer, AnUnknownCollectionLeavesNoFile) {
  EXPECT_EQ(ApiOf(from_).Export("nothing", File(), ctx_).status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(FilesThere().empty());
  EXPECT_EQ(ApiOf(from_).Export("../up", File(), ctx_).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_P(Transfer, AFolderThatIsNotThereIsNamed) {
  Put("leave.md", kLeaveText);
  const auto exported = ApiOf(from_).Export("default", dir_.File("no/all.vade"), ctx_);
  EXPECT_NE(exported.status().message().find("no/all.vade"), std::string::npos);
  EXPECT_FALSE(ApiOf(to_).Import("default", dir_.File("missing"), ctx_).ok());
}

TEST_P(Transfer, ADamagedFileIsNamedAndChangesNothing) {
  Put("leave.md", kLeaveText);
  ASSERT_TRUE(ApiOf(from_).Export("default", File(), ctx_).ok());
  const std::string bytes = *ReadFile(File(), 1 << 20);
  for (const std::string& bad : {bytes.substr(0, bytes.size() - 1), bytes + "x", std::string()}) {
    ASSERT_TRUE(WriteFileAtomically(File(), bad).ok());
    const auto imported = ApiOf(to_).Import("default", File(), ctx_);
    EXPECT_EQ(imported.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(imported.status().message().find("all.vade"), std::string::npos);
  }
  EXPECT_EQ(to_.store->commit_number(), 0u);
}

TEST_P(Transfer, AnotherEmbedderIsRefused) {
  Put("leave.md", kLeaveText);
  ASSERT_TRUE(ApiOf(from_).Export("default", File(), ctx_).ok());
  ASSERT_TRUE(
      to_.store->CreateCollection({.name = "c", .embedder_id = "other", .dimension = 8}).ok());
  const auto imported = ApiOf(to_).Import("c", File(), ctx_);
  EXPECT_EQ(imported.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(imported.status().message().find("--collection"), std::string::npos);
}

TEST_P(Transfer, AnExportOfManyMessagesArrivesWhole) {
  for (int i = 0; i < 8; ++i) {
    std::string text;
    for (int word = 0; text.size() < 400000; ++word) text += StrCat("w", word * 7919 + i, " ");
    Put(StrCat("d", i), text);
  }
  ASSERT_TRUE(ApiOf(from_).Export("default", File(), ctx_).ok());
  EXPECT_GT(*FileSize(File()), 2 * kTransferBytes);
  ASSERT_TRUE(ApiOf(to_).Import("default", File(), ctx_).ok());
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(to_.store->GetDocument("default", StrCat("d", i))->text,
              from_.store->GetDocument("default", StrCat("d", i))->text);
  }
}

// What only the wire can do.
class TransferOnTheWire : public ::testing::Test {
 protected:
  std::unique_ptr<v1::CorpusService::Stub> Stub(const ServedFake& fake) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // what lies unread stays small
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 65536);
    return v1::CorpusService::NewStub(grpc::CreateCustomChannel(
        fake.server->address(), grpc::InsecureChannelCredentials(), arguments));
  }
  // An export of a collection with this many documents.
  std::string Bytes(ServedFake& fake, int documents) {
    for (int i = 0; i < documents; ++i) {
      std::string text;
      for (int word = 0; text.size() < 900000; ++word) text += StrCat(word * 7919LL * (i + 3), " ");
      DocumentInfo info;
      info.id = StrCat("d", i);
      EXPECT_TRUE(AddTextOnly(fake.store, info, text).ok());
    }
    StringSink sink;
    EXPECT_TRUE(fake.local->ExportTo("default", &sink, {}).ok());
    return sink.bytes();
  }
  static Status AddTextOnly(Store* store, const DocumentInfo& info, const std::string& text) {
    (void)store->CreateCollection({.name = "default", .embedder_id = "e", .dimension = 4});
    ASSIGN_OR_RETURN(auto writer, store->BeginDocument("default", info));
    RETURN_IF_ERROR(writer->AddText(text));
    return writer->Commit({}).status();
  }
};

TEST_F(TransferOnTheWire, AClientThatDiesHalfWayHasChangedNothing) {
  ServedFake from, to;
  const std::string bytes = Bytes(from, 2);
  {
    grpc::ClientContext rpc;
    v1::ImportCollectionResponse response;
    const auto stream = Stub(to)->ImportCollection(&rpc, &response);
    v1::ImportCollectionRequest message;
    message.set_data(bytes.substr(0, bytes.size() - 10));
    EXPECT_TRUE(stream->Write(message));
    rpc.TryCancel();
    EXPECT_FALSE(stream->Finish().ok());
  }
  to.server->Shutdown(std::chrono::seconds(10));  // the handler has ended
  EXPECT_EQ(to.store->commit_number(), 0u);
}

TEST_F(TransferOnTheWire, WhatAClientDidNotCheckTheServiceDoes) {
  ServedFake from, to;
  std::string bytes = Bytes(from, 2);
  bytes[bytes.size() / 2] ^= 1;
  grpc::ClientContext rpc;
  v1::ImportCollectionResponse response;
  const auto stub = Stub(to);
  const auto stream = stub->ImportCollection(&rpc, &response);
  v1::ImportCollectionRequest message;
  message.set_data(bytes);
  EXPECT_TRUE(stream->Write(message));
  stream->WritesDone();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(to.store->commit_number(), 0u);
}

TEST_F(TransferOnTheWire, AClientThatTakesNothingOfItsExportIsLetGo) {
  ServedFake from({.export_patience = std::chrono::milliseconds(200)});
  const std::string bytes = Bytes(from, 8);
  ASSERT_GT(bytes.size(), 4 * kTransferBytes);  // beyond what the connection holds
  const auto stub = Stub(from);
  grpc::ClientContext rpc;
  const auto stream = stub->ExportCollection(&rpc, {});
  // Its handler ends though nobody reads: else the grace would be over before.
  const auto begun = std::chrono::steady_clock::now();
  v1::ExportCollectionResponse message;
  ASSERT_TRUE(stream->Read(&message));
  from.server->Shutdown(std::chrono::minutes(2));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::minutes(1));
  while (stream->Read(&message)) EXPECT_FALSE(message.has_counts());
  EXPECT_FALSE(stream->Finish().ok());
}

}  // namespace
}  // namespace vade
