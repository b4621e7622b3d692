#include "service/query_gate.h"

#include <algorithm>

namespace vade {
namespace {

// How long after the last question another one is expected.
constexpr std::chrono::seconds kExpected(2);
// Then this many passages at once, which take some tens of milliseconds, ...
constexpr size_t kPassagesBetween = 2;
// ... after a wait of at most this.
constexpr std::chrono::milliseconds kPatience(250);

}  // namespace

void QueryGate::Enter() {
  const std::lock_guard lock(mutex_);
  ++at_work_;
}

void QueryGate::Leave() {
  const std::lock_guard lock(mutex_);
  last_ = std::chrono::steady_clock::now();
  if (--at_work_ == 0) none_.notify_all();
}

bool QueryGate::AreAbout() const {
  const std::lock_guard lock(mutex_);
  return at_work_ > 0 || std::chrono::steady_clock::now() - last_ < kExpected;
}

void QueryGate::AwaitNone(std::chrono::milliseconds patience) const {
  std::unique_lock lock(mutex_);
  none_.wait_for(lock, patience, [&] { return at_work_ == 0; });
}

Result<std::vector<float>> PoliteEmbedder::Embed(std::span<const std::string_view> texts,
                                                 EmbedRole role, const Context& ctx) {
  if (role != EmbedRole::kPassage) return embedder_->Embed(texts, role, ctx);
  std::vector<float> all;
  all.reserve(texts.size() * static_cast<size_t>(dimension()));
  while (!texts.empty()) {
    gate_->AwaitNone(kPatience);
    const size_t some = gate_->AreAbout() ? std::min(kPassagesBetween, texts.size()) : texts.size();
    ASSIGN_OR_RETURN(const auto vectors, embedder_->Embed(texts.first(some), role, ctx));
    all.insert(all.end(), vectors.begin(), vectors.end());
    texts = texts.subspan(some);
  }
  return all;
}

}  // namespace vade
