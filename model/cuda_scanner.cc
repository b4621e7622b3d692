#include "model/cuda_scanner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/strings.h"
#include "kernels/cuda/scan_operations.h"
#include "model/cuda_step.h"

namespace vade {

namespace cuda = kernels::cuda;
using kernels::RowQuestion;
using kernels::ScanRows;
using kernels::ScoredRow;

namespace {

constexpr char kRemedy[] = "raise search.gpu_bytes or set search.device = cpu";
constexpr uint64_t kStagingBytes = 256 << 10;
constexpr size_t kMaxLabels = 256;

uint64_t Rounded(uint64_t bytes) {
  return (bytes + cuda::Arena::kAlignment - 1) / cuda::Arena::kAlignment * cuda::Arena::kAlignment;
}

// Pieces of one memory, one after the other.
class Pieces {
 public:
  explicit Pieces(uint8_t* at) : at_(at) {}
  template <typename T>
  T* Next(uint64_t count) {
    uint8_t* begin = at_;
    at_ += Rounded(count * sizeof(T));
    return reinterpret_cast<T*>(begin);
  }

 private:
  uint8_t* at_;
};

// What a search of rows works in.
struct SearchPlan {
  cuda::ScanPieces pieces;
  cuda::BestPlan best;
  uint64_t padded_rows = 0, chunks = 0, question_bytes = 0, bytes = 0;
};
SearchPlan PlanSearch(uint32_t rows, uint32_t stride, uint32_t best) {
  SearchPlan plan;
  plan.pieces = cuda::CutScan(rows);
  plan.best = cuda::PlanBest(plan.pieces.count, plan.pieces.rows, best);
  plan.padded_rows = uint64_t{plan.pieces.count} * plan.pieces.rows;
  plan.chunks = uint64_t{plan.pieces.count} * plan.best.chunks;
  plan.question_bytes = Rounded(stride) + Rounded(kMaxLabels * sizeof(float)) +
                        Rounded(plan.pieces.count * sizeof(int32_t)) +
                        Rounded((uint64_t{rows} + 63) / 64 * 8);
  plan.bytes = plan.question_bytes + Rounded(plan.padded_rows * sizeof(float)) +
               Rounded(plan.chunks * best * sizeof(uint64_t)) +
               Rounded(uint64_t{plan.pieces.count} * best * sizeof(uint64_t)) +
               Rounded(plan.pieces.count * sizeof(float)) + Rounded(plan.chunks * sizeof(uint32_t));
  return plan;
}

}  // namespace

// Codes, scales and labels in one piece of memory.
class CudaScanner::Rows final : public kernels::HeldRows {
 public:
  Rows(CudaScanner* scanner, const ScanRows& of)
      : scanner_(scanner), count_(of.count), stride_(of.stride) {}
  ~Rows() override { scanner_->Free(this); }
  size_t count() const override { return count_; }
  std::span<const uint16_t> labels() const override { return labels_; }

  CudaScanner* const scanner_;
  const size_t count_, stride_;
  std::vector<uint16_t> labels_;
  uint8_t* memory_ = nullptr;
  const int8_t* codes_ = nullptr;
  const float* scales_ = nullptr;
  const uint8_t* label_numbers_ = nullptr;  // null where all have one label
};

CudaScanner::CudaScanner(std::unique_ptr<cuda::Device> device, uint64_t budget_bytes)
    : device_(std::move(device)),
      arena_(device_.get(), budget_bytes, kRemedy),
      staging_(device_.get(), kStagingBytes),
      uploads_(device_.get()) {}

// Members give memory back; nothing may be at work on it.
CudaScanner::~CudaScanner() { (void)device_->Synchronize(); }

Result<std::unique_ptr<CudaScanner>> CudaScanner::Create(std::unique_ptr<cuda::Device> device,
                                                         uint64_t memory_bytes) {
  if (memory_bytes == 0) {
    ASSIGN_OR_RETURN(const cuda::DeviceInfo info, device->Describe());
    memory_bytes = info.free_bytes / 2;
  }
  return std::unique_ptr<CudaScanner>(new CudaScanner(std::move(device), memory_bytes));
}

size_t CudaScanner::max_best() const { return cuda::kMaxBest; }

uint64_t CudaScanner::used_bytes() const {
  std::lock_guard lock(mutex_);
  return arena_.used_bytes();
}

// --- holding -------------------------------------------------------------------------------------

Result<std::unique_ptr<kernels::HeldRows>> CudaScanner::Hold(const ScanRows& rows) {
  if (rows.count == 0 || rows.count > INT32_MAX || rows.stride % 64 != 0 || rows.stride == 0 ||
      rows.dimension > rows.stride) {
    return Internal("rows of codes have another shape than a scan takes");
  }
  if (rows.stride > cuda::kMaxScanStride) {
    return Unimplemented(StrCat("rows of ", rows.stride, " bytes, a GPU scans up to ",
                                cuda::kMaxScanStride, "; set search.device = cpu"));
  }
  auto held = std::make_unique<Rows>(this, rows);
  RETURN_IF_ERROR(CopyRows(rows, held.get()));
  return std::unique_ptr<kernels::HeldRows>(std::move(held));
}

Status CudaScanner::CopyRows(const ScanRows& from, Rows* to) {
  to->labels_.assign(from.labels, from.labels + from.count);
  std::sort(to->labels_.begin(), to->labels_.end());
  to->labels_.erase(std::unique(to->labels_.begin(), to->labels_.end()), to->labels_.end());
  const size_t kinds = to->labels_.size();
  if (kinds > kMaxLabels) {
    return Unimplemented(StrCat("rows of ", kinds, " languages, a GPU scans up to ", kMaxLabels,
                                "; set search.device = cpu"));
  }
  std::vector<uint8_t> numbers(kinds > 1 ? from.count : 0);
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto at = std::lower_bound(to->labels_.begin(), to->labels_.end(), from.labels[i]);
    numbers[i] = static_cast<uint8_t>(at - to->labels_.begin());
  }
  const uint64_t code_bytes = from.count * from.stride;
  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(GrowScratch(PlanSearch(static_cast<uint32_t>(from.count),
                                         static_cast<uint32_t>(from.stride), cuda::kMaxBest)
                                  .bytes));
  ASSIGN_OR_RETURN(to->memory_,
                   arena_.Allocate(Rounded(code_bytes) + Rounded(from.count * sizeof(float)) +
                                       Rounded(numbers.size()),
                                   "a segment's vectors"));
  Pieces pieces(to->memory_);
  int8_t* codes = pieces.Next<int8_t>(code_bytes);
  float* scales = pieces.Next<float>(from.count);
  uint8_t* label_numbers = pieces.Next<uint8_t>(numbers.size());
  const auto copy = [&](void* at, const void* bytes, uint64_t size) {
    return uploads_.Copy(static_cast<uint8_t*>(at), {static_cast<const uint8_t*>(bytes), size});
  };
  RETURN_IF_ERROR(copy(codes, from.codes, code_bytes));
  RETURN_IF_ERROR(copy(scales, from.scales, from.count * sizeof(float)));
  RETURN_IF_ERROR(copy(label_numbers, numbers.data(), numbers.size()));
  to->codes_ = codes;
  to->scales_ = scales;
  to->label_numbers_ = numbers.empty() ? nullptr : label_numbers;
  return device_->Synchronize();
}

Status CudaScanner::GrowScratch(uint64_t bytes) {
  if (bytes <= scratch_.bytes) return OkStatus();
  ASSIGN_OR_RETURN(uint8_t * at, arena_.Allocate(bytes, "the scratch of a search"));
  if (scratch_.at) arena_.Free(scratch_.at);
  scratch_ = {at, bytes};
  return OkStatus();
}

void CudaScanner::Free(Rows* rows) {
  std::lock_guard lock(mutex_);
  if (rows->memory_) arena_.Free(rows->memory_);
}

// --- searching -----------------------------------------------------------------------------------

Result<std::vector<ScoredRow>> CudaScanner::Best(const kernels::HeldRows& held,
                                                 const RowQuestion& question) {
  const Rows& rows = static_cast<const Rows&>(held);
  VADE_CHECK(rows.scanner_ == this, "rows are searched by the scanner that holds them");
  const size_t words = (rows.count_ + 63) / 64;
  if (question.best < 1 || question.best > cuda::kMaxBest || question.code.size() < rows.stride_ ||
      question.lifts.size() != rows.labels_.size() ||
      (!question.kept.empty() && question.kept.size() < words)) {
    return Internal("a question has another shape than the rows that are searched");
  }
  const auto count = static_cast<uint32_t>(rows.count_),
             best = static_cast<uint32_t>(question.best);
  const auto stride = static_cast<uint32_t>(rows.stride_);
  const SearchPlan plan = PlanSearch(count, stride, best);
  const uint32_t piece_count = plan.pieces.count;
  std::vector<int32_t> numbers(piece_count);
  std::iota(numbers.begin(), numbers.end(), 0);
  StepBytes bytes;
  const uint64_t code_at = bytes.Put(question.code.first(stride));
  const uint64_t lifts_at = bytes.Put(question.lifts);
  const uint64_t numbers_at = bytes.Put(std::span<const int32_t>(numbers));
  const uint64_t kept_at = question.kept.empty() ? 0 : bytes.Put(question.kept.first(words));
  VADE_CHECK(bytes.bytes().size() <= plan.question_bytes, "the plan has room for every question");

  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(staging_.CopyTo(scratch_.at, bytes.bytes()));
  Pieces pieces(scratch_.at + plan.question_bytes);
  float* scores = pieces.Next<float>(plan.padded_rows);
  uint64_t* chunk_keys = pieces.Next<uint64_t>(plan.chunks * best);
  uint64_t* keys = pieces.Next<uint64_t>(uint64_t{piece_count} * best);
  float* greatest = pieces.Next<float>(piece_count);
  uint32_t* finite = pieces.Next<uint32_t>(plan.chunks);
  const auto at = [&](uint64_t offset) { return scratch_.at + offset; };
  cuda::ScanScores(
      {.rows = count,
       .stride = stride,
       .codes = rows.codes_,
       .scales = rows.scales_,
       .labels = rows.label_numbers_,
       .question = reinterpret_cast<const int8_t*>(at(code_at)),
       .lifts = reinterpret_cast<const float*>(at(lifts_at)),
       .lift_count = static_cast<uint32_t>(question.lifts.size()),
       .lift = question.lifts[0],
       .kept = question.kept.empty() ? nullptr : reinterpret_cast<const uint32_t*>(at(kept_at)),
       .padded_rows = static_cast<uint32_t>(plan.padded_rows),
       .scores = scores},
      device_->stream());
  cuda::BestLogits({.logits = scores,
                    .logit_rows = piece_count,
                    .width = plan.pieces.rows,
                    .rows = reinterpret_cast<const int32_t*>(at(numbers_at)),
                    .row_count = piece_count,
                    .count = best,
                    .chunk_keys = chunk_keys,
                    .keys = keys,
                    .greatest = greatest,
                    .finite = finite},
                   device_->stream());
  std::vector<uint64_t> found(uint64_t{piece_count} * best);
  RETURN_IF_ERROR(staging_.ReadBack(
      reinterpret_cast<const uint8_t*>(keys),
      {reinterpret_cast<uint8_t*>(found.data()), found.size() * sizeof(uint64_t)}));
  std::vector<ScoredRow> scored;
  scored.reserve(found.size());
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] == 0) continue;  // there are no more
    const float score = cuda::BestLogit(found[i]);
    if (score == -INFINITY) continue;  // not to be found
    const auto piece = static_cast<uint32_t>(i / best);
    scored.push_back(
        {score, piece * plan.pieces.rows + static_cast<uint32_t>(cuda::BestToken(found[i]))});
  }
  return scored;
}

}  // namespace vade
