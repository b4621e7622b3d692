// Ordered keys and values on disk: the part of RocksDB that the store uses, with our Status and no
// vendor types. Families are key spaces of one database with one log, so a batch over several is
// atomic.
//
// Thread rule: everything may be called from any thread, except that a KvBatch and a KvIterator
// belong to one thread at a time. Snapshots and iterators must be gone before their Kv.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/status.h"

namespace vade {

enum class Family : uint8_t {
  kMeta,
  kCatalog,
  kDocuments,
  kText,
  kPassages,
  kVectors,
  kStaged,
  kChanges,
  kPostings,
  kForward,
  kDead,
};
inline constexpr int kFamilyCount = 11;

class Kv;

class KvBatch {
 public:
  KvBatch();
  ~KvBatch();
  KvBatch(KvBatch&&) noexcept;
  KvBatch& operator=(KvBatch&&) noexcept;

  void Put(Family family, std::string_view key, std::string_view value);
  void Delete(Family family, std::string_view key);
  void DeleteRange(Family family, std::string_view begin, std::string_view end);  // [begin, end)
  // RollBack() forgets what was added since the last Mark().
  void Mark();
  void RollBack();
  void Clear();
  size_t bytes() const;
  bool empty() const;

 private:
  friend class Kv;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A fixed state of all families. Copies share it.
using KvSnapshot = std::shared_ptr<const void>;

// Walks the keys of [begin, end) in order. Check status() when Valid() has become false.
class KvIterator {
 public:
  ~KvIterator();
  bool Valid() const;
  void Next();
  void Seek(std::string_view key);  // to the first key that is not less; not below `begin`
  // To the last key that is not greater, which may lie before `begin`.
  void SeekBack(std::string_view key);
  std::string_view key() const;
  std::string_view value() const;
  Status status() const;

 private:
  friend class Kv;
  KvIterator();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct KvOptions {
  bool create_if_missing = true;
  uint64_t block_cache_bytes = 64ull << 20;
  bool compress = true;
  std::string file_system = {};  // StoreOptions::file_system
};

enum class Durability {
  kBuffered,  // survives the death of the process
  kSynced,    // on the disk, and everything written before with it
};

class Kv {
 public:
  // NOT_FOUND: no database there and create_if_missing is off. DATA_LOSS: damaged; the message
  // names the file.
  static Result<std::unique_ptr<Kv>> Open(const std::string& directory, const KvOptions& options);
  ~Kv();

  // `snapshot` null: the latest state.
  Result<std::optional<std::string>> Get(Family family, std::string_view key,
                                         const KvSnapshot& snapshot) const;
  std::unique_ptr<KvIterator> Scan(Family family, std::string_view begin, std::string_view end,
                                   const KvSnapshot& snapshot) const;
  // RESOURCE_EXHAUSTED when the disk is full: nothing of the batch is applied. The message says so
  // when the database must be opened anew before it can be written again.
  Status Write(const KvBatch& batch, Durability durability);
  KvSnapshot Snapshot() const;

  // --- for bytes to leave the files: they stay in older tables, and in the log, until both go
  // ------
  uint64_t Sequence() const;  // of the last write
  // Until no snapshot from before that write is held. UNAVAILABLE when one is held too long.
  Status WaitForReaders(uint64_t sequence, const Context& ctx) const;
  // All that is in memory goes to tables, and the log that it was in is removed.
  Status Flush();
  // Writes the tables with keys of [begin, end) anew, without what was deleted; "" and "": all.
  Status Compact(Family family, std::string_view begin, std::string_view end);
  // Until the tables that were replaced are removed: a long scan holds on to its own.
  Status WaitForOldFiles(const Context& ctx) const;

 private:
  Kv();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vade
