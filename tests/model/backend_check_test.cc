// The check of a backend passes what is right and finds what is not.
#include "model/backend_check.h"

#include <gtest/gtest.h>

#include "base/threads.h"
#include "model/cpu_backend.h"
#include "tests/testing/guarded_backend.h"

namespace vade {
namespace {

// Wrong in the eighth decimal of one row, or wrong altogether.
class FaultyBackend final : public Backend {
 public:
  enum class Fault { kNone, kProducts, kOrder, kAttention };
  explicit FaultyBackend(Fault fault) : fault_(fault), inner_(nullptr) {}

  Result<BufferHandle> NewBuffer(uint64_t bytes) override { return inner_.NewBuffer(bytes); }
  void FreeBuffer(BufferHandle buffer) override { inner_.FreeBuffer(buffer); }
  Status Upload(BufferHandle to, uint64_t at, std::span<const uint8_t> bytes) override {
    return inner_.Upload(to, at, bytes);
  }
  Status Download(BufferHandle from, uint64_t at, std::span<uint8_t> bytes) override {
    return inner_.Download(from, at, bytes);
  }
  Result<MatrixHandle> AddMatrix(const kernels::PackedMatrix& m) override {
    return inner_.AddMatrix(m);
  }
  Result<TableHandle> AddTable(TensorType type, std::span<const uint8_t> bytes, uint64_t rows,
                               uint64_t cols) override {
    return inner_.AddTable(type, bytes, rows, cols);
  }
  Result<VectorHandle> AddVector(std::span<const float> v) override { return inner_.AddVector(v); }
  Status Embed(TableHandle table, std::span<const int32_t> tokens, BufferHandle x) override {
    return inner_.Embed(table, tokens, x);
  }
  Status NormProject(const NormProjectArgs& args) override {
    RETURN_IF_ERROR(inner_.NormProject(args));
    if (fault_ == Fault::kProducts) Scale(args.out, 1.1f);
    if (fault_ == Fault::kOrder && args.rows > 1) Scale(args.out, 1.0f + 1e-6f);
    return OkStatus();
  }
  Status StoreKeysValues(const StoreArgs& args) override { return inner_.StoreKeysValues(args); }
  Status Attend(const AttendArgs& args) override {
    RETURN_IF_ERROR(inner_.Attend(args));
    if (fault_ == Fault::kAttention) Scale(args.out, 1.01f);
    return OkStatus();
  }
  Status ProjectAdd(MatrixHandle m, BufferHandle in, int rows, BufferHandle x) override {
    return inner_.ProjectAdd(m, in, rows, x);
  }
  Status FeedForward(const FeedForwardArgs& args) override { return inner_.FeedForward(args); }
  Status LogProbabilities(BufferHandle logits, int width, std::span<const int32_t> targets,
                          std::span<float> out) override {
    return inner_.LogProbabilities(logits, width, targets, out);
  }
  Status KeepRows(BufferHandle buffer, int width, std::span<const int32_t> keep) override {
    return inner_.KeepRows(buffer, width, keep);
  }
  Status CopyOut(const TokenArgs& args, std::span<uint8_t> out) override {
    return inner_.CopyOut(args, out);
  }
  Status CopyIn(const TokenArgs& args, std::span<const uint8_t> in) override {
    return inner_.CopyIn(args, in);
  }
  Status CopyPage(const AttentionShape& shape, BufferHandle pages, int32_t from,
                  int32_t to) override {
    return inner_.CopyPage(shape, pages, from, to);
  }
  Status ClearPages(const AttentionShape& shape, BufferHandle buffer,
                    std::span<const int32_t> pages) override {
    return inner_.ClearPages(shape, buffer, pages);
  }

 private:
  void Scale(BufferHandle buffer, float factor) {
    const std::span<uint8_t> memory = inner_.HostMemory(buffer);
    auto* values = reinterpret_cast<float*>(memory.data());
    for (size_t i = 0; i < memory.size() / sizeof(float); ++i) values[i] *= factor;
  }
  Fault fault_;
  CpuBackend inner_;
};

// The names of those that did not pass.
std::string Failed(FaultyBackend::Fault fault) {
  FaultyBackend tested(fault);
  CpuBackend reference(nullptr);
  const auto checks = CheckBackend(tested, reference);
  EXPECT_TRUE(checks.ok()) << checks.status().message();
  std::string failed;
  size_t passed = 0;
  for (const BackendCheck& check : *checks) {
    if (!check.passed()) failed += check.what + "\n";
    passed += check.passed();
  }
  EXPECT_GE(checks->size(), 30u);
  EXPECT_GT(passed, 0u);
  return failed;
}

TEST(BackendCheckTest, ABackendThatIsRightPasses) {
  EXPECT_EQ(Failed(FaultyBackend::Fault::kNone), "");
}

TEST(BackendCheckTest, ABackendWhoseBuffersAreElsewherePassesToo) {
  ThreadPool pool(2);
  GuardedBackend tested(&pool);
  CpuBackend reference(nullptr);
  const auto checks = CheckBackend(tested, reference);
  ASSERT_TRUE(checks.ok()) << checks.status().message();
  for (const BackendCheck& check : *checks) EXPECT_TRUE(check.passed()) << check.what;
}

TEST(BackendCheckTest, WrongProductsAreFound) {
  const std::string failed = Failed(FaultyBackend::Fault::kProducts);
  EXPECT_NE(failed.find("products of Q4_K weights"), std::string::npos) << failed;
  EXPECT_EQ(failed.find("attention"), std::string::npos) << failed;
}

TEST(BackendCheckTest, ResultsThatDependOnTheRowsBesideAreFound) {
  const std::string failed = Failed(FaultyBackend::Fault::kOrder);
  EXPECT_NE(failed.find("products of F32 weights"), std::string::npos) << failed;
}

TEST(BackendCheckTest, WrongAttentionIsFound) {
  const std::string failed = Failed(FaultyBackend::Fault::kAttention);
  EXPECT_NE(failed.find("attention over q8 pages"), std::string::npos) << failed;
  EXPECT_NE(failed.find("attention over q4 pages"), std::string::npos) << failed;
  EXPECT_EQ(failed.find("products"), std::string::npos) << failed;
}

}  // namespace
}  // namespace vade
