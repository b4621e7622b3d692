// Exports and imports on their way: into a file, and as messages of a stream. Private to service/.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/streams.h"
#include "index/portable.h"

namespace vade {

inline constexpr size_t kTransferBytes = 256 << 10;  // of one message

// A file that `write` fills: it appears when all is written, and not at all when something fails.
Result<ExportReport> WriteExport(const std::string& path,
                                 const std::function<Result<ExportReport>(ByteSink*)>& write);

// Hands what is written on in parts of at most kTransferBytes.
class PartSink : public ByteSink {
 public:
  using Send = std::function<Status(std::string_view part)>;
  explicit PartSink(Send send) : send_(std::move(send)) {}
  Status Write(std::string_view bytes) override;
  Status Flush();  // at the end

 private:
  const Send send_;
  std::string part_;
};

// Calls `send` with each part of a source, in order.
Status SendAll(ByteSource* source, const PartSink::Send& send);

}  // namespace vade
