// Which models of the catalog lie in the models folder, and whether they are whole. For `vade
// models list` and `vade doctor`. Private to service/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/catalog.h"

namespace vade {

enum class ModelPresence { kThere, kMissing, kWrongSize };

struct InstalledModel {
  const CatalogModel* model = nullptr;  // of the catalog, lives as long as the process
  std::string path;                     // where it lies or would lie
  ModelPresence presence = ModelPresence::kMissing;
  uint64_t bytes_there = 0;  // 0 when missing
};

// In the order of the catalog. Looks at sizes only: the SHA-256 of a gigabyte is
// scripts/fetch-models' work.
std::vector<InstalledModel> ListModels(const std::string& models_dir);

std::string_view RoleName(ModelRole role);              // "decoder", "embedder"
std::string_view PresenceName(ModelPresence presence);  // "there", "missing", "wrong size"

}  // namespace vade
