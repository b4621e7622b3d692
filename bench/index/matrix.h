// Matrices in files, for benches: u32 rows, u32 columns, then the rows. A .fbin has float32
// elements, a .ibin u32.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/status.h"

namespace vade {

template <typename T>
struct Matrix {
  uint32_t rows = 0, columns = 0;
  std::vector<T> values;
  const T* Row(size_t i) const { return values.data() + i * columns; }
};

template <typename T>
Result<Matrix<T>> ReadMatrix(const std::string& path) {
  constexpr uint64_t kMaxBytes = 8ull << 30;
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxBytes));
  Matrix<T> m;
  if (bytes.size() < 8) return InvalidArgument(path + " has no header");
  std::memcpy(&m.rows, bytes.data(), 4);
  std::memcpy(&m.columns, bytes.data() + 4, 4);
  if (bytes.size() != 8 + uint64_t{m.rows} * m.columns * sizeof(T)) {
    return InvalidArgument(path + " is not as long as its header says");
  }
  m.values.resize(size_t{m.rows} * m.columns);
  std::memcpy(m.values.data(), bytes.data() + 8, bytes.size() - 8);
  return m;
}

}  // namespace vade
