#include "service/local_api.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/threads.h"
#include "base/trace.h"
#include "ingest/document_tables.h"
#include "ingest/ingest.h"
#include "ingest/ledger.h"
#include "ingest/reembed.h"
#include "kernels/row_scanner.h"
#include "model/catalog.h"
#include "model/cuda_library.h"
#include "retriever/retriever.h"
#include "service/change_follower.h"
#include "service/embedders.h"
#include "service/endpoint.h"
#include "service/lazy.h"
#include "service/limits.h"
#include "service/model_files.h"
#include "service/query_gate.h"
#include "service/transfer.h"
#include "service/verify_kept.h"
#include "service/warm.h"

namespace vade {
namespace {

// What a spool leaves of the disk to the store.
constexpr uint64_t kSpareDiskBytes = 256ull << 20;

class LocalApiImpl final : public LocalApi {
 public:
  LocalApiImpl(LocalParts parts, const LocalOptions& options)
      : options_(options),
        pool_(options.threads > 0 ? options.threads : UsableCores()),
        store_(std::move(parts.store)),
        block_files_(std::move(parts.block_files)),
        follower_(store_.get(), block_files_.get()),
        embedders_(
            UsualEmbedder(options), std::move(parts.embedder),
            parts.load_embedder ? std::move(parts.load_embedder)
                                : [this](const std::string& name) { return Load(name); }),
        decoder_(std::move(parts.decoder)) {}

  // Documents.

  Result<PutResult> PutDocument(const std::string& collection, const PutRequest& request,
                                const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckPut(request));
    RETURN_IF_ERROR(ctx.Check());
    IngestOptions options;
    options.collection = collection;
    auto put = AgainIfReembedded([&]() -> Result<PutResult> {
      ASSIGN_OR_RETURN(Embedder * embedder, EmbedderFor(collection, ctx));
      PoliteEmbedder polite(embedder, &gate_);
      return Ingestor(store_.get(), &polite, Here(options)).Put(request, ctx);
    });
    if (put.ok() && !options_.store.background) SealOrWarn(ctx);
    RETURN_IF_ERROR(ForgetWhatWent());
    return put;
  }

  Result<Document> GetDocument(const std::string& collection, const std::string& document_id,
                               const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckDocumentId(document_id));
    RETURN_IF_ERROR(ctx.Check());
    return store_->GetDocument(collection, document_id);
  }

  Result<std::optional<NearDocument>> FindNearDuplicate(const std::string& collection,
                                                        const std::string& document_id,
                                                        const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckDocumentId(document_id));
    RETURN_IF_ERROR(ctx.Check());
    return NearDocuments(store_.get(), collection).Nearest(document_id);
  }

  Result<std::vector<Table>> GetTables(const std::string& collection,
                                       const std::string& document_id,
                                       const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckDocumentId(document_id));
    RETURN_IF_ERROR(ctx.Check());
    return DocumentTables(store_.get(), collection).Of(document_id);
  }

  Result<DocumentPage> ListDocuments(const std::string& collection, const DocumentQuery& query,
                                     const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckListDocuments(query));
    RETURN_IF_ERROR(ctx.Check());
    return store_->ListDocuments(collection, query);
  }

  Result<uint64_t> DeleteDocuments(const std::string& collection,
                                   const std::vector<std::string>& ids,
                                   const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckDeleteIds(ids));
    auto deleted = store_->DeleteDocuments(collection, ids, ctx);
    const Status forgotten = ForgetWhatWent();
    if (deleted.ok()) RETURN_IF_ERROR(Ledger(store_.get(), collection).ForgetPuts(ids));
    RETURN_IF_ERROR(forgotten);
    return deleted;
  }

  Result<uint64_t> EraseDocuments(const std::string& collection,
                                  const std::vector<std::string>& ids,
                                  const Context& ctx) override {
    auto deleted = DeleteDocuments(collection, ids, ctx);
    if (deleted.ok()) RETURN_IF_ERROR(store_->Erase(ctx));
    return deleted;
  }

  // Collections.

  Result<std::vector<CollectionInfo>> ListCollections(const Context& ctx) override {
    RETURN_IF_ERROR(ctx.Check());
    return store_->ListCollections();
  }

  Result<CollectionInfo> CreateCollection(const std::string& name, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(name));
    ASSIGN_OR_RETURN(Embedder * embedder, embedders_.Usual(ctx));
    RETURN_IF_ERROR(store_->CreateCollection(
        {.name = name, .embedder_id = embedder->id(), .dimension = embedder->dimension()}));
    return store_->GetCollection(name);
  }

  Status DeleteCollection(const std::string& name, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(name));
    RETURN_IF_ERROR(ctx.Check());
    RETURN_IF_ERROR(store_->DeleteCollection(name));
    return ForgetWhatWent();
  }

  // Questions.

  Result<Retrieved> Search(const Query& asked, const Context& ctx) override {
    RETURN_IF_ERROR(CheckQuery(asked));
    const Query query = WithDefaults(asked);
    const QueryGate::Query at_work(&gate_);
    ASSIGN_OR_RETURN(Retrieved found, AgainIfReembedded([&]() -> Result<Retrieved> {
                       // Before a model is loaded for it.
                       ASSIGN_OR_RETURN(const auto info, store_->GetCollection(query.collection));
                       ASSIGN_OR_RETURN(Embedder * embedder, embedders_.Of(info, ctx));
                       return Retriever(store_.get(), embedder).Retrieve(query, ctx);
                     }));
    if (Trace* trace = ctx.trace()) trace->SetTime("total", trace->ElapsedMs());
    return found;
  }

  Result<AskReply> Ask(const AskRequest& asked, const AskObserver& observer,
                       const Context& ctx) override {
    RETURN_IF_ERROR(CheckAsk(asked));
    AskRequest request = asked;
    request.query = WithDefaults(asked.query);
    request.search_as_asked |= !options_.search_earlier;
    const QueryGate::Query at_work(&gate_);
    RETURN_IF_ERROR(store_->GetCollection(request.query.collection).status());
    ASSIGN_OR_RETURN(Generator * generator, GetGenerator(ctx));
    bool told = false;  // something of the answer: it cannot be begun again
    AskObserver watched = observer;
    watched.on_retrieved = [&](const Retrieved& found) {
      told = true;
      return !observer.on_retrieved || observer.on_retrieved(found);
    };
    const auto ask = [&]() -> Result<AskReply> {
      ASSIGN_OR_RETURN(Embedder * embedder, EmbedderFor(request.query.collection, ctx));
      const Retriever retriever(store_.get(), embedder);
      return Answerer(&retriever, generator, options_.generator.further_passages)
          .Ask(request, watched, ctx);
    };
    auto reply = ask();
    return reply.status().code() == StatusCode::kAborted && !told ? ask() : std::move(reply);
  }

  Result<IngestReport> Ingest(const std::vector<std::string>& paths, const IngestOptions& options,
                              const ProgressFunction& progress, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(options.collection));
    ASSIGN_OR_RETURN(Embedder * embedder, EmbedderFor(options.collection, ctx));
    PoliteEmbedder polite(embedder, &gate_);
    auto report = Ingestor(store_.get(), &polite, Here(options)).IngestPaths(paths, progress, ctx);
    if (report.ok() && !options_.store.background) SealOrWarn(ctx);
    RETURN_IF_ERROR(ForgetWhatWent());
    return report;
  }

  Result<IngestReport> IngestFrom(FileExchange* files, const IngestOptions& options,
                                  const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(options.collection));
    ASSIGN_OR_RETURN(Embedder * embedder, EmbedderFor(options.collection, ctx));
    PoliteEmbedder polite(embedder, &gate_);
    auto report = Ingestor(store_.get(), &polite, Here(options)).IngestFrom(files, ctx);
    RETURN_IF_ERROR(ForgetWhatWent());
    return report;
  }

  Result<WarmReport> Warm(const std::string& collection, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(store_->GetCollection(collection).status());
    ASSIGN_OR_RETURN(Generator * generator, GetGenerator(ctx));
    return WarmCollection(store_.get(), collection, *block_files_, generator, ctx);
  }

  Result<ReembedOutcome> Reembed(const std::string& collection, const std::string& embedder,
                                 const ReembedProgress& progress, const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(CheckEmbedderName(embedder));
    RETURN_IF_ERROR(store_->GetCollection(collection).status());
    ASSIGN_OR_RETURN(Embedder * next, embedders_.Called(embedder, ctx));
    auto outcome = ReembedWith(store_.get(), collection, {next, SourceOf(embedder)}, progress, ctx);
    if (outcome.ok() && !options_.store.background) SealOrWarn(ctx);
    RETURN_IF_ERROR(ForgetWhatWent());
    return outcome;
  }

  // Portable knowledge. No model is needed for it.

  Result<ExportReport> ExportTo(const std::string& collection, ByteSink* sink,
                                const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(ctx.Check());
    ASSIGN_OR_RETURN(const auto reader, store_->ReadCollection(collection));
    return ExportCollection(reader.get(), SystemClock().UnixMicros(), sink, ctx);
  }

  Result<ExportReport> Export(const std::string& collection, const std::string& path,
                              const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    RETURN_IF_ERROR(store_->GetCollection(collection).status());
    return WriteExport(path, [&](ByteSink* file) { return ExportTo(collection, file, ctx); });
  }

  Result<ImportReport> ImportFrom(const std::string& collection, ByteSource* source,
                                  const Context& ctx) override {
    RETURN_IF_ERROR(CheckCollectionName(collection));
    auto report = ImportCollection(store_.get(), collection, source, ctx);
    if (report.ok() && !options_.store.background) SealOrWarn(ctx);
    RETURN_IF_ERROR(ForgetWhatWent());
    return report;
  }

  Result<ImportReport> Import(const std::string& collection, const std::string& path,
                              const Context& ctx) override {
    ASSIGN_OR_RETURN(const auto file, FileSource::Open(path));
    auto report = ImportFrom(collection, file.get(), ctx);
    if (!report.ok()) return report.status().WithContext(path);
    return report;
  }

  Result<std::unique_ptr<SpoolFile>> NewSpool() override {
    const std::string& dir = options_.data_dir;
    return SpoolFile::Create(dir.empty() ? std::filesystem::temp_directory_path().string() : dir,
                             kSpareDiskBytes);
  }

  // Models.

  // And those of the collections that have another one; a collection whose embedder is not to be
  // found keeps nobody from the others.
  Status LoadEmbedderNow() override {
    RETURN_IF_ERROR(embedders_.Usual({}).status());
    ASSIGN_OR_RETURN(const std::vector<CollectionInfo> collections, store_->ListCollections());
    for (const CollectionInfo& collection : collections) {
      const auto embedder = embedders_.Of(collection, {});
      if (!embedder.ok()) LogWarning(embedder.status().message());
    }
    return OkStatus();
  }
  Status LoadDecoderNow() override { return GetGenerator({}).status(); }
  Store& store() override { return *store_; }
  Result<Embedder*> embedder() override { return embedders_.Usual({}); }
  Result<Decoder*> decoder() override { return GetDecoder({}); }

  // Before whoever changed documents hears that it is done, and when the store has been opened.
  Status ForgetWhatWent() override { return follower_.CatchUp(generator_.Peek()); }

  ServiceCounts Counts() override {
    ServiceCounts counts;
    if (const Generator* generator = generator_.Peek()) counts.generator = generator->counts();
    counts.kept_files = block_files_->files();
    counts.kept_file_bytes = block_files_->bytes();
    if (block_files_->writes()) counts.kept_file_budget_bytes = block_files_->budget_bytes();
    return counts;
  }

  Result<KeptFilesReport> VerifyKeptFiles(BlockFiles::Repair repair, const Context& ctx) override {
    return VerifyKept(store_.get(), block_files_.get(), repair, ctx);
  }

 private:
  // The collection's; the usual one for a collection that is yet to be made.
  Result<Embedder*> EmbedderFor(const std::string& collection, const Context& ctx) {
    const auto info = store_->GetCollection(collection);
    return info.ok() ? embedders_.Of(*info, ctx) : embedders_.Usual(ctx);
  }
  // What waits lies on the disk of the data, not in /tmp, which may be memory.
  IngestOptions Here(IngestOptions options) const {
    options.spool_dir = options_.data_dir;
    return options;
  }
  Query WithDefaults(Query query) const {
    if (!query.mmr && options_.search_mmr < 1) query.mmr = options_.search_mmr;
    if (!query.neighbours) query.neighbours = options_.search_neighbours;
    return query;
  }
  // Once more, when the collection's embedder was replaced in the midst of it.
  template <typename F>
  auto AgainIfReembedded(F call) -> decltype(call()) {
    auto result = call();
    return result.status().code() == StatusCode::kAborted ? call() : std::move(result);
  }
  // A path as it is from everywhere.
  static std::string SourceOf(const std::string& embedder) {
    std::error_code error;
    if (FindModel(embedder) || !FileExists(embedder)) return embedder;
    const auto absolute = std::filesystem::absolute(embedder, error);
    return error ? embedder : absolute.lexically_normal().string();
  }
  Result<Decoder*> GetDecoder(const Context& ctx) {
    return decoder_.Get([this] { return MakeDecoder(); }, ctx);
  }
  Result<Generator*> GetGenerator(const Context& ctx) {
    return generator_.Get([&] { return MakeGenerator(ctx); }, ctx);
  }

  Result<std::unique_ptr<Embedder>> Load(const std::string& name) {
    ASSIGN_OR_RETURN(const std::string path, FindEmbedderFile(options_, name));
    LogInfo(StrCat("loading the embedder ", path));
    return LoadEmbedder(path, EmbedderOptionsOf(options_, &pool_));
  }

  Result<std::unique_ptr<Decoder>> MakeDecoder() {
    ASSIGN_OR_RETURN(const std::string path, FindDecoderFile(options_));
    LogInfo(StrCat("loading the decoder ", path));
    DecoderOptions options;
    options.pool = &pool_;
    options.context_tokens = options_.context_tokens;
    options.kv_budget_bytes = options_.kv_budget_bytes;
    options.kv_type = options_.kv_type;
    options.packed_cache_dir = PackedDir(options_);
    options.device = options_.device;
    options.gpu = options_.gpu;
    ASSIGN_OR_RETURN(auto decoder, LoadDecoder(path, options));
    const DecoderInfo& info = decoder->info();
    LogInfo(StrCat("keys and values: ", info.kv_type, ", ", info.kv_bytes_per_token,
                   " bytes a token, ", options.kv_budget_bytes / info.kv_bytes_per_token,
                   " tokens in ", options.kv_budget_bytes >> 20, " MiB"));
    return decoder;
  }

  Result<std::unique_ptr<Generator>> MakeGenerator(const Context& ctx) {
    ASSIGN_OR_RETURN(Decoder * decoder, GetDecoder(ctx));
    GeneratorOptions options = options_.generator;
    options.kept_bytes = std::min(options_.kept_bytes, options_.kv_budget_bytes / 10 * 6);
    options.block_files = block_files_.get();
    return Generator::Create(decoder, options);
  }

  // What was ingested is stored already: without segments it is searched all the same, only slower.
  void SealOrWarn(const Context& ctx) {
    const Status sealed = store_->SealDue(ctx);
    if (sealed.ok() || !ctx.Check().ok()) return;
    LogWarning(StrCat("the vectors were not sealed: ", sealed.message()));
  }

  const LocalOptions options_;
  QueryGate gate_;
  ThreadPool pool_;  // before those that use it
  const std::unique_ptr<Store> store_;
  const std::unique_ptr<BlockFiles> block_files_;
  ChangeFollower follower_;
  Embedders embedders_;
  Lazy<Decoder> decoder_;
  Lazy<Generator> generator_;  // after the decoder that it runs
};

}  // namespace

namespace {

// Null: the processor searches.
Result<std::shared_ptr<kernels::RowScanner>> OpenScanner(const LocalOptions& options) {
  using Scanner = std::shared_ptr<kernels::RowScanner>;
  if (options.search_device == DeviceChoice::kCpu) return Scanner();
  GpuOptions gpu = options.gpu;
  gpu.memory_bytes = options.search_gpu_bytes;
  GpuFound found;
  auto scanner = OpenCudaScanner(gpu, &found);
  if (scanner.ok()) {
    LogInfo(StrCat("large segments are searched on the GPU ", found.name));
    return Scanner(*std::move(scanner));
  }
  const Status& why = scanner.status();
  if (options.search_device == DeviceChoice::kCuda) return why.WithContext("searching on the GPU");
  if (why.code() == StatusCode::kUnavailable) {
    SayNoGpu(why.message());
  } else {
    LogWarning(StrCat("the GPU does not search: ", why.message(), "; the processor does"));
  }
  return Scanner();
}

}  // namespace

void SetDevices(DeviceChoice device, LocalOptions* options) {
  options->device = options->embed_device = device;
  if (options->search_device != DeviceChoice::kCpu) options->search_device = device;
}

Result<std::unique_ptr<LocalApi>> LocalApi::Open(const LocalOptions& options) {
  if (options.data_dir.empty())
    return InvalidArgument("no data directory is given; name one with --data DIR");
  StoreOptions store_options = options.store;
  store_options.create_if_missing = options.create_if_missing;
  LocalParts parts;
  ASSIGN_OR_RETURN(store_options.scanner, OpenScanner(options));
  ASSIGN_OR_RETURN(parts.store, OpenStore(options.data_dir, store_options));
  // What cannot be kept in files (a full disk) is kept in memory only.
  auto files =
      BlockFiles::Open({.directory = JoinPath(options.data_dir, "kv"),
                        .budget_bytes = options.kept_bytes > 0 ? options.kept_disk_bytes : 0});
  if (!files.ok()) LogWarning(StrCat("passages are not kept in files: ", files.status().message()));
  if (files.ok()) parts.block_files = *std::move(files);
  RemoveStaleEndpoint(options.data_dir);
  return FromParts(std::move(parts), options);
}

Result<std::unique_ptr<LocalApi>> LocalApi::FromParts(LocalParts parts,
                                                      const LocalOptions& options) {
  if (!parts.store) return InvalidArgument("a LocalApi needs a store");
  if (!parts.block_files) {
    ASSIGN_OR_RETURN(parts.block_files, BlockFiles::Open({}));
  }
  auto api = std::make_unique<LocalApiImpl>(std::move(parts), options);
  // A process that died after a delete may have left this undone.
  const Status forgotten = api->ForgetWhatWent();
  if (!forgotten.ok()) LogWarning(forgotten.message());
  return std::unique_ptr<LocalApi>(std::move(api));
}

}  // namespace vade
