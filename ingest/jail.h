// Files of any format -> documents, by vade-parse: a process without files, network and much
// memory (docs/ingestion.md). A crash, a bomb or a hang costs the file that it is about.
//
//   Jail jail({});
//   RETURN_IF_ERROR(jail.Parse({.name = "a.pdf", .bytes = bytes}, sink, ctx));
//
// A process is started when a file comes and none is idle; all end with the object. Thread-safe; as
// many files at a time as there may be processes, others wait.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "ingest/document.h"
#include "ingest/formats/wire.h"

namespace vade {

struct JailOptions {
  std::string parser_path;             // of vade-parse; "": beside this executable
  std::chrono::seconds time_limit{0};  // for one file; 0: by its size (ingest/formats/limits.h)
  bool with_ocr = false;               // Tesseract is loaded, where it is installed
  int processes = 1;                   // at most
};

// What pages without text have to do with a file.
enum class OcrPart {
  kNone,   // it has none
  kPages,  // they were read by OCR, as far as it is there, or could have been
  // They are for a jail with_ocr; nothing may be kept of what the sink was given.
  kWanted,
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
  Result<OcrPart> Parse(const ParseRequest& request, const std::function<Status(ParsedPart)>& sink,
                        const Context& ctx);

 private:
  class Process;
  Result<std::unique_ptr<Process>> TakeIdle(const Context& ctx);
  void GiveBack(std::unique_ptr<Process> process);

  const JailOptions options_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable given_back_;
  std::vector<std::unique_ptr<Process>> idle_;
  int at_work_ = 0;
};

}  // namespace vade
