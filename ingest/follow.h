// Keeps a collection in step with folders: everything once, then what changes, as it changes.
//
//   FollowFolders({"docs/"}, {.clock = &SystemClock()}, run, told, ctx);
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/context.h"
#include "base/status.h"
#include "ingest/folder_watch.h"
#include "ingest/ingest.h"

namespace vade {

// Gathers changes until they have come to rest, so that a file that is written in several steps, or
// a folder that is unpacked, is read once.
class Debouncer {
 public:
  explicit Debouncer(const Clock* clock) : clock_(clock) {}

  void Add(FolderChanges changes);
  // What has gathered, once nothing has come for a while, or it has waited long enough.
  std::optional<FolderChanges> Take();
  bool gathering() const { return first_.has_value(); }

 private:
  const Clock* const clock_;
  FolderChanges gathered_;
  std::optional<std::chrono::steady_clock::time_point> first_, last_;
};

struct FollowOptions {
  const Clock* clock = &SystemClock();
  std::string source_root;  // as in IngestOptions
  FolderWatchOptions watch;
};

// A run of ingestion, with prune, over these parts of the paths; none: over all of them.
using IngestParts = std::function<Result<IngestReport>(const std::vector<std::string>& only)>;

struct FollowEvents {
  std::function<void(const IngestReport&)> ran;     // after every run
  std::function<void(const std::string&)> trouble;  // one line: what, and the remedy
};

// Until `ctx` ends, then OK. An error: the first run failed. A later one that fails (the service is
// away, the disk is full) is told and repeated until it succeeds.
Status FollowFolders(const std::vector<std::string>& paths, const FollowOptions& options,
                     const IngestParts& run, const FollowEvents& events, const Context& ctx);

}  // namespace vade
