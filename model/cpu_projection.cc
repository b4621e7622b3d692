// Matrix products of the processor's backend. Activations are prepared once a row and form, then
// tiles of all the matrices that share them are split over the threads. A piece writes only the
// columns of its own tiles, so what follows a product (bias, sum into the residual, silu) is done
// by the same piece while the values are still in its cache.
#include <algorithm>

#include "model/cpu_backend.h"

namespace vade {
namespace {

using kernels::kTileRows;
using kernels::PackedMatrix;

// Tokens that a piece takes at once through its tiles: what it makes stays in its cache until it is
// used. As many as the kernels take together at most.
constexpr size_t kTokenBlock = 256;

// Tiles [begin, end) of a matrix as a matrix of their own: a piece's results can then be written
// compactly.
PackedMatrix TilesOf(const PackedMatrix& w, size_t begin, size_t end) {
  PackedMatrix part = w;
  part.data = w.data + begin * w.TileBytes();
  part.rows = std::min(w.rows, end * kTileRows) - begin * kTileRows;
  return part;
}

}  // namespace

CpuBackend::Prepared CpuBackend::Reserve(size_t slot, kernels::Format format, size_t rows,
                                         size_t cols) {
  if (prepared_.size() <= slot) prepared_.resize(slot + 1);
  const size_t row_bytes = kernels::PreparedBytes(format, cols);
  return {format, prepared_[slot].Get(rows * row_bytes), row_bytes};
}

// norm may be null: the rows are taken as they are.
void CpuBackend::PrepareRows(const float* x, size_t rows, size_t cols, const float* norm, float eps,
                             std::span<const Prepared> forms) {
  const auto& table = kernels::Active();
  const size_t grain = std::max<size_t>(1, std::min<size_t>(16, rows / (2 * threads())));
  For(rows, grain, [&](size_t begin, size_t end) {
    Borrowed<Scratch> scratch(&scratch_mutex_, &scratch_);
    float* normed = norm ? scratch->norm.Floats(cols) : nullptr;
    for (size_t i = begin; i < end; ++i) {
      const float* row = x + i * cols;
      if (norm) {
        table.vector.rms_norm(row, norm, eps, cols, normed);
        row = normed;
      }
      for (const Prepared& form : forms) {
        table.matmul.prepare(form.format, row, cols, form.rows + i * form.row_bytes);
      }
    }
  });
}

// Enough pieces for balance when a thread is taken away, few enough that handing them out costs
// nothing.
size_t CpuBackend::TileGrain(size_t tiles, size_t tokens) const {
  const size_t pieces = static_cast<size_t>(threads()) * (tokens >= 8 ? 8 : 4);
  const size_t grain = (tiles + pieces - 1) / pieces;
  return std::clamp<size_t>(grain, 1, tokens >= 8 ? 8 : 64);
}

void CpuBackend::Multiply(std::span<const Product> products, size_t tokens) {
  const auto& table = kernels::Active();
  size_t tiles = 0;
  for (const Product& p : products) tiles += p.matrix->TileCount();

  // Tiles [begin, end) of one product.
  auto part = [&](const Product& p, size_t begin, size_t end) {
    const PackedMatrix w = TilesOf(*p.matrix, begin, end);
    float* y = p.y + begin * kTileRows;
    Borrowed<Scratch> scratch(&scratch_mutex_, &scratch_);
    for (size_t t = 0; t < tokens; t += kTokenBlock) {
      const size_t count = std::min(kTokenBlock, tokens - t);
      const uint8_t* x = p.x.rows + t * p.x.row_bytes;
      const bool add = p.into == Product::Into::kAdd;
      float* to = add ? scratch->result.Floats(count * w.rows) : y + t * p.y_stride;
      const size_t to_stride = add ? w.rows : p.y_stride;
      table.matmul.multiply(w, 0, end - begin, x, count, to, to_stride);
      for (size_t i = 0; i < count; ++i) {
        if (p.bias) table.vector.add(p.bias + begin * kTileRows, w.rows, to + i * to_stride);
        if (add) table.vector.add(to + i * to_stride, w.rows, y + (t + i) * p.y_stride);
      }
    }
  };

  For(tiles, TileGrain(tiles, tokens), [&](size_t begin, size_t end) {
    size_t first = 0;  // the product's first tile in the common count
    for (const Product& p : products) {
      const size_t last = first + p.matrix->TileCount();
      if (begin < last && end > first)
        part(p, std::max(begin, first) - first, std::min(end, last) - first);
      first = last;
    }
  });
}

Status CpuBackend::NormProject(const NormProjectArgs& args) {
  if (args.rows == 0) return OkStatus();
  const std::span<const float> norm = Vector(args.norm);
  const size_t rows = args.rows, cols = norm.size();
  size_t width = 0;
  for (const Projection& p : args.projections) width += Matrix(p.matrix).rows;
  const float* x = Floats(args.x, (args.first_row + rows) * cols) + args.first_row * cols;
  float* out = Floats(args.out, rows * width);

  std::array<Prepared, 8> forms;
  std::array<Product, 8> products;
  VADE_CHECK(args.projections.size() <= products.size(), "a layer projects to q, k and v");
  size_t form_count = 0, count = 0;
  for (const Projection& p : args.projections) {
    const PackedMatrix& w = Matrix(p.matrix);
    VADE_CHECK(w.cols == cols, "shapes are checked when the weights are loaded");
    const auto end = forms.begin() + form_count;
    auto form =
        std::find_if(forms.begin(), end, [&](const Prepared& f) { return f.format == w.format; });
    if (form == end) *form = Reserve(form_count++, w.format, rows, cols);
    products[count++] = {.matrix = &w,
                         .x = *form,
                         .y = out,
                         .y_stride = width,
                         .bias = IsSet(p.bias) ? Vector(p.bias).data() : nullptr};
    out += w.rows;
  }
  PrepareRows(x, rows, cols, norm.data(), args.eps, {forms.data(), form_count});
  Multiply({products.data(), count}, rows);
  return OkStatus();
}

Status CpuBackend::ProjectAdd(MatrixHandle matrix, BufferHandle in, int row_count, BufferHandle x) {
  if (row_count == 0) return OkStatus();
  const PackedMatrix& w = Matrix(matrix);
  const size_t rows = row_count;
  const Prepared form = Reserve(0, w.format, rows, w.cols);
  PrepareRows(Floats(in, rows * w.cols), rows, w.cols, nullptr, 0, {&form, 1});
  const Product product = {.matrix = &w,
                           .x = form,
                           .y = Floats(x, rows * w.rows),
                           .y_stride = w.rows,
                           .into = Product::Into::kAdd};
  Multiply({&product, 1}, rows);
  return OkStatus();
}

// hidden[t][r] = silu(gate[t][r]) * up[t][r]
void CpuBackend::GateUp(const Product& gate, const Product& up, size_t tokens, float* hidden) {
  const auto& table = kernels::Active();
  const size_t width = gate.matrix->rows, tiles = gate.matrix->TileCount();
  For(tiles, TileGrain(tiles, tokens), [&](size_t begin, size_t end) {
    const PackedMatrix gate_part = TilesOf(*gate.matrix, begin, end);
    const PackedMatrix up_part = TilesOf(*up.matrix, begin, end);
    const size_t rows = gate_part.rows;
    Borrowed<Scratch> scratch(&scratch_mutex_, &scratch_);
    for (size_t t = 0; t < tokens; t += kTokenBlock) {
      const size_t count = std::min(kTokenBlock, tokens - t);
      float* g = scratch->gate.Floats(count * rows);
      float* u = scratch->up.Floats(count * rows);
      table.matmul.multiply(gate_part, 0, end - begin, gate.x.rows + t * gate.x.row_bytes, count, g,
                            rows);
      table.matmul.multiply(up_part, 0, end - begin, up.x.rows + t * up.x.row_bytes, count, u,
                            rows);
      for (size_t i = 0; i < count; ++i) {
        table.vector.silu_multiply(g + i * rows, u + i * rows, rows,
                                   hidden + (t + i) * width + begin * kTileRows);
      }
    }
  });
}

Status CpuBackend::FeedForward(const FeedForwardArgs& args) {
  if (args.rows == 0) return OkStatus();
  const PackedMatrix& gate = Matrix(args.gate);
  const PackedMatrix& up = Matrix(args.up);
  VADE_CHECK(gate.rows == up.rows && gate.cols == up.cols,
             "shapes are checked when weights are loaded");
  const size_t rows = args.rows;
  float* hidden = Floats(args.hidden, rows * gate.rows);

  std::array<Prepared, 2> forms;
  size_t form_count = 0;
  forms[form_count++] = Reserve(0, gate.format, rows, gate.cols);
  if (up.format != gate.format) forms[form_count++] = Reserve(1, up.format, rows, up.cols);
  PrepareRows(Floats(args.x, rows * gate.cols), rows, gate.cols, Vector(args.norm).data(), args.eps,
              {forms.data(), form_count});
  GateUp({.matrix = &gate, .x = forms[0]}, {.matrix = &up, .x = forms[form_count - 1]}, rows,
         hidden);
  return ProjectAdd(args.down, args.hidden, args.rows, args.x);
}

}  // namespace vade
