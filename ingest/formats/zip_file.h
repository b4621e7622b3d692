// A zip archive in memory, its files read by name: for the formats that are zip archives (Office,
// OpenDocument, EPUB). Archives that people made are read by archive.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace vade {

class ZipFile {
 public:
  // The bytes outlive it. INVALID_ARGUMENT when they are no whole zip archive.
  static Result<std::unique_ptr<ZipFile>> Open(std::string_view bytes);
  ~ZipFile();

  // The file's bytes; "" when there is none of that name. INVALID_ARGUMENT when it is damaged,
  // encrypted or unpacks to more than limits.h allows.
  Result<std::string> Read(const std::string& name);
  bool Holds(const std::string& name) const;
  std::vector<std::string> Names() const;  // in the archive's order

 private:
  struct Impl;
  explicit ZipFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

enum class ZipKind { kArchive, kDocx, kPptx, kXlsx, kOpenDocument, kEpub };

// By what is in it. An archive that is damaged and whose name says what it was is
// INVALID_ARGUMENT.
Result<ZipKind> KindOfZip(std::string_view bytes, std::string_view name);

}  // namespace vade
