#include "generator/prefix_cache.h"

#include <algorithm>

namespace vade {

std::list<PrefixCache::Entry>::iterator PrefixCache::Find(const Tokens& prefix) {
  return std::find_if(entries_.begin(), entries_.end(),
                      [&](const Entry& entry) { return entry.prefix == prefix; });
}

std::unique_ptr<Sequence> PrefixCache::Fork(const Tokens& prefix) {
  const auto found = Find(prefix);
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  auto forked = decoder_->Fork(*found->sequence, static_cast<int>(prefix.size()));
  return forked.ok() ? std::move(forked).value() : nullptr;
}

void PrefixCache::Keep(const Tokens& prefix, const Sequence& from) {
  if (capacity_ == 0 || prefix.empty() || Find(prefix) != entries_.end()) return;
  auto forked = decoder_->Fork(from, static_cast<int>(prefix.size()));
  if (!forked.ok()) return;
  entries_.push_front({prefix, std::move(forked).value()});
  if (entries_.size() > capacity_) entries_.pop_back();
}

bool PrefixCache::Clear() {
  const bool any = !entries_.empty();
  entries_.clear();
  return any;
}

}  // namespace vade
