// What every Store promises (the contract, through a factory so that other stores can be held to
// it), and what the store of this machine promises about its directory.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <thread>

#include "base/files.h"
#include "index/kv.h"
#include "index/records.h"
#include "tests/index/store_fixture.h"

namespace vade {
namespace {

class PassageStore : public StoreFixture {
 protected:
  void SetUp() override { OpenWithCollection(); }
  static DocumentInfo Named(const std::string& id) {
    DocumentInfo info;
    info.id = id;
    return info;
  }
};

TEST_F(PassageStore, CommittedDocumentIsFoundWithItsText) {
  const CommitResult commit =
      Put("leave.md", {"Leave is 25 days a year. ", "Sick leave needs a note."});
  EXPECT_TRUE(commit.created);
  EXPECT_EQ(commit.revision, 1u);
  EXPECT_EQ(commit.commit, store_->commit_number());
  const auto hits = Search("how many days is leave", 1);
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_EQ(hits[0].passage.text, "Leave is 25 days a year. ");
  EXPECT_EQ(hits[0].passage.document_id, "leave.md");
  EXPECT_EQ(hits[0].title, "Title of leave.md");
  EXPECT_EQ(hits[0].passage.begin, 0u);
  EXPECT_EQ(hits[0].passage.end, 25u);
  EXPECT_GT(hits[0].score, 0.3);
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, ExactQuestionScoresOne) {
  Put("a", {"quay crane safety"});
  EXPECT_NEAR(Search("quay crane safety")[0].dense_score, 1.0, 1e-3);
}

TEST_F(PassageStore, NothingIsSeenBeforeCommitAndNothingStaysWithoutIt) {
  {
    DocumentInfo info;
    info.id = "draft";
    auto writer = store_->BeginDocument("default", info);
    ASSERT_TRUE(writer.ok());
    ASSERT_EQ((*writer)->AddText("secret draft"), OkStatus());
    Passage passage;
    passage.end = 12;
    ASSERT_EQ((*writer)->AddPassages({&passage, 1}, embedder_.EmbedOne("secret draft")),
              OkStatus());
    EXPECT_EQ(Found("secret draft"), "");
    EXPECT_FALSE((*store_->FindDocument("default", "draft")).has_value());
    EXPECT_EQ(store_->GetDocument("default", "draft").status().code(), StatusCode::kNotFound);
    EXPECT_EQ(store_->commit_number(), 1u);
  }
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Passages(), 0u);
}

TEST_F(PassageStore, NewRevisionReplacesTheOldOneWhole) {
  Put("a", {"red apples", "green pears"});
  const CommitResult second = Put("a", {"blue plums"});
  EXPECT_FALSE(second.created);
  EXPECT_EQ(second.revision, 2u);
  EXPECT_EQ(Found("apples pears plums"), "blue plums");
  EXPECT_EQ(Text("a"), "blue plums");
  EXPECT_EQ(Documents(), 1u);
  EXPECT_EQ(Passages(), 1u);
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, DeletedPassageIsNotFoundByAnyPath) {
  Put("keep", {"harbour tides"});
  Put("gone", {"harbour pilots"});
  const std::string hash = Sha256Hex("harbour pilots");
  ASSERT_TRUE((*store_->FindByHash("default", hash)).has_value());
  EXPECT_EQ(Delete({"gone", "never was", "gone"}), 1u);
  EXPECT_EQ(Found("harbour pilots"), "harbour tides");
  EXPECT_FALSE((*store_->FindDocument("default", "gone")).has_value());
  EXPECT_FALSE((*store_->FindByHash("default", hash)).has_value());
  EXPECT_EQ(store_->GetDocument("default", "gone").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(store_->GetPassages("default", "gone", nullptr).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, ADeleteDoesNotReachANewCollectionOfTheSameName) {
  Put("000", {"the first to go"});
  std::vector<std::string> ids = {"000", "zzz"};
  for (int i = 0; i < 200000; ++i)
    ids.push_back(StrCat("absent", i));  // work between the first and the last
  std::thread deleter([&] { EXPECT_EQ(Delete(ids), 1u); });
  while (store_->FindDocument("default", "000")->has_value()) std::this_thread::yield();
  ASSERT_EQ(store_->DeleteCollection("default"), OkStatus());
  ASSERT_EQ(
      store_->CreateCollection(
          {.name = "default", .embedder_id = embedder_.id(), .dimension = embedder_.dimension()}),
      OkStatus());
  Put("zzz", {"of the new collection"});
  deleter.join();
  EXPECT_EQ(Text("zzz"), "of the new collection");
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, PassageIdsAreNeverReused) {
  Put("a", {"one"});
  const PassageId first = Search("one")[0].passage.id;
  Delete({"a"});
  Open();
  Put("a", {"one"});
  EXPECT_GT(Search("one")[0].passage.id, first);
}

TEST_F(PassageStore, FactsOfADocumentComeBack) {
  DocumentInfo info;
  info.id = "文档/一.md";
  info.title = "标题";
  info.source = "docs/一.md";
  info.mime_type = "text/markdown";
  info.content_hash = "ab";
  info.metadata = {{"n", 2.5},
                   {"flag", true},
                   {"s", std::string("x")},
                   {"list", std::vector<std::string>{"a", "b"}}};
  info.groups = {"staff", "board"};
  info.supersedes = "old.md";
  info.valid_from = "2024-01-31";
  ASSERT_TRUE(TryPut(info, {"正文"}).ok());
  Open();
  const auto found = *store_->FindDocument("default", info.id);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->title, info.title);
  EXPECT_EQ(found->source, info.source);
  EXPECT_EQ(found->mime_type, info.mime_type);
  EXPECT_EQ(found->metadata, info.metadata);
  EXPECT_EQ(found->groups, info.groups);
  EXPECT_EQ(found->supersedes, info.supersedes);
  EXPECT_EQ(found->valid_from, info.valid_from);
  EXPECT_EQ(found->passage_count, 1u);
  EXPECT_EQ(found->text_bytes, 6u);
  EXPECT_GT(found->created_unix_micros, 0);
}

TEST_F(PassageStore, LongTextIsKeptInPiecesAndPassagesCrossThem) {
  std::string text;
  for (int i = 0; text.size() < 5 * kTextPieceBytes; ++i) text += StrCat("Zeile ", i, " läuft. ");
  DocumentInfo info;
  info.id = "long";
  auto writer = store_->BeginDocument("default", info);
  ASSERT_TRUE(writer.ok());
  for (size_t at = 0; at < text.size(); at += 777) {  // cuts characters in two on the way
    ASSERT_EQ((*writer)->AddText(std::string_view(text).substr(at, 777)), OkStatus());
  }
  std::vector<Passage> passages;
  std::vector<float> vectors;
  for (size_t at = 0; at < text.size();) {
    const size_t end =
        std::min(text.size(), text.find(' ', std::min(at + 5000, text.size() - 1)) + 1);
    Passage passage;
    passage.begin = at;
    passage.end = at = end;
    passages.push_back(passage);
    const auto vector = embedder_.EmbedOne(text.substr(passage.begin, passage.end - passage.begin));
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  ASSERT_EQ((*writer)->AddPassages(passages, vectors), OkStatus());
  ASSERT_TRUE((*writer)->Commit(Context()).ok());
  EXPECT_EQ(Text("long"), text);
  std::vector<float> stored;
  const auto read = store_->GetPassages("default", "long", &stored);
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->size(), passages.size());
  for (size_t i = 0; i < passages.size(); ++i) {
    EXPECT_EQ((*read)[i].ordinal, i);
    EXPECT_EQ((*read)[i].text, text.substr(passages[i].begin, passages[i].end - passages[i].begin));
  }
  ASSERT_EQ(stored.size(), vectors.size());
  for (size_t i = 0; i < vectors.size(); ++i) ASSERT_NEAR(stored[i], vectors[i], 1e-3);
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, DocumentsAreListedInPagesById) {
  for (const char* id : {"c", "a", "d", "b", "e"}) Put(id, {StrCat("text ", id)});
  std::string listed, after;
  do {
    const auto page = store_->ListDocuments("default", {.after = after, .limit = 2});
    ASSERT_TRUE(page.ok());
    for (const DocumentInfo& info : page->documents) listed += info.id;
    listed += ",";
    after = page->next;
  } while (!after.empty());
  EXPECT_EQ(listed, "ab,cd,e,");
}

TEST_F(PassageStore, GroupsDecideWhoFindsADocument) {
  Put("all", {"salary bands overview"});
  Put("hr", {"salary bands secret"}, {"hr", "board"});
  Put("it", {"salary bands of it"}, {"it"});
  EXPECT_EQ(Found("salary bands secret"), "salary bands overview");
  EXPECT_EQ(Found("salary bands secret", 1, {"board"}), "salary bands secret");
  EXPECT_EQ(Search("salary bands", 5, {"hr"}).size(), 2u);
  EXPECT_EQ(Search("salary bands", 5, {"hr", "it", "x"}).size(), 3u);
  EXPECT_EQ(Search("salary bands", 5, {"HR", ""}).size(), 1u);
  Open();
  EXPECT_EQ(Search("salary bands", 5, {"it"}).size(), 2u);
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, CollectionsAreIsolated) {
  ASSERT_EQ(store_->CreateCollection({.name = "other", .embedder_id = "e", .dimension = 64}),
            OkStatus());
  DocumentInfo info;
  info.id = "a";
  ASSERT_TRUE(TryPut(info, {"in the other one"}, "other").ok());
  EXPECT_EQ(Found("in the other one"), "");
  EXPECT_EQ(store_->ListCollections()->size(), 2u);
  ASSERT_EQ(store_->DeleteCollection("other"), OkStatus());
  EXPECT_EQ(store_->GetCollection("other").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(store_->DeleteCollection("other").code(), StatusCode::kNotFound);
  ASSERT_EQ(store_->CreateCollection({.name = "other", .embedder_id = "e", .dimension = 64}),
            OkStatus());
  EXPECT_EQ(store_->GetCollection("other")->document_count, 0u);
  Open();
  EXPECT_EQ(store_->ListCollections()->size(), 2u);
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, CollectionNamesAndDuplicatesAreRefused) {
  for (const char* bad : {"", ".hidden", "a/b", "a b", "ü"}) {
    EXPECT_EQ(store_->CreateCollection({.name = bad, .embedder_id = "e", .dimension = 4}).code(),
              StatusCode::kInvalidArgument)
        << bad;
  }
  EXPECT_EQ(
      store_->CreateCollection({.name = "default", .embedder_id = "e", .dimension = 4}).code(),
      StatusCode::kAlreadyExists);
  EXPECT_EQ(store_->CreateCollection({.name = "x", .embedder_id = "e", .dimension = 0}).code(),
            StatusCode::kInvalidArgument);
}

TEST_F(PassageStore, DocumentIdsAreChecked) {
  for (const std::string& bad : {std::string(), std::string(1025, 'x'), std::string("a\0b", 3),
                                 std::string("a\nb"), std::string("\xff")}) {
    DocumentInfo info;
    info.id = bad;
    EXPECT_EQ(store_->BeginDocument("default", info).status().code(), StatusCode::kInvalidArgument);
  }
}

TEST_F(PassageStore, PassagesOutsideTheTextOrInsideACharacterAreRefused) {
  DocumentInfo info;
  info.id = "a";
  auto writer = *store_->BeginDocument("default", info);
  ASSERT_EQ(writer->AddText("aé"), OkStatus());  // 3 bytes
  const auto vector = embedder_.EmbedOne("a");
  const auto add = [&](uint64_t begin, uint64_t end) {
    Passage passage;
    passage.begin = begin;
    passage.end = end;
    return writer->AddPassages({&passage, 1}, vector).code();
  };
  EXPECT_EQ(add(0, 4), StatusCode::kInvalidArgument);
  EXPECT_EQ(add(0, 0), StatusCode::kInvalidArgument);
  EXPECT_EQ(add(2, 1), StatusCode::kInvalidArgument);
  EXPECT_EQ(add(0, 2), StatusCode::kInvalidArgument);
  EXPECT_EQ(add(2, 3), StatusCode::kInvalidArgument);
  EXPECT_EQ(add(~0ull - 1, ~0ull), StatusCode::kInvalidArgument);
  EXPECT_EQ(add(1, 3), StatusCode::kOk);
  EXPECT_TRUE(writer->Commit(Context()).ok());
  EXPECT_EQ(writer->Commit(Context()).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(PassageStore, BadVectorsAreRefused) {
  DocumentInfo info;
  info.id = "a";
  auto writer = *store_->BeginDocument("default", info);
  ASSERT_EQ(writer->AddText("abc"), OkStatus());
  Passage passage;
  passage.end = 3;
  auto vector = embedder_.EmbedOne("abc");
  EXPECT_EQ(writer->AddPassages({&passage, 1}, std::span(vector).first(63)).code(),
            StatusCode::kInvalidArgument);
  vector[5] = NAN;
  EXPECT_EQ(writer->AddPassages({&passage, 1}, vector).code(), StatusCode::kInvalidArgument);
  vector[5] = INFINITY;
  EXPECT_EQ(writer->AddPassages({&passage, 1}, vector).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(writer->AddPassages({&passage, 1}, std::vector<float>(64, 0.0f)).code(),
            StatusCode::kInvalidArgument);
}

TEST_F(PassageStore, InvalidTextIsRefusedAndLeavesNothing) {
  DocumentInfo info;
  info.id = "a";
  EXPECT_EQ(TryPut(info, {"\xff\xfe"}).status().code(), StatusCode::kInvalidArgument);
  auto writer = *store_->BeginDocument("default", info);
  ASSERT_EQ(writer->AddText("cut \xe4\xb8"), OkStatus());
  EXPECT_EQ(writer->Commit(Context()).status().code(), StatusCode::kInvalidArgument);
  writer.reset();
  EXPECT_EQ(Documents(), 0u);
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, BadQuestionsAreRefused) {
  for (int k : {0, -1, 1001}) {
    EXPECT_EQ(store_->Search(Question("x", k), Context()).status().code(),
              StatusCode::kInvalidArgument);
  }
  auto request = Question("x");
  request.vector[0] = NAN;
  EXPECT_EQ(store_->Search(request, Context()).status().code(), StatusCode::kInvalidArgument);
  request.vector.resize(3);
  EXPECT_EQ(store_->Search(request, Context()).status().code(), StatusCode::kInvalidArgument);
  request = Question("x");
  request.collection = "none";
  EXPECT_EQ(store_->Search(request, Context()).status().code(), StatusCode::kNotFound);
  CancelSource cancel;
  cancel.Cancel();
  EXPECT_EQ(store_->Search(Question("x"), Context().WithCancel(cancel.token())).status().code(),
            StatusCode::kCancelled);
}

TEST_F(PassageStore, EmptyDocumentAndEmptyCollectionAreFine) {
  EXPECT_EQ(Found("anything"), "");
  DocumentInfo info;
  info.id = "empty";
  auto writer = *store_->BeginDocument("default", info);
  ASSERT_TRUE(writer->Commit(Context()).ok());
  EXPECT_EQ(Text("empty"), "");
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, CommitOfADeletedCollectionFails) {
  DocumentInfo info;
  info.id = "late";
  auto writer = *store_->BeginDocument("default", info);
  ASSERT_EQ(writer->AddText("too late"), OkStatus());
  ASSERT_EQ(store_->DeleteCollection("default"), OkStatus());
  EXPECT_EQ(writer->Commit(Context()).status().code(), StatusCode::kNotFound);
  writer.reset();
  ASSERT_EQ(store_->CreateCollection({.name = "default", .embedder_id = "e", .dimension = 64}),
            OkStatus());
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, StateSurvivesReopeningAndSealing) {
  for (int i = 0; i < 50; ++i)
    Put(StrCat("d", i), {StrCat("number ", i, " alpha"), StrCat("beta ", i)});
  Delete({"d7", "d8"});
  Put("d9", {"nine again"});
  const std::string before = Found("number 12 alpha", 20);
  Seal();
  EXPECT_EQ(Found("number 12 alpha", 20), before);
  Delete({"d10"});
  const std::string after = Found("number 12 alpha", 20);
  const uint64_t commit = store_->commit_number();
  Open();
  EXPECT_EQ(store_->commit_number(), commit);
  EXPECT_EQ(Found("number 12 alpha", 20), after);
  EXPECT_EQ(Documents(), 47u);
  EXPECT_EQ(Problems(), "");
}

TEST_F(PassageStore, SecondOpeningOfADirectoryIsRefusedWithTheRemedy) {
  const auto second = OpenStore(directory_, options_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(
      second.status().message().find("is in use by another process; talk to it with --server"),
      std::string::npos)
      << second.status().message();
}

TEST_F(PassageStore, MissingDirectoryIsNotMadeUnlessAsked) {
  options_.create_if_missing = false;
  const auto opened = OpenStore(directory_ + "-absent", options_);
  EXPECT_EQ(opened.status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(FileExists(directory_ + "-absent"));
}

TEST_F(PassageStore, NewerFormatIsRefused) {
  store_.reset();
  {
    auto kv = Kv::Open(directory_ + "/db", {});
    ASSERT_TRUE(kv.ok());
    std::string version;
    AppendFixed<uint32_t>(&version, kFormatVersion + 1);
    KvBatch batch;
    batch.Put(Family::kMeta, "format", version);
    ASSERT_EQ((*kv)->Write(batch, Durability::kSynced), OkStatus());
  }
  const auto opened = OpenStore(directory_, options_);
  EXPECT_EQ(opened.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(opened.status().message().find(StrCat("format version ", kFormatVersion + 1)),
            std::string::npos);
}

TEST_F(PassageStore, DamagedDatabaseIsNamed) {
  for (int i = 0; i < 20; ++i) Put(StrCat("d", i), {StrCat("text ", i)});
  store_.reset();
  for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/db")) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("MANIFEST", 0) != 0) continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(20);
    file.write("\x5a\x5a\x5a\x5a", 4);
  }
  const auto opened = OpenStore(directory_, options_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), StatusCode::kDataLoss) << opened.status().ToString();
  EXPECT_NE(opened.status().message().find(directory_), std::string::npos);
}

TEST_F(PassageStore, ReadersSeeWholeRevisionsBesideWritersAndSealing) {
  options_.background = true;
  options_.seal_tail_at = 32;
  options_.flat_below = 16;
  Open();
  std::atomic<bool> stop{false};
  std::atomic<int> searches{0};
  std::vector<std::thread> threads;
  for (int w = 0; w < 2; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0; i < 60; ++i) {
        const std::string mark = StrCat("w", w, "r", i);
        // Both passages of a revision carry its mark, so a mixture would show.
        EXPECT_TRUE(TryPut(Named(StrCat("doc", w, "-", i % 7)),
                           {StrCat("common words ", mark), StrCat("common words too ", mark)})
                        .ok());
        if (i % 5 == 4) {
          EXPECT_TRUE(store_
                          ->DeleteDocuments("default",
                                            std::vector<std::string>{StrCat("doc", w, "-", i % 7)},
                                            Context())
                          .ok());
        }
      }
    });
  }
  for (int r = 0; r < 2; ++r) {
    threads.emplace_back([&] {
      while (!stop) {
        std::map<std::string, std::vector<std::string>> marks;
        for (const Hit& hit : Search("common words", 100)) {
          marks[hit.passage.document_id].push_back(Split(hit.passage.text, ' ').back());
        }
        for (const auto& [id, seen] : marks) {
          EXPECT_EQ(seen.size(), 2u) << id;
          EXPECT_EQ(seen.front(), seen.back()) << id;
        }
        ++searches;
      }
    });
  }
  threads[0].join();
  threads[1].join();
  stop = true;
  threads[2].join();
  threads[3].join();
  EXPECT_GT(searches, 0);
  EXPECT_EQ(Problems(), "");
}

}  // namespace
}  // namespace vade
