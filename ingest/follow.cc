#include "ingest/follow.h"

#include <algorithm>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "ingest/sources.h"

namespace vade {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRest(150);     // without a change
constexpr milliseconds kLongest(700);  // after the first one
// A wait for changes: short while some gather, and never too long for a cancellation.
constexpr milliseconds kRestless(50), kIdle(200);
constexpr milliseconds kFirstRetry(1000), kLastRetry(30000);
// More parts than that are looked at together.
constexpr size_t kMostParts = 2000;

Result<std::vector<std::string>> RootsOf(const std::vector<std::string>& paths) {
  std::vector<std::string> roots;
  for (const std::string& path : paths) {
    if (IsDirectory(path)) {
      ASSIGN_OR_RETURN(roots.emplace_back(), AbsolutePath(path));
      continue;
    }
    ASSIGN_OR_RETURN(const std::string above, AbsolutePath(ParentFolder(path)));
    roots.push_back(JoinPath(above, BaseName(path)));
  }
  return roots;
}

// Without those that lie below others.
std::vector<std::string> PartsOf(const FolderChanges& changes) {
  std::vector<std::string> parts;
  if (changes.all || changes.paths.size() > kMostParts) return parts;
  for (const std::string& path : changes.paths) {
    const bool covered = std::any_of(parts.rbegin(), parts.rend(), [&](const std::string& part) {
      return IsAtOrBelow(path, part);
    });
    if (!covered) parts.push_back(path);
  }
  return parts;
}

class Follower {
 public:
  Follower(const std::vector<std::string>& paths, std::vector<std::string> roots,
           const FollowOptions& options, const IngestParts& run, const FollowEvents& events)
      // Ids of several folders may meet; only a look at all of them shows that.
      : always_all_(paths.size() > 1 && options.source_root.empty()),
        watch_(std::move(roots), options.watch),
        clock_(options.clock),
        run_(run),
        events_(events),
        changes_(options.clock) {}

  Status Follow(const Context& ctx) {
    ASSIGN_OR_RETURN(const IngestReport first, run_({}));
    events_.ran(first);
    (void)TellLimitation();
    while (ctx.Check().ok()) {
      FolderChanges changes = watch_.Wait(changes_.gathering() ? kRestless : kIdle);
      // What changed while the watch gave up was seen by nobody.
      changes.all = TellLimitation() || changes.all;
      changes_.Add(std::move(changes));
      if (clock_->Steady() < not_before_) continue;
      if (auto due = changes_.Take()) Bring(*std::move(due), ctx);
    }
    return OkStatus();
  }

 private:
  void Bring(FolderChanges changes, const Context& ctx) {
    changes.all = changes.all || always_all_;
    const auto report = run_(PartsOf(changes));
    if (report.ok()) {
      retry_ = kFirstRetry;
      return events_.ran(*report);
    }
    if (!ctx.Check().ok()) return;
    events_.trouble(
        StrCat(report.status().message(), " (tried again in ", retry_.count() / 1000, " s)"));
    not_before_ = clock_->Steady() + retry_;
    retry_ = std::min(2 * retry_, kLastRetry);
    changes_.Add(std::move(changes));
  }

  // Whether there is a new one.
  bool TellLimitation() {
    if (watch_.limitation() == told_) return false;
    told_ = watch_.limitation();
    events_.trouble(told_);
    return true;
  }

  const bool always_all_;
  FolderWatch watch_;
  const Clock* const clock_;
  const IngestParts& run_;
  const FollowEvents& events_;
  Debouncer changes_;
  milliseconds retry_ = kFirstRetry;
  std::chrono::steady_clock::time_point not_before_{};
  std::string told_;
};

}  // namespace

void Debouncer::Add(FolderChanges changes) {
  if (changes.empty()) return;
  gathered_.all = gathered_.all || changes.all;
  gathered_.paths.merge(std::move(changes.paths));
  last_ = clock_->Steady();
  if (!first_) first_ = last_;
}

std::optional<FolderChanges> Debouncer::Take() {
  const auto now = clock_->Steady();
  if (!first_ || (now - *last_ < kRest && now - *first_ < kLongest)) return std::nullopt;
  first_ = last_ = std::nullopt;
  return std::exchange(gathered_, {});
}

Status FollowFolders(const std::vector<std::string>& paths, const FollowOptions& options,
                     const IngestParts& run, const FollowEvents& events, const Context& ctx) {
  ASSIGN_OR_RETURN(std::vector<std::string> roots, RootsOf(paths));
  const Status ended = Follower(paths, std::move(roots), options, run, events).Follow(ctx);
  // Its end is what the caller asked for.
  return ctx.Check().code() == StatusCode::kCancelled ? OkStatus() : ended;
}

}  // namespace vade
