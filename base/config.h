// The one configuration file: lines `key = value`, '#' comments, keys with dots (`grpc.address`).
// Values may be quoted with ". Unknown keys are errors that name the line and the nearest known
// key.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace vade {

class Config {
 public:
  // `known_keys` is the complete list of keys that this program reads.
  static Result<Config> Parse(std::string_view text, const std::vector<std::string>& known_keys);
  static Result<Config> Load(const std::string& path, const std::vector<std::string>& known_keys);

  bool Has(std::string_view key) const;
  std::string GetString(std::string_view key, std::string_view fallback) const;
  Result<int64_t> GetInt(std::string_view key, int64_t fallback) const;
  Result<bool> GetBool(std::string_view key, bool fallback) const;
  // "512", "64K", "2M", "4G" (powers of 1024).
  Result<uint64_t> GetBytes(std::string_view key, uint64_t fallback) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace vade
