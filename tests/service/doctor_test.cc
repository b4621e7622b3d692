#include "service/doctor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "index/index.h"
#include "kernels/kernels.h"
#include "service/endpoint.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using Json = nlohmann::json;
using testing::TempDir;

class Doctor : public ::testing::Test {
 protected:
  Doctor() {
    options_.data_dir = dir_.File("data");
    options_.models_dir = dir_.File("models");
    options_.packed_dir = dir_.File("packed");
  }

  // A file of the right size; nothing is written to the disk.
  void PretendModel(const std::string& name) {
    const CatalogModel* model = FindModel(name);
    ASSERT_NE(model, nullptr);
    const std::string path = dir_.Write("models/" + std::string(model->file_name), "");
    std::filesystem::resize_file(path, model->bytes);
  }

  static bool Has(const DoctorReport& report, const std::string& what, const std::string& remedy) {
    for (const DoctorProblem& problem : report.problems) {
      if (problem.what.find(what) != std::string::npos &&
          problem.remedy.find(remedy) != std::string::npos)
        return true;
    }
    return false;
  }

  TempDir dir_;
  LocalOptions options_;
};

TEST_F(Doctor, SaysWhatTheMachineIs) {
  const DoctorReport report = Examine(options_);
  EXPECT_EQ(report.level, kernels::LevelName(kernels::Active().level));
  EXPECT_EQ(report.levels.front(), "scalar");
  EXPECT_GE(report.cores, 1);
  EXPECT_GT(report.memory.total_bytes, 0u);
  EXPECT_LE(report.memory.available_bytes, report.memory.total_bytes);
  EXPECT_GT(report.data.free_disk_bytes, 0u);
}

TEST_F(Doctor, AMissingGpuIsAProblemOnlyToWhoAsksForOne) {
  const DoctorReport looked = Examine(options_);
  EXPECT_FALSE(Has(looked, "no GPU", ""));
  if (looked.gpu.why_not.empty()) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_TRUE(Has(Examine(options_, GpuExam::kCompute), "no GPU: ", "--device cpu"));
  options_.device = DeviceChoice::kCuda;
  EXPECT_TRUE(Has(Examine(options_), "no GPU: ", "--device cpu"));
  EXPECT_NE(DoctorText(looked).find("no GPU: " + looked.gpu.why_not), std::string::npos);
}

TEST_F(Doctor, ChecksOfTheGpuThatFailBecomeProblems) {
  DoctorReport report;
  report.gpu.gpu.compute_major = 9;
  report.gpu.checks = {{"products of F32 weights", 1e-7, 1e-4, true},
                       {"products of Q4_K weights", 0.5, 0.02, true},
                       {"attention over q8 pages", 0, 1e-4, false}};
  const auto problems = internal::ProblemsOf(report.gpu.checks);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_NE(problems[0].what.find("Q4_K"), std::string::npos);
  EXPECT_NE(problems[1].what.find("depend on"), std::string::npos);
  EXPECT_NE(DoctorText(report).find("1 of 3 checks passed"), std::string::npos);
}

TEST_F(Doctor, ADirectoryThatIsNotThereYetIsNoProblemAndIsNotMade) {
  const DoctorReport report = Examine(options_);
  EXPECT_EQ(report.data.state, DataState::kMissing);
  EXPECT_FALSE(Has(report, "data", ""));
  EXPECT_FALSE(IsDirectory(options_.data_dir));
}

TEST_F(Doctor, AStoreIsCounted) {
  {
    auto store = OpenStore(options_.data_dir, {});
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    CollectionInfo info;
    info.name = "default";
    info.embedder_id = "e";
    info.dimension = 4;
    ASSERT_TRUE((*store)->CreateCollection(info).ok());
  }
  const DoctorReport report = Examine(options_);
  EXPECT_EQ(report.data.state, DataState::kOk) << report.data.trouble;
  EXPECT_EQ(report.data.collections, 1u);
}

TEST_F(Doctor, AStoreThatAServiceHasOpenIsSaidWithItsAddress) {
  const auto store = OpenStore(options_.data_dir, {});
  ASSERT_TRUE(store.ok());
  DoctorReport report = Examine(options_);
  EXPECT_EQ(report.data.state, DataState::kOpenElsewhere);
  EXPECT_TRUE(Has(report, "another process", "wait"));
  dir_.Write("data/endpoint", "127.0.0.1:50051\n");
  report = Examine(options_);
  EXPECT_EQ(report.data.endpoint, "127.0.0.1:50051");
  EXPECT_FALSE(Has(report, "another process", ""));
  EXPECT_NE(DoctorText(report).find("open in a service at 127.0.0.1:50051"), std::string::npos);
}

TEST_F(Doctor, AFileInPlaceOfTheDirectoryIsAProblem) {
  options_.data_dir = dir_.Write("file", "x");
  const DoctorReport report = Examine(options_);
  EXPECT_EQ(report.data.state, DataState::kUnusable);
  EXPECT_TRUE(Has(report, options_.data_dir, "--data")) << DoctorText(report);
}

TEST_F(Doctor, AFolderThatCannotBeWrittenIsAProblem) {
  if (geteuid() == 0) GTEST_SKIP() << "root writes everywhere";
  const std::string locked = dir_.File("locked");
  ASSERT_TRUE(MakeDirectories(locked).ok());
  std::filesystem::permissions(
      locked, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  options_.data_dir = JoinPath(locked, "data");
  EXPECT_TRUE(Has(Examine(options_), "cannot be written", "--data"));
}

TEST_F(Doctor, MissingModelsAreProblemsWithTheCommandThatFetchesThem) {
  const DoctorReport report = Examine(options_);
  EXPECT_TRUE(Has(report, "multilingual-e5-small", "scripts/fetch-models")) << DoctorText(report);
  EXPECT_TRUE(report.embedder.empty());
  EXPECT_TRUE(report.decoder.empty());
  EXPECT_EQ(report.problems.size() >= 2, true) << DoctorText(report);
}

TEST_F(Doctor, OneDecoderIsEnough) {
  PretendModel("multilingual-e5-small");
  PretendModel("smollm2-135m");
  const DoctorReport report = Examine(options_);
  EXPECT_NE(report.embedder.find("multilingual-e5-small-q4.gguf"), std::string::npos);
  EXPECT_NE(report.decoder.find("smollm2-135m-instruct-q4_1.gguf"), std::string::npos);
  EXPECT_FALSE(Has(report, "", "fetch-models")) << DoctorText(report);
}

TEST_F(Doctor, AModelOfTheWrongSizeIsAProblem) {
  PretendModel("multilingual-e5-small");
  dir_.Write("models/smollm2-135m-instruct-q4_1.gguf", "short");
  EXPECT_TRUE(
      Has(Examine(options_), "has 5 bytes, 98362432 are right", "scripts/fetch-models --tests"));
}

TEST_F(Doctor, AHeldLevelIsAProblem) {
  if (!kernels::LevelSupported(kernels::Level::kAvx2))
    GTEST_SKIP() << "this processor has one level only";
  const kernels::ScopedLevel forced(kernels::Level::kScalar);
  EXPECT_TRUE(Has(Examine(options_), "scalar", "VADE_LEVEL"));
}

TEST_F(Doctor, ThePackedCacheIsMeasured) {
  dir_.Write("packed/a.pack", std::string(1000, 'x'));
  dir_.Write("packed/b.pack", std::string(24, 'x'));
  EXPECT_EQ(Examine(options_).packed_bytes, 1024u);
}

TEST_F(Doctor, TheJsonHasWhatTheTextSays) {
  const DoctorReport report = Examine(options_);
  const Json json = Json::parse(DoctorJson(report));
  EXPECT_EQ(json["cpu"]["level"], report.level);
  EXPECT_EQ(json["cores"], report.cores);
  EXPECT_EQ(json["data"]["state"], "missing");
  EXPECT_EQ(json["models"].size(), Catalog().size());
  EXPECT_EQ(json["problems"].size(), report.problems.size());
  const std::string text = DoctorText(report);
  for (const DoctorProblem& problem : report.problems) {
    EXPECT_NE(text.find("problem: " + problem.what + "\n  remedy: " + problem.remedy),
              std::string::npos);
  }
}

TEST(DoctorText, WithoutProblemsItSaysSo) {
  EXPECT_NE(DoctorText({}).find("no problem found\n"), std::string::npos);
}

TEST(ParseMemory, ReadsTheKernelsTable) {
  const MemoryFound found = internal::ParseMemory(
      "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\nHugePages_Total:  5\n",
      "", "");
  EXPECT_EQ(found.total_bytes, 16384u * 1024);
  EXPECT_EQ(found.available_bytes, 8192u * 1024);
}

TEST(ParseMemory, TheLimitOfAControlGroupCounts) {
  const char* table = "MemTotal: 16384 kB\nMemAvailable: 8192 kB\n";
  MemoryFound found = internal::ParseMemory(table, "2097152\n", "1048576\n");
  EXPECT_EQ(found.total_bytes, 2097152u);
  EXPECT_EQ(found.available_bytes, 1048576u);
  found = internal::ParseMemory(table, "2097152\n", "9999999\n");  // over its limit
  EXPECT_EQ(found.available_bytes, 0u);
  found = internal::ParseMemory(table, "max\n", "1048576\n");
  EXPECT_EQ(found.total_bytes, 16384u * 1024);
  EXPECT_EQ(found.available_bytes, 8192u * 1024);
}

TEST(ParseMemory, NonsenseIsUnknown) {
  for (const char* text :
       {"", "MemTotal:", "MemTotal: x kB", "MemTotal: 99999999999999999999 kB", " kB", ": kB"}) {
    EXPECT_EQ(internal::ParseMemory(text, "", "").total_bytes, 0u) << text;
  }
}

TEST(ParseCpuName, IsTheFirstModelName) {
  EXPECT_EQ(internal::ParseCpuName(
                "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nprocessor: 1\nmodel name: other\n"),
            "AMD EPYC 7B13");
  EXPECT_EQ(internal::ParseCpuName("processor : 0\n"), "");
}

}  // namespace
}  // namespace vade
