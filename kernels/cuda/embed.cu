// Rows of the embedding table, dequantised where they lie. Reads a few kilobytes a token: not hot.
#include "kernels/cuda/dequantize.cuh"
#include "kernels/cuda/launch.cuh"

namespace vade::kernels::cuda {
namespace {

// budget: registers 64
__global__ void __launch_bounds__(256)
    EmbedKernel(TensorType type, Global<const uint8_t> table, Global<const int32_t> tokens,
                uint32_t cols, Global<float> x) {
  const size_t row = static_cast<size_t>(tokens[blockIdx.x]);
  for (uint32_t i = threadIdx.x; i < cols; i += 256) {
    x[size_t{blockIdx.x} * cols + i] = DequantizedValue(type, table, row * cols + i);
  }
}

}  // namespace

void Embed(const EmbedArgs& args, Stream stream) {
  if (args.count == 0) return;
  Launch<EmbedKernel>(PlanRows(args.count), stream, args.type,
                      Global<const uint8_t>(args.table, args.table_bytes),
                      Global<const int32_t>(args.tokens, args.count), args.cols,
                      Global<float>(args.x, size_t{args.count} * args.cols));
}

}  // namespace vade::kernels::cuda
