// Staging a revision: text and passages go to the database in bounded batches that nothing refers
// to. Commit() is one request to the committer that makes them current.
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "index/core.h"
#include "index/term_entries.h"

namespace vade {
namespace {

constexpr size_t kBatchBytes = 1 << 20;
constexpr uint64_t kMinFreeBytes = 32ull << 20;

class StagedDocument : public DocumentWriter {
 public:
  StagedDocument(StoreCore* core, const CollectionState& state, DocumentInfo info, RevisionKey key)
      : core_(core),
        collection_(state.id),
        collection_name_(state.info.name),
        space_(state.space),
        dimension_(static_cast<size_t>(state.info.dimension)),
        key_(key),
        vectors_(dimension_),
        text_(*core->kv, nullptr, state.id, key),
        terms_(state.id) {
    record_.info = std::move(info);
    record_.revision_key = key;
  }
  ~StagedDocument() override { Discard(); }

  Status AddText(std::string_view utf8) override;
  Status AddPassages(std::span<const Passage> passages, std::span<const float> vectors) override;
  Status PutNote(StoreNote note) override;
  void KeepTimes(int64_t created, int64_t updated) override { times_ = {created, updated}; }
  Result<CommitResult> Commit(const Context& ctx) override;

  // Commit() in three steps: what is left is written; the request; what became of it.
  Status Prepare(const Context& ctx);
  CommitRequest Request();
  Result<CommitResult> Finish(const Result<uint64_t>& commit);

 private:
  Status Usable() const;
  Status CheckPassage(const Passage& passage);
  Result<bool> StartsCodePoint(uint64_t offset);
  Result<std::string> ReadStaged(uint64_t begin, uint64_t end);
  Status StagePassages(PassageId first, std::span<const Passage> passages, const float* vectors);
  void StagePassage(PassageId id, const Passage& passage, const float* vector);
  Status StageTerms(PassageId id, const Passage& passage);
  Status StageText(std::string_view utf8);
  Status Flush();
  Status WriteBatch();
  void NoteStaged(PassageId first, uint32_t count);
  void Discard();
  Status Apply(CommitEdit& edit, CommitResult* result);
  GroupSetId GroupSet(CommitEdit& edit) const;
  void PutRecords(CommitEdit& edit);
  void SetTimes(const std::optional<DocumentRecord>& old, int64_t now);

  StoreCore* const core_;
  const CollectionId collection_;
  const std::string collection_name_;
  const SpaceId space_;  // that its vectors are written to
  const size_t dimension_;
  const RevisionKey key_;
  DocumentRecord record_;
  VectorBuffer vectors_;  // all of the revision's: they go into the tail when it commits
  KvBatch batch_;
  std::string cut_;    // a code point that AddText has not got all of yet
  std::string piece_;  // the last piece of text, not full yet
  TextReader text_;    // the pieces before it
  uint64_t text_bytes_ = 0;
  PostingsGatherer terms_;
  uint64_t word_count_ = 0;
  std::vector<PassageId> staged_keys_;  // 0 and the first ids of the batches: what `staged` lists
  std::vector<StoreNote> notes_;
  std::optional<std::pair<int64_t, int64_t>> times_;  // created, updated; none: as it commits
  bool staged_ = false;                               // something of it is in the database
  CommitResult result_;
  bool committed_ = false;
  Status failed_;  // a batch that could not be written is lost, and the revision with it
};

Status StagedDocument::Usable() const {
  if (committed_) {
    return FailedPrecondition(StrCat("document '", record_.info.id,
                                     "': this revision is committed; "
                                     "begin another one"));
  }
  return failed_;
}

Status StagedDocument::WriteBatch() {
  if (batch_.empty()) return OkStatus();
  if (const auto free = FreeDiskBytes(core_->directory); free.ok() && *free < kMinFreeBytes) {
    return failed_ = ResourceExhausted(StrCat(
               "the disk of ", core_->directory, " has ", *free >> 20, " MiB left; document '",
               record_.info.id, "' was not written: free some space and put it again"));
  }
  if (const Status written = core_->kv->Write(batch_, Durability::kBuffered); !written.ok()) {
    return failed_ = written;
  }
  batch_.Clear();
  return OkStatus();
}

Status StagedDocument::Flush() { return batch_.bytes() < kBatchBytes ? OkStatus() : WriteBatch(); }

// Stands in the log before everything that it speaks of.
void StagedDocument::NoteStaged(PassageId first, uint32_t count) {
  batch_.Put(Family::kStaged, StagedKey(key_, first),
             Encode(StagedNote{key_, collection_, {first, count}}));
  staged_keys_.push_back(first);
  staged_ = true;
}

Status StagedDocument::StageText(std::string_view utf8) {
  if (!staged_) NoteStaged(0, 0);
  while (!utf8.empty()) {
    const size_t take = std::min<size_t>(kTextPieceBytes - piece_.size(), utf8.size());
    piece_.append(utf8.substr(0, take));
    text_bytes_ += take;
    utf8.remove_prefix(take);
    if (piece_.size() < kTextPieceBytes) break;
    const uint64_t number = text_bytes_ / kTextPieceBytes - 1;
    if (number > UINT32_MAX) return failed_ = InvalidArgument("a document's text is too long");
    batch_.Put(Family::kText, TextKey(collection_, key_, static_cast<uint32_t>(number)), piece_);
    piece_.clear();
    RETURN_IF_ERROR(Flush());
  }
  return OkStatus();
}

Status StagedDocument::AddText(std::string_view utf8) {
  RETURN_IF_ERROR(Usable());
  if (utf8.empty()) return OkStatus();
  std::string joined;
  if (!cut_.empty()) {
    joined = cut_ + std::string(utf8);
    utf8 = joined;
  }
  const size_t complete = CompletePrefix(utf8);
  if (!IsValidUtf8(utf8.substr(0, complete))) {
    return failed_ = InvalidArgument(
               StrCat("the text of document '", record_.info.id, "' is not valid UTF-8"));
  }
  std::string rest(utf8.substr(complete));
  RETURN_IF_ERROR(StageText(utf8.substr(0, complete)));
  cut_ = std::move(rest);
  return OkStatus();
}

Result<bool> StagedDocument::StartsCodePoint(uint64_t offset) {
  if (offset == text_bytes_) return true;
  const uint64_t piece_begin = text_bytes_ - piece_.size();
  char byte = 0;
  if (offset >= piece_begin) {
    byte = piece_[offset - piece_begin];
  } else {
    ASSIGN_OR_RETURN(const std::string text, text_.Read(offset, 1));
    byte = text[0];
  }
  return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
}

// [begin, end) of the text that was added, some of which is not in the database yet.
Result<std::string> StagedDocument::ReadStaged(uint64_t begin, uint64_t end) {
  const uint64_t piece_begin = text_bytes_ - piece_.size();
  std::string text;
  if (begin < piece_begin) {
    ASSIGN_OR_RETURN(text, text_.Read(begin, std::min(end, piece_begin) - begin));
  }
  if (end > piece_begin) {
    const uint64_t from = std::max(begin, piece_begin);
    text.append(piece_, from - piece_begin, end - from);
  }
  return text;
}

Status StagedDocument::CheckPassage(const Passage& passage) {
  const std::string where =
      StrCat("document '", record_.info.id, "': passage [", passage.begin, ", ", passage.end, ")");
  if (passage.begin >= passage.end || passage.end > text_bytes_) {
    return InvalidArgument(
        StrCat(where, " is not a range of the ", text_bytes_, " bytes of text that were added"));
  }
  ASSIGN_OR_RETURN(const bool begin_fits, StartsCodePoint(passage.begin));
  ASSIGN_OR_RETURN(const bool end_fits, StartsCodePoint(passage.end));
  if (!begin_fits || !end_fits) return InvalidArgument(StrCat(where, " cuts a character in two"));
  if (!IsValidUtf8(passage.heading_path) || passage.heading_path.size() > 65536) {
    return InvalidArgument(StrCat(where,
                                  " has a heading path that is not valid UTF-8 of up to 65536 "
                                  "bytes"));
  }
  if (!passage.language.empty() && ParseLanguage(passage.language) == kUnknownLanguage) {
    return InvalidArgument(StrCat(where, " has the language '", passage.language,
                                  "'; expected two or three letters a-z of ISO 639, or none"));
  }
  return OkStatus();
}

void StagedDocument::StagePassage(PassageId id, const Passage& passage, const float* vector) {
  PassageRecord record;
  record.revision_key = key_;
  record.ordinal = static_cast<uint32_t>(record_.info.passage_count++);
  record.begin = passage.begin;
  record.length = passage.end - passage.begin;
  record.page = passage.page;
  record.heading_path = passage.heading_path;
  record.language = ParseLanguage(passage.language);
  batch_.Put(Family::kPassages, PassageKey(collection_, id), Encode(record));
  vectors_.Append({.id = id, .language = record.language}, vector);
  const auto halves = vectors_.HalvesOf(vectors_.size() - 1);
  batch_.Put(Family::kVectors, PassageKey(space_, id),
             {reinterpret_cast<const char*>(halves.data()), halves.size_bytes()});
}

Status StagedDocument::StageTerms(PassageId id, const Passage& passage) {
  ASSIGN_OR_RETURN(const std::string text, ReadStaged(passage.begin, passage.end));
  const TermList terms = TermsOfPassage({.title = record_.info.title,
                                         .heading_path = passage.heading_path,
                                         .text = text,
                                         .language = ParseLanguage(passage.language)});
  word_count_ += terms.length;
  terms_.Add(id, terms, &batch_);
  return OkStatus();
}

// What fails here fails the whole revision: a part of the call may be in the database.
Status StagedDocument::StagePassages(PassageId first, std::span<const Passage> passages,
                                     const float* vectors) {
  for (size_t i = 0; i < passages.size(); ++i) {
    StagePassage(first + i, passages[i], vectors + i * dimension_);
    RETURN_IF_ERROR(StageTerms(first + i, passages[i]));
    if ((i + 1) % kPassagesGathered == 0) terms_.WriteBlocks(&batch_);
    RETURN_IF_ERROR(Flush());
  }
  terms_.WriteBlocks(&batch_);
  return Flush();
}

Status StagedDocument::AddPassages(std::span<const Passage> passages,
                                   std::span<const float> vectors) {
  RETURN_IF_ERROR(Usable());
  if (vectors.size() % dimension_ != 0 || vectors.size() / dimension_ != passages.size()) {
    return InvalidArgument(StrCat("document '", record_.info.id, "': ", vectors.size(),
                                  " numbers are not ", passages.size(), " vectors of dimension ",
                                  dimension_, "; is this the collection's embedder?"));
  }
  if (passages.empty()) return OkStatus();
  if (record_.info.passage_count + passages.size() > UINT32_MAX) {
    return InvalidArgument(StrCat("document '", record_.info.id, "' has too many passages"));
  }
  RETURN_IF_ERROR(WriteBatch());  // text_ reads the pieces back
  for (size_t i = 0; i < passages.size(); ++i) {
    RETURN_IF_ERROR(CheckPassage(passages[i]));
    RETURN_IF_ERROR(ValidateVector(StrCat("document '", record_.info.id, "': a passage's vector"),
                                   vectors.subspan(i * dimension_, dimension_)));
  }
  ASSIGN_OR_RETURN(const PassageId first, core_->ids->Allocate(passages.size()));
  NoteStaged(first, static_cast<uint32_t>(passages.size()));
  if (const Status staged = StagePassages(first, passages, vectors.data()); !staged.ok()) {
    return failed_ = staged;
  }
  if (!record_.ranges.empty() &&
      record_.ranges.back().first + record_.ranges.back().count == first) {
    record_.ranges.back().count += passages.size();
  } else {
    record_.ranges.push_back({first, passages.size()});
  }
  return OkStatus();
}

Status StagedDocument::PutNote(StoreNote note) {
  RETURN_IF_ERROR(Usable());
  RETURN_IF_ERROR(CheckNote(note));
  notes_.push_back(std::move(note));
  return OkStatus();
}

Status StagedDocument::Prepare(const Context& ctx) {
  RETURN_IF_ERROR(Usable());
  RETURN_IF_ERROR(ctx.Check());
  if (!cut_.empty()) {
    return failed_ = InvalidArgument(
               StrCat("the text of document '", record_.info.id, "' ends inside a character"));
  }
  if (!piece_.empty()) {
    batch_.Put(Family::kText,
               TextKey(collection_, key_, static_cast<uint32_t>(text_bytes_ / kTextPieceBytes)),
               piece_);
  }
  RETURN_IF_ERROR(WriteBatch());
  record_.info.text_bytes = text_bytes_;
  return OkStatus();
}

CommitRequest StagedDocument::Request() {
  return {StrCat(collection_, "/", record_.info.id),
          [this](CommitEdit& edit) { return Apply(edit, &result_); }};
}

Result<CommitResult> StagedDocument::Finish(const Result<uint64_t>& commit) {
  ASSIGN_OR_RETURN(result_.commit, commit);
  committed_ = true;
  notes_.clear();
  return result_;
}

Result<CommitResult> StagedDocument::Commit(const Context& ctx) {
  RETURN_IF_ERROR(Prepare(ctx));
  ASSIGN_OR_RETURN(const CommitResult result, Finish(core_->committer->Commit(Request())));
  core_->after_commit();
  return result;
}

// The number of this document's set of groups, made when there is none yet.
GroupSetId StagedDocument::GroupSet(CommitEdit& edit) const {
  const std::vector<std::string> groups = NormalizedGroups(record_.info.groups);
  if (groups.empty()) return 0;
  const GroupSets& sets = *edit.Find(collection_name_)->group_sets;
  for (size_t i = 1; i < sets.size(); ++i) {
    if (sets[i] == groups) return static_cast<GroupSetId>(i);
  }
  const GroupSetId number = static_cast<GroupSetId>(sets.size());
  edit.batch().Put(Family::kCatalog, GroupSetKey(collection_, number), EncodeStrings(groups));
  auto extended = std::make_shared<GroupSets>(sets);
  extended->push_back(groups);
  edit.Mutable(collection_name_)->group_sets = std::move(extended);
  return number;
}

void StagedDocument::PutRecords(CommitEdit& edit) {
  const DocumentInfo& info = record_.info;
  KvBatch& batch = edit.batch();
  batch.Put(Family::kDocuments, DocumentKey(collection_, info.id), Encode(record_));
  batch.Put(Family::kDocuments, HashKey(collection_, info.content_hash, info.id), "");
  batch.Put(Family::kDocuments, RevisionRecordKey(collection_, key_),
            Encode(RevisionRecord{record_.group_set, info.id, record_.ranges, word_count_}));
  if (const auto version = VersionOf(record_)) {
    batch.Put(Family::kDocuments, VersionKey(collection_, info.id), Encode(*version));
  }
  for (PassageId first : staged_keys_) batch.Delete(Family::kStaged, StagedKey(key_, first));
  for (const StoreNote& note : notes_) AddNote(collection_, note, &batch);
}

void StagedDocument::SetTimes(const std::optional<DocumentRecord>& old, int64_t now) {
  DocumentInfo& info = record_.info;
  info.updated_unix_micros = times_ ? times_->second : now;
  info.created_unix_micros = times_ ? times_->first : old ? old->info.created_unix_micros : now;
}

Status StagedDocument::Apply(CommitEdit& edit, CommitResult* result) {
  const CollectionState* state = edit.Find(collection_name_);
  if (!state || state->id != collection_) return NoCollection(collection_name_);
  if (state->space != space_) {
    return Aborted(StrCat("document '", record_.info.id,
                          "': the collection's embedder has changed while it was being written; "
                          "put it again"));
  }
  ASSIGN_OR_RETURN(const auto old, ReadDocument(*core_->kv, nullptr, collection_, record_.info.id));
  uint64_t old_words = 0;
  if (old) {
    ASSIGN_OR_RETURN(old_words, CountWords(*core_->kv, collection_, old->revision_key));
  }
  // Nothing can fail from here on.
  DocumentInfo& info = record_.info;
  info.revision = old ? old->info.revision + 1 : 1;
  info.commit = edit.commit();
  SetTimes(old, edit.now_unix_micros());
  record_.group_set = GroupSet(edit);
  vectors_.SetGroupSet(record_.group_set);

  CollectionState* next = edit.Mutable(collection_name_);
  if (old) {
    DeleteDocumentContent(*next, *old, &edit.batch());
    KillPassages(next, old->ranges);
    next->word_count -= old_words;
    --next->info.document_count;
    next->info.passage_count -= old->info.passage_count;
  }
  PutRecords(edit);
  AppendPassages(next, vectors_.rows());
  for (const PassageRange& range : record_.ranges) next->live.Add({range, record_.group_set});
  UpdateVersions(next, info.id, VersionOf(record_));
  next->word_count += word_count_;
  ++next->info.document_count;
  next->info.passage_count += info.passage_count;
  edit.Log({ChangeKind::kPut, collection_, key_, old ? old->revision_key : 0, info.id});
  *result = {0, info.revision, !old.has_value()};
  return OkStatus();
}

void StagedDocument::Discard() {
  if (committed_ || !staged_) return;
  KvBatch batch;
  // What cannot be discarded is left for the next open.
  if (!DiscardStaged(core_->kv.get(), {collection_, space_}, key_, &batch).ok()) return;
  (void)core_->kv->Write(batch, Durability::kBuffered);
}

}  // namespace

std::vector<Result<CommitResult>> CommitDocuments(StoreCore* core,
                                                  std::span<DocumentWriter* const> writers,
                                                  const Context& ctx) {
  std::vector<Result<CommitResult>> outcomes(writers.size(), Internal("not committed"));
  std::vector<CommitRequest> requests;
  std::vector<size_t> ready;  // which writers they are of
  for (size_t i = 0; i < writers.size(); ++i) {
    auto* writer = static_cast<StagedDocument*>(writers[i]);
    if (const Status prepared = writer->Prepare(ctx); !prepared.ok()) {
      outcomes[i] = prepared;
      continue;
    }
    ready.push_back(i);
    requests.push_back(writer->Request());
  }
  const auto commits = core->committer->CommitAll(std::move(requests));
  for (size_t i = 0; i < ready.size(); ++i) {
    outcomes[ready[i]] = static_cast<StagedDocument*>(writers[ready[i]])->Finish(commits[i]);
  }
  if (!ready.empty()) core->after_commit();
  return outcomes;
}

Result<std::unique_ptr<DocumentWriter>> StageDocument(StoreCore* core, std::string_view collection,
                                                      const DocumentInfo& info) {
  const auto view = core->committer->Current();
  ASSIGN_OR_RETURN(const auto state, FindCollection(*view, collection));
  RETURN_IF_ERROR(ValidateDocument(info));
  ASSIGN_OR_RETURN(const RevisionKey key, core->ids->Allocate(1));
  DocumentInfo fresh = info;
  fresh.revision = fresh.commit = fresh.passage_count = fresh.text_bytes = 0;
  return std::unique_ptr<DocumentWriter>(
      std::make_unique<StagedDocument>(core, *state, std::move(fresh), key));
}

}  // namespace vade
