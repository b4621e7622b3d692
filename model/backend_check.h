// Whether a backend computes what it should on this very machine: its operations on made-up weights
// against those of another backend, every type of weights and of key/value pages. Some megabytes,
// below a second. Beside the tests, because a user's GPU, driver and build are not those of the
// tests.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "model/backend.h"

namespace vade {

struct BackendCheck {
  std::string what;        // "products of Q4_K weights"
  double difference = 0;   // the largest, as a share of the largest value, unless it says otherwise
  double allowed = 0;      // rounding that may tip over differs in single codes
  bool repeatable = true;  // a row alone had the bits that it had among others
  bool passed() const { return difference <= allowed && repeatable; }
};

// An error is one of the backends': what it could not do at all.
Result<std::vector<BackendCheck>> CheckBackend(Backend& tested, Backend& reference);

}  // namespace vade
