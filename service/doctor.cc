#include "service/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "base/strings.h"
#include "base/threads.h"
#include "kernels/kernels.h"
#include "model/cpu_backend.h"
#include "model/encoder_check.h"
#include "model/scanner_check.h"
#include "service/endpoint.h"
#include "service/model_files.h"

namespace vade {
namespace {

constexpr uint64_t kLittleDiskBytes = 1ull << 30;
// Beside its weights a decoder needs keys and values, and the rest of the program some more.
constexpr uint64_t kBesideWeightsBytes = 1ull << 30;

// Files of /proc and /sys say size 0, so that ReadFile's limit is all that bounds them; "" when not
// there.
std::string SystemText(const std::string& path) {
  auto text = ReadFile(path, 4 << 20);
  return text.ok() ? std::move(text).value() : std::string();
}

MemoryFound FindMemory() {
  return internal::ParseMemory(SystemText("/proc/meminfo"), SystemText("/sys/fs/cgroup/memory.max"),
                               SystemText("/sys/fs/cgroup/memory.current"));
}

std::vector<std::string> SupportedLevels() {
  std::vector<std::string> names;
  for (kernels::Level level :
       kernels::kAllLevels) {
    if (kernels::LevelSupported(level)) names.emplace_back(kernels::LevelName(level));
  }
  return names;
}

// The path itself or the nearest folder above it that is there.
std::string NearestFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(path, error);
  while (!error && !std::filesystem::is_directory(folder, error) && folder.has_relative_path()) {
    folder = folder.parent_path();
    error.clear();
  }
  return folder.string();
}

uint64_t FreeBytesAt(const std::string& path) {
  const auto free = FreeDiskBytes(NearestFolder(path));
  return free.ok() ? *free : 0;
}

uint64_t FolderBytes(const std::string& folder) {
  uint64_t bytes = 0;
  if (!IsDirectory(folder)) return 0;
  const Status walked = WalkFiles(
      folder, [&](const FileEntry& file) { return bytes += file.size_bytes, OkStatus(); },
      [](const std::string&, const Status&) {});
  return walked.ok() ? bytes : 0;
}

void Count(Store& store, DataFound* data) {
  const auto collections = store.ListCollections();
  if (!collections.ok()) {
    data->state = DataState::kUnusable;
    data->trouble = collections.status().message();
    return;
  }
  data->collections = collections->size();
  for (const CollectionInfo& info : *collections) {
    data->documents += info.document_count;
    data->passages += info.passage_count;
  }
}

DataFound FindData(const LocalOptions& options) {
  DataFound data;
  data.path = options.data_dir;
  data.free_disk_bytes = FreeBytesAt(options.data_dir);
  if (FileExists(data.path) && !IsDirectory(data.path)) {
    data.state = DataState::kUnusable;
    data.trouble = "it is a file, no folder";
    return data;
  }
  StoreOptions store_options = options.store;
  store_options.create_if_missing = false;
  store_options.background = false;
  const auto store = OpenStore(options.data_dir, store_options);
  switch (store.status().code()) {
    case StatusCode::kOk:
      data.state = DataState::kOk;
      Count(**store, &data);
      break;
    case StatusCode::kNotFound: data.state = DataState::kMissing; break;
    case StatusCode::kUnavailable:
      data.state = DataState::kOpenElsewhere;
      data.endpoint = ReadEndpoint(options.data_dir).value_or("");
      break;
    default: data.state = DataState::kUnusable; data.trouble = store.status().message();
  }
  return data;
}

// --- what stands in the way
// -----------------------------------------------------------------------------

void CheckLevel(DoctorReport* report) {
  if (report->levels.size() == 1) {
    report->problems.push_back({"this processor has no AVX2, so that answers take long",
                                "use a small model: --model smollm2-135m"});
  } else if (report->level != report->levels.back()) {
    report->problems.push_back({StrCat("the kernels are held at the level ", report->level),
                                "leave --level out and unset VADE_LEVEL"});
  }
}

// The messages of a missing model end with their remedy; it is split off where it can be told.
DoctorProblem ProblemOf(const Status& status, std::string otherwise) {
  const std::string& message = status.message();
  const size_t semicolon = message.rfind("; ");
  if (semicolon == std::string::npos) return {message, std::move(otherwise)};
  return {message.substr(0, semicolon), message.substr(semicolon + 2)};
}

void CheckModels(const LocalOptions& options, DoctorReport* report) {
  const auto embedder = FindEmbedderFile(options);
  const auto decoder = FindDecoderFile(options);
  if (embedder.ok()) report->embedder = *embedder;
  if (decoder.ok()) report->decoder = *decoder;
  if (!embedder.ok())
    report->problems.push_back(ProblemOf(embedder.status(), "run scripts/fetch-models"));
  if (!decoder.ok())
    report->problems.push_back(ProblemOf(decoder.status(), "run scripts/fetch-models"));
  for (const InstalledModel& installed : report->models) {
    if (installed.presence != ModelPresence::kWrongSize) continue;
    report->problems.push_back({StrCat(installed.path, " has ", installed.bytes_there, " bytes, ",
                                       installed.model->bytes, " are right"),
                                StrCat("delete it and run ", installed.model->fetch_command)});
  }
}

void CheckMemory(DoctorReport* report) {
  const auto weights =
      report->decoder.empty() ? Result<uint64_t>(uint64_t{0}) : FileSize(report->decoder);
  const uint64_t wanted = (weights.ok() ? *weights : 0) + kBesideWeightsBytes;
  if (report->memory.total_bytes == 0 || report->memory.available_bytes >= wanted) return;
  report->problems.push_back(
      {StrCat(report->memory.available_bytes >> 20, " MiB of memory are free, about ", wanted >> 20,
              " are needed to answer"),
       "end other programs, or name a smaller model with --model"});
}

void CheckDisk(const std::string& what, const std::string& path, uint64_t free_bytes,
               const char* remedy, DoctorReport* report) {
  if (free_bytes == 0 || free_bytes >= kLittleDiskBytes) return;
  report->problems.push_back(
      {StrCat("the disk of ", what, " ", path, " has ", free_bytes >> 20, " MiB left"), remedy});
}

void CheckData(DoctorReport* report) {
  const DataFound& data = report->data;
  if (data.state == DataState::kUnusable) {
    report->problems.push_back(
        {StrCat("the data directory ", data.path, " cannot be used: ", data.trouble),
         "restore it from a copy, or name another one with --data"});
  }
  if (data.state == DataState::kOpenElsewhere && data.endpoint.empty()) {
    report->problems.push_back(
        {StrCat("another process has ", data.path, " open and says no address"),
         "wait until it is done, or end it"});
  }
  const std::string folder = NearestFolder(data.path);
  if (access(folder.c_str(), W_OK) != 0) {
    report->problems.push_back(
        {folder + " cannot be written by this user", "name another place with --data"});
  }
}

// Nine tenths of the GPU's memory are not needed to look at it.
constexpr uint64_t kExamBytes = 256ull << 20;

void CheckGpu(const LocalOptions& options, GpuExam exam, DoctorReport* report) {
  GpuOptions gpu = options.gpu;
  gpu.memory_bytes = kExamBytes;
  auto backend = OpenCudaBackend(gpu, &report->gpu.gpu);
  if (!backend.ok()) {
    report->gpu.why_not = backend.status().message();
    if (exam == GpuExam::kCompute || options.device == DeviceChoice::kCuda) {
      report->problems.push_back(
          {"no GPU: " + report->gpu.why_not,
           "answers come from the processor (--device cpu); docs/gpu.md says "
           "what a GPU needs"});
    }
    return;
  }
  if (exam == GpuExam::kLook) return;
  CpuBackend reference(nullptr);
  const auto take = [&](Result<std::vector<BackendCheck>> checks) {
    if (!checks.ok()) {
      report->problems.push_back(
          {"the GPU does not compute: " + checks.status().message(), "use --device cpu"});
      return;
    }
    report->gpu.checks.insert(report->gpu.checks.end(), checks->begin(), checks->end());
  };
  take(CheckBackend(**backend, reference));
  take(CheckEncoder([&](const EncoderWeights& weights, Pooling pooling) {
    return OpenCudaEncoder(weights, pooling, gpu);
  }));
  const auto scanner = OpenCudaScanner(gpu);
  take(scanner.ok() ? CheckScanner(**scanner) : scanner.status());
  for (DoctorProblem& problem : internal::ProblemsOf(report->gpu.checks)) {
    report->problems.push_back(std::move(problem));
  }
}

}  // namespace

namespace internal {

std::vector<DoctorProblem> ProblemsOf(const std::vector<BackendCheck>& checks) {
  std::vector<DoctorProblem> problems;
  for (const BackendCheck& check : checks) {
    if (check.passed()) continue;
    const std::string how = check.repeatable
                                ? StrCat("differ by ", check.difference, " of the largest value")
                                : std::string("depend on what is computed beside them");
    problems.push_back({StrCat("the GPU's ", check.what, " ", how),
                        "use --device cpu, and report it with the driver's version"});
  }
  return problems;
}

MemoryFound ParseMemory(std::string_view meminfo, std::string_view group_limit,
                        std::string_view group_used) {
  MemoryFound found;
  for (const std::string& line : Split(meminfo, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || !line.ends_with(" kB")) continue;
    const auto kilobytes =
        ParseUint(StripAsciiWhitespace(line.substr(colon + 1, line.size() - colon - 4)));
    if (!kilobytes || *kilobytes >> 50 != 0) continue;
    if (line.starts_with("MemTotal:")) found.total_bytes = *kilobytes * 1024;
    if (line.starts_with("MemAvailable:")) found.available_bytes = *kilobytes * 1024;
  }
  const auto limit = ParseUint(StripAsciiWhitespace(group_limit));
  const auto used = ParseUint(StripAsciiWhitespace(group_used));
  if (limit && (found.total_bytes == 0 || *limit < found.total_bytes)) {
    found.total_bytes = *limit;
    if (used)
      found.available_bytes = std::min(found.available_bytes, *limit - std::min(*used, *limit));
  }
  return found;
}

std::string ParseCpuName(std::string_view cpuinfo) {
  for (const std::string& line : Split(cpuinfo, '\n')) {
    const size_t colon = line.find(':');
    if (line.starts_with("model name") && colon != std::string::npos) {
      return std::string(StripAsciiWhitespace(std::string_view(line).substr(colon + 1)));
    }
  }
  return "";
}

}  // namespace internal

DoctorReport Examine(const LocalOptions& options, GpuExam gpu) {
  DoctorReport report;
  report.cpu = internal::ParseCpuName(SystemText("/proc/cpuinfo"));
  report.level = kernels::LevelName(kernels::Active().level);
  report.levels = SupportedLevels();
  report.cores = options.threads > 0 ? options.threads : UsableCores();
  report.memory = FindMemory();
  report.data = FindData(options);
  report.models_dir = ModelsDir(options);
  report.models = ListModels(report.models_dir);
  report.packed_dir = PackedDir(options);
  report.packed_bytes = FolderBytes(report.packed_dir);
  report.packed_free_bytes = FreeBytesAt(report.packed_dir);

  CheckLevel(&report);
  CheckGpu(options, gpu, &report);
  CheckModels(options, &report);
  CheckMemory(&report);
  CheckDisk("the data directory", report.data.path, report.data.free_disk_bytes,
            "free space, or name another place with --data", &report);
  CheckDisk("the cache", report.packed_dir, report.packed_free_bytes,
            "free space, or set XDG_CACHE_HOME to another disk", &report);
  CheckData(&report);
  return report;
}

}  // namespace vade
