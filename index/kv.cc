#include "index/kv.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr std::array<std::string_view, kFamilyCount> kFamilyNames = {
    "default", "catalog", "documents", "text",    "passages", "vectors",
    "staged",  "changes", "postings",  "forward", "dead"};

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
std::string_view ToView(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

bool OutOfSpace(const rocksdb::Status& s) {
  if (s.IsNoSpace()) return true;
  const std::string text = s.ToString();
  return s.IsIOError() && (text.find("No space left") != std::string::npos ||
                           text.find("File too large") != std::string::npos ||
                           text.find("Disk quota exceeded") != std::string::npos);
}

Status NoRoom(StatusCode code, std::string_view what) {
  return {code,
          StrCat(what, "; nothing of this write was applied: free some disk space and repeat it")};
}

// The one place where RocksDB's outcomes become ours.
Status FromRocks(const rocksdb::Status& s, const std::string& directory) {
  if (s.ok()) return OkStatus();
  const std::string what = StrCat("store ", directory, ": ", s.ToString());
  if (OutOfSpace(s)) {
    return NoRoom(StatusCode::kResourceExhausted, what);
  }
  if (s.IsCorruption()) {
    return DataLoss(StrCat(what,
                           "; the named file is damaged: restore the directory from a copy or "
                           "ingest the documents into a new one"));
  }
  if (s.IsNotFound()) return NotFound(what);
  if (s.IsBusy() || s.IsTryAgain() || s.IsTimedOut()) return Unavailable(what);
  // A missing table file is reported as an I/O error: the data is gone, not the disk.
  if (s.IsIOError() && s.ToString().find("No such file") != std::string::npos) {
    return DataLoss(StrCat(what, "; a file of the database is missing: restore it from a copy"));
  }
  if (s.IsIOError()) {
    return Internal(StrCat(
        what, "; the disk or its file system refuses: see the system log, and mend it first"));
  }
  return Internal(what);
}

bool IsFatal(const rocksdb::Status& s) { return s.severity() >= rocksdb::Status::kFatalError; }

// After an error RocksDB refuses writes until it is told that the cause may be gone. How bad the
// error was it tells only here: the write that met it returns the bare outcome.
class Failures : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    stopped = true;
    if (error && IsFatal(*error)) fatal = true;
  }
  // Its own recovery looks for space every five seconds and lets nobody else try; the next write
  // tries at once.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
  std::atomic<bool> stopped{false};
  std::atomic<bool> fatal{false};
};

rocksdb::CompressionType BestCompression() {
  const auto supported = rocksdb::GetSupportedCompressions();
  for (auto type : {rocksdb::kZSTD, rocksdb::kLZ4Compression, rocksdb::kSnappyCompression}) {
    if (std::find(supported.begin(), supported.end(), type) != supported.end()) return type;
  }
  return rocksdb::kNoCompression;
}

// RocksDB's own log is no file beside the data: with assertions on, as distributions build it, the
// library ends the process when it writes to such a file again that a full disk had refused.
class MessageLog : public rocksdb::Logger {
 public:
  MessageLog() : Logger(rocksdb::WARN_LEVEL) {}
  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    char line[1024];
    if (std::vsnprintf(line, sizeof(line), format, arguments) > 0)
      LogDebug(StrCat("rocksdb: ", line));
  }
};

rocksdb::DBOptions DatabaseOptions(const KvOptions& options) {
  rocksdb::DBOptions db;
  db.create_if_missing = options.create_if_missing;
  db.create_missing_column_families = true;
  db.db_write_buffer_size = 32 << 20;
  db.max_total_wal_size = 64 << 20;
  db.max_open_files = 512;
  db.max_background_jobs = 2;
  db.info_log = std::make_shared<MessageLog>();
  db.info_log_level = rocksdb::WARN_LEVEL;
  db.stats_dump_period_sec = 0;
  db.bytes_per_sync = 1 << 20;
  // The list of tables names their first and last keys. With each change it is begun anew, a few
  // dozen kilobytes, so that it names no table that is gone.
  db.max_manifest_file_size = 1;
  return db;
}

rocksdb::ColumnFamilyOptions FamilyOptions(std::string_view name,
                                           const std::shared_ptr<rocksdb::Cache>& cache,
                                           const KvOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_size = 8 << 10;
  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.write_buffer_size = 16 << 20;
  // Float16 vectors do not compress.
  family.compression =
      name == "vectors" || !options.compress ? rocksdb::kNoCompression : BestCompression();
  return family;
}

}  // namespace

struct Kv::Impl {
  std::string directory;
  std::shared_ptr<rocksdb::Env> file_system;  // outlives the database
  const std::shared_ptr<Failures> failures = std::make_shared<Failures>();
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;  // to be released
  std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount> family{};
  std::mutex resume_mutex;
  std::future<rocksdb::Status> resuming;

  ~Impl() {
    // Wakes a Resume() that waits for what will not come.
    if (db && resuming.valid()) rocksdb::CancelAllBackgroundWork(db.get(), false);
    if (resuming.valid()) resuming.wait();
    for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
    if (db) (void)db->Close();
  }
  rocksdb::ColumnFamilyHandle* Of(Family f) const { return family[static_cast<size_t>(f)]; }
  uint64_t MemoryTableBytes() const;
  Status ResumeWriting();
};

uint64_t Kv::Impl::MemoryTableBytes() const {
  uint64_t total = 0;
  for (auto* handle : handles) {
    uint64_t bytes = 0;
    if (db->GetIntProperty(handle, rocksdb::DB::Properties::kSizeAllMemTables, &bytes))
      total += bytes;
  }
  return total;
}

// To write again, RocksDB first flushes what it holds in memory. When that finds the disk full in
// its turn, 7.8 may wait without end for a flush that it has forgotten to repeat. So it is asked
// only when as much can be written, and apart, and not waited for longer than a flush takes.
Status Kv::Impl::ResumeWriting() {
  constexpr uint64_t kBesideTables = 1 << 20;
  constexpr std::chrono::seconds kPatience{10};
  std::lock_guard lock(resume_mutex);
  if (!failures->stopped) return OkStatus();
  if (!resuming.valid()) {
    const Status room = TryToWrite(directory, MemoryTableBytes() + kBesideTables);
    if (!room.ok()) {
      return NoRoom(room.code(), StrCat("store ", directory, ": ", room.message()));
    }
    resuming = std::async(std::launch::async, [this] { return db->Resume(); });
  }
  if (resuming.wait_for(kPatience) != std::future_status::ready) {
    return Unavailable(
        StrCat("store ", directory,
               " is still recovering from an earlier error of its disk; nothing "
               "of this write was applied: repeat it, and if this lasts, stop and start vade"));
  }
  failures->stopped = !resuming.get().ok();
  return OkStatus();  // the write that follows tells what is wrong, if anything still is
}

struct KvIterator::Impl {
  std::string end;
  rocksdb::Slice upper;
  KvSnapshot snapshot;
  std::string directory;
  std::unique_ptr<rocksdb::Iterator> it;
};

// Operations wait here until Write(), since RocksDB's batch wants handles that only a Kv has.
struct KvBatch::Impl {
  enum class Kind : uint8_t { kPut, kDelete, kDeleteRange };
  struct Operation {
    Kind kind;
    Family family;
    std::string key;
    std::string value;
  };
  std::vector<Operation> operations;
  size_t bytes = 0;
  size_t marked_count = 0, marked_bytes = 0;

  void Add(Kind kind, Family family, std::string_view key, std::string_view value) {
    operations.push_back({kind, family, std::string(key), std::string(value)});
    bytes += key.size() + value.size() + 16;
  }
};

KvBatch::KvBatch() : impl_(std::make_unique<Impl>()) {}
KvBatch::~KvBatch() = default;
KvBatch::KvBatch(KvBatch&&) noexcept = default;
KvBatch& KvBatch::operator=(KvBatch&&) noexcept = default;

void KvBatch::Put(Family family, std::string_view key, std::string_view value) {
  impl_->Add(Impl::Kind::kPut, family, key, value);
}
void KvBatch::Delete(Family family, std::string_view key) {
  impl_->Add(Impl::Kind::kDelete, family, key, "");
}
void KvBatch::DeleteRange(Family family, std::string_view begin, std::string_view end) {
  impl_->Add(Impl::Kind::kDeleteRange, family, begin, end);
}
void KvBatch::Mark() {
  impl_->marked_count = impl_->operations.size();
  impl_->marked_bytes = impl_->bytes;
}
void KvBatch::RollBack() {
  impl_->operations.resize(impl_->marked_count);
  impl_->bytes = impl_->marked_bytes;
}
void KvBatch::Clear() { *impl_ = Impl(); }
size_t KvBatch::bytes() const { return impl_->bytes; }
bool KvBatch::empty() const { return impl_->operations.empty(); }

KvIterator::KvIterator() : impl_(std::make_unique<Impl>()) {}
KvIterator::~KvIterator() = default;
bool KvIterator::Valid() const { return impl_->it->Valid(); }
void KvIterator::Next() { impl_->it->Next(); }
void KvIterator::Seek(std::string_view key) { impl_->it->Seek(ToSlice(key)); }
void KvIterator::SeekBack(std::string_view key) { impl_->it->SeekForPrev(ToSlice(key)); }
std::string_view KvIterator::key() const { return ToView(impl_->it->key()); }
std::string_view KvIterator::value() const { return ToView(impl_->it->value()); }
Status KvIterator::status() const { return FromRocks(impl_->it->status(), impl_->directory); }

Kv::Kv() : impl_(std::make_unique<Impl>()) {}
Kv::~Kv() = default;

Result<std::unique_ptr<Kv>> Kv::Open(const std::string& directory, const KvOptions& options) {
  std::unique_ptr<Kv> kv(new Kv());
  rocksdb::DBOptions db_options = DatabaseOptions(options);
  if (!options.file_system.empty()) {
    const auto found =
        rocksdb::Env::CreateFromUri(rocksdb::ConfigOptions(), "", options.file_system,
                                    &db_options.env, &kv->impl_->file_system);
    if (!found.ok()) return FromRocks(found, options.file_system);
  }
  db_options.listeners.push_back(kv->impl_->failures);
  const bool exists = FileExists(JoinPath(directory, "CURRENT"));
  if (!exists && !options.create_if_missing) {
    return NotFound(StrCat("there is no store at ", directory, "; check --data"));
  }
  // Families that a newer version added are opened too: RocksDB insists, and the store then says
  // what is wrong.
  std::vector<std::string> names(kFamilyNames.begin(), kFamilyNames.end());
  std::vector<std::string> present;
  if (exists) {
    const auto listed = rocksdb::DB::ListColumnFamilies(db_options, directory, &present);
    if (!listed.ok()) return FromRocks(listed, directory);
  }
  for (const std::string& name : present) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names)
    families.emplace_back(name, FamilyOptions(name, cache, options));

  kv->impl_->directory = directory;
  rocksdb::DB* db = nullptr;
  const auto opened = rocksdb::DB::Open(db_options, directory, families, &kv->impl_->handles, &db);
  if (!opened.ok()) return FromRocks(opened, directory);
  kv->impl_->db.reset(db);
  std::copy_n(kv->impl_->handles.begin(), kFamilyCount, kv->impl_->family.begin());
  return kv;
}

namespace {
rocksdb::ReadOptions At(const KvSnapshot& snapshot) {
  rocksdb::ReadOptions read;
  read.snapshot = static_cast<const rocksdb::Snapshot*>(snapshot.get());
  return read;
}
}  // namespace

Result<std::optional<std::string>> Kv::Get(Family family, std::string_view key,
                                           const KvSnapshot& snapshot) const {
  std::string value;
  const auto s = impl_->db->Get(At(snapshot), impl_->Of(family), ToSlice(key), &value);
  if (s.IsNotFound()) return std::optional<std::string>();
  if (!s.ok()) return FromRocks(s, impl_->directory);
  return std::optional<std::string>(std::move(value));
}

std::unique_ptr<KvIterator> Kv::Scan(Family family, std::string_view begin, std::string_view end,
                                     const KvSnapshot& snapshot) const {
  std::unique_ptr<KvIterator> out(new KvIterator());
  auto& scan = *out->impl_;
  scan.end = std::string(end);
  scan.upper = scan.end;
  scan.snapshot = snapshot;
  scan.directory = impl_->directory;
  rocksdb::ReadOptions read = At(snapshot);
  if (!scan.end.empty()) read.iterate_upper_bound = &scan.upper;
  scan.it.reset(impl_->db->NewIterator(read, impl_->Of(family)));
  scan.it->Seek(ToSlice(begin));
  return out;
}

Status Kv::Write(const KvBatch& batch, Durability durability) {
  using Kind = KvBatch::Impl::Kind;
  rocksdb::WriteBatch rocks(batch.bytes() + 64);
  for (const auto& op : batch.impl_->operations) {
    rocksdb::Status s;
    switch (op.kind) {
      case Kind::kPut: s = rocks.Put(impl_->Of(op.family), op.key, op.value); break;
      case Kind::kDelete: s = rocks.Delete(impl_->Of(op.family), op.key); break;
      case Kind::kDeleteRange: s = rocks.DeleteRange(impl_->Of(op.family), op.key, op.value); break;
    }
    if (!s.ok()) return FromRocks(s, impl_->directory);
  }
  Failures& failures = *impl_->failures;
  if (failures.stopped && !failures.fatal) RETURN_IF_ERROR(impl_->ResumeWriting());
  rocksdb::WriteOptions write;
  write.sync = durability == Durability::kSynced;
  const auto s = impl_->db->Write(write, &rocks);
  if (s.ok()) return OkStatus();
  failures.stopped = true;
  const Status failed = FromRocks(s, impl_->directory);
  if (!IsFatal(s) && !failures.fatal) return failed;
  // No Resume() helps any more; opening the database anew does.
  return {failed.code(), StrCat(failed.message(),
                                "; then stop and start vade: this process cannot write "
                                "to the store again")};
}

KvSnapshot Kv::Snapshot() const {
  rocksdb::DB* db = impl_->db.get();
  return KvSnapshot(static_cast<const void*>(db->GetSnapshot()), [db](const void* snapshot) {
    db->ReleaseSnapshot(static_cast<const rocksdb::Snapshot*>(snapshot));
  });
}

namespace {
// Looks every few milliseconds; readers take no longer than a search.
Status WaitUntil(const Context& ctx, const std::function<bool()>& free) {
  constexpr std::chrono::milliseconds kStep{5};
  constexpr std::chrono::seconds kPatience{30};
  for (std::chrono::milliseconds waited{0}; !free(); waited += kStep) {
    RETURN_IF_ERROR(ctx.Check());
    if (waited >= kPatience) {
      return Unavailable(
          "a long read still holds on to deleted bytes; they leave the files once it has ended: "
          "try again then");
    }
    std::this_thread::sleep_for(kStep);
  }
  return OkStatus();
}
}  // namespace

uint64_t Kv::Sequence() const { return impl_->db->GetLatestSequenceNumber(); }

Status Kv::WaitForReaders(uint64_t sequence, const Context& ctx) const {
  return WaitUntil(ctx, [&] {
    uint64_t oldest = 0;  // 0: there is none
    return !impl_->db->GetIntProperty(rocksdb::DB::Properties::kOldestSnapshotSequence, &oldest) ||
           oldest == 0 || oldest >= sequence;
  });
}

Status Kv::Flush() {
  return FromRocks(impl_->db->Flush(rocksdb::FlushOptions(), impl_->handles), impl_->directory);
}

Status Kv::Compact(Family family, std::string_view begin, std::string_view end) {
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  const rocksdb::Slice from = ToSlice(begin), to = ToSlice(end);
  return FromRocks(
      impl_->db->CompactRange(options, impl_->Of(family), begin.empty() ? nullptr : &from,
                              end.empty() ? nullptr : &to),
      impl_->directory);
}

Status Kv::WaitForOldFiles(const Context& ctx) const {
  return WaitUntil(ctx, [&] {
    return std::all_of(impl_->handles.begin(), impl_->handles.end(), [&](auto* handle) {
      uint64_t versions = 0;
      return !impl_->db->GetIntProperty(handle, rocksdb::DB::Properties::kNumLiveVersions,
                                        &versions) ||
             versions <= 1;
    });
  });
}

}  // namespace vade
