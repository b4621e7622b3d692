#include "generator/kept_turns.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "model/backend.h"

namespace vade {
namespace {

size_t CommonLength(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto [end, ignored] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(end - a.begin());
}

// Of whole pages, the one where somebody else's tokens end included: it is copied.
uint64_t PageTokens(size_t shared, size_t all) {
  const size_t page = kPageTokens;
  return ((all + page - 1) / page - shared / page) * page;
}

}  // namespace

std::string AudienceOf(std::vector<std::string> groups) {
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  std::string audience;
  for (const std::string& group : groups) audience += StrCat(group.size(), ":", group);
  return audience;
}

void KeptTurns::Keep(const Place& place, std::span<const int32_t> tokens, const Sequence& from) {
  if (keep_for_.count() == 0) return;
  const TurnsOf of{place.block.collection, place.audience};
  const uint64_t bytes =
      PageTokens(place.shared, tokens.size()) * decoder_->info().kv_bytes_per_token;
  if (bytes > budget_bytes_) return;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const bool same = it->of == of;
    const size_t common = same ? CommonLength(it->tokens, tokens) : 0;
    if (same && common == tokens.size()) {  // it, or more, is kept
      it->used = Clock::now();
      entries_.splice(entries_.begin(), entries_, it);
      return;
    }
    it = same && common == it->tokens.size() ? Remove(it) : std::next(it);
  }
  auto forked = decoder_->Fork(from, static_cast<int>(tokens.size()));
  if (!forked.ok()) return;  // no page: it is read again
  while (bytes_ + bytes > budget_bytes_ && DropOldest()) {
  }
  entries_.push_front({place.block, of, Tokens(tokens.begin(), tokens.end()),
                       std::move(forked).value(), bytes, Clock::now()});
  bytes_ += bytes;
}

std::unique_ptr<Sequence> KeptTurns::Fork(const TurnsOf& of, std::span<const int32_t> tokens,
                                          size_t least, size_t most) {
  size_t longest = least;
  auto best = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->of != of) continue;
    const size_t common = std::min(CommonLength(it->tokens, tokens), most);
    if (common <= longest) continue;
    longest = common;
    best = it;
  }
  if (best == entries_.end()) return nullptr;
  auto forked = decoder_->Fork(*best->sequence, static_cast<int>(longest));
  if (!forked.ok()) return nullptr;
  best->used = Clock::now();
  entries_.splice(entries_.begin(), entries_, best);
  return std::move(forked).value();
}

KeptTurns::Entries::iterator KeptTurns::Remove(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  return entries_.erase(entry);
}

bool KeptTurns::DropOldest() {
  if (entries_.empty()) return false;
  Remove(std::prev(entries_.end()));
  return true;
}

void KeptTurns::DropBehind(const BlockKey& block) {
  for (auto it = entries_.begin(); it != entries_.end();)
    it = it->block == block ? Remove(it) : std::next(it);
}

void KeptTurns::Clear() {
  entries_.clear();
  bytes_ = 0;
}

std::optional<KeptTurns::Clock::duration> KeptTurns::Expire() {
  const auto now = Clock::now();
  while (!entries_.empty() && entries_.back().used + keep_for_ <= now) DropOldest();
  if (entries_.empty()) return std::nullopt;
  return entries_.back().used + keep_for_ - now;
}

}  // namespace vade
