// The way to the GPU on machines where it leads nowhere: why not, and the processor instead.
#include "model/cuda_library.h"

#include <gtest/gtest.h>

#include "tests/model/transformer_fixture.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::TempDir;
using testing::TinyModel;

TEST(CudaLibrary, MissingOrForeignLibraryIsSaid) {
  TempDir dir;
  internal::CudaOpenArgs args;
  const Status missing = internal::OpenCudaAt(dir.File("none.so"), &args);
  EXPECT_EQ(missing.code(), StatusCode::kUnavailable);
  EXPECT_NE(missing.message().find("nvcc"), std::string::npos);
  const Status foreign = internal::OpenCudaAt(dir.Write("x.so", "no library"), &args);
  EXPECT_EQ(foreign.code(), StatusCode::kUnavailable);
}

TEST(CudaLibrary, DeviceNamesAreReadBack) {
  for (DeviceChoice choice : {DeviceChoice::kAuto, DeviceChoice::kCpu, DeviceChoice::kCuda}) {
    EXPECT_EQ(ParseDeviceChoice(DeviceChoiceName(choice)), choice);
  }
  EXPECT_FALSE(ParseDeviceChoice("gpu").has_value());
}

TEST(CudaLibrary, DecoderFallsBackToTheProcessorUnlessTheGpuIsDemanded) {
  if (OpenCudaBackend({}).ok()) GTEST_SKIP() << "this machine has a GPU";
  TempDir dir;
  const std::string path = dir.File("model.gguf");
  ASSERT_TRUE(TinyModel{}.Write(path).ok());
  DecoderOptions options = testing::SmallOptions();
  options.device = DeviceChoice::kAuto;
  const auto decoder = LoadDecoder(path, options);
  ASSERT_TRUE(decoder.ok()) << decoder.status().message();
  EXPECT_EQ((*decoder)->info().device, "cpu");
  options.device = DeviceChoice::kCuda;
  const auto demanded = LoadDecoder(path, options);
  ASSERT_FALSE(demanded.ok());
  EXPECT_EQ(demanded.status().message().find("no GPU: "), 0u) << demanded.status().message();
}

}  // namespace
}  // namespace vade
