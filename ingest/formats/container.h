// A file that holds files: hands each on to its parser, under limits that all of them share.
//
//   Container container(sink, parse);                 // for the file itself
//   RETURN_IF_ERROR(container.Add("sub/a.txt", bytes));
//
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ingest/document.h"

namespace vade {

class Container {
 public:
  using Sink = std::function<Status(ParsedPart)>;
  // Parses a file of the container, which may be a container itself.
  using ParseInner =
      std::function<Status(std::string_view name, std::string_view bytes, Container* inner)>;

  Container(Sink sink, ParseInner parse, uint64_t packed_bytes);

  // The container's own document: a message, for one.
  Status AddOwn(ParsedDocument document);
  // Why there is no such document, although nothing went wrong with reading.
  Status AddOwnReason(std::string_view reason);
  // A file in it. A bad one is told to the sink; an error is the whole container's.
  Status Add(std::string_view name, std::string_view bytes);
  // Tells that a file in it cannot be read.
  Status Refuse(std::string_view name, std::string_view reason);

  // To be asked before bytes are unpacked, with what has been unpacked since the last time.
  Status CountUnpacked(uint64_t bytes);

  bool too_deep() const;  // containers in this one are not opened any more

 private:
  struct Shared {  // by a file's containers
    Sink sink;
    ParseInner parse;
    uint64_t packed_bytes = 0, unpacked_bytes = 0;
    size_t files = 0;
  };
  Container(Shared* shared, std::string prefix, int depth);
  std::string InnerName(std::string_view name) const;
  std::string OwnName() const;  // in the outermost container; "": it is that

  Shared own_;
  Shared* shared_ = nullptr;
  std::string prefix_;  // "mail.eml!/" for what lies in that file of the container
  int depth_ = 0;
};

}  // namespace vade
