// What `vade doctor` prints: lines for people, one JSON object for programs.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "service/doctor.h"
#include "service/json_text.h"

namespace vade {
namespace {

using Json = nlohmann::ordered_json;

std::string HumanBytes(uint64_t bytes) {
  char buffer[32];
  if (bytes >= 1'000'000'000) {
    std::snprintf(buffer, sizeof(buffer), "%.1f GB", static_cast<double>(bytes) / 1e9);
  } else {
    std::snprintf(buffer, sizeof(buffer), "%.0f MB", static_cast<double>(bytes) / 1e6);
  }
  return buffer;
}

std::string Line(std::string_view label, std::string_view text) {
  return StrCat(label, std::string(label.size() < 12 ? 12 - label.size() : 1, ' '), text, "\n");
}

std::string_view StateName(DataState state) {
  switch (state) {
    case DataState::kMissing: return "missing";
    case DataState::kOpenElsewhere: return "open elsewhere";
    case DataState::kOk: return "ok";
    case DataState::kUnusable: return "unusable";
  }
  return "unusable";
}

std::string DataText(const DataFound& data) {
  switch (data.state) {
    case DataState::kMissing: return "not there yet; `vade ingest PATH` makes it";
    case DataState::kOpenElsewhere:
      return data.endpoint.empty() ? std::string("open in another process")
                                   : StrCat("open in a service at ", data.endpoint);
    case DataState::kOk:
      return StrCat(data.collections, " collections, ", data.documents, " documents, ",
                    data.passages, " passages");
    case DataState::kUnusable: return "cannot be used";
  }
  return "";
}

std::string ModelLine(const InstalledModel& installed) {
  const CatalogModel& model = *installed.model;
  const bool there = installed.presence == ModelPresence::kThere;
  return StrCat("  ", model.name,
                std::string(model.name.size() < 24 ? 24 - model.name.size() : 1, ' '),
                RoleName(model.role), model.role == ModelRole::kDecoder ? "   " : "  ",
                PresenceName(installed.presence),
                there ? std::string() : StrCat(" (", model.fetch_command, ")"), "\n");
}

std::string GpuText(const GpuFinding& finding) {
  if (!finding.why_not.empty()) return "no GPU: " + finding.why_not;
  const GpuFound& gpu = finding.gpu;
  std::string text =
      StrCat(gpu.name, ", ", HumanBytes(gpu.free_bytes), " free of ", HumanBytes(gpu.total_bytes),
             ", compute capability ", gpu.compute_major, ".", gpu.compute_minor,
             ", driver for CUDA ", gpu.driver_version / 1000, ".", gpu.driver_version % 1000 / 10);
  size_t passed = 0;
  for (const BackendCheck& check : finding.checks) passed += check.passed() ? 1 : 0;
  if (!finding.checks.empty()) {
    text += StrCat("; ", passed, " of ", finding.checks.size(), " checks passed");
  }
  return text;
}

Json GpuJson(const GpuFinding& finding) {
  if (!finding.why_not.empty()) return {{"found", false}, {"why_not", finding.why_not}};
  const GpuFound& gpu = finding.gpu;
  Json checks = Json::array();
  for (const BackendCheck& check : finding.checks) {
    checks.push_back({{"what", check.what},
                      {"passed", check.passed()},
                      {"difference", check.difference},
                      {"allowed", check.allowed},
                      {"repeatable", check.repeatable}});
  }
  return {{"found", true},
          {"name", gpu.name},
          {"compute_capability", StrCat(gpu.compute_major, ".", gpu.compute_minor)},
          {"total_bytes", gpu.total_bytes},
          {"free_bytes", gpu.free_bytes},
          {"driver_version", gpu.driver_version},
          {"checks", std::move(checks)}};
}

std::string FreeText(uint64_t bytes) {
  return bytes == 0 ? std::string() : StrCat("; ", HumanBytes(bytes), " free on its disk");
}

}  // namespace

std::string DoctorText(const DoctorReport& report) {
  std::string text = Line("version", VADE_VERSION);
  text += Line("processor", report.cpu.empty() ? "unknown" : report.cpu);
  text += Line("kernels",
               StrCat(report.level, " (this processor has ", Join(report.levels, ", "), ")"));
  text += Line("cores", StrCat(report.cores));
  text += Line("memory", report.memory.total_bytes == 0
                             ? std::string("unknown")
                             : StrCat(HumanBytes(report.memory.available_bytes), " free of ",
                                      HumanBytes(report.memory.total_bytes)));
  text += Line("gpu", GpuText(report.gpu));
  text += Line("data", StrCat(report.data.path, ": ", DataText(report.data),
                              FreeText(report.data.free_disk_bytes)));
  text += Line("cache", StrCat(report.packed_dir, ": ", HumanBytes(report.packed_bytes),
                               " of repacked weights", FreeText(report.packed_free_bytes)));
  text += Line("embedder", report.embedder.empty() ? "none" : report.embedder);
  text += Line("decoder", report.decoder.empty() ? "none" : report.decoder);
  text += Line("models", report.models_dir);
  for (const InstalledModel& installed : report.models) text += ModelLine(installed);
  for (const DoctorProblem& problem : report.problems) {
    text += StrCat("problem: ", problem.what, "\n  remedy: ", problem.remedy, "\n");
  }
  if (report.problems.empty()) text += "no problem found\n";
  return text;
}

std::string DoctorJson(const DoctorReport& report) {
  Json models = Json::array();
  for (const InstalledModel& installed : report.models) {
    models.push_back({{"name", installed.model->name},
                      {"role", RoleName(installed.model->role)},
                      {"path", installed.path},
                      {"state", PresenceName(installed.presence)},
                      {"bytes", installed.bytes_there}});
  }
  Json problems = Json::array();
  for (const DoctorProblem& problem : report.problems) {
    problems.push_back({{"what", problem.what}, {"remedy", problem.remedy}});
  }
  const DataFound& data = report.data;
  const Json json = {
      {"version", VADE_VERSION},
      {"cpu", {{"model", report.cpu}, {"level", report.level}, {"levels", report.levels}}},
      {"cores", report.cores},
      {"memory",
       {{"total_bytes", report.memory.total_bytes},
        {"available_bytes", report.memory.available_bytes}}},
      {"gpu", GpuJson(report.gpu)},
      {"data",
       {{"path", data.path},
        {"state", StateName(data.state)},
        {"endpoint", data.endpoint},
        {"collections", data.collections},
        {"documents", data.documents},
        {"passages", data.passages},
        {"free_bytes", data.free_disk_bytes}}},
      {"packed",
       {{"path", report.packed_dir},
        {"bytes", report.packed_bytes},
        {"free_bytes", report.packed_free_bytes}}},
      {"embedder", report.embedder},
      {"decoder", report.decoder},
      {"models_dir", report.models_dir},
      {"models", models},
      {"problems", problems}};
  return JsonText(json);
}

}  // namespace vade
