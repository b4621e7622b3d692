// Magic, version, then frames: u8 kind, u8 packing, u16 0, u32 number, u32 size unpacked, u32 size
// stored, u64 XXH3 of these 16 bytes and what is stored; then what is stored. docs/formats.md has
// what is in them.
#include "index/export_format.h"

#include <zstd.h>

#include <cmath>

#include "base/bytes.h"
#include "base/language.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "index/records.h"

namespace vade {
namespace {

enum FrameKind : uint8_t { kHeaderFrame = 1, kRecordsFrame = 2, kTrailerFrame = 3 };
enum Packing : uint8_t { kPlain = 0, kZstd = 1 };
enum RecordKind : uint8_t {
  kDocumentRecord = 1,
  kTextRecord = 2,
  kPassageRecord = 3,
  kTablesRecord = 4  // from version 2 on
};

constexpr uint32_t kOldestVersion = 1;

constexpr size_t kFrameFactsBytes = 16;
constexpr int kZstdLevel = 3;
constexpr size_t kMaxPiece = 1 << 20;                    // of a text or of tables
constexpr double kLeastNorm = 0.9, kGreatestNorm = 1.1;  // as the store has it
constexpr int64_t kLatestMicros = 253402300799999999;    // of the year 9999

struct FrameFacts {
  uint8_t kind = 0, packing = 0;
  uint16_t zero = 0;
  uint32_t number = 0, size = 0, stored = 0;
};
static_assert(sizeof(FrameFacts) == kFrameFactsBytes);

// The packed bytes; nothing when packing gains nothing or more than a reader would believe.
std::string Pack(std::string_view content) {
  std::string packed(ZSTD_compressBound(content.size()), '\0');
  const size_t size =
      ZSTD_compress(packed.data(), packed.size(), content.data(), content.size(), kZstdLevel);
  if (ZSTD_isError(size) || size >= content.size() || size * kMaxExportRatio < content.size()) {
    return "";
  }
  packed.resize(size);
  return packed;
}

bool IsTime(int64_t micros) { return micros >= 0 && micros <= kLatestMicros; }

// As the store keeps it, without what is the store's own.
std::string EncodePortable(const DocumentInfo& info) {
  DocumentRecord record;
  record.info = info;
  record.info.commit = 0;
  return Encode(record);
}

}  // namespace

Status ExportWriter::WriteFrame(uint8_t kind, std::string_view content) {
  const std::string packed = Pack(content);
  const std::string_view stored = packed.empty() ? content : packed;
  const FrameFacts facts{.kind = kind,
                         .packing = packed.empty() ? kPlain : kZstd,
                         .number = number_++,
                         .size = static_cast<uint32_t>(content.size()),
                         .stored = static_cast<uint32_t>(stored.size())};
  std::string checked;
  AppendFixed(&checked, facts);
  checked.append(stored);
  std::string frame = checked.substr(0, kFrameFactsBytes);
  AppendFixed(&frame, Checksum64(checked));
  RETURN_IF_ERROR(sink_->Write(frame.append(stored)));
  return OkStatus();
}

Status ExportWriter::Begin(const ExportHeader& header) {
  std::string begin(kExportMagic);
  AppendFixed(&begin, kExportVersion);
  RETURN_IF_ERROR(sink_->Write(begin));
  std::string content;
  AppendString(&content, header.collection);
  AppendString(&content, header.embedder_id);
  AppendFixed(&content, header.dimension);
  AppendFixed(&content, header.commit);
  AppendFixed(&content, header.exported_unix_micros);
  return WriteFrame(kHeaderFrame, content);
}

Status ExportWriter::Append(std::string_view record) {
  frame_.append(record);
  if (frame_.size() < kExportFrameBytes) return OkStatus();
  RETURN_IF_ERROR(WriteFrame(kRecordsFrame, frame_));
  frame_.clear();
  return OkStatus();
}

Status ExportWriter::AddDocument(const DocumentInfo& info) {
  std::string record(1, static_cast<char>(kDocumentRecord));
  AppendString(&record, info.id);
  AppendString(&record, EncodePortable(info));
  ++counts_.documents;
  return Append(record);
}

Status ExportWriter::AddTables(std::string_view tables) {
  for (; !tables.empty(); tables.remove_prefix(std::min(tables.size(), kMaxPiece))) {
    std::string record(1, static_cast<char>(kTablesRecord));
    AppendString(&record, tables.substr(0, kMaxPiece));
    RETURN_IF_ERROR(Append(record));
  }
  return OkStatus();
}

Status ExportWriter::AddText(std::string_view piece) {
  std::string record(1, static_cast<char>(kTextRecord));
  AppendString(&record, piece);
  counts_.text_bytes += piece.size();
  return Append(record);
}

Status ExportWriter::AddPassage(const Passage& passage, std::span<const float> vector) {
  std::string record(1, static_cast<char>(kPassageRecord));
  AppendVarint(&record, passage.begin);
  AppendVarint(&record, passage.end - passage.begin);
  AppendVarint(&record, passage.page);
  AppendString(&record, passage.heading_path);
  AppendFixed(&record, ParseLanguage(passage.language));
  for (float component : vector) AppendFixed(&record, FloatToHalf(component));
  ++counts_.passages;
  return Append(record);
}

Result<ExportCounts> ExportWriter::Finish() {
  if (!frame_.empty()) RETURN_IF_ERROR(WriteFrame(kRecordsFrame, frame_));
  std::string content;
  AppendFixed(&content, counts_.documents);
  AppendFixed(&content, counts_.passages);
  AppendFixed(&content, counts_.text_bytes);
  RETURN_IF_ERROR(WriteFrame(kTrailerFrame, content));
  return counts_;
}

Status ExportReader::Bad(std::string_view what) const {
  return InvalidArgument(
      StrCat("this export is damaged before byte ", position_, ": ", what, "; export it again"));
}

Status ExportReader::ReadExactly(char* out, size_t size) {
  while (size > 0) {
    ASSIGN_OR_RETURN(const size_t got, source_->Read(out, size));
    if (got == 0) return Bad("it ends in the middle");
    position_ += got;
    out += got;
    size -= got;
  }
  return OkStatus();
}

Status ExportReader::Unpack(uint8_t packing, std::string_view stored, size_t size) {
  if (packing == kPlain) {
    if (stored.size() != size) return Bad("a frame has another size than it says");
    frame_.assign(stored);
    return OkStatus();
  }
  frame_.resize(size);
  const size_t got = ZSTD_decompress(frame_.data(), size, stored.data(), stored.size());
  if (ZSTD_isError(got) || got != size) return Bad("a frame does not unpack");
  return OkStatus();
}

Result<uint8_t> ExportReader::ReadFrame() {
  FrameFacts facts;
  uint64_t checksum = 0;
  std::string checked(kFrameFactsBytes, '\0');
  RETURN_IF_ERROR(ReadExactly(checked.data(), checked.size()));
  RETURN_IF_ERROR(ReadExactly(reinterpret_cast<char*>(&checksum), sizeof(checksum)));
  std::memcpy(&facts, checked.data(), sizeof(facts));
  if (facts.kind < kHeaderFrame || facts.kind > kTrailerFrame || facts.packing > kZstd ||
      facts.zero != 0 || facts.number != number_) {
    return Bad("a frame is not the one that is due");
  }
  if (facts.size > kMaxExportFrameBytes || facts.stored > facts.size ||
      uint64_t{facts.stored} * kMaxExportRatio < facts.size) {
    return Bad("a frame has a size that none is written with");
  }
  checked.resize(kFrameFactsBytes + facts.stored);
  RETURN_IF_ERROR(ReadExactly(checked.data() + kFrameFactsBytes, facts.stored));
  if (Checksum64(checked) != checksum) return Bad("a checksum does not agree");
  ++number_;
  at_ = 0;
  RETURN_IF_ERROR(
      Unpack(facts.packing, std::string_view(checked).substr(kFrameFactsBytes), facts.size));
  return facts.kind;
}

Result<ExportHeader> ExportReader::Begin() {
  std::string magic(kExportMagic.size(), '\0');
  Status read = ReadExactly(magic.data(), magic.size());
  if (read.ok()) read = ReadExactly(reinterpret_cast<char*>(&version_), sizeof(version_));
  if (!read.ok() && read.code() != StatusCode::kInvalidArgument) return read;
  if (!read.ok() || magic != kExportMagic) {
    return InvalidArgument("this is no export; `vade export FILE` makes one");
  }
  if (version_ < kOldestVersion || version_ > kExportVersion) {
    return FailedPrecondition(StrCat(
        "this export is of version ", version_, ", and this program reads versions ",
        kOldestVersion, " to ", kExportVersion, "; use the program that made it, or a newer one"));
  }
  ASSIGN_OR_RETURN(const uint8_t kind, ReadFrame());
  std::string_view collection, embedder;
  ByteReader in(frame_);
  const bool whole = kind == kHeaderFrame && in.ReadString(&collection) &&
                     in.ReadString(&embedder) && in.Read(&header_.dimension) &&
                     in.Read(&header_.commit) && in.Read(&header_.exported_unix_micros) &&
                     in.remaining() == 0;
  if (!whole || !IsTime(header_.exported_unix_micros)) return Bad("its header does not parse");
  header_.collection = collection;
  header_.embedder_id = embedder;
  const int dimension = static_cast<int>(std::min<uint32_t>(header_.dimension, INT32_MAX));
  const Status sane = ValidateCollection({header_.collection, header_.embedder_id, dimension});
  if (!sane.ok()) return Bad(sane.message());
  frame_.clear();
  return header_;
}

Result<ExportEvent> ExportReader::Next() {
  if (open_ && text_bytes_ == info_.text_bytes && passages_ == info_.passage_count) {
    open_ = false;
    return ExportEvent{.kind = ExportEvent::Kind::kDocumentEnd};
  }
  while (at_ == frame_.size()) {
    ASSIGN_OR_RETURN(const uint8_t kind, ReadFrame());
    if (kind == kHeaderFrame || (kind == kRecordsFrame && frame_.empty())) {
      return Bad("a frame is not the one that is due");
    }
    if (kind == kRecordsFrame) break;
    RETURN_IF_ERROR(CheckTrailer());
    return ExportEvent{.kind = ExportEvent::Kind::kEnd};
  }
  return ReadRecord();
}

Status ExportReader::CheckTrailer() {
  ExportCounts counts;
  ByteReader in(frame_);
  const bool whole = in.Read(&counts.documents) && in.Read(&counts.passages) &&
                     in.Read(&counts.text_bytes) && in.remaining() == 0;
  if (open_ || !whole || counts != counts_) return Bad("it does not hold what its end counts");
  char more = 0;
  ASSIGN_OR_RETURN(const size_t got, source_->Read(&more, 1));
  return got == 0 ? OkStatus() : Bad("something follows behind its end");
}

Result<ExportEvent> ExportReader::ReadRecord() {
  switch (frame_[at_++]) {
    case kDocumentRecord: return ReadDocument();
    case kTextRecord: return ReadText();
    case kPassageRecord: return ReadPassage();
    case kTablesRecord:
      if (version_ > 1) return ReadTables();
  }
  return Bad("it has a record of a kind that is not known");
}

Result<ExportEvent> ExportReader::ReadDocument() {
  std::string_view id, value;
  ByteReader in(std::string_view(frame_).substr(at_));
  if (open_ || !in.ReadString(&id) || !in.ReadString(&value)) return Bad("a document is misplaced");
  at_ += in.position();
  if (counts_.documents > 0 && id <= info_.id) return Bad("its documents are not in order");
  const auto decoded = DecodeDocument(id, value);
  // What was decoded and encoded again is the same but for what was not written by us.
  if (!decoded.ok() || EncodePortable(decoded->info) != value) {
    return Bad("the record of a document does not parse");
  }
  info_ = decoded->info;
  if (const Status sane = ValidateDocument(info_); !sane.ok()) return Bad(sane.message());
  if (info_.text_bytes > kMaxExportTextBytes || info_.passage_count > UINT32_MAX ||
      !IsTime(info_.created_unix_micros) || !IsTime(info_.updated_unix_micros)) {
    return Bad("a document has a number out of range");
  }
  open_ = true;
  text_bytes_ = passages_ = tables_bytes_ = 0;
  starts_.clear();
  ++counts_.documents;
  return ExportEvent{.kind = ExportEvent::Kind::kDocument, .info = info_};
}

// What they say is looked at when somebody asks for them, as it is of those that are kept.
Result<ExportEvent> ExportReader::ReadTables() {
  std::string_view piece;
  ByteReader in(std::string_view(frame_).substr(at_));
  if (!open_ || text_bytes_ > 0 || !in.ReadString(&piece)) return Bad("tables are misplaced");
  at_ += in.position();
  if (piece.empty() || piece.size() > kMaxPiece ||
      piece.size() > kMaxExportTablesBytes - tables_bytes_) {
    return Bad("a document has more of tables than any is kept with");
  }
  tables_bytes_ += piece.size();
  return ExportEvent{.kind = ExportEvent::Kind::kTables, .text = piece};
}

Result<ExportEvent> ExportReader::ReadText() {
  std::string_view piece;
  ByteReader in(std::string_view(frame_).substr(at_));
  if (!open_ || !in.ReadString(&piece)) return Bad("a piece of text is misplaced");
  at_ += in.position();
  if (piece.empty() || piece.size() > kMaxPiece || passages_ > 0 ||
      piece.size() > info_.text_bytes - text_bytes_) {
    return Bad("a text is not as long as its document says");
  }
  if (!IsValidUtf8(piece)) return Bad("a text is not valid UTF-8");
  for (char c : piece) starts_.push_back((static_cast<unsigned char>(c) & 0xc0) != 0x80);
  text_bytes_ += piece.size();
  counts_.text_bytes += piece.size();
  return ExportEvent{.kind = ExportEvent::Kind::kText, .text = piece};
}

bool ExportReader::StartsCharacter(uint64_t offset) const {
  return offset == starts_.size() || starts_[offset];
}

Status ExportReader::CheckVector(const std::vector<float>& vector) const {
  double squares = 0;
  for (float component : vector) squares += double{component} * component;
  const double norm = std::sqrt(squares);
  if (norm >= kLeastNorm && norm <= kGreatestNorm) return OkStatus();  // false for NaN too
  return Bad("a vector is not of unit length");
}

Result<ExportEvent> ExportReader::ReadPassage() {
  uint64_t begin = 0, length = 0, page = 0;
  std::string_view heading, halves;
  LanguageCode language = kUnknownLanguage;
  ByteReader in(std::string_view(frame_).substr(at_));
  const bool whole = open_ && in.ReadVarint(&begin) && in.ReadVarint(&length) &&
                     in.ReadVarint(&page) && in.ReadString(&heading) && in.Read(&language) &&
                     in.ReadBytes(header_.dimension * sizeof(uint16_t), &halves);
  if (!whole || text_bytes_ != info_.text_bytes || passages_ == info_.passage_count) {
    return Bad("a passage is misplaced");
  }
  at_ += in.position();
  if (length == 0 || begin > text_bytes_ || length > text_bytes_ - begin ||
      !StartsCharacter(begin) || !StartsCharacter(begin + length)) {
    return Bad("a passage is no range of its document's text");
  }
  if (page > UINT32_MAX || heading.size() > 65536 || !IsValidUtf8(heading) ||
      ParseLanguage(LanguageName(language)) != language) {
    return Bad("a passage has a page, a heading or a language that cannot be");
  }
  ExportEvent event{.kind = ExportEvent::Kind::kPassage};
  event.passage = {.document_id = info_.id,
                   .ordinal = static_cast<uint32_t>(passages_),
                   .begin = begin,
                   .end = begin + length,
                   .page = static_cast<uint32_t>(page),
                   .heading_path = std::string(heading),
                   .language = LanguageName(language),
                   .text = ""};
  event.vector.resize(header_.dimension);
  for (size_t i = 0; i < event.vector.size(); ++i) {
    uint16_t half = 0;
    std::memcpy(&half, halves.data() + i * sizeof(half), sizeof(half));
    event.vector[i] = HalfToFloat(half);
  }
  RETURN_IF_ERROR(CheckVector(event.vector));
  ++passages_;
  ++counts_.passages;
  return event;
}

}  // namespace vade
