// Verify(): walks the whole truth at one snapshot and compares everything that must agree.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "index/core.h"
#include "index/verify_terms.h"

namespace vade {
namespace {

constexpr size_t kMaxProblems = 100;

std::vector<PassageRange> StagedPassages(const std::vector<StagedNote>& notes) {
  std::vector<PassageRange> ranges;
  for (const StagedNote& note : notes) {
    if (note.passages.first != 0) ranges.push_back(note.passages);
  }
  return ranges;
}

class Verifier {
 public:
  Verifier(const StoreCore& core, std::shared_ptr<const View> view, const Context& ctx)
      : kv_(*core.kv), view_(std::move(view)), ctx_(ctx) {}

  Result<VerifyReport> Run() {
    RETURN_IF_ERROR(CheckChangeLog());
    for (const auto& [name, state] : view_->collections) RETURN_IF_ERROR(CheckCollection(*state));
    if (unlisted_ > 0) report_.problems.push_back(StrCat("... and ", unlisted_, " more"));
    return std::move(report_);
  }

 private:
  Status CheckChangeLog();
  Status CheckCollection(const CollectionState& state);
  Status CheckDocument(const CollectionState& state, const DocumentRecord& record);
  Status CheckVersion(const CollectionState& state, const DocumentRecord& record);
  Status CheckText(CollectionId c, const DocumentRecord& record);
  Status CheckPassages(const CollectionState& state, const DocumentRecord& record);
  Status CheckPassage(const CollectionState& state, const DocumentRecord& record, PassageId id,
                      uint32_t ordinal, TextReader* text);
  struct ContentCounts {
    uint64_t text = 0, passages = 0, vectors = 0;  // keys
  };
  Status CountKeys(const CollectionState& state, const std::vector<StagedNote>& staged_notes);
  Status Count(Family family, std::string_view begin, std::string_view end, uint64_t* count);
  Result<std::vector<StagedNote>> StagedNotes(CollectionId c);
  Result<ContentCounts> CountStaged(const CollectionState& state,
                                    const std::vector<StagedNote>& notes);
  Status CheckNextSpace(const CollectionState& state);
  void CheckSlots(const CollectionState& state);
  void CheckRow(const VectorRows& rows, size_t slot);

  std::unique_ptr<KvIterator> Scan(Family family, std::string_view begin,
                                   std::string_view end) const {
    return kv_.Scan(family, begin, end, view_->snapshot);
  }
  template <typename... Pieces>
  void Problem(const Pieces&... pieces) {
    if (report_.problems.size() == kMaxProblems) {
      ++unlisted_;
    } else {
      report_.problems.push_back(StrCat(pieces...));
    }
  }

  const Kv& kv_;
  const std::shared_ptr<const View> view_;
  const Context& ctx_;
  VerifyReport report_;
  uint64_t unlisted_ = 0;  // problems beyond kMaxProblems
  // Of the collection that is being checked: live passages with their set of groups and vector, and
  // what has been counted so far.
  struct Live {
    GroupSetId group_set = 0;
    LanguageCode language = kUnknownLanguage;
    uint64_t vector_checksum = 0;
  };
  std::unordered_map<PassageId, Live> live_;
  uint64_t versions_ = 0;  // of the collection: documents that have one
  uint64_t documents_ = 0, slots_ = 0, text_pieces_ = 0;
  uint64_t words_ = 0, document_words_ = 0;  // of all passages; of those of one document
  std::optional<TermChecker> terms_;
};

Status Verifier::CheckChangeLog() {
  ASSIGN_OR_RETURN(const auto stored, kv_.Get(Family::kMeta, "commit", view_->snapshot));
  ASSIGN_OR_RETURN(const auto begin, kv_.Get(Family::kMeta, "log_begin", view_->snapshot));
  uint64_t commit = 0, expected = 1;
  if (stored && stored->size() == 8) std::memcpy(&commit, stored->data(), 8);
  if (begin && begin->size() == 8) std::memcpy(&expected, begin->data(), 8);
  if (commit != view_->commit) {
    Problem("the database is at commit ", commit, ", the view at ", view_->commit);
  }
  const auto scan = Scan(Family::kChanges, "", "");
  for (; scan->Valid(); scan->Next(), ++expected) {
    if (scan->key().size() != kChangeKeyBytes) {
      Problem("the change log has a key of ", scan->key().size(), " bytes");
      return OkStatus();
    }
    const uint64_t number = ParseKey64(scan->key());
    if (number != expected) {
      Problem("the change log goes from ", expected - 1, " to ", number);
      expected = number;
    }
    if (const auto changes = DecodeChanges(scan->value()); !changes.ok() || changes->empty()) {
      Problem("the change log's entry ", number, " does not parse");
    }
  }
  RETURN_IF_ERROR(scan->status());
  if (expected != commit + 1) Problem("the change log ends at ", expected - 1, ", not at ", commit);
  return OkStatus();
}

Status Verifier::CheckText(CollectionId c, const DocumentRecord& record) {
  std::string cut;
  uint64_t bytes = 0;
  uint32_t piece = 0;
  const auto scan = Scan(Family::kText, TextKey(c, record.revision_key, 0),
                         TextKey(c, record.revision_key + 1, 0));
  for (; scan->Valid(); scan->Next(), ++piece, ++text_pieces_) {
    if (scan->key().size() != kTextKeyBytes || ParseKey32(scan->key().substr(12)) != piece) {
      Problem("document '", record.info.id, "': piece ", piece, " of its text is missing");
      return OkStatus();
    }
    bytes += scan->value().size();
    cut.append(scan->value());
    const size_t complete = CompletePrefix(cut);
    if (!IsValidUtf8(std::string_view(cut).substr(0, complete))) {
      Problem("document '", record.info.id, "': its text is not valid UTF-8");
    }
    cut.erase(0, complete);
  }
  RETURN_IF_ERROR(scan->status());
  if (bytes != record.info.text_bytes) {
    Problem("document '", record.info.id, "': its text has ", bytes, " bytes, expected ",
            record.info.text_bytes);
  }
  return OkStatus();
}

Status Verifier::CheckPassage(const CollectionState& state, const DocumentRecord& record,
                              PassageId id, uint32_t ordinal, TextReader* text) {
  const std::string where = StrCat("document '", record.info.id, "': passage ", id);
  ASSIGN_OR_RETURN(const auto bytes,
                   kv_.Get(Family::kPassages, PassageKey(state.id, id), view_->snapshot));
  ASSIGN_OR_RETURN(const auto vector,
                   kv_.Get(Family::kVectors, PassageKey(state.space, id), view_->snapshot));
  const auto passage = bytes ? DecodePassage(*bytes) : Result<PassageRecord>(NotFound("missing"));
  if (!passage.ok()) {
    Problem(where, ": ", passage.status().message());
    return OkStatus();
  }
  if (passage->revision_key != record.revision_key || passage->ordinal != ordinal) {
    Problem(where, " belongs elsewhere");
  }
  const auto words = text->Read(passage->begin, passage->length);
  if (!words.ok() || words->empty() || !IsValidUtf8(*words)) {
    Problem(where, " has no valid range of the text");
  }
  const LiveRange* live = state.live.Find(id);
  if (!live || live->group_set != record.group_set) Problem(where, " is not found by its words");
  if (words.ok()) {
    ASSIGN_OR_RETURN(const uint64_t count,
                     terms_->CheckPassage(id, {.title = record.info.title,
                                               .heading_path = passage->heading_path,
                                               .text = *words,
                                               .language = passage->language}));
    document_words_ += count;
  }
  if (!vector || vector->size() != static_cast<size_t>(state.info.dimension) * 2) {
    Problem(where, " has no vector of dimension ", state.info.dimension);
    return OkStatus();
  }
  ++report_.vectors;
  if (!live_.emplace(id, Live{record.group_set, passage->language, Checksum64(*vector)}).second) {
    Problem(where, " is in two documents");
  }
  return OkStatus();
}

Status Verifier::CheckPassages(const CollectionState& state, const DocumentRecord& record) {
  TextReader text(kv_, view_->snapshot, state.id, record.revision_key);
  uint64_t owned = 0;
  for (const PassageRange& range : record.ranges) {
    owned += std::min<uint64_t>(range.count, uint64_t{1} << 32);
    if (owned <= UINT32_MAX) continue;
    Problem("document '", record.info.id, "' claims more passages than a document can have");
    return OkStatus();
  }
  uint32_t ordinal = 0;
  for (const PassageRange& range : record.ranges) {
    for (uint64_t i = 0; i < range.count; ++i) {
      RETURN_IF_ERROR(CheckPassage(state, record, range.first + i, ordinal++, &text));
    }
  }
  if (ordinal != record.info.passage_count) {
    Problem("document '", record.info.id, "' has ", ordinal, " passages, expected ",
            record.info.passage_count);
  }
  return OkStatus();
}

Status Verifier::CheckVersion(const CollectionState& state, const DocumentRecord& record) {
  const auto expected = VersionOf(record);
  if (!expected) return OkStatus();
  ++versions_;
  ASSIGN_OR_RETURN(
      const auto stored,
      kv_.Get(Family::kDocuments, VersionKey(state.id, record.info.id), view_->snapshot));
  if (!stored || *stored != Encode(*expected)) {
    Problem("document '", record.info.id, "' and the directory of versions do not agree");
  }
  return OkStatus();
}

Status Verifier::CheckDocument(const CollectionState& state, const DocumentRecord& record) {
  RETURN_IF_ERROR(ctx_.Check());
  const DocumentInfo& info = record.info;
  ++documents_;
  ASSIGN_OR_RETURN(const auto revision,
                   kv_.Get(Family::kDocuments, RevisionRecordKey(state.id, record.revision_key),
                           view_->snapshot));
  ASSIGN_OR_RETURN(
      const auto hash,
      kv_.Get(Family::kDocuments, HashKey(state.id, info.content_hash, info.id), view_->snapshot));
  if (!hash) Problem("document '", info.id, "' is not found by its content hash");
  const GroupSets& sets = *state.group_sets;
  if (record.group_set >= sets.size() || sets[record.group_set] != NormalizedGroups(info.groups)) {
    Problem("document '", info.id, "': its groups are not those of set ", record.group_set);
  }
  RETURN_IF_ERROR(CheckVersion(state, record));
  RETURN_IF_ERROR(CheckText(state.id, record));
  document_words_ = 0;
  RETURN_IF_ERROR(CheckPassages(state, record));
  words_ += document_words_;
  const RevisionRecord expected{record.group_set, info.id, record.ranges, document_words_};
  if (!revision || *revision != Encode(expected)) {
    Problem("document '", info.id, "' and the directory of revisions do not agree");
  }
  return OkStatus();
}

// What is there beyond what documents own: nothing, but for revisions that are being staged.
Status Verifier::CountKeys(const CollectionState& state,
                           const std::vector<StagedNote>& staged_notes) {
  uint64_t revisions = 0, hashes = 0, versions = 0;
  const auto scan =
      Scan(Family::kDocuments, CollectionPrefix(state.id), CollectionPrefix(state.id + 1));
  for (; scan->Valid(); scan->Next()) {
    revisions += scan->key().substr(4).starts_with('r');
    hashes += scan->key().substr(4).starts_with('h');
    versions += scan->key().substr(4).starts_with('v');
  }
  RETURN_IF_ERROR(scan->status());
  if (revisions != documents_ || hashes != documents_) {
    Problem("collection '", state.info.name, "' has ", documents_, " documents, ", revisions,
            " revisions and ", hashes, " content hashes");
  }
  if (versions != versions_) {
    Problem("collection '", state.info.name, "' has ", versions_, " documents with a version, ",
            versions, " are listed");
  }
  ASSIGN_OR_RETURN(const ContentCounts staged, CountStaged(state, staged_notes));
  ContentCounts held;
  const std::string begin = CollectionPrefix(state.id), end = CollectionPrefix(state.id + 1);
  RETURN_IF_ERROR(Count(Family::kText, begin, end, &held.text));
  RETURN_IF_ERROR(Count(Family::kPassages, begin, end, &held.passages));
  RETURN_IF_ERROR(Count(Family::kVectors, CollectionPrefix(state.space),
                        CollectionPrefix(state.space + 1), &held.vectors));
  if (held.text != text_pieces_ + staged.text || held.passages != live_.size() + staged.passages ||
      held.vectors != live_.size() + staged.vectors) {
    Problem("collection '", state.info.name, "' holds ", held.text - staged.text,
            " pieces of text, ", held.passages - staged.passages, " passages and ",
            held.vectors - staged.vectors, " vectors; its documents own ", text_pieces_, ", ",
            live_.size(), " and ", live_.size());
  }
  return OkStatus();
}

Status Verifier::Count(Family family, std::string_view begin, std::string_view end,
                       uint64_t* count) {
  const auto keys = Scan(family, begin, end);
  for (; keys->Valid(); keys->Next()) ++*count;
  return keys->status();
}

// Of revisions that are being staged. A note stands in the log before all that it speaks of, so
// there is one for each key.
Result<std::vector<StagedNote>> Verifier::StagedNotes(CollectionId c) {
  std::vector<StagedNote> notes;
  const auto scan = Scan(Family::kStaged, "", "");
  for (; scan->Valid(); scan->Next()) {
    const auto note = DecodeStaged(scan->key(), scan->value());
    if (!note.ok()) {
      Problem("a note of staged passages does not parse");
    } else if (note->collection == c) {
      notes.push_back(*note);
    }
  }
  RETURN_IF_ERROR(scan->status());
  return notes;
}

// What they have in the database.
Result<Verifier::ContentCounts> Verifier::CountStaged(const CollectionState& state,
                                                      const std::vector<StagedNote>& notes) {
  ContentCounts counts;
  for (const StagedNote& note : notes) {
    const CollectionId c = note.collection;
    const auto [first, count] = note.passages;
    if (first == 0) {
      const RevisionKey r = note.revision;
      RETURN_IF_ERROR(Count(Family::kText, TextKey(c, r, 0), TextKey(c, r + 1, 0), &counts.text));
    } else {
      const std::string begin = PassageKey(c, first), end = PassageKey(c, first + count);
      RETURN_IF_ERROR(Count(Family::kPassages, begin, end, &counts.passages));
      RETURN_IF_ERROR(Count(Family::kVectors, PassageKey(state.space, first),
                            PassageKey(state.space, first + count), &counts.vectors));
    }
  }
  return counts;
}

// Vectors in the making: of current passages, and whole.
Status Verifier::CheckNextSpace(const CollectionState& state) {
  if (!state.next_space) return OkStatus();
  const SpaceId space = state.next_space->space;
  const auto scan = Scan(Family::kVectors, CollectionPrefix(space), CollectionPrefix(space + 1));
  for (; scan->Valid(); scan->Next()) {
    const bool good = scan->key().size() == kPassageKeyBytes &&
                      live_.count(ParseKey64(scan->key().substr(4))) > 0 &&
                      scan->value().size() == state.next_space->dimension * sizeof(uint16_t);
    if (!good) {
      Problem("collection '", state.info.name,
              "': a vector in the making is of no current passage, or of a wrong length");
    }
  }
  return scan->status();
}

void Verifier::CheckRow(const VectorRows& rows, size_t slot) {
  const PassageId id = rows.ids[slot];
  ++slots_;
  const auto found = live_.find(id);
  if (found == live_.end()) {
    Problem("a vector of passage ", id, " is searched, which is not current");
    return;
  }
  if (found->second.group_set != rows.group_sets[slot])
    Problem("passage ", id, " has a wrong set of groups");
  if (found->second.language != rows.languages[slot])
    Problem("passage ", id, " is searched as of another language");
  const std::string_view halves(reinterpret_cast<const char*>(rows.halves + slot * rows.dimension),
                                rows.dimension * 2);
  if (Checksum64(halves) != found->second.vector_checksum) {
    Problem("the derived vector of passage ", id, " is not the one in the database");
  }
}

void Verifier::CheckSlots(const CollectionState& state) {
  for (const SegmentState& s : state.segments) {
    const VectorRows& rows = s.segment->rows();
    size_t dead = 0;
    for (size_t i = 0; i < rows.count; ++i) {
      if (IsDead(s.dead.get(), i)) {
        ++dead;
      } else {
        CheckRow(rows, i);
      }
    }
    if (dead != s.dead_count)
      Problem("segment ", s.segment->path(), " counts its dead slots wrongly");
  }
  ForEachTailSlot(state.tail, state.tail.length, [&](const VectorRows& rows, size_t i, bool alive) {
    if (alive) CheckRow(rows, i);
  });
  if (SumLiveRows(state) != state.sums) {
    Problem("collection '", state.info.name, "' has wrong means of its languages' vectors");
  }
  if (slots_ != live_.size()) {
    Problem("collection '", state.info.name, "' searches ", slots_, " vectors of ", live_.size(),
            " passages");
  }
}

Status Verifier::CheckCollection(const CollectionState& state) {
  live_.clear();
  documents_ = slots_ = text_pieces_ = words_ = 0;
  terms_.emplace(kv_, view_->snapshot, state, [this](const std::string& what) { Problem(what); });
  const std::string prefix = FamilyPrefix(state.id, 'd');
  const auto scan = Scan(Family::kDocuments, prefix, PrefixEnd(prefix));
  for (; scan->Valid(); scan->Next()) {
    const auto record = DecodeDocument(scan->key().substr(prefix.size()), scan->value());
    if (!record.ok()) {
      Problem(record.status().message());
      continue;
    }
    RETURN_IF_ERROR(CheckDocument(state, *record));
  }
  RETURN_IF_ERROR(scan->status());
  ASSIGN_OR_RETURN(const auto notes, StagedNotes(state.id));
  RETURN_IF_ERROR(CountKeys(state, notes));
  RETURN_IF_ERROR(CheckNextSpace(state));
  CheckSlots(state);
  RETURN_IF_ERROR(terms_->CheckRest(StagedPassages(notes), ctx_));
  if (state.word_count != words_) {
    Problem("collection '", state.info.name, "' counts ", state.word_count, " words; there are ",
            words_);
  }
  if (state.info.document_count != documents_ || state.info.passage_count != live_.size()) {
    Problem("collection '", state.info.name, "' counts ", state.info.document_count,
            " documents and ", state.info.passage_count, " passages; there are ", documents_,
            " and ", live_.size());
  }
  report_.documents += documents_;
  report_.passages += live_.size();
  return OkStatus();
}

}  // namespace

Result<VerifyReport> VerifyStore(const StoreCore& core, const Context& ctx) {
  return Verifier(core, core.committer->Current(), ctx).Run();
}

}  // namespace vade
