#include "service/model_files.h"

#include "base/files.h"
#include "base/strings.h"
#include "model/catalog.h"

namespace vade {
namespace {

constexpr std::string_view kDefaultEmbedder = "multilingual-e5-small";

// The catalog lists the decoders from the best to the smallest.
Result<std::string> FirstDecoder(const std::string& dir) {
  for (const CatalogModel& model : Catalog()) {
    if (model.role != ModelRole::kDecoder) continue;
    if (auto path = ResolveModel(model.name, dir); path.ok()) return path;
  }
  return NotFound(StrCat("no language model is in ", dir,
                         "; fetch one with scripts/fetch-models (1.2 GB) or ",
                         "scripts/fetch-models --small (0.6 GB)"));
}

}  // namespace

std::string ModelsDir(const LocalOptions& options) {
  return options.models_dir.empty() ? ModelsDirectory() : options.models_dir;
}

std::string PackedDir(const LocalOptions& options) {
  return options.packed_dir.empty() ? JoinPath(CacheDirectory(), "packed") : options.packed_dir;
}

std::string UsualEmbedder(const LocalOptions& options) {
  return options.embedder_model.empty() ? std::string(kDefaultEmbedder) : options.embedder_model;
}

bool IsPlainModelName(std::string_view name) {
  return !name.empty() && name[0] != '.' && name.find_first_of("/\\") == std::string_view::npos;
}

Result<std::string> FindEmbedderFile(const LocalOptions& options) {
  return FindEmbedderFile(options, UsualEmbedder(options));
}

Result<std::string> FindEmbedderFile(const LocalOptions& options, const std::string& name) {
  const std::string dir = ModelsDir(options);
  if (const std::string inside = JoinPath(dir, name);
      IsPlainModelName(name) && FileExists(inside)) {
    return inside;
  }
  return ResolveModel(name, dir);
}

Result<std::string> FindDecoderFile(const LocalOptions& options) {
  if (options.decoder_model.empty()) return FirstDecoder(ModelsDir(options));
  return ResolveModel(options.decoder_model, ModelsDir(options));
}

EmbedderOptions EmbedderOptionsOf(const LocalOptions& options, ThreadPool* pool) {
  EmbedderOptions embedder = {.pool = pool,
                              .packed_cache_dir = PackedDir(options),
                              .device = options.embed_device,
                              .gpu = options.gpu};
  embedder.gpu.memory_bytes = options.embed_gpu_bytes;
  return embedder;
}

}  // namespace vade
