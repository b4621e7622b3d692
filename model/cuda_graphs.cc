// Steps of the GPU's backend: their arrays go to the device in one copy, and where a step comes
// again in a shape that was recorded, its launches are one.
#include <algorithm>
#include <bit>

#include "base/log.h"
#include "base/strings.h"
#include "model/cuda_backend.h"

namespace vade {

namespace cuda = kernels::cuda;

namespace {

// Rows of a step worth recording: beyond them the launches hide behind the work.
constexpr uint64_t kGraphRows = 64;
// A step's shape changes where its keys cross a power of two, so a context of 8,192 tokens has a
// dozen for each number of rows. Who goes beyond this begins anew.
constexpr size_t kMaxGraphs = 256;
constexpr uint64_t kLeastStepBytes = 64 << 10;

}  // namespace

Status CudaBackend::RunStep(const StepArgs& args, const std::function<Status()>& operations) {
  std::lock_guard lock(mutex_);
  const uint64_t rows = args.tokens.size();
  const bool recordable = graphs_wanted_ && rows <= kGraphRows && args.rows_out == rows;
  RETURN_IF_ERROR(PutStep(args, recordable ? Room::kPowersOfTwo : Room::kExact));
  const StepKey key = {rows, step_->spans.place.room};
  const Status status = recordable ? RunRecorded(key, operations) : operations();
  step_.reset();
  return status;
}

// Whatever the operations would have to make ready themselves is ready, so that nothing has to grow
// while they are recorded.
Status CudaBackend::PutStep(const StepArgs& args, Room room) {
  StepBytes bytes;
  const auto spans_of = [&](std::span<const AttentionSpan> spans) -> Result<DeviceSpans> {
    const AttendArrays arrays(*args.shape, spans, EnoughBlocks());
    RETURN_IF_ERROR(MakeAttentionReady(*args.shape, arrays, room));
    return DeviceSpans{nullptr, bytes.Put(arrays, room), arrays.rows, arrays.last_page};
  };
  const uint64_t tokens = bytes.Put(args.tokens);
  const uint64_t slots = bytes.Put(std::span<const int32_t>(SlotWords(args.slots)));
  const uint64_t kept = bytes.Put(args.kept);
  DeviceStep step;
  step.args = args;
  ASSIGN_OR_RETURN(step.spans, spans_of(args.spans));
  ASSIGN_OR_RETURN(step.last_spans, spans_of(args.last_spans));

  const uint64_t size = std::max<uint64_t>(kLeastStepBytes, std::bit_ceil(bytes.bytes().size()));
  ASSIGN_OR_RETURN(uint8_t * at, ScratchBytes(kStep, size));
  RETURN_IF_ERROR(staging_.CopyTo(at, bytes.bytes()));
  step.tokens = reinterpret_cast<const int32_t*>(at + tokens);
  step.slots = reinterpret_cast<const int32_t*>(at + slots);
  step.kept = reinterpret_cast<const int32_t*>(at + kept);
  step.spans.at = step.last_spans.at = at;
  step_ = step;
  return OkStatus();
}

Status CudaBackend::RunRecorded(const StepKey& key, const std::function<Status()>& operations) {
  const auto found = graphs_.find(key);
  if (found == graphs_.end()) {
    if (graphs_.size() >= kMaxGraphs) DropGraphs();
    RETURN_IF_ERROR(operations());
    graphs_.emplace(key, cuda::Graph());
    return OkStatus();
  }
  if (!found->second.handle) {
    auto graph = Record(operations);
    const StatusCode code = graph.status().code();
    if (code == StatusCode::kCancelled || code == StatusCode::kDeadlineExceeded) {
      return graph.status();
    }
    if (!graph.ok()) {
      graphs_wanted_ = false;
      DropGraphs();
      LogWarning(StrCat("steps cannot be recorded: ", graph.status().message(),
                        "; they are launched one kernel at a time"));
      return operations();
    }
    found->second = *graph;
    ++graph_counts_.recorded;
  }
  device_->Launch(found->second);
  ++graph_counts_.launched;
  return Queued();
}

Result<cuda::Graph> CudaBackend::Record(const std::function<Status()>& operations) {
  RETURN_IF_ERROR(device_->BeginCapture());
  recording_ = true;
  const Status status = operations();
  recording_ = false;
  auto graph = device_->EndCapture();
  if (status.ok() || !graph.ok()) return status.ok() ? std::move(graph) : status;
  dropped_.push_back(*graph);
  return status;
}

void CudaBackend::DropGraphs() {
  for (const auto& [key, graph] : graphs_) {
    if (!graph.handle) continue;
    dropped_.push_back(graph);
    ++graph_counts_.dropped;
  }
  graphs_.clear();
}

void CudaBackend::FreeDroppedGraphs() {
  for (const cuda::Graph graph : dropped_) device_->FreeGraph(graph);
  dropped_.clear();
}

Result<const int32_t*> CudaBackend::Array(std::string_view slot, std::span<const int32_t> values) {
  const auto same = [&](std::span<const int32_t> other) {
    return other.data() == values.data() && other.size() == values.size();
  };
  if (step_ && same(step_->args.tokens)) return step_->tokens;
  if (step_ && same(step_->args.kept)) return step_->kept;
  if (recording_) return FailedPrecondition("a recorded step cannot copy arrays");
  return staging_.Put(slot, values);
}

Result<const int32_t*> CudaBackend::Slots(std::span<const KvSlot> slots) {
  if (step_ && step_->args.slots.data() == slots.data() &&
      step_->args.slots.size() == slots.size()) {
    return step_->slots;
  }
  const std::vector<int32_t> words = SlotWords(slots);
  return Array("slots", words);
}

}  // namespace vade
