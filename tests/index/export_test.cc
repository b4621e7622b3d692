// A collection as one file and back, and files that were cut, changed or made to mislead.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "index/export_format.h"
#include "index/portable.h"
#include "tests/index/store_fixture.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

constexpr int64_t kNow = 1'700'000'000'000'000;

class Export : public StoreFixture {
 protected:
  static std::string BytesOf(Store* store, const std::string& collection = "default") {
    auto reader = store->ReadCollection(collection);
    EXPECT_TRUE(reader.ok()) << reader.status().ToString();
    StringSink sink;
    const auto report = ExportCollection(reader->get(), kNow, &sink, Context());
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return sink.bytes();
  }

  static Result<ImportReport> Import(Store* store, std::string_view bytes,
                                     const std::string& collection = "default") {
    StringSource source(bytes);
    return ImportCollection(store, collection, &source, Context());
  }

  static std::string Counts(const Result<ImportReport>& report) {
    if (!report.ok()) return report.status().ToString();
    return StrCat(report->created, " created, ", report->updated, " updated, ", report->unchanged,
                  " unchanged, ", report->passages, " passages");
  }

  std::unique_ptr<Store> OpenOther() {
    auto opened = OpenStore(other_.File(StrCat("data", others_++)), options_);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    return opened.ok() ? std::move(*opened) : nullptr;
  }

  // Everything that a document is, but for the numbers that its store gives it.
  static std::string Describe(Store* store, const std::string& collection = "default") {
    std::string all;
    auto page = store->ListDocuments(collection, {.limit = 1000});
    if (!page.ok()) return page.status().ToString();
    for (DocumentInfo& info : page->documents) {
      all += StrCat(info.id, "|", info.title, "|", info.source, "|", info.mime_type, "|",
                    info.content_hash, "|", Join(info.groups, ","), "|", info.supersedes, "|",
                    info.valid_from, "|", info.created_unix_micros, "|", info.updated_unix_micros);
      for (const auto& [key, value] : info.metadata) all += StrCat("|", key, value.index());
      all += StrCat("\n", store->GetDocument(collection, info.id)->text, "\n");
      std::vector<float> vectors;
      const auto passages = store->GetPassages(collection, info.id, &vectors);
      for (const Passage& p : *passages) {
        all += StrCat(p.ordinal, "[", p.begin, ",", p.end, ")", p.page, p.heading_path, p.language,
                      p.text, "\n");
      }
      all += Sha256Hex(
                 {reinterpret_cast<const char*>(vectors.data()), vectors.size() * sizeof(float)}) +
             "\n";
    }
    return all;
  }

  // In an order of their own: among equal scores that of the hits is that of the passages' ids.
  static std::set<std::pair<double, std::string>> ScoredHits(Store* store,
                                                             const SearchRequest& request) {
    std::set<std::pair<double, std::string>> hits;
    const auto found = store->Search(request, Context());
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    if (!found.ok()) return hits;
    for (const Hit& hit : found->hits) hits.emplace(hit.score, hit.passage.text);
    return hits;
  }

  void PutRich(const std::string& id, const std::string& text) {
    DocumentInfo info;
    info.id = id;
    info.title = "Über " + id;
    info.source = "file:" + id;
    info.mime_type = "text/markdown";
    info.content_hash = Sha256Hex(text);
    info.metadata = {{"n", 2.5}, {"flag", true}, {"name", std::string("Grüße")}};
    info.metadata["tags"] = std::vector<std::string>{"a", "b"};
    info.groups = {"staff", "board"};
    info.supersedes = "older";
    info.valid_from = "2024-03-01";
    auto writer = *store_->BeginDocument("default", info);
    ASSERT_EQ(writer->AddText(text), OkStatus());
    Passage passage;
    passage.begin = 0;
    passage.end = text.size();
    passage.page = 7;
    passage.heading_path = "Eins > Zwei";
    passage.language = "de";
    ASSERT_EQ(writer->AddPassages({&passage, 1}, embedder_.EmbedOne(text)), OkStatus());
    ASSERT_TRUE(writer->Commit(Context()).ok());
  }

  void Fill() {
    OpenWithCollection();
    Put("a", {"The boiler is serviced in May. ", "The quay has helmets."});
    Put("b", {"Leave is thirty days a year."}, {"staff"});
    PutRich("c", "Der Kessel wird im Mai gewartet.");
    Put("empty", {});
  }

  testing::TempDir other_;
  int others_ = 0;
};

TEST_F(Export, GivesBackEveryDocumentAsItWas) {
  Fill();
  Put("long", {std::string(700000, 'x'), std::string(400000, 'y') + "ü"});
  auto other = OpenOther();
  EXPECT_EQ(Counts(Import(other.get(), BytesOf(store_.get()))),
            "5 created, 0 updated, 0 unchanged, 6 passages");
  EXPECT_EQ(Describe(other.get()), Describe(store_.get()));
  const auto there = *other->FindDocument("default", "c"),
             here = *store_->FindDocument("default", "c");
  EXPECT_EQ(there->metadata, here->metadata);
  const auto report = other->Verify(Context());
  EXPECT_EQ(Join(report->problems, "\n"), "");
  // And the export of what was imported is, but for the commit number, the same export.
  EXPECT_EQ(Counts(Import(store_.get(), BytesOf(other.get()))),
            "0 created, 0 updated, 5 unchanged, 0 passages");
}

TEST_F(Export, GivesTheSameHitsWithTheSameScoresToTheSameCallers) {
  Fill();
  for (int i = 0; i < 60; ++i) {
    Put(StrCat("d", i), {StrCat("Passage ", i, " about the quay."), StrCat("Boiler ", i * 7)},
        i % 3 == 0 ? std::vector<std::string>{"staff"} : std::vector<std::string>{});
  }
  auto other = OpenOther();
  ASSERT_TRUE(Import(other.get(), BytesOf(store_.get())).ok());
  for (const char* question : {"boiler 35", "quay", "Kessel im Mai", "leave"}) {
    for (const auto& groups : std::vector<std::vector<std::string>>{{}, {"staff"}, {"board"}}) {
      const SearchRequest request = Question(question, 200, groups);
      EXPECT_EQ(ScoredHits(other.get(), request), ScoredHits(store_.get(), request));
      EXPECT_FALSE(ScoredHits(other.get(), request).empty());
    }
  }
}

// Does something when the first bytes come.
class MeddlingSink : public StringSink {
 public:
  explicit MeddlingSink(std::function<void()> meddle) : meddle_(std::move(meddle)) {}
  Status Write(std::string_view bytes) override {
    if (const auto meddle = std::exchange(meddle_, nullptr)) meddle();
    return StringSink::Write(bytes);
  }

 private:
  std::function<void()> meddle_;
};

TEST_F(Export, IsOfOneViewWhileTheStoreIsWritten) {
  Fill();
  const std::string before = Describe(store_.get());
  auto reader = *store_->ReadCollection("default");
  MeddlingSink sink([&] {
    Put("aa", {"Came while it ran."});
    Put("b", {"Changed while it ran."});
    Delete({"c"});
    Seal();
  });
  ASSERT_TRUE(ExportCollection(reader.get(), kNow, &sink, Context()).ok());
  EXPECT_NE(Describe(store_.get()), before);
  auto other = OpenOther();
  ASSERT_TRUE(Import(other.get(), sink.bytes()).ok());
  EXPECT_EQ(Describe(other.get()), before);
}

TEST_F(Export, HoldsNothingOfWhatWasDeletedOrReplaced) {
  options_.compress = false;
  Fill();
  Put("gone", {"Quillfeather was deleted."});
  Put("b", {"Brackwater was replaced."});
  Delete({"gone"});
  Put("b", {"The replacement."});
  const std::string bytes = BytesOf(store_.get());
  std::string all;
  StringSource source(bytes);
  ExportReader file(&source);
  ASSERT_TRUE(file.Begin().ok());
  for (;;) {
    auto event = file.Next();
    ASSERT_TRUE(event.ok()) << event.status().ToString();
    if (event->kind == ExportEvent::Kind::kEnd) break;
    all +=
        StrCat(event->info.id, event->info.title, event->text, event->passage.heading_path, "\n");
  }
  EXPECT_NE(all.find("The replacement."), std::string::npos);
  for (const char* word : {"Quillfeather", "Brackwater", "gone"}) {
    EXPECT_EQ(all.find(word), std::string::npos) << word;
    EXPECT_EQ(bytes.find(word), std::string::npos) << word;
  }
}

TEST_F(Export, MergesIntoWhatIsThere) {
  Fill();
  const std::string bytes = BytesOf(store_.get());
  auto other = OpenOther();
  ASSERT_TRUE(Import(other.get(), bytes).ok());
  // Changed there, missing there, only there, and the rest as it was.
  std::swap(store_, other);
  Put("a", {"Something else."});
  Delete({"b"});
  Put("own", {"Only here."});
  EXPECT_EQ(Counts(Import(store_.get(), bytes)), "1 created, 1 updated, 2 unchanged, 3 passages");
  EXPECT_EQ(Text("a"), "The boiler is serviced in May. The quay has helmets.");
  EXPECT_EQ(Text("own"), "Only here.");
  EXPECT_EQ(Found("Something else", 10).find("Something else"), std::string::npos);
  EXPECT_EQ(Problems(), "");
  std::swap(store_, other);
}

TEST_F(Export, OfGroupsIsAnUpdateWhenTheyDiffer) {
  Fill();
  const std::string bytes = BytesOf(store_.get());
  Put("b", {"Leave is thirty days a year."});  // everyone's now
  EXPECT_EQ(Found("Leave", 1), "Leave is thirty days a year.");
  EXPECT_EQ(Counts(Import(store_.get(), bytes)), "0 created, 1 updated, 3 unchanged, 1 passages");
  EXPECT_NE(Found("Leave", 1), "Leave is thirty days a year.");
  EXPECT_EQ(Found("Leave", 1, {"staff"}), "Leave is thirty days a year.");
}

TEST_F(Export, OfAnotherEmbedderIsRefusedWithTheRemedy) {
  Fill();
  auto other = OpenOther();
  ASSERT_EQ(other->CreateCollection({.name = "default", .embedder_id = "other", .dimension = 32}),
            OkStatus());
  const auto report = Import(other.get(), BytesOf(store_.get()));
  EXPECT_EQ(report.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(report.status().message().find("another --collection"), std::string::npos);
  EXPECT_EQ(other->GetCollection("default")->document_count, 0u);
  EXPECT_EQ(Counts(Import(other.get(), BytesOf(store_.get()), "second")),
            "4 created, 0 updated, 0 unchanged, 4 passages");
}

TEST_F(Export, CutAnywhereChangesNothing) {
  Fill();
  const std::string bytes = BytesOf(store_.get());
  auto other = OpenOther();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto report = Import(other.get(), std::string_view(bytes).substr(0, size));
    ASSERT_EQ(report.status().code(), StatusCode::kInvalidArgument)
        << size << ": " << Counts(report);
  }
  EXPECT_EQ(Import(other.get(), bytes + "x").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(other->commit_number(), 0u);
  EXPECT_TRUE(other->ListCollections()->empty());
}

TEST_F(Export, WithAnyBitFlippedChangesNothing) {
  Fill();
  std::string bytes = BytesOf(store_.get());
  auto other = OpenOther();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    StringSource source(bytes);
    const auto checked = CheckExport(&source, Context());
    ASSERT_FALSE(checked.ok()) << "bit " << bit;
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
  }
  bytes[bytes.size() / 2] ^= 1;
  EXPECT_FALSE(Import(other.get(), bytes).ok());
  EXPECT_EQ(other->commit_number(), 0u);
}

TEST_F(Export, OfAnEmptyCollectionIsAnExport) {
  OpenWithCollection("hollow");
  auto other = OpenOther();
  EXPECT_EQ(Counts(Import(other.get(), BytesOf(store_.get(), "hollow"), "hollow")),
            "0 created, 0 updated, 0 unchanged, 0 passages");
  EXPECT_EQ(other->GetCollection("hollow")->embedder_id, embedder_.id());
}

class ExportOfTables : public Export {
 protected:
  void PutWithTables(const std::string& id, const std::string& tables) {
    DocumentInfo info;
    info.id = id;
    info.content_hash = "hash of " + id;
    auto writer = *store_->BeginDocument("default", info);
    ASSERT_EQ(writer->AddText("| a |\n| - |\n| 1 |\n"), OkStatus());
    ASSERT_EQ(writer->PutNote({TablesNoteKey(id), tables}), OkStatus());
    ASSERT_TRUE(writer->Commit(Context()).ok());
  }
  static std::string TablesOf(Store* store, const std::string& id) {
    return store->GetNote("default", TablesNoteKey(id))->value_or("(none)");
  }
};

TEST_F(ExportOfTables, BringsThemAlongAndNoOtherNote) {
  Fill();
  const std::string large =
      Join(std::vector<std::string>(300'000, "0123456789"), "x");  // in pieces
  PutWithTables("few", "a few bytes");
  PutWithTables("large", large);
  PutWithTables("none", "");
  const StoreNote other_note{"f/a/file", "what ingestion knows of it"};
  ASSERT_EQ(store_->PutNotes("default", {&other_note, 1}), OkStatus());
  auto other = OpenOther();
  ASSERT_TRUE(Import(other.get(), BytesOf(store_.get())).ok());
  EXPECT_EQ(TablesOf(other.get(), "few"), "a few bytes");
  EXPECT_EQ(TablesOf(other.get(), "large"), large);
  EXPECT_EQ(TablesOf(other.get(), "none"), "(none)");
  EXPECT_EQ(other->ListNotes("default", "", "", 100)->size(), 2u);
  EXPECT_EQ(Describe(other.get()), Describe(store_.get()));
}

TEST_F(ExportOfTables, HasThoseOfItsView) {
  OpenWithCollection();
  PutWithTables("a", "of the view");
  auto reader = *store_->ReadCollection("default");
  StringSink sink;
  PutWithTables("a", "of a later revision");
  ASSERT_TRUE(ExportCollection(reader.get(), kNow, &sink, Context()).ok());
  auto other = OpenOther();
  ASSERT_TRUE(Import(other.get(), sink.bytes()).ok());
  EXPECT_EQ(TablesOf(other.get(), "a"), "of the view");
}

TEST_F(ExportOfTables, TakesThePlaceOfWhatIsKept) {
  OpenWithCollection();
  PutWithTables("a", "tables");
  PutWithTables("b", "");
  const std::string bytes = BytesOf(store_.get());
  Put("a", {"Another revision."});
  PutWithTables("b", "of a revision that goes");
  const StoreNote stale{TablesNoteKey("a"), "stale"};
  ASSERT_EQ(store_->PutNotes("default", {&stale, 1}), OkStatus());
  Put("b", {"Another revision."});
  EXPECT_EQ(Counts(Import(store_.get(), bytes)), "0 created, 2 updated, 0 unchanged, 0 passages");
  EXPECT_EQ(TablesOf(store_.get(), "a"), "tables");
  EXPECT_EQ(TablesOf(store_.get(), "b"), "(none)");
}

TEST_F(ExportOfTables, BringsThemToADocumentThatCameWithoutThem) {
  OpenWithCollection();
  PutWithTables("a", "tables");
  const std::string bytes = BytesOf(store_.get());
  const StoreNote removed{TablesNoteKey("a"), ""};
  ASSERT_EQ(store_->PutNotes("default", {&removed, 1}), OkStatus());
  const std::string without = BytesOf(store_.get());
  EXPECT_EQ(Counts(Import(store_.get(), bytes)), "0 created, 0 updated, 1 unchanged, 0 passages");
  EXPECT_EQ(TablesOf(store_.get(), "a"), "tables");
  ASSERT_TRUE(Import(store_.get(), without).ok());
  EXPECT_EQ(TablesOf(store_.get(), "a"), "tables") << "a file that has none takes none away";
}

TEST_F(Export, OfAnEarlierProgramIsTaken) {
  Fill();
  std::string bytes = BytesOf(store_.get());
  bytes[kExportMagic.size()] = 1;  // it differs in having no tables
  auto other = OpenOther();
  EXPECT_EQ(Counts(Import(other.get(), bytes)), "4 created, 0 updated, 0 unchanged, 4 passages");
  EXPECT_EQ(Describe(other.get()), Describe(store_.get()));
}

TEST_F(Export, ThatAnEarlierProgramWroteIsTaken) {
  const auto bytes =
      ReadFile(VADE_SOURCE_DIR "/tests/testdata/export_version_1.vade", uint64_t{1} << 20);
  ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
  Open();
  ASSERT_EQ(Counts(Import(store_.get(), *bytes)), "2 created, 0 updated, 0 unchanged, 2 passages");
  EXPECT_EQ(Text("leave.md"), "Everyone has thirty days of leave a year. Gr\u00fc\u00dfe.\n");
  EXPECT_EQ(store_->FindDocument("default", "prices.md")->value().title, "Prices");
  EXPECT_EQ(Problems(), "");
}

TEST_F(Export, EndsWhenItIsCancelledAndLeavesWholeDocuments) {
  Fill();
  const std::string bytes = BytesOf(store_.get());
  CancelSource cancel;
  cancel.Cancel();
  const Context ctx = Context().WithCancel(cancel.token());
  auto reader = *store_->ReadCollection("default");
  StringSink sink;
  EXPECT_EQ(ExportCollection(reader.get(), kNow, &sink, ctx).status().code(),
            StatusCode::kCancelled);
  StringSource source(bytes);
  EXPECT_EQ(ImportCollection(store_.get(), "default", &source, ctx).status().code(),
            StatusCode::kCancelled);
}

// What a writer of ours would never write, with checksums that agree.
class HostileExport : public ::testing::Test {
 protected:
  static constexpr uint32_t kDimension = 2;
  HostileExport() : writer_(&sink_) {
    VADE_CHECK(writer_.Begin({"c", "e", kDimension, 1, kNow}).ok(), "memory takes a header");
  }
  static DocumentInfo Info(const std::string& id, uint64_t text, uint64_t passages) {
    DocumentInfo info;
    info.id = id;
    info.text_bytes = text;
    info.passage_count = passages;
    info.created_unix_micros = info.updated_unix_micros = kNow;
    return info;
  }
  static Passage Range(uint64_t begin, uint64_t end) {
    Passage passage;
    passage.begin = begin;
    passage.end = end;
    return passage;
  }
  void Document(const DocumentInfo& info, const std::string& text) {
    ASSERT_TRUE(writer_.AddDocument(info).ok());
    if (text.empty()) return;
    ASSERT_TRUE(writer_.AddText(text).ok());
  }
  void AddPassage(const Passage& passage, const std::vector<float>& vector = {1, 0}) {
    ASSERT_TRUE(writer_.AddPassage(passage, vector).ok());
  }
  std::string Verdict() {
    EXPECT_TRUE(writer_.Finish().ok());
    StringSource source(sink_.bytes());
    const auto checked = CheckExport(&source, Context());
    return checked.ok() ? "sound" : checked.status().ToString();
  }
  StringSink sink_;
  ExportWriter writer_;
};

#define EXPECT_SAYS(words) \
  EXPECT_NE(Verdict().find(words), std::string::npos) << "expected: " << words

TEST_F(HostileExport, ASoundOneIsTaken) {
  Document(Info("a", 6, 2), "abcdef");
  AddPassage(Range(0, 3));
  AddPassage(Range(3, 6), {0.6f, 0.8f});
  Document(Info("b", 0, 0), "");
  EXPECT_EQ(Verdict(), "sound");
}
TEST_F(HostileExport, DocumentsOutOfOrderAreRefused) {
  Document(Info("b", 0, 0), "");
  Document(Info("a", 0, 0), "");
  EXPECT_SAYS("not in order");
}
TEST_F(HostileExport, ADocumentTwiceIsRefused) {
  Document(Info("a", 0, 0), "");
  Document(Info("a", 0, 0), "");
  EXPECT_SAYS("not in order");
}
TEST_F(HostileExport, TextThatIsNoUtf8IsRefused) {
  Document(Info("a", 2, 0), "\xc3(");
  EXPECT_SAYS("UTF-8");
}
TEST_F(HostileExport, MoreTextThanSaidIsRefused) {
  Document(Info("a", 2, 0), "abc");
  EXPECT_SAYS("not as long");
}
TEST_F(HostileExport, LessTextThanSaidIsRefused) {
  Document(Info("a", 5, 0), "abc");
  EXPECT_SAYS("what its end counts");
}
TEST_F(HostileExport, MissingPassagesAreRefused) {
  Document(Info("a", 3, 2), "abc");
  AddPassage(Range(0, 3));
  EXPECT_SAYS("what its end counts");
}
TEST_F(HostileExport, PassagesBeforeTheTextIsThereAreRefused) {
  Document(Info("a", 6, 1), "abc");
  AddPassage(Range(0, 3));
  EXPECT_SAYS("passage is misplaced");
}
TEST_F(HostileExport, APassageBehindTheTextIsRefused) {
  Document(Info("a", 3, 1), "abc");
  AddPassage(Range(2, 4));
  EXPECT_SAYS("no range");
}
TEST_F(HostileExport, ARangeThatWrapsAroundIsRefused) {
  Document(Info("a", 3, 1), "abc");
  AddPassage(Range(2, 1));  // the length is 2^64 - 1
  EXPECT_SAYS("no range");
}
TEST_F(HostileExport, APassageThatCutsACharacterIsRefused) {
  Document(Info("a", 4, 1), "aüb");
  AddPassage(Range(0, 2));
  EXPECT_SAYS("no range");
}
TEST_F(HostileExport, AVectorThatIsNoneIsRefused) {
  Document(Info("a", 3, 1), "abc");
  AddPassage(Range(0, 3), {std::nanf(""), 0});
  EXPECT_SAYS("unit length");
}
TEST_F(HostileExport, AVectorOfAnotherDimensionIsRefused) {
  Document(Info("a", 3, 2), "abc");
  AddPassage(Range(0, 3), {1, 0, 0});
  AddPassage(Range(0, 3));
  EXPECT_SAYS("damaged");
}
TEST_F(HostileExport, AHugeLengthOfTextCostsNothing) {
  Document(Info("a", UINT64_MAX, 0), "");
  EXPECT_SAYS("out of range");
}
TEST_F(HostileExport, TimesBeyondTheCalendarAreRefused) {
  DocumentInfo info = Info("a", 0, 0);
  info.created_unix_micros = INT64_MAX;
  Document(info, "");
  EXPECT_SAYS("out of range");
}
TEST_F(HostileExport, AnIdWithControlCharactersIsRefused) {
  Document(Info("a\nb", 0, 0), "");
  EXPECT_SAYS("control characters");
}
TEST_F(HostileExport, AnEmptyPassageIsRefused) {
  Document(Info("a", 3, 1), "abc");
  AddPassage(Range(1, 1));
  EXPECT_SAYS("no range");
}
TEST_F(HostileExport, TablesOfADocumentWithTextAreTaken) {
  ASSERT_TRUE(writer_.AddDocument(Info("a", 3, 0)).ok());
  ASSERT_TRUE(writer_.AddTables(std::string(kMaxExportTablesBytes, 't')).ok());
  ASSERT_TRUE(writer_.AddText("abc").ok());
  EXPECT_EQ(Verdict(), "sound");
}
TEST_F(HostileExport, TablesBeyondTheLimitAreRefused) {
  ASSERT_TRUE(writer_.AddDocument(Info("a", 3, 0)).ok());
  ASSERT_TRUE(writer_.AddTables(std::string(kMaxExportTablesBytes + 1, 't')).ok());
  ASSERT_TRUE(writer_.AddText("abc").ok());
  EXPECT_SAYS("more of tables");
}
TEST_F(HostileExport, TablesOfADocumentWithoutTextAreRefused) {
  ASSERT_TRUE(writer_.AddDocument(Info("a", 0, 0)).ok());
  ASSERT_TRUE(writer_.AddTables("t").ok());
  EXPECT_SAYS("tables are misplaced");
}
TEST_F(HostileExport, TablesBehindTheTextAreRefused) {
  Document(Info("a", 6, 0), "abc");
  ASSERT_TRUE(writer_.AddTables("t").ok());
  ASSERT_TRUE(writer_.AddText("def").ok());
  EXPECT_SAYS("tables are misplaced");
}
TEST_F(HostileExport, TablesBeforeAnyDocumentAreRefused) {
  ASSERT_TRUE(writer_.AddTables("t").ok());
  EXPECT_SAYS("tables are misplaced");
}
TEST_F(HostileExport, TablesInAFileOfTheFirstVersionAreRefused) {
  ASSERT_TRUE(writer_.AddDocument(Info("a", 3, 0)).ok());
  ASSERT_TRUE(writer_.AddTables("t").ok());
  ASSERT_TRUE(writer_.AddText("abc").ok());
  ASSERT_TRUE(writer_.Finish().ok());
  std::string bytes = sink_.bytes();
  bytes[kExportMagic.size()] = 1;
  StringSource source(bytes);
  EXPECT_NE(CheckExport(&source, Context()).status().message().find("not known"),
            std::string::npos);
}
TEST_F(HostileExport, TextThatPacksWithoutBoundIsStillTaken) {
  const std::string text(900000, 'a');
  Document(Info("a", text.size(), 0), text);
  EXPECT_EQ(Verdict(), "sound");
  EXPECT_GT(sink_.bytes().size() * kMaxExportRatio, text.size());
}

TEST_F(HostileExport, AFrameThatUnpacksToMoreThanItMayIsRefused) {
  // By hand: a frame of 16 bytes that claims 4 MiB.
  std::string facts;
  AppendFixed<uint8_t>(&facts, 2);
  AppendFixed<uint8_t>(&facts, 1);
  AppendFixed<uint16_t>(&facts, 0);
  AppendFixed<uint32_t>(&facts, 1);
  AppendFixed<uint32_t>(&facts, 4 << 20);
  AppendFixed<uint32_t>(&facts, 16);
  const std::string stored(16, 'z');
  std::string file = sink_.bytes() + facts;
  AppendFixed<uint64_t>(&file, Checksum64(facts + stored));
  file += stored;
  StringSource source(file);
  const auto checked = CheckExport(&source, Context());
  EXPECT_NE(checked.status().message().find("a size that none is written with"), std::string::npos)
      << checked.status().ToString();
}

TEST_F(HostileExport, ANewerVersionSaysSo) {
  std::string bytes = sink_.bytes();
  bytes[kExportMagic.size()] = 9;
  StringSource source(bytes);
  EXPECT_EQ(CheckExport(&source, Context()).status().code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace vade
