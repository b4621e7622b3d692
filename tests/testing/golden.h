// Reference data and small drivers for decoder tests: read logits files and cases, run prompts,
// compare.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "model/decoder.h"
#include "tests/testing/model_files.h"

namespace vade::testing {

// Options for small models: pages for a few thousand tokens, no cache on disk.
inline DecoderOptions SmallOptions(kernels::KvType type = kernels::KvType::kF16,
                                   ThreadPool* pool = nullptr) {
  DecoderOptions options;
  options.pool = pool;
  options.kv_type = type;
  options.kv_budget_bytes = 16 << 20;
  return options;
}

// Everything of a Result that must be there; ends the test binary with its status otherwise.
template <typename T>
T Must(Result<T> result) {
  return std::move(result).value();
}

inline nlohmann::json ReadJson(const std::string& path) {
  return nlohmann::json::parse(Must(ReadFile(path, 64 << 20)));
}

inline std::vector<float> ReadFloats(const std::string& path) {
  const std::string bytes = Must(ReadFile(path, 1 << 30));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

inline std::vector<int32_t> Tokens(const nlohmann::json& json) {
  return json.get<std::vector<int32_t>>();
}

inline std::vector<int32_t> AllOf(size_t count) {
  std::vector<int32_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// Appends tokens to a sequence; the logits of `wanted` rows.
inline Result<Logits> Read(Decoder& decoder, Sequence& sequence, std::span<const int32_t> tokens,
                           std::span<const int32_t> wanted) {
  const ForwardItem item{&sequence, tokens, {}, wanted};
  return decoder.Forward({&item, 1}, Context());
}

inline std::vector<float> LastLogits(Decoder& decoder, Sequence& sequence,
                                     std::span<const int32_t> tokens) {
  const int32_t last = static_cast<int32_t>(tokens.size()) - 1;
  return Must(Read(decoder, sequence, tokens, {&last, 1})).values;
}

inline int32_t Argmax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

inline std::vector<int32_t> Greedy(Decoder& decoder, Sequence& sequence,
                                   std::span<const int32_t> prompt, size_t count) {
  std::vector<float> logits = LastLogits(decoder, sequence, prompt);
  std::vector<int32_t> tokens;
  while (tokens.size() < count) {
    tokens.push_back(Argmax(logits));
    if (tokens.size() < count) logits = LastLogits(decoder, sequence, {&tokens.back(), 1});
  }
  return tokens;
}

inline std::vector<double> LogSoftmax(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (float x : logits) total += std::exp(x - highest);
  std::vector<double> out(logits.begin(), logits.end());
  for (double& x : out) x -= highest + std::log(total);
  return out;
}

// KL(reference || other) of the distributions that two rows of logits stand for.
inline double Divergence(std::span<const float> reference, std::span<const float> other) {
  const auto p = LogSoftmax(reference), q = LogSoftmax(other);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  return sum;
}

inline float LargestDifference(std::span<const float> a, std::span<const float> b) {
  float largest = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const float d = std::fabs(a[i] - b[i]);
    largest = std::isnan(d) ? INFINITY : std::max(largest, d);
  }
  return largest;
}

}  // namespace vade::testing
