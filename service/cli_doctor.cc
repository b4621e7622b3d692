// doctor.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/strings.h"
#include "service/cli_session.h"
#include "service/doctor.h"

namespace vade {
namespace {

Status RunDoctor(CliSession& session, bool gpu) {
  if (!session.options.server.empty()) {
    return FailedPrecondition("doctor examines this machine; leave --server out");
  }
  const DoctorReport report =
      Examine(session.local_options(), gpu ? GpuExam::kCompute : GpuExam::kLook);
  if (session.options.json) {
    std::printf("%s\n", DoctorJson(report).c_str());
  } else {
    std::printf("%s", DoctorText(report).c_str());
  }
  const size_t count = report.problems.size();
  if (count == 0) return OkStatus();
  return FailedPrecondition(
      StrCat(count, count == 1 ? " problem" : " problems", "; the remedies stand above"));
}

}  // namespace

void AddDoctorCommand(CLI::App& app, CliSession& session) {
  auto gpu = std::make_shared<bool>(false);
  CLI::App* doctor = app.add_subcommand("doctor", "What this machine and this installation can do");
  doctor->add_flag("--gpu", *gpu, "Make the GPU compute, too, and compare");
  doctor->callback([&session, gpu] { session.Run([&] { return RunDoctor(session, *gpu); }); });
}

}  // namespace vade
