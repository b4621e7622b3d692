#include "model/cuda_staging.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vade {
namespace {

constexpr uint64_t kReadBackBytes = 4ull << 20;

}  // namespace

CudaStaging::~CudaStaging() {
  if (host_) device_->FreeHost(host_);
  if (read_back_) device_->FreeHost(read_back_);
  if (on_device_) device_->Free(on_device_);
}

void CudaStaging::Reset() {
  used_ = 0;
  for (auto& [slot, kept] : kept_) kept.at = nullptr;
}

Status CudaStaging::MakeRoom(uint64_t rounded_bytes) {
  if (host_ && rounded_bytes <= bytes_ - used_) return OkStatus();
  if (host_) RETURN_IF_ERROR(device_->Synchronize());
  Reset();
  if (host_ && rounded_bytes <= bytes_) return OkStatus();
  if (host_) device_->FreeHost(std::exchange(host_, nullptr));
  if (on_device_) device_->Free(std::exchange(on_device_, nullptr));
  bytes_ = std::max(bytes_, 2 * rounded_bytes);
  ASSIGN_OR_RETURN(uint8_t * on_device, device_->Allocate(bytes_));
  on_device_ = on_device;
  ASSIGN_OR_RETURN(host_, device_->AllocateHost(bytes_));
  return OkStatus();
}

Result<const uint8_t*> CudaStaging::PutBytes(std::string_view slot,
                                             std::span<const uint8_t> bytes) {
  auto found = kept_.find(slot);
  if (found == kept_.end()) found = kept_.emplace(std::string(slot), Kept()).first;
  Kept& kept = found->second;
  if (kept.at && std::ranges::equal(kept.bytes, bytes)) return kept.at;
  RETURN_IF_ERROR(MakeRoom(Rounded(bytes.size())));
  kept.at = on_device_ + used_;
  kept.bytes.assign(bytes.begin(), bytes.end());
  RETURN_IF_ERROR(CopyTo(on_device_ + used_, bytes));
  return kept.at;
}

Status CudaStaging::CopyTo(uint8_t* to, std::span<const uint8_t> bytes) {
  RETURN_IF_ERROR(MakeRoom(Rounded(bytes.size())));
  std::copy(bytes.begin(), bytes.end(), host_ + used_);
  device_->CopyIn(to, host_ + used_, bytes.size());
  used_ += Rounded(bytes.size());
  return OkStatus();
}

Result<std::span<uint8_t>> CudaStaging::HostBytes() {
  if (!read_back_) {
    ASSIGN_OR_RETURN(read_back_, device_->AllocateHost(kReadBackBytes));
  }
  return std::span<uint8_t>(read_back_, kReadBackBytes);
}

Status CudaStaging::ReadBack(const uint8_t* from, std::span<uint8_t> to) {
  ASSIGN_OR_RETURN(const std::span<uint8_t> host, HostBytes());
  for (size_t done = 0; done < to.size(); done += host.size()) {
    const size_t count = std::min(host.size(), to.size() - done);
    device_->CopyOut(host.data(), from + done, count);
    const Status status = device_->Synchronize();
    Reset();
    RETURN_IF_ERROR(status);
    std::memcpy(to.data() + done, host.data(), count);
  }
  return OkStatus();
}

}  // namespace vade
