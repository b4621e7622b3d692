// Reading a collection whole, in the state of one view: for exports.
#include "base/unicode.h"
#include "index/core.h"

namespace vade {
namespace {

constexpr uint64_t kTextBytes = 256 << 10;
constexpr size_t kPassages = 256;

class ViewReader : public CollectionReader {
 public:
  ViewReader(const Kv& kv, std::shared_ptr<const View> view,
             std::shared_ptr<const CollectionState> state)
      : kv_(kv),
        view_(std::move(view)),
        state_(std::move(state)),
        prefix_(FamilyPrefix(state_->id, 'd')),
        documents_(kv.Scan(Family::kDocuments, prefix_, PrefixEnd(prefix_), view_->snapshot)) {}

  const CollectionInfo& info() const override { return state_->info; }
  uint64_t commit() const override { return view_->commit; }
  Result<std::optional<DocumentInfo>> NextDocument() override;
  Result<std::string> Tables() override;
  Result<std::string> NextText() override;
  Result<std::vector<Passage>> NextPassages(std::vector<float>* vectors) override;

 private:
  Result<Passage> ReadPassage(PassageId id) const;
  Status AppendVector(PassageId id, std::vector<float>* vectors) const;

  const Kv& kv_;
  const std::shared_ptr<const View> view_;
  const std::shared_ptr<const CollectionState> state_;
  const std::string prefix_;
  const std::unique_ptr<KvIterator> documents_;
  // Of the document at hand:
  DocumentRecord record_;
  std::optional<TextReader> text_;
  uint64_t text_read_ = 0;
  size_t range_ = 0;    // of record_.ranges
  uint64_t taken_ = 0;  // passages of that range
};

Result<std::optional<DocumentInfo>> ViewReader::NextDocument() {
  RETURN_IF_ERROR(documents_->status());
  if (!documents_->Valid()) return std::optional<DocumentInfo>();
  ASSIGN_OR_RETURN(record_,
                   DecodeDocument(documents_->key().substr(prefix_.size()), documents_->value()));
  documents_->Next();
  text_.emplace(kv_, view_->snapshot, state_->id, record_.revision_key);
  text_read_ = taken_ = 0;
  range_ = 0;
  return std::optional<DocumentInfo>(record_.info);
}

// As the view has them: they were put by the write that made the document current.
Result<std::string> ViewReader::Tables() {
  const std::string key = NoteKey(state_->id, TablesNoteKey(record_.info.id));
  ASSIGN_OR_RETURN(auto tables, kv_.Get(Family::kDocuments, key, view_->snapshot));
  return tables ? std::move(*tables) : std::string();
}

Result<std::string> ViewReader::NextText() {
  const uint64_t left = record_.info.text_bytes - text_read_;
  if (left == 0) return std::string();
  ASSIGN_OR_RETURN(std::string text, text_->Read(text_read_, std::min(left, kTextBytes)));
  if (left > kTextBytes) text.resize(CompletePrefix(text));
  if (text.empty()) return Damaged("text of a document");
  text_read_ += text.size();
  return text;
}

Result<Passage> ViewReader::ReadPassage(PassageId id) const {
  ASSIGN_OR_RETURN(const auto bytes,
                   kv_.Get(Family::kPassages, PassageKey(state_->id, id), view_->snapshot));
  if (!bytes) return Damaged("passage record");
  ASSIGN_OR_RETURN(PassageRecord record, DecodePassage(*bytes));
  return PassageOf(id, record_.info.id, std::move(record), "");
}

Status ViewReader::AppendVector(PassageId id, std::vector<float>* vectors) const {
  ASSIGN_OR_RETURN(const bool found, AppendVectorOf(kv_, view_->snapshot, *state_, id, vectors));
  return found ? OkStatus() : Damaged("vector of a passage");
}

Result<std::vector<Passage>> ViewReader::NextPassages(std::vector<float>* vectors) {
  std::vector<Passage> passages;
  vectors->clear();
  while (passages.size() < kPassages && range_ < record_.ranges.size()) {
    const PassageRange& range = record_.ranges[range_];
    if (taken_ == range.count) {
      ++range_;
      taken_ = 0;
      continue;
    }
    const PassageId id = range.first + taken_++;
    ASSIGN_OR_RETURN(Passage passage, ReadPassage(id));
    passages.push_back(std::move(passage));
    RETURN_IF_ERROR(AppendVector(id, vectors));
  }
  return passages;
}

}  // namespace

Result<std::unique_ptr<CollectionReader>> ReadCollectionOf(const StoreCore& core,
                                                           std::string_view collection) {
  const auto view = core.committer->Current();
  ASSIGN_OR_RETURN(auto state, FindCollection(*view, collection));
  return std::unique_ptr<CollectionReader>(
      std::make_unique<ViewReader>(*core.kv, view, std::move(state)));
}

}  // namespace vade
