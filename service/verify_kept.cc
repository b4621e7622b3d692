#include "service/verify_kept.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace vade {
namespace {

// Passages of the documents that are asked about; the files of one document follow each other.
class CurrentPassages {
 public:
  static Result<CurrentPassages> Of(Store* store) {
    CurrentPassages current(store);
    ASSIGN_OR_RETURN(const auto collections, store->ListCollections());
    for (const CollectionInfo& info : collections) current.names_[info.id] = info.name;
    return current;
  }

  Result<bool> Has(const BlockKey& key) {
    const auto name = names_.find(key.collection);
    if (name == names_.end()) return false;
    if (document_ != std::pair(key.collection, key.document_id)) {
      document_.reset();
      passages_.clear();
      auto found = store_->GetPassages(name->second, key.document_id, nullptr);
      if (!found.ok() && found.status().code() != StatusCode::kNotFound) return found.status();
      if (found.ok()) {
        for (const Passage& passage : *found) passages_.insert(passage.id);
      }
      document_ = {key.collection, key.document_id};
    }
    return passages_.contains(key.passage_id);
  }

 private:
  explicit CurrentPassages(Store* store) : store_(store) {}

  Store* store_;
  std::map<uint32_t, std::string> names_;
  std::optional<std::pair<uint32_t, std::string>> document_;
  std::set<PassageId> passages_;  // of document_
};

}  // namespace

Result<KeptFilesReport> VerifyKept(Store* store, BlockFiles* files, BlockFiles::Repair repair,
                                   const Context& ctx) {
  ASSIGN_OR_RETURN(CurrentPassages current, CurrentPassages::Of(store));
  return files->Verify([&](const BlockKey& key) { return current.Has(key); }, repair, ctx);
}

}  // namespace vade
