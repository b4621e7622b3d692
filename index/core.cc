#include "index/core.h"

#include "base/bytes.h"
#include "base/strings.h"
#include "index/term_entries.h"
#include "kernels/kernels.h"

namespace vade {
namespace {
constexpr uint64_t kReserveIds = 4096;
// RocksDB reads slow down with many range deletions, so only what is long is deleted as a range.
constexpr uint64_t kRangeAbove = 64;

// `prefix`: the collection, or for vectors the space.
void DeletePassages(Family family, uint32_t prefix, const PassageRange& range, KvBatch* batch) {
  if (range.count > kRangeAbove) {
    batch->DeleteRange(family, PassageKey(prefix, range.first),
                       PassageKey(prefix, range.first + range.count));
    return;
  }
  for (uint64_t i = 0; i < range.count; ++i) {
    batch->Delete(family, PassageKey(prefix, range.first + i));
  }
}

void DeleteText(CollectionId c, RevisionKey r, uint64_t text_bytes, KvBatch* batch) {
  const uint64_t pieces = (text_bytes + kTextPieceBytes - 1) / kTextPieceBytes;
  if (pieces > kRangeAbove) {
    batch->DeleteRange(Family::kText, TextKey(c, r, 0), TextKey(c, r + 1, 0));
    return;
  }
  for (uint64_t i = 0; i < pieces; ++i) {
    batch->Delete(Family::kText, TextKey(c, r, static_cast<uint32_t>(i)));
  }
}
}  // namespace

Result<uint64_t> IdAllocator::Allocate(uint64_t count) {
  std::lock_guard lock(mutex_);
  if (count > reserved_ - next_) {
    // Needs no wait for the disk: the log keeps its order, so nothing that uses these numbers can
    // outlive this record.
    std::string value;
    AppendFixed<uint64_t>(&value, next_ + count + kReserveIds);
    KvBatch batch;
    batch.Put(Family::kMeta, "next_id", value);
    RETURN_IF_ERROR(kv_->Write(batch, Durability::kBuffered));
    reserved_ = next_ + count + kReserveIds;
  }
  const uint64_t first = next_;
  next_ += count;
  return first;
}

std::string StoreCore::DatabaseDirectory() const { return JoinPath(directory, "db"); }

std::string StoreCore::SegmentDirectory(SpaceId space) const {
  return JoinPath(JoinPath(directory, "vectors"), StrCat(space));
}

std::string StoreCore::SegmentPath(SpaceId space, uint64_t number) const {
  return JoinPath(SegmentDirectory(space), StrCat(number, ".seg"));
}

SegmentOwner StoreCore::OwnerOf(const CollectionState& state, uint64_t commit) const {
  return {.store_id = store_id,
          .space = state.space,
          .dimension = static_cast<uint32_t>(state.info.dimension),
          .commit = commit};
}

Status NoCollection(std::string_view name) {
  return NotFound(StrCat("collection '", name, "' does not exist; create it or check the name"));
}

Result<std::shared_ptr<const CollectionState>> FindCollection(const View& view,
                                                              std::string_view name) {
  const auto found = view.collections.find(name);
  if (found == view.collections.end()) return NoCollection(name);
  return found->second;
}

std::vector<SpaceId> SpacesOf(const CollectionState& state) {
  std::vector<SpaceId> spaces = {state.space};
  if (state.next_space) spaces.push_back(state.next_space->space);
  return spaces;
}

std::set<SpaceId> SpacesOf(const View& view) {
  std::set<SpaceId> all;
  for (const auto& [name, state] : view.collections) {
    const std::vector<SpaceId> spaces = SpacesOf(*state);
    all.insert(spaces.begin(), spaces.end());
  }
  return all;
}

void DeleteSpace(SpaceId space, KvBatch* batch) {
  batch->DeleteRange(Family::kVectors, CollectionPrefix(space), CollectionPrefix(space + 1));
  batch->Put(Family::kMeta, GoneKey(space, 0), EncodeRanges({}));
}

void DeleteDocumentContent(const CollectionState& state, const DocumentRecord& record,
                           KvBatch* batch) {
  const CollectionId c = state.id;
  const DocumentInfo& info = record.info;
  batch->Delete(Family::kDocuments, DocumentKey(c, info.id));
  batch->Delete(Family::kDocuments, HashKey(c, info.content_hash, info.id));
  batch->Delete(Family::kDocuments, RevisionRecordKey(c, record.revision_key));
  if (VersionOf(record)) batch->Delete(Family::kDocuments, VersionKey(c, info.id));
  DeleteText(c, record.revision_key, info.text_bytes, batch);
  for (const PassageRange& range : record.ranges) {
    DeletePassages(Family::kPassages, c, range, batch);
    for (SpaceId space : SpacesOf(state)) DeletePassages(Family::kVectors, space, range, batch);
  }
  batch->Put(Family::kMeta, GoneKey(c, record.revision_key), EncodeRanges(record.ranges));
  if (record.ranges.empty()) return;
  batch->Put(Family::kDead, DeadKey(c, record.revision_key), EncodeRanges(record.ranges));
}

Result<bool> AppendVectorOf(const Kv& kv, const KvSnapshot& snapshot, const CollectionState& state,
                            PassageId id, std::vector<float>* vectors) {
  ASSIGN_OR_RETURN(const auto bytes,
                   kv.Get(Family::kVectors, PassageKey(state.space, id), snapshot));
  const auto dimension = static_cast<size_t>(state.info.dimension);
  if (!bytes || bytes->size() != dimension * sizeof(uint16_t)) return false;
  const size_t at = vectors->size();
  vectors->resize(at + dimension);
  kernels::Active().vector.from_kv(kernels::KvType::kF16, bytes->data(), dimension,
                                   vectors->data() + at);
  return true;
}

CollectionId TakeCollectionNumber(StoreCore* core, KvBatch* batch) {
  const CollectionId number = core->next_collection++;
  std::string next;
  AppendFixed<uint32_t>(&next, number + 1);
  batch->Put(Family::kMeta, "next_collection", next);
  return number;
}

Result<uint64_t> CountWords(const Kv& kv, CollectionId c, RevisionKey r) {
  ASSIGN_OR_RETURN(const auto bytes, kv.Get(Family::kDocuments, RevisionRecordKey(c, r), nullptr));
  if (!bytes) return uint64_t{0};  // nor was it counted at open
  ASSIGN_OR_RETURN(const RevisionRecord record, DecodeRevision(*bytes));
  return record.words.value_or(0);
}

Status DiscardStaged(Kv* kv, const StagedPlace& place, RevisionKey r, KvBatch* batch) {
  const CollectionId c = place.collection;
  RETURN_IF_ERROR(DiscardStagedTerms(kv, c, r));
  std::vector<PassageRange> passages;
  const auto scan = kv->Scan(Family::kStaged, StagedKey(r, 0), StagedKey(r + 1, 0), nullptr);
  for (; scan->Valid(); scan->Next()) {
    ASSIGN_OR_RETURN(const StagedNote note, DecodeStaged(scan->key(), scan->value()));
    batch->Delete(Family::kStaged, scan->key());
    if (note.passages.first == 0) continue;
    DeletePassages(Family::kPassages, c, note.passages, batch);
    DeletePassages(Family::kVectors, place.space, note.passages, batch);
    passages.push_back(note.passages);
  }
  RETURN_IF_ERROR(scan->status());
  batch->Put(Family::kMeta, GoneKey(c, r), EncodeRanges(passages));
  // How much text there is was not written down.
  const auto text = kv->Scan(Family::kText, TextKey(c, r, 0), TextKey(c, r + 1, 0), nullptr);
  uint64_t pieces = 0;
  for (; text->Valid() && pieces <= kRangeAbove; text->Next()) ++pieces;
  RETURN_IF_ERROR(text->status());
  DeleteText(c, r, pieces * kTextPieceBytes, batch);
  return OkStatus();
}

Status TextReader::Load(uint64_t piece) {
  if (piece == loaded_) return OkStatus();
  if (piece > UINT32_MAX) return OutOfRange("a text range begins beyond the longest text");
  ASSIGN_OR_RETURN(
      auto bytes,
      kv_.Get(Family::kText, TextKey(collection_, revision_, static_cast<uint32_t>(piece)),
              snapshot_));
  if (!bytes) return DataLoss("a piece of a document's text is missing; run vade verify");
  piece_ = std::move(*bytes);
  loaded_ = piece;
  return OkStatus();
}

Result<std::string> TextReader::Read(uint64_t begin, uint64_t length) {
  std::string text;
  while (length > 0) {
    RETURN_IF_ERROR(Load(begin / kTextPieceBytes));
    const uint64_t offset = begin % kTextPieceBytes;
    if (offset >= piece_.size()) return DataLoss("a document's text is too short; run vade verify");
    const uint64_t take = std::min<uint64_t>(length, piece_.size() - offset);
    text.append(piece_, offset, take);
    begin += take;
    length -= take;
    if (length > 0 && begin % kTextPieceBytes != 0) {
      return DataLoss("a document's text is too short; run vade verify");
    }
  }
  return text;
}

Result<std::optional<DocumentRecord>> ReadDocument(const Kv& kv, const KvSnapshot& snapshot,
                                                   CollectionId c, std::string_view document_id) {
  ASSIGN_OR_RETURN(auto bytes, kv.Get(Family::kDocuments, DocumentKey(c, document_id), snapshot));
  if (!bytes) return std::optional<DocumentRecord>();
  ASSIGN_OR_RETURN(DocumentRecord record, DecodeDocument(document_id, *bytes));
  return std::optional<DocumentRecord>(std::move(record));
}

}  // namespace vade
