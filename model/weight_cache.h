// Weight matrices repacked for the kernels, kept on disk between runs.
//
//   ASSIGN_OR_RETURN(auto weights, PackWeights(file, matrices, {.cache_dir = dir, .pool = pool}));
//   const kernels::PackedMatrix* q = weights->Find("blk.0.attn_q.weight");
//
// Repacking a gigabyte takes seconds, mapping it does not. A model's pack is one file in the cache
// folder, named by the weight file's fingerprint (docs/formats.md has its bytes). It is derived
// data: a pack that is missing, damaged, of another version or of other tensors is made anew,
// beside the old one and then renamed over it. Where the folder cannot be written (a full disk), a
// warning is logged and the weights live in memory. The weight file's own pages are released after
// packing. Immutable afterwards and safe to share between threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kernels/matrix.h"
#include "model/tensor_file.h"

namespace vade {

class ThreadPool;

// What a matrix becomes. kOfType: the format of its tensor's type, which keeps the values (decoders).
// kInt8Rows: 8-bit codes with one scale a row, whatever the type (encoders).
enum class PackForm : uint8_t { kOfType, kInt8Rows };

struct PackOptions {
  std::string cache_dir;       // created when missing; "": in memory only
  ThreadPool* pool = nullptr;  // packs in parallel; null: the caller's thread alone
  PackForm form = PackForm::kOfType;
};

class PackedWeights {
 public:
  virtual ~PackedWeights() = default;
  // Null for a name that was not asked for. Valid for the life of this object.
  virtual const kernels::PackedMatrix* Find(std::string_view name) const = 0;
  virtual uint64_t bytes() const = 0;  // of all packed matrices
  enum class Origin {
    kMemory,
    kPacked,
    kMapped
  };  // packed in memory; packed to disk now; found there
  virtual Origin origin() const = 0;
};

// `matrices` are tensors of `file` with two dimensions, each name once. INVALID_ARGUMENT names a
// tensor whose rows are not whole blocks of its type.
Result<std::unique_ptr<PackedWeights>> PackWeights(const TensorFile& file,
                                                   std::span<const WeightTensor* const> matrices,
                                                   const PackOptions& options);

// Where PackWeights keeps the pack of `file`.
std::string PackPath(const TensorFile& file, const std::string& cache_dir);

}  // namespace vade
