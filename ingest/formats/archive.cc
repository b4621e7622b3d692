// zip, tar (with any compression), 7z and single compressed files, through libarchive. Each file in
// one is a document of its own.
#include <archive.h>
#include <archive_entry.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "ingest/formats/formats.h"

namespace vade {
namespace {

struct ArchiveFree {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, ArchiveFree>;

Status Damaged(archive* reader, std::string_view where) {
  const char* reason = archive_error_string(reader);
  return InvalidArgument(StrCat("is damaged", where, " (", reason == nullptr ? "unknown" : reason,
                                "); fetch it again"));
}

Result<Reader> Open(std::string_view bytes) {
  Reader reader(archive_read_new());
  if (!reader) return InvalidArgument("needs too much memory to be read");
  archive_read_support_filter_all(reader.get());
  archive_read_support_format_all(reader.get());
  archive_read_support_format_raw(reader.get());
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK) {
    return Damaged(reader.get(), "");
  }
  return reader;
}

// "notes.txt.gz" holds "notes.txt".
std::string NameInside(std::string_view name) {
  const std::string base = BaseName(name);
  const std::string extension = Extension(base);
  return extension.size() < base.size() ? base.substr(0, base.size() - extension.size()) : base;
}

Result<std::string> Unpack(archive* reader, Container* container) {
  std::string out;
  std::array<char, 64 << 10> buffer;
  for (;;) {
    const la_ssize_t got = archive_read_data(reader, buffer.data(), buffer.size());
    if (got == 0) return out;
    if (got < 0) return Damaged(reader, "");
    RETURN_IF_ERROR(container->CountUnpacked(static_cast<uint64_t>(got)));
    out.append(buffer.data(), static_cast<size_t>(got));
  }
}

// What systems put beside the files that people made.
bool IsClutter(std::string_view path) {
  const std::string base = BaseName(path);
  return base.starts_with('.') || path.starts_with("__MACOSX/") || base == "Thumbs.db";
}

Status AddEntry(archive* reader, archive_entry* entry, const Source& source, Container* container) {
  const bool raw = archive_format(reader) == ARCHIVE_FORMAT_RAW;
  const char* path = archive_entry_pathname(entry);
  const std::string name = raw ? NameInside(source.name) : path == nullptr ? "" : path;
  if (!raw && archive_entry_filetype(entry) != AE_IFREG) return OkStatus();
  if (IsClutter(name)) return OkStatus();
  if (archive_entry_is_encrypted(entry) == 1) {
    return container->Refuse(name, "is encrypted; unpack the archive and ingest the folder");
  }
  auto bytes = Unpack(reader, container);
  if (bytes.status().code() == StatusCode::kResourceExhausted) return bytes.status();
  if (!bytes.ok()) return container->Refuse(name, bytes.status().message());
  return container->Add(name, *bytes);
}

}  // namespace

Status ParseArchive(const Source& source, Container* container) {
  ASSIGN_OR_RETURN(const Reader reader, Open(source.bytes));
  size_t entries = 0;
  for (;; ++entries) {
    archive_entry* entry = nullptr;
    const int outcome = archive_read_next_header(reader.get(), &entry);
    if (outcome == ARCHIVE_EOF) break;
    if (outcome < ARCHIVE_WARN) {
      if (entries == 0) return Damaged(reader.get(), "");
      return container->Refuse("...", Damaged(reader.get(), " from here on").message());
    }
    RETURN_IF_ERROR(AddEntry(reader.get(), entry, source, container));
  }
  return entries > 0 ? OkStatus() : InvalidArgument("is an empty archive");
}

}  // namespace vade
