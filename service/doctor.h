// `vade doctor`: what this machine and this installation can do, and what stands in the way, each
// with its remedy. Looks and changes nothing, but for what opening a data directory does anyway.
// Used on one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/backend_check.h"
#include "model/cuda_library.h"
#include "service/installed_models.h"
#include "service/local_api.h"

namespace vade {

struct DoctorProblem {
  std::string what;
  std::string remedy;
};

struct MemoryFound {
  uint64_t total_bytes = 0;  // 0: unknown
  uint64_t available_bytes = 0;
};

enum class DataState { kMissing, kOpenElsewhere, kOk, kUnusable };

struct DataFound {
  std::string path;
  DataState state = DataState::kMissing;
  std::string endpoint;  // of the service that has it open, "" when unknown
  std::string trouble;   // why it is unusable, else ""
  uint64_t collections = 0, documents = 0, passages = 0;  // when kOk
  uint64_t free_disk_bytes = 0;                           // 0: unknown
};

struct GpuFinding {
  std::string why_not;  // there is none; "" when there is one
  GpuFound gpu;
  std::vector<BackendCheck> checks;  // with --gpu: its operations against the processor's
};

struct DoctorReport {
  std::string cpu;                  // the processor's own name, "" when unknown
  std::string level;                // of the kernels in force
  std::vector<std::string> levels;  // that the processor has
  int cores = 1;                    // that this process may use
  MemoryFound memory;
  GpuFinding gpu;
  DataFound data;
  std::string models_dir;
  std::vector<InstalledModel> models;
  std::string embedder, decoder;  // files that commands would use, "" when there is none
  std::string packed_dir;
  uint64_t packed_bytes = 0;       // repacked weights
  uint64_t packed_free_bytes = 0;  // of that disk
  std::vector<DoctorProblem> problems;
};

// Whether the GPU, too, is made to compute; that there is none is a problem then.
enum class GpuExam : uint8_t { kLook, kCompute };
DoctorReport Examine(const LocalOptions& options, GpuExam gpu = GpuExam::kLook);

std::string DoctorText(const DoctorReport& report);  // several lines
std::string DoctorJson(const DoctorReport& report);  // one line without a line end

namespace internal {
// From the text of /proc/meminfo and of a control group's memory.max ("" or "max": no limit) and
// memory.current.
MemoryFound ParseMemory(std::string_view meminfo, std::string_view group_limit,
                        std::string_view group_used);
// What is wrong with checks that did not pass.
std::vector<DoctorProblem> ProblemsOf(const std::vector<BackendCheck>& checks);
// From the text of /proc/cpuinfo.
std::string ParseCpuName(std::string_view cpuinfo);
}  // namespace internal

}  // namespace vade
