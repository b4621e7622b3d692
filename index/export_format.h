// The bytes of an export: docs/formats.md in code. ExportWriter makes them, ExportReader reads them
// as the hostile bytes that they may be. Neither knows a store. Private to index/; one thread each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/streams.h"
#include "index/passage.h"

namespace vade {

inline constexpr std::string_view kExportMagic = "VADEEXP1";
inline constexpr uint32_t kExportVersion = 2;
inline constexpr size_t kExportFrameBytes = 1 << 20;      // a frame is closed when it has as many
inline constexpr size_t kMaxExportFrameBytes = 4 << 20;   // unpacked
inline constexpr size_t kMaxExportRatio = 256;            // unpacked to packed
inline constexpr uint64_t kMaxExportTextBytes = 1 << 30;  // of one document
// Of one document, as they are kept: several times what ingestion keeps at most.
inline constexpr size_t kMaxExportTablesBytes = 16 << 20;

// What an export says of itself. The collection's name is for people.
struct ExportHeader {
  std::string collection;
  std::string embedder_id;  // name and fingerprint
  uint32_t dimension = 0;
  uint64_t commit = 0;  // of the view that was exported, in the store that it comes from
  int64_t exported_unix_micros = 0;
};

struct ExportCounts {
  uint64_t documents = 0, passages = 0, text_bytes = 0;
  friend bool operator==(const ExportCounts&, const ExportCounts&) = default;
};

// The order: Begin, then for each document, by id, AddDocument, its tables if it has any (and
// text), all of its text, all of its passages; Finish. Errors are the sink's.
class ExportWriter {
 public:
  explicit ExportWriter(ByteSink* sink) : sink_(sink) {}
  Status Begin(const ExportHeader& header);
  Status AddDocument(const DocumentInfo& info);
  Status AddTables(std::string_view tables);  // at most kMaxExportTablesBytes
  Status AddText(std::string_view piece);     // at most 1 MiB, whole characters
  Status AddPassage(const Passage& passage, std::span<const float> vector);
  Result<ExportCounts> Finish();

 private:
  Status Append(std::string_view record);
  Status WriteFrame(uint8_t kind, std::string_view content);
  ByteSink* const sink_;
  std::string frame_;  // records that are not written yet
  uint32_t number_ = 0;
  ExportCounts counts_;
};

// What the reader comes upon next.
struct ExportEvent {
  enum class Kind : uint8_t { kDocument, kTables, kText, kPassage, kDocumentEnd, kEnd };
  Kind kind = Kind::kEnd;
  DocumentInfo info = {};          // kDocument; text_bytes and passage_count of what follows
  std::string_view text = {};      // kText, and kTables: the following bytes; until the next call
  Passage passage = {};            // kPassage
  std::vector<float> vector = {};  // kPassage; [dimension], of unit length
};

// INVALID_ARGUMENT: this is no export, or it is cut short, damaged or made to mislead; the message
// says where. FAILED_PRECONDITION: it is of a newer version. Everything that it returns has been
// checked, but for what only the end of the file shows.
class ExportReader {
 public:
  explicit ExportReader(ByteSource* source) : source_(source) {}
  Result<ExportHeader> Begin();  // first, once
  Result<ExportEvent> Next();
  const ExportCounts& counts() const { return counts_; }

 private:
  Status ReadExactly(char* out, size_t size);
  // The next frame into frame_; the kind.
  Result<uint8_t> ReadFrame();
  Status Unpack(uint8_t packing, std::string_view stored, size_t size);
  Result<ExportEvent> ReadRecord();
  Result<ExportEvent> ReadDocument();
  Result<ExportEvent> ReadTables();
  Result<ExportEvent> ReadText();
  Result<ExportEvent> ReadPassage();
  Status CheckVector(const std::vector<float>& vector) const;
  Status CheckTrailer();
  bool StartsCharacter(uint64_t offset) const;
  Status Bad(std::string_view what) const;

  ByteSource* const source_;
  uint32_t version_ = kExportVersion;  // of the file
  ExportHeader header_;
  std::string frame_;
  size_t at_ = 0;  // of frame_
  uint32_t number_ = 0;
  uint64_t position_ = 0;  // of the source
  ExportCounts counts_;
  // The document at hand:
  bool open_ = false;
  DocumentInfo info_;
  uint64_t text_bytes_ = 0, passages_ = 0, tables_bytes_ = 0;  // so far
  std::vector<bool> starts_;  // bytes of its text that begin a character
};

}  // namespace vade
