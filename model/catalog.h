// The models that this project knows by name: what `--model` and `--embedder` take beside a path.
//
//   ASSIGN_OR_RETURN(std::string path, ResolveModel("smollm2-135m", ModelsDirectory()));
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace vade {

enum class ModelRole { kDecoder, kEmbedder };

struct CatalogModel {
  std::string_view name;       // "qwen2.5-coder-1.5b"
  std::string_view file_name;  // inside the models folder
  ModelRole role;
  std::string_view licence;  // SPDX identifier
  uint64_t bytes;
  std::string_view sha256;         // of the file
  std::string_view fetch_command;  // fetches it, run in the source folder
};

std::span<const CatalogModel> Catalog();
const CatalogModel* FindModel(std::string_view name);  // null when unknown

// $VADE_MODELS, else the folder "models" in CacheDirectory().
std::string ModelsDirectory();

// The path of a weight file: a name of the catalog, looked up in `models_dir`, or a path as it is.
// NOT_FOUND in one line: which file is missing and the command that fetches it, or the names there
// are.
Result<std::string> ResolveModel(std::string_view name_or_path, const std::string& models_dir);

}  // namespace vade
