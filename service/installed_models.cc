#include "service/installed_models.h"

#include "base/files.h"

namespace vade {

std::vector<InstalledModel> ListModels(const std::string& models_dir) {
  std::vector<InstalledModel> models;
  for (const CatalogModel& model : Catalog()) {
    InstalledModel installed{&model, JoinPath(models_dir, model.file_name), ModelPresence::kMissing,
                             0};
    if (FileExists(installed.path)) {
      const auto size = FileSize(installed.path);
      installed.bytes_there = size.ok() ? *size : 0;
      installed.presence =
          installed.bytes_there == model.bytes ? ModelPresence::kThere : ModelPresence::kWrongSize;
    }
    models.push_back(std::move(installed));
  }
  return models;
}

std::string_view RoleName(ModelRole role) {
  return role == ModelRole::kDecoder ? "decoder" : "embedder";
}

std::string_view PresenceName(ModelPresence presence) {
  switch (presence) {
    case ModelPresence::kThere: return "there";
    case ModelPresence::kMissing: return "missing";
    case ModelPresence::kWrongSize: return "wrong size";
  }
  return "missing";
}

}  // namespace vade
