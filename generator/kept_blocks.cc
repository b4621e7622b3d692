#include "generator/kept_blocks.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace vade {

namespace {

constexpr uint64_t kTurnsShare = 4;  // of the budget

}  // namespace

KeptBlocks::KeptBlocks(Decoder* decoder, uint64_t budget_bytes, BlockFiles* files,
                       std::chrono::milliseconds turns_kept_for)
    : decoder_(decoder),
      budget_bytes_(budget_bytes),
      files_(files),
      model_(StrCat(decoder->info().fingerprint, "-", decoder->info().kv_type, "-",
                    kernels::LevelName(kernels::Active().level))),
      turns_(decoder, budget_bytes / kTurnsShare, turns_kept_for) {}

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
  const auto too_much = [&] { return bytes_ + turns_.bytes() + bytes > budget_bytes_; };
  while (too_much() && !entries_.empty()) RemoveLeast();
  while (too_much() && turns_.DropOldest()) {
  }
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

void KeptBlocks::KeepTurns(const BlockKey& key, std::span<const int32_t> tokens,
                           const TurnPlace& place, const Sequence& from) {
  std::lock_guard lock(mutex_);
  if (key.collection == 0) return;
  if (files_ != nullptr && place.asker.commit < files_->newest_forgotten()) return;
  const bool shares_block = key.passage_id != 0 && entries_.contains(key);
  const size_t shared = shares_block ? place.block_end : place.prefix_tokens;
  turns_.Keep({.block = key, .audience = place.asker.audience, .shared = shared}, tokens, from);
  const auto too_much = [&] { return bytes_ + turns_.bytes() > budget_bytes_; };
  while (place.asker.conversation && too_much() && !entries_.empty()) RemoveLeast();
  while (too_much() && turns_.DropOldest()) {
  }
}

std::unique_ptr<Sequence> KeptBlocks::ForkTurns(const BlockKey& key, const std::string& audience,
                                                std::span<const int32_t> tokens, size_t least,
                                                size_t most) {
  std::lock_guard lock(mutex_);
  turns_.Expire();
  auto forked = turns_.Fork({key.collection, audience}, tokens, least, most);
  const auto block = entries_.find(key);
  if (forked && block != entries_.end()) Touch(&block->second);
  return forked;
}

std::optional<KeptTurns::Clock::duration> KeptBlocks::ExpireTurns() {
  std::lock_guard lock(mutex_);
  return turns_.Expire();
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
  turns_.DropBehind(entry->first);
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
  if (turns_.size() > 0) {
    turns_.Clear();
    return true;
  }
  const size_t count = (entries_.size() + 3) / 4;
  for (size_t i = 0; i < count; ++i) RemoveLeast();
  return count > 0;
}

void KeptBlocks::Forget(uint32_t collection, const std::string& document_id) {
  std::lock_guard lock(mutex_);
  turns_.Clear();
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
  turns_.Clear();
  entries_.clear();
  unsaved_.clear();
  bytes_ = 0;
}

uint64_t KeptBlocks::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

uint64_t KeptBlocks::turn_bytes() const {
  std::lock_guard lock(mutex_);
  return turns_.bytes();
}

size_t KeptBlocks::turns() const {
  std::lock_guard lock(mutex_);
  return turns_.size();
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
