// The Api in this process: one data directory, an embedder and a decoder.
//
// The store is opened at once; the embedder and the decoder are loaded at first use, since `vade
// docs list` needs neither and `vade search` no decoder. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "generator/block_files.h"
#include "generator/generator.h"
#include "index/index.h"
#include "model/decoder.h"
#include "service/api.h"

namespace vade {

class FileExchange;

struct LocalOptions {
  std::string data_dir;        // required
  std::string decoder_model;   // catalog name or path; "": the first of the catalog that is there
  std::string embedder_model;  // catalog name or path; "": multilingual-e5-small
  std::string models_dir;      // "": $VADE_MODELS, else the cache directory + "/models"
  std::string packed_dir;      // repacked weights; "": the cache directory + "/packed"
  int threads = 0;             // 0: all that this process may use
  int context_tokens = 8192;
  uint64_t kv_budget_bytes = 512ull << 20;
  // Keys and values of passages, kept for the next question about them: in memory, of
  // kv_budget_bytes and at most 60% of it (0: none is kept), and in files in data_dir/kv (0: none).
  uint64_t kept_bytes = 300ull << 20;
  uint64_t kept_disk_bytes = 4ull << 30;
  kernels::KvType kv_type = DecoderOptions().kv_type;
  DeviceChoice device = DeviceChoice::kAuto;  // of the decoder
  GpuOptions gpu;
  // Of the embedder, as EmbedderOptions::device says; on the same GPU.
  DeviceChoice embed_device = DeviceChoice::kAuto;
  uint64_t embed_gpu_bytes = 0;  // its memory for that, at most; 0: nine tenths of what is free
  // Of searches by vectors: kAuto and kCuda let the GPU look at all rows of large segments. It
  // takes them when they are first searched, which is no use to a process that asks one question.
  DeviceChoice search_device = DeviceChoice::kCpu;
  uint64_t search_gpu_bytes = 0;  // the same for these; 0: half of what is free
  bool create_if_missing = true;  // false: NOT_FOUND when there is no store in data_dir
  StoreOptions store;
  // For questions that do not say: Query::mmr and Query::neighbours. Off.
  double search_mmr = 1;
  int search_neighbours = 0;
  bool search_earlier = true;  // false: AskRequest::search_as_asked for all
  // Tuned on examples/corpus-questions with the 1.5B (docs/performance.md).
  GeneratorOptions generator{.min_confidence = 0.4, .passage_gap = 0.3, .further_passages = 5};
};

// Where everything computes that can do so elsewhere, as --device says it; searches only where they
// are not left to the processor anyway.
void SetDevices(DeviceChoice device, LocalOptions* options);

// What a LocalApi works with, when the caller brings it: another kind of store, or the fakes of a
// test.
struct LocalParts {
  std::unique_ptr<Store> store;        // required
  std::unique_ptr<Embedder> embedder;  // null: loaded at first use, as Open() does
  // Finds other embedders by name. Null: as Open() does.
  std::function<Result<std::unique_ptr<Embedder>>(const std::string& name_or_path)> load_embedder;
  std::unique_ptr<Decoder> decoder;         // the same
  std::unique_ptr<BlockFiles> block_files;  // null: passages are kept in memory only
};

// What this process has done since it began, and holds now.
struct ServiceCounts {
  GeneratorCounts generator;  // zeros until the decoder is loaded
  uint64_t kept_files = 0, kept_file_bytes = 0, kept_file_budget_bytes = 0;
};

class LocalApi : public Api {
 public:
  // With options.store.background off, Ingest and PutDocument seal what is due at their end.
  static Result<std::unique_ptr<LocalApi>> Open(const LocalOptions& options);
  static Result<std::unique_ptr<LocalApi>> FromParts(LocalParts parts, const LocalOptions& options);

  // Loads what is not loaded yet, so that the first request does not wait for it.
  virtual Status LoadEmbedderNow() = 0;
  virtual Status LoadDecoderNow() = 0;

  // Ingest where the files come from elsewhere. Parsers are those of this process.
  virtual Result<IngestReport> IngestFrom(FileExchange* files, const IngestOptions& options,
                                          const Context& ctx) = 0;
  // On return nothing is kept of what had been replaced or deleted in the store.
  virtual Status ForgetWhatWent() = 0;
  virtual ServiceCounts Counts() = 0;
  // Of the files of passages that are kept; the store verifies itself.
  virtual Result<KeptFilesReport> VerifyKeptFiles(BlockFiles::Repair repair,
                                                  const Context& ctx) = 0;

  // Export and Import where the bytes come from elsewhere.
  virtual Result<ExportReport> ExportTo(const std::string& collection, ByteSink* sink,
                                        const Context& ctx) = 0;
  virtual Result<ImportReport> ImportFrom(const std::string& collection, ByteSource* source,
                                          const Context& ctx) = 0;
  // For what must be read twice and arrives once.
  virtual Result<std::unique_ptr<SpoolFile>> NewSpool() = 0;

  virtual Store& store() = 0;
  // Errors of a missing model: NOT_FOUND with the command that fetches it.
  virtual Result<Embedder*> embedder() = 0;
  virtual Result<Decoder*> decoder() = 0;
};

}  // namespace vade
