// Where the files of a run come from and where what became of them is told: the disk of this
// machine (ingest.cc), or a client of the service.
#pragma once

#include <optional>

#include "base/status.h"
#include "ingest/job.h"
#include "ingest/run.h"

namespace vade {

class FileExchange {
 public:
  virtual ~FileExchange() = default;
  // Before the first file: names the records of files that have gone to run->pruner().
  virtual Status Plan(IngestRun* run) = 0;
  // The next file, with run.Recall() done; nothing at the end. On a thread of its own.
  virtual Result<std::optional<IncomingFile>> Next(const IngestRun& run) = 0;
  // For every document, in the order of the files, but that those which OCR reads come later, when
  // they are done; the documents of a file follow each other. Then for each part of one that has
  // been stored, with how many source bytes of it are by now. On one thread, which is not Next()'s.
  virtual void Done(const Job& job, const Result<PutResult>& result) = 0;
  virtual void Stored(const Job& job, double bytes_under_way) = 0;
  // This file waits for OCR, and those behind it go on. On the thread of parsing.
  virtual void PutOff(const IncomingFile& /*file*/) {}
  // The run has failed: Next() is to return soon, whatever it waits for. On any thread, once.
  virtual void Failed() {}
};

}  // namespace vade
