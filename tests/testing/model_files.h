// Where tests find real weight files and reference data. Both may be missing: the test then skips
// and says so.
#pragma once

#include <cstdlib>
#include <string>

#include "base/files.h"

namespace vade::testing {

// "" when the file has not been fetched.
inline std::string ModelPath(const std::string& file_name) {
  const char* folder = std::getenv("VADE_MODELS");
  const std::string path =
      JoinPath(folder && *folder ? folder : JoinPath(CacheDirectory(), "models"), file_name);
  return FileExists(path) ? path : "";
}

// A file of the reference data beside the tree; "" when it is not there.
inline std::string GoldenPath(const std::string& relative) {
  const std::string path = JoinPath(VADE_SOURCE_DIR "/../shared/golden", relative);
  return FileExists(path) ? path : "";
}

}  // namespace vade::testing

// Skips the running test when `path` is "".
#define VADE_SKIP_IF_MISSING(path, what) \
  if ((path).empty()) GTEST_SKIP() << what << " is not here (scripts/fetch-models, VADE_MODELS)"
