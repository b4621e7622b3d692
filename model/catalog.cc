#include "model/catalog.h"

#include <algorithm>
#include <cstdlib>

#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr CatalogModel kModels[] = {
    {"qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", ModelRole::kDecoder,
     "Apache-2.0", 1117320768, "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
     "scripts/fetch-models"},
    {"qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", ModelRole::kDecoder,
     "Apache-2.0", 491400064, "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
     "scripts/fetch-models --small"},
    {"smollm2-135m", "smollm2-135m-instruct-q4_1.gguf", ModelRole::kDecoder, "Apache-2.0", 98362432,
     "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
     "scripts/fetch-models --tests"},
    // As `vade models convert` makes it from the container e5-small-q4.bin.
    {"multilingual-e5-small", "multilingual-e5-small-q4.gguf", ModelRole::kEmbedder, "MIT",
     73644512, "8100e305cac05fcf45c83cd96deb5571ea24117d73692dd8a86e0afa4df01009",
     "scripts/fetch-models"},
    // A Hugging Face folder; the file of its weights stands for it.
    {"all-minilm-l6-v2", "all-minilm-l6-v2/model.safetensors", ModelRole::kEmbedder, "Apache-2.0",
     90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
     "scripts/fetch-models all-minilm-l6-v2"},
};

// A name from the user on one line.
std::string Quoted(std::string_view text) {
  std::string out = ReplaceInvalidUtf8(
      text.substr(0, FloorToCodePoint(text, std::min<size_t>(text.size(), 200))));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return StrCat("'", out, "'");
}

bool LooksLikePath(std::string_view text) {
  return text.find('/') != std::string_view::npos || Extension(text) == ".gguf" ||
         Extension(text) == ".safetensors";
}

}  // namespace

std::span<const CatalogModel> Catalog() { return kModels; }

const CatalogModel* FindModel(std::string_view name) {
  for (const CatalogModel& model : kModels) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

std::string ModelsDirectory() {
  const char* folder = std::getenv("VADE_MODELS");
  return folder && *folder ? folder : JoinPath(CacheDirectory(), "models");
}

Result<std::string> ResolveModel(std::string_view name_or_path, const std::string& models_dir) {
  if (const CatalogModel* model = FindModel(name_or_path)) {
    const std::string path = JoinPath(models_dir, model->file_name);
    if (FileExists(path)) return path;
    return NotFound(StrCat("model ", model->name, " is not in ", models_dir, " (", model->file_name,
                           ", ", model->bytes / 1000000, " MB, ", model->licence,
                           "); fetch it with ", model->fetch_command));
  }
  const std::string path(name_or_path);
  if (!path.empty() && FileExists(path)) return path;
  if (LooksLikePath(path))
    return NotFound(StrCat("weights file ", Quoted(path), " does not exist"));
  std::string names;
  for (const CatalogModel& model : kModels) names += StrCat(names.empty() ? "" : ", ", model.name);
  return NotFound(
      StrCat("model ", Quoted(path), " is unknown; the known ones are ", names,
             "; or give the path of a GGUF file or, for an embedder, of a Hugging Face folder"));
}

}  // namespace vade
