#include "ingest/formats/wire.h"

#include <cmath>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/unicode.h"
#include "ingest/tables.h"

namespace vade {
namespace {

constexpr std::string_view kRequestMagic = "VPQ1";
constexpr uint64_t kMaxMetadata = 256;
constexpr uint64_t kMaxTextBytes = 1ull << 32;
constexpr size_t kMaxCurrencyBytes = 64;

enum class ValueKind : uint8_t { kString, kNumber, kBool, kList };

void AppendValue(const MetadataValue& value, std::string* out) {
  out->push_back(static_cast<char>(value.index()));
  if (const auto* text = std::get_if<std::string>(&value)) return AppendString(out, *text);
  if (const auto* number = std::get_if<double>(&value)) return AppendFixed(out, *number);
  if (const auto* flag = std::get_if<bool>(&value)) return out->push_back(*flag ? 1 : 0);
  const auto& list = std::get<std::vector<std::string>>(value);
  AppendVarint(out, list.size());
  for (const std::string& item : list) AppendString(out, item);
}

bool ReadText(ByteReader* in, std::string* out) {
  std::string_view text;
  if (!in->ReadString(&text) || !IsValidUtf8(text)) return false;
  *out = text;
  return true;
}

bool ReadList(ByteReader* in, MetadataValue* value) {
  uint64_t count = 0;
  if (!in->ReadVarint(&count) || count > in->remaining()) return false;
  std::vector<std::string> list(count);
  for (std::string& item : list) {
    if (!ReadText(in, &item)) return false;
  }
  *value = std::move(list);
  return true;
}

bool ReadValue(ByteReader* in, MetadataValue* value) {
  uint8_t kind = 0;
  if (!in->Read(&kind)) return false;
  switch (static_cast<ValueKind>(kind)) {
    case ValueKind::kString: {
      std::string text;
      if (!ReadText(in, &text)) return false;
      *value = std::move(text);
      return true;
    }
    case ValueKind::kNumber: {
      double number = 0;
      if (!in->Read(&number)) return false;
      *value = number;
      return true;
    }
    case ValueKind::kBool: {
      uint8_t flag = 0;
      if (!in->Read(&flag)) return false;
      *value = flag != 0;
      return true;
    }
    case ValueKind::kList: return ReadList(in, value);
  }
  return false;
}

bool ReadMetadata(ByteReader* in, Metadata* metadata) {
  uint64_t count = 0;
  if (!in->ReadVarint(&count) || count > kMaxMetadata) return false;
  for (uint64_t i = 0; i < count; ++i) {
    std::string key;
    MetadataValue value;
    if (!ReadText(in, &key) || !ReadValue(in, &value)) return false;
    metadata->insert_or_assign(std::move(key), std::move(value));
  }
  return true;
}

void AppendCells(const std::vector<KnownCell>& cells, std::string* out) {
  AppendVarint(out, cells.size());
  uint64_t before = 0;
  for (const KnownCell& cell : cells) {
    AppendVarint(out, cell.begin - before);
    before = cell.begin;
    out->push_back(static_cast<char>(cell.value.kind));
    AppendFixed(out, cell.value.number);
    AppendString(out, cell.value.currency);
  }
}

bool ReadCells(ByteReader* in, std::vector<KnownCell>* cells) {
  constexpr uint64_t kLeastBytes = 11;  // of a cell
  uint64_t count = 0, begin = 0;
  if (!in->ReadVarint(&count) || count > kMaxTableCells || count > in->remaining() / kLeastBytes)
    return false;
  cells->resize(count);
  for (KnownCell& cell : *cells) {
    uint64_t gap = 0;
    uint8_t kind = 0;
    if (!in->ReadVarint(&gap) || gap > kMaxTextBytes || !in->Read(&kind) ||
        kind > static_cast<uint8_t>(CellKind::kDate) || !in->Read(&cell.value.number) ||
        !std::isfinite(cell.value.number) || !ReadText(in, &cell.value.currency) ||
        cell.value.currency.size() > kMaxCurrencyBytes) {
      return false;
    }
    begin += gap;
    if (begin > kMaxTextBytes) return false;
    cell.begin = begin;
    cell.value.kind = static_cast<CellKind>(kind);
  }
  return true;
}

Status BadRequest() {
  return Internal(
      "vade-parse: a request does not read; vade and vade-parse are of different builds");
}
// Of the file that it was asked about: what a parser can be made to say must not stop others.
Status BadAnswer() {
  return InvalidArgument(
      "made its parser say what does not read; it is damaged or hostile (or, if no file can be "
      "read, vade and vade-parse are of different builds: install both anew)");
}

}  // namespace

std::string EncodeRequestHead(const ParseRequest& request) {
  std::string words;
  AppendString(&words, request.name);
  AppendString(&words, request.mime_type);
  AppendString(&words, request.password);
  std::string out(kRequestMagic);
  AppendFixed<uint64_t>(&out, words.size() + request.bytes.size());
  return out + words;
}

Result<uint64_t> RequestLength(std::string_view head) {
  ByteReader in(head);
  std::string_view magic;
  uint64_t length = 0;
  if (!in.ReadBytes(kRequestMagic.size(), &magic) || magic != kRequestMagic || !in.Read(&length)) {
    return BadRequest();
  }
  return length;
}

Result<ParseRequest> DecodeRequest(std::string_view body) {
  ByteReader in(body);
  ParseRequest request;
  if (!in.ReadString(&request.name) || !in.ReadString(&request.mime_type) ||
      !in.ReadString(&request.password)) {
    return BadRequest();
  }
  request.bytes = body.substr(in.position());
  return request;
}

std::string EncodeFrame(FrameKind kind, std::string_view payload) {
  std::string out(1, static_cast<char>(kind));
  out.reserve(kFrameHeadBytes + payload.size());
  AppendFixed<uint64_t>(&out, payload.size());
  return out.append(payload);
}

Result<FrameHead> DecodeFrameHead(std::string_view head) {
  ByteReader in(head);
  FrameHead frame;
  uint8_t kind = 0;
  if (!in.Read(&kind) || !in.Read(&frame.length)) return BadAnswer();
  frame.kind = static_cast<FrameKind>(kind);
  switch (frame.kind) {
    case FrameKind::kDocument:
    case FrameKind::kBadPart:
    case FrameKind::kFailure:
    case FrameKind::kEnd: return frame;
    case FrameKind::kAtWork:
    case FrameKind::kWantsOcr:
      if (frame.length == 0) return frame;
  }
  return BadAnswer();
}

std::string EncodePart(const ParsedPart& part) {
  const ParsedDocument& document = part.document;
  std::string out;
  AppendString(&out, document.inner);
  if (!part.status.ok()) {
    AppendString(&out, part.status.message());
    return EncodeFrame(FrameKind::kBadPart, out);
  }
  AppendString(&out, document.content_hash);
  AppendString(&out, document.title);
  AppendString(&out, document.mime_type);
  AppendVarint(&out, document.first_page);
  AppendVarint(&out, document.metadata.size());
  for (const auto& [key, value] : document.metadata) {
    AppendString(&out, key);
    AppendValue(value, &out);
  }
  AppendCells(document.cells, &out);
  AppendString(&out, document.text);
  return EncodeFrame(FrameKind::kDocument, out);
}

std::string EncodeFailure(const Status& status) {
  return EncodeFrame(FrameKind::kFailure, status.message());
}

Result<ParsedPart> DecodePart(FrameKind kind, std::string_view payload) {
  ByteReader in(payload);
  ParsedPart part;
  ParsedDocument& document = part.document;
  if (!ReadText(&in, &document.inner)) return BadAnswer();
  if (kind == FrameKind::kBadPart) {
    std::string reason;
    if (!ReadText(&in, &reason)) return BadAnswer();
    part.status = InvalidArgument(std::move(reason));
    return part;
  }
  uint64_t first_page = 0;
  const bool whole = ReadText(&in, &document.content_hash) && ReadText(&in, &document.title) &&
                     ReadText(&in, &document.mime_type) && in.ReadVarint(&first_page) &&
                     ReadMetadata(&in, &document.metadata) && ReadCells(&in, &document.cells) &&
                     ReadText(&in, &document.text);
  if (!whole || first_page > 1 || in.remaining() != 0) return BadAnswer();
  document.first_page = static_cast<uint32_t>(first_page);
  return part;
}

Status DecodeFailure(std::string_view payload) {
  return InvalidArgument(IsValidUtf8(payload) ? std::string(payload) : "cannot be read");
}

}  // namespace vade
