// Any bytes as an export: refused with a status, or every document in it is one that a store may
// take. The first byte says whether what follows is a whole file or the content of a frame of
// records, which checksums would keep the fuzzer away from.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "base/unicode.h"
#include "index/export_format.h"
#include "index/records.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

std::string Framed(uint8_t kind, uint32_t number, const std::string& content) {
  std::string facts;
  vade::AppendFixed<uint8_t>(&facts, kind);
  vade::AppendFixed<uint8_t>(&facts, 0);
  vade::AppendFixed<uint16_t>(&facts, 0);
  vade::AppendFixed<uint32_t>(&facts, number);
  vade::AppendFixed<uint32_t>(&facts, static_cast<uint32_t>(content.size()));
  vade::AppendFixed<uint32_t>(&facts, static_cast<uint32_t>(content.size()));
  std::string frame = facts;
  vade::AppendFixed<uint64_t>(&frame, vade::Checksum64(facts + content));
  return frame + content;
}

std::string AsRecords(const std::string& content) {
  vade::StringSink sink;
  vade::ExportWriter writer(&sink);
  Require(writer.Begin({"c", "e", 2, 1, 1}).ok());
  return sink.bytes() + Framed(2, 1, content);
}

void ReadAll(const std::string& bytes) {
  vade::StringSource source(bytes);
  vade::ExportReader reader(&source);
  if (const auto header = reader.Begin(); !header.ok()) {
    Require(!header.status().message().empty());
    return;
  }
  uint64_t text = 0, tables = 0;
  vade::DocumentInfo document;
  for (;;) {
    const auto event = reader.Next();
    if (!event.ok()) {
      Require(!event.status().message().empty());
      return;
    }
    switch (event->kind) {
      case vade::ExportEvent::Kind::kDocument:
        document = event->info;
        text = tables = 0;
        Require(vade::ValidateDocument(document).ok());
        break;
      case vade::ExportEvent::Kind::kTables:
        Require(text == 0 && !event->text.empty());
        tables += event->text.size();
        Require(tables <= vade::kMaxExportTablesBytes);
        break;
      case vade::ExportEvent::Kind::kText:
        Require(vade::IsValidUtf8(event->text));
        text += event->text.size();
        break;
      case vade::ExportEvent::Kind::kPassage:
        Require(event->passage.begin < event->passage.end && event->passage.end <= text);
        break;
      case vade::ExportEvent::Kind::kDocumentEnd: Require(text == document.text_bytes); break;
      case vade::ExportEvent::Kind::kEnd: return;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  ReadAll(data[0] % 2 == 0 ? rest : AsRecords(rest));
  return 0;
}
