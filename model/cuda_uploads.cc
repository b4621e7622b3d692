#include "model/cuda_uploads.h"

#include <algorithm>
#include <cstring>

namespace vade {

namespace cuda = kernels::cuda;

std::vector<UploadPiece> PlanUpload(const UploadRing& ring, uint64_t bytes, UploadPlace* place) {
  std::vector<UploadPiece> pieces;
  for (uint64_t done = 0; done < bytes;) {
    if (place->used == ring.slot_bytes) *place = {(place->slot + 1) % ring.slots, 0};
    const uint64_t count = std::min(bytes - done, ring.slot_bytes - place->used);
    pieces.push_back({done, count, place->slot, place->used});
    place->used += (count + kUploadAlignment - 1) / kUploadAlignment * kUploadAlignment;
    done += count;
  }
  return pieces;
}

Status CudaUploads::MakeReady() {
  if (!uploads_.handle) {
    ASSIGN_OR_RETURN(uploads_, device_->NewEvent());
  }
  if (!work_.handle) {
    ASSIGN_OR_RETURN(work_, device_->NewEvent());
  }
  while (slots_.size() < ring_.slots) {
    Slot slot;
    ASSIGN_OR_RETURN(slot.host, device_->AllocateHost(ring_.slot_bytes));
    auto event = device_->NewEvent();
    if (!event.ok()) device_->FreeHost(slot.host);
    ASSIGN_OR_RETURN(slot.arrived, std::move(event));
    slots_.push_back(slot);
  }
  return OkStatus();
}

void CudaUploads::Release() {
  for (const Slot& slot : slots_) {
    device_->FreeHost(slot.host);
    device_->FreeEvent(slot.arrived);
  }
  for (cuda::Event* event : {&work_, &uploads_}) {
    if (event->handle) device_->FreeEvent(*event);
    *event = {};
  }
  slots_.clear();
  place_ = {};
}

Status CudaUploads::CopyPiece(uint8_t* to, const uint8_t* from, const UploadPiece& piece) {
  Slot& slot = slots_[piece.slot];
  if (piece.at == 0 && slot.in_use) RETURN_IF_ERROR(device_->WaitFor(slot.arrived));
  std::memcpy(slot.host + piece.at, from + piece.begin, piece.bytes);
  device_->Upload(to + piece.begin, slot.host + piece.at, piece.bytes);
  device_->Record(slot.arrived, cuda::Queue::kUploads);
  slot.in_use = true;
  return OkStatus();
}

Status CudaUploads::Copy(uint8_t* to, std::span<const uint8_t> bytes) {
  if (bytes.empty()) return OkStatus();
  RETURN_IF_ERROR(MakeReady());
  device_->Record(work_, cuda::Queue::kWork);
  device_->LetWait(cuda::Queue::kUploads, work_);
  Status status;
  for (const UploadPiece& piece : PlanUpload(ring_, bytes.size(), &place_)) {
    status = CopyPiece(to, bytes.data(), piece);
    if (!status.ok()) break;
  }
  // The slots of pieces that were not copied hold what came before: all of it is to have arrived.
  if (!status.ok()) {
    (void)device_->Synchronize();
    place_ = {};
  }
  // After a failure too: what has been queued may still write there.
  device_->Record(uploads_, cuda::Queue::kUploads);
  device_->LetWait(cuda::Queue::kWork, uploads_);
  return status;
}

}  // namespace vade
