#include "ingest/near_documents.h"

#include <set>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/strings.h"

namespace vade {
namespace {

// Kinds of notes: a document's sketch; a document by one band of its sketch.
constexpr char kSketch = 's', kBand = 'b';
constexpr char kPresent[] = "\1";
// Documents that are looked at for one band: many share one only where they are all alike.
constexpr int kMostInBand = 64;

std::string SketchKey(std::string_view id) { return StrCat(kSketch, id); }

std::string BandPrefix(size_t band, uint64_t hash) {
  std::string key(1, kBand);
  key.push_back(static_cast<char>(band));
  AppendKey64(&key, hash);
  return key;
}

void AddBands(const Sketch& sketch, std::string_view id, std::string_view value,
              std::vector<StoreNote>* notes) {
  const auto bands = BandsOf(sketch);
  for (size_t i = 0; i < bands.size(); ++i) {
    notes->push_back({BandPrefix(i, bands[i]).append(id), std::string(value)});
  }
}

}  // namespace

Result<std::optional<NearDocuments::Kept>> NearDocuments::Find(
    const std::string& document_id) const {
  ASSIGN_OR_RETURN(const auto value, store_->GetNote(collection_, SketchKey(document_id)));
  if (!value) return std::optional<Kept>();
  Kept kept;
  ByteReader in(*value);
  std::string_view hash;
  // One that does not parse is none.
  if (!in.ReadString(&hash) || !in.Read(&kept.sketch) || in.remaining() > 0) {
    return std::optional<Kept>();
  }
  kept.content_hash = hash;
  return std::optional<Kept>(std::move(kept));
}

Status NearDocuments::AddNotes(const std::string& document_id, std::string_view content_hash,
                               const std::optional<Sketch>& sketch,
                               std::vector<StoreNote>* notes) const {
  ASSIGN_OR_RETURN(const auto before, Find(document_id));
  if (!before && !sketch) return OkStatus();
  if (before) AddBands(before->sketch, document_id, "", notes);
  StoreNote own{SketchKey(document_id), ""};
  if (sketch) {
    AppendString(&own.value, content_hash);
    AppendFixed(&own.value, *sketch);
    AddBands(*sketch, document_id, kPresent, notes);
  }
  notes->push_back(std::move(own));
  return OkStatus();
}

Status NearDocuments::Forget(std::span<const std::string> document_ids) {
  for (const std::string& id : document_ids) {
    std::vector<StoreNote> notes;
    RETURN_IF_ERROR(AddNotes(id, "", std::nullopt, &notes));
    std::vector<std::string> keys;
    for (StoreNote& note : notes) keys.push_back(std::move(note.key));
    RETURN_IF_ERROR(store_->RemoveNotesOf(collection_, id, keys));
  }
  return OkStatus();
}

Result<std::optional<NearDocument>> NearDocuments::Nearest(const std::string& document_id) const {
  ASSIGN_OR_RETURN(const auto own, Find(document_id));
  if (!own) return std::optional<NearDocument>();
  return NearestTo(own->sketch, own->content_hash, document_id);
}

Result<std::optional<NearDocument>> NearDocuments::NearestTo(const Sketch& sketch,
                                                             std::string_view content_hash,
                                                             const std::string& document_id) const {
  std::optional<NearDocument> nearest;
  std::set<std::string> seen = {document_id};
  const auto bands = BandsOf(sketch);
  for (size_t i = 0; i < bands.size(); ++i) {
    const std::string prefix = BandPrefix(i, bands[i]);
    ASSIGN_OR_RETURN(const auto notes, store_->ListNotes(collection_, prefix, "", kMostInBand));
    for (const StoreNote& note : notes) {
      const std::string id = note.key.substr(prefix.size());
      if (!seen.insert(id).second) continue;
      ASSIGN_OR_RETURN(const auto other, Find(id));
      if (!other || other->content_hash == content_hash) continue;
      const double likeness = Likeness(sketch, other->sketch);
      if (likeness < kNear || (nearest && nearest->likeness >= likeness)) continue;
      ASSIGN_OR_RETURN(const auto info, store_->FindDocument(collection_, id));
      // What is kept of a document goes a moment after it.
      if (info && info->content_hash == other->content_hash) nearest = NearDocument{id, likeness};
    }
  }
  return nearest;
}

}  // namespace vade
