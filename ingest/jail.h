// Files of any format -> documents, by vade-parse: a process without files, network and much
// memory (docs/ingestion.md). A crash, a bomb or a hang costs the file that it is about.
//
//   Jail jail({});
//   RETURN_IF_ERROR(jail.Parse({.name = "a.pdf", .bytes = bytes}, sink, ctx));
//
// The process is started at the first use and ends with the object. Thread-safe; one file at a
// time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/context.h"
#include "base/status.h"
#include "ingest/document.h"
#include "ingest/formats/wire.h"

namespace vade {

struct JailOptions {
  std::string parser_path;             // of vade-parse; "": beside this executable
  std::chrono::seconds time_limit{0};  // for one file; 0: by its size (ingest/formats/limits.h)
};

class Jail {
 public:
  explicit Jail(JailOptions options);
  ~Jail();
  Jail(const Jail&) = delete;
  Jail& operator=(const Jail&) = delete;

  // Hands the file's documents to `sink`, in order. INVALID_ARGUMENT: the file's failure, with a
  // reason that reads behind its name; nothing may be kept of what the sink was given. An error of
  // the sink and CANCELLED come back as they are.
  Status Parse(const ParseRequest& request, const std::function<Status(ParsedPart)>& sink,
               const Context& ctx);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vade
