#include "ingest/formats/zip_file.h"

#include <zip.h>

#include <algorithm>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "ingest/formats/limits.h"

namespace vade {

struct ZipFile::Impl {
  zip_t* archive = nullptr;
  uint64_t packed_bytes = 0, unpacked_bytes = 0;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (archive != nullptr) zip_discard(archive);
  }
};

namespace {

constexpr std::string_view kEpubType = "application/epub+zip";
constexpr std::string_view kOpenDocumentType = "application/vnd.oasis.opendocument.";

struct FileCloser {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

Status Damaged(std::string_view what) {
  return InvalidArgument(StrCat("is damaged: ", what, "; fetch or save it again"));
}

}  // namespace

ZipFile::ZipFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ZipFile::~ZipFile() = default;

Result<std::unique_ptr<ZipFile>> ZipFile::Open(std::string_view bytes) {
  auto impl = std::make_unique<Impl>();
  impl->packed_bytes = bytes.size();
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, &error);
  if (source != nullptr) {
    impl->archive = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (impl->archive == nullptr) zip_source_free(source);
  }
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  if (impl->archive == nullptr) return Damaged(StrCat("no whole zip archive (", reason, ")"));
  return std::unique_ptr<ZipFile>(new ZipFile(std::move(impl)));
}

bool ZipFile::Holds(const std::string& name) const {
  return zip_name_locate(impl_->archive, name.c_str(), 0) >= 0;
}

std::vector<std::string> ZipFile::Names() const {
  std::vector<std::string> names;
  const zip_int64_t count = zip_get_num_entries(impl_->archive, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(impl_->archive, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
    if (name != nullptr) names.emplace_back(name);
  }
  return names;
}

Result<std::string> ZipFile::Read(const std::string& name) {
  const zip_int64_t index = zip_name_locate(impl_->archive, name.c_str(), 0);
  if (index < 0) return std::string();
  const std::unique_ptr<zip_file_t, FileCloser> file(
      zip_fopen_index(impl_->archive, static_cast<zip_uint64_t>(index), 0));
  if (!file) {
    const int code = zip_error_code_zip(zip_get_error(impl_->archive));
    if (code == ZIP_ER_NOPASSWD) {
      return InvalidArgument("is encrypted; save it without a password");
    }
    return Damaged(StrCat(name, ": ", zip_strerror(impl_->archive)));
  }
  const uint64_t fair = std::min(
      kMaxUnpackedBytes, std::max(kUnpackedBytesAtEase, impl_->packed_bytes * kMaxUnpackedRatio));
  std::string out, buffer(64 << 10, '\0');
  for (;;) {
    const zip_int64_t got = zip_fread(file.get(), buffer.data(), buffer.size());
    if (got < 0) return Damaged(StrCat(name, ": ", zip_file_strerror(file.get())));
    if (got == 0) return out;
    impl_->unpacked_bytes += static_cast<uint64_t>(got);
    if (impl_->unpacked_bytes > fair) {
      return InvalidArgument(
          StrCat("unpacks to more than ", fair >> 20, " MiB, which its size does not account for"));
    }
    out.append(buffer, 0, static_cast<size_t>(got));
  }
}

Result<ZipKind> KindOfZip(std::string_view bytes, std::string_view name) {
  auto zip = ZipFile::Open(bytes);
  if (!zip.ok()) {
    const std::string extension = Extension(name);
    // libarchive reads what is left of an archive; of a document nothing would be left.
    return extension == ".zip" ? Result<ZipKind>(ZipKind::kArchive) : zip.status();
  }
  ZipFile& archive = **zip;
  if (archive.Holds("word/document.xml")) return ZipKind::kDocx;
  if (archive.Holds("ppt/presentation.xml")) return ZipKind::kPptx;
  if (archive.Holds("xl/workbook.xml")) return ZipKind::kXlsx;
  auto type = archive.Read("mimetype");
  if (type.ok() && type->starts_with(kEpubType)) return ZipKind::kEpub;
  if (type.ok() && type->starts_with(kOpenDocumentType)) return ZipKind::kOpenDocument;
  if (archive.Holds("META-INF/container.xml")) return ZipKind::kEpub;
  if (archive.Holds("content.xml") && archive.Holds("META-INF/manifest.xml")) {
    return ZipKind::kOpenDocument;
  }
  if (archive.Holds("[Content_Types].xml")) {
    // Strict or unusual packages: the main part has another name.
    const std::string extension = Extension(name);
    if (extension == ".docx") return ZipKind::kDocx;
    if (extension == ".pptx") return ZipKind::kPptx;
    if (extension == ".xlsx") return ZipKind::kXlsx;
  }
  return ZipKind::kArchive;
}

}  // namespace vade
