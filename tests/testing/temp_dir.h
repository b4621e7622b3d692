// A fresh folder that is removed, with all that is in it, when the object goes.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "base/files.h"
#include "base/status.h"

namespace vade::testing {

class TempDir {
 public:
  TempDir() {
    std::error_code error;
    const auto parent = std::filesystem::temp_directory_path(error);
    path_ = ((error ? std::filesystem::path("/tmp") : parent) / "vade-test-XXXXXX").string();
    VADE_CHECK(mkdtemp(path_.data()) != nullptr, "tests can make a temporary folder");
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }

  // The path of `name` in this folder; nothing is made.
  std::string File(std::string_view name) const { return JoinPath(path_, name); }

  // Writes a file, with the folders on its way, and returns its path.
  std::string Write(std::string_view name, std::string_view bytes) const {
    const std::string file = File(name);
    const Status made = MakeDirectories(std::filesystem::path(file).parent_path().string());
    VADE_CHECK(made.ok(), "a test's folder is writable");
    const Status written = WriteFileAtomically(file, bytes);
    VADE_CHECK(written.ok(), "a test's folder is writable");
    return file;
  }

 private:
  std::string path_;
};

}  // namespace vade::testing
