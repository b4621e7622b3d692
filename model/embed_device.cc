#include "model/embed_device.h"

#include "base/log.h"
#include "base/strings.h"
#include "model/cuda_library.h"

namespace vade {
namespace {

OpenDeviceEncoder OpenerOf(const EmbedderOptions& options) {
  if (options.open_device) return options.open_device;
  return [gpu = options.gpu](const EncoderWeights& weights, Pooling pooling) {
    return OpenCudaEncoder(weights, pooling, gpu);
  };
}

}  // namespace

EmbedDevice::EmbedDevice(const EmbedderOptions& options, const EncoderWeights& weights,
                         Pooling pooling)
    : choice_(options.device), open_(OpenerOf(options)), weights_(weights), pooling_(pooling) {}

Result<std::unique_ptr<EmbedDevice>> EmbedDevice::Create(const EmbedderOptions& options,
                                                         const EncoderWeights& weights,
                                                         Pooling pooling) {
  std::unique_ptr<EmbedDevice> device(new EmbedDevice(options, weights, pooling));
  if (options.device == DeviceChoice::kCuda) {
    RETURN_IF_ERROR(device->Open().WithContext("embedding on the GPU"));
  }
  return device;
}

Status EmbedDevice::Open() {
  ASSIGN_OR_RETURN(encoder_, open_(weights_, pooling_));
  opened_ = true;
  LogInfo(choice_ == DeviceChoice::kCuda ? "texts are embedded on the GPU"
                                         : "passages are embedded on the GPU");
  return OkStatus();
}

DeviceEncoder* EmbedDevice::For(EmbedRole role, size_t tokens) {
  if (choice_ == DeviceChoice::kCpu || !usable_) return nullptr;
  if (choice_ == DeviceChoice::kAuto && role != EmbedRole::kPassage) return nullptr;
  if (opened_) return encoder_.get();
  if (tokens < kTokensToOpen) return nullptr;
  std::lock_guard lock(mutex_);
  if (!usable_) return nullptr;
  if (opened_) return encoder_.get();
  const Status status = Open();
  if (status.ok()) return encoder_.get();
  usable_ = false;
  if (status.code() == StatusCode::kUnavailable) {
    SayNoGpu(status.message());
  } else {
    LogWarning(StrCat("passages are not embedded on the GPU: ", status.message(),
                      "; the processor embeds them"));
  }
  return nullptr;
}

void EmbedDevice::GiveUp(const Status& why) {
  if (!usable_.exchange(false)) return;
  LogWarning(StrCat("embedding on the GPU failed: ", why.message(),
                    "; the processor does it again and embeds all that follows"));
}

}  // namespace vade
