#include "service/transfer.h"

#include <algorithm>
#include <memory>

namespace vade {

Result<ExportReport> WriteExport(const std::string& path,
                                 const std::function<Result<ExportReport>(ByteSink*)>& write) {
  ASSIGN_OR_RETURN(const auto file, AtomicFile::Create(path));
  ASSIGN_OR_RETURN(const ExportReport report, write(file.get()));
  RETURN_IF_ERROR(file->Finish());
  return report;
}

Status PartSink::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t take = std::min(bytes.size(), kTransferBytes - part_.size());
    part_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    if (part_.size() == kTransferBytes) RETURN_IF_ERROR(Flush());
  }
  return OkStatus();
}

Status PartSink::Flush() {
  if (part_.empty()) return OkStatus();
  RETURN_IF_ERROR(send_(part_));
  part_.clear();
  return OkStatus();
}

Status SendAll(ByteSource* source, const PartSink::Send& send) {
  RETURN_IF_ERROR(source->Rewind());
  std::string part(kTransferBytes, '\0');
  for (;;) {
    ASSIGN_OR_RETURN(const size_t got, source->Read(part.data(), part.size()));
    if (got == 0) return OkStatus();
    RETURN_IF_ERROR(send(std::string_view(part).substr(0, got)));
  }
}

}  // namespace vade
