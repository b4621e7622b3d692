#include "generator/kept_blocks.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace vade {

KeptBlocks::KeptBlocks(Decoder* decoder, uint64_t budget_bytes, BlockFiles* files)
    : decoder_(decoder),
      budget_bytes_(budget_bytes),
      files_(files),
      model_(StrCat(decoder->info().fingerprint, "-", decoder->info().kv_type, "-",
                    kernels::LevelName(kernels::Active().level))) {}

BlockKey KeptBlocks::PrefixKey(uint64_t content) {
  BlockKey key;
  key.content[0] = content;
  return key;
}

bool KeptBlocks::InMemory(const BlockKey& key) const {
  std::lock_guard lock(mutex_);
  return entries_.contains(key);
}

bool KeptBlocks::Has(const BlockKey& key) const {
  return InMemory(key) || (files_ != nullptr && files_->Has(model_, key));
}

std::optional<std::string> KeptBlocks::Load(const BlockKey& key, int tokens) const {
  if (files_ == nullptr) return std::nullopt;
  return files_->Load(model_, key, {tokens, decoder_->SavedBytes(tokens)});
}

// Frequency with aging, as in block_files.cc.
void KeptBlocks::Touch(Entry* entry) {
  ++entry->uses;
  entry->worth = removed_worth_ + static_cast<double>(entry->uses);
}

std::unique_ptr<Sequence> KeptBlocks::Fork(const BlockKey& key) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  Touch(&found->second);
  auto forked = decoder_->Fork(*found->second.sequence, found->second.place.end);
  return forked.ok() ? std::move(forked).value() : nullptr;
}

void KeptBlocks::Keep(const BlockKey& key, const Sequence& from, const Place& place) {
  const uint64_t bytes =
      static_cast<uint64_t>(place.end - place.begin) * decoder_->info().kv_bytes_per_token;
  std::lock_guard lock(mutex_);
  if (bytes > budget_bytes_ || entries_.contains(key)) return;
  if (files_ != nullptr && !files_->MayKeep(key, place.commit)) return;
  while (bytes_ + bytes > budget_bytes_ && !entries_.empty()) RemoveLeast();
  auto forked = decoder_->Fork(from, place.end);
  if (!forked.ok()) return;  // no page: it is read again
  Entry& entry = entries_[key];
  entry.sequence = std::move(forked).value();
  entry.place = place;
  entry.bytes = bytes;
  bytes_ += bytes;
  Touch(&entry);
  if (files_ != nullptr && !place.from_file) unsaved_.push_back(key);
}

bool KeptBlocks::SaveOne() {
  BlockKey key;
  Place place;
  std::unique_ptr<Sequence> sequence;
  {
    std::lock_guard lock(mutex_);
    while (!unsaved_.empty() && !entries_.contains(unsaved_.front())) unsaved_.pop_front();
    if (unsaved_.empty()) return false;
    key = unsaved_.front();
    unsaved_.pop_front();
    const Entry& entry = entries_[key];
    auto forked = decoder_->Fork(*entry.sequence, entry.place.end);
    if (!forked.ok()) return true;
    sequence = std::move(forked).value();
    place = entry.place;
  }
  std::vector<uint8_t> bytes(decoder_->SavedBytes(place.end - place.begin));
  if (decoder_->Save(*sequence, place.begin, place.end, bytes).ok())
    (void)files_->Save(model_, key, {place.end - place.begin, bytes, place.commit});
  return true;
}

void KeptBlocks::KeepPrefix(uint64_t content, const Sequence& from, int length) {
  if (files_ == nullptr || !files_->writes()) return;
  Keep(PrefixKey(content), from, {.begin = 0, .end = length, .commit = UINT64_MAX});
}

void KeptBlocks::Remove(Entries::iterator entry) {
  bytes_ -= entry->second.bytes;
  entries_.erase(entry);
}

void KeptBlocks::RemoveLeast() {
  const auto least = std::min_element(
      entries_.begin(), entries_.end(),
      [](const auto& a, const auto& b) { return a.second.worth < b.second.worth; });
  removed_worth_ = std::max(removed_worth_, least->second.worth);
  Remove(least);
}

bool KeptBlocks::Shrink() {
  std::lock_guard lock(mutex_);
  const size_t count = (entries_.size() + 3) / 4;
  for (size_t i = 0; i < count; ++i) RemoveLeast();
  return count > 0;
}

void KeptBlocks::Forget(uint32_t collection, const std::string& document_id) {
  std::lock_guard lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    const BlockKey& key = it->first;
    const auto next = std::next(it);
    const bool named =
        key.collection == collection && (document_id.empty() || key.document_id == document_id);
    if (named) Remove(it);
    it = next;
  }
}

void KeptBlocks::Clear() {
  std::lock_guard lock(mutex_);
  entries_.clear();
  unsaved_.clear();
  bytes_ = 0;
}

uint64_t KeptBlocks::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

size_t KeptBlocks::unsaved() const {
  std::lock_guard lock(mutex_);
  return unsaved_.size();
}

size_t KeptBlocks::blocks() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace vade
