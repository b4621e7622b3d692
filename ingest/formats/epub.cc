// EPUB: the chapters in the order of the spine, each as HTML.
#include <pugixml.hpp>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/strings.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/html.h"
#include "ingest/formats/inner_pictures.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/office_xml.h"
#include "ingest/formats/zip_file.h"

namespace vade {
namespace {

// "chapter%201.xhtml" as a name in the archive.
std::string Unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = i + 2 < text.size() && text[i] == '%' ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low < 0) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

std::string PackagePath(ZipFile* zip) {
  const auto container = ReadXmlPart(zip, "META-INF/container.xml");
  if (!container.ok()) return "";
  const pugi::xml_node files = Child((*container)->document_element(), "rootfiles");
  return std::string(Attribute(Child(files, "rootfile"), "full-path"));
}

// Fonts are scrambled in books that can be read; chapters are not.
bool HasEncryptedChapters(ZipFile* zip) {
  const auto list = zip->Read("META-INF/encryption.xml");
  return list.ok() && list->find("html") != std::string::npos;
}

struct Item {
  std::string path;
  bool is_navigation = false;
};

std::unordered_map<std::string, Item> ReadManifest(const pugi::xml_node& package,
                                                   const std::string& package_path) {
  std::unordered_map<std::string, Item> items;
  for (const pugi::xml_node& item : Child(package, "manifest").children()) {
    const std::string_view type = Attribute(item, "media-type");
    if (type.find("html") == std::string_view::npos) continue;
    items[std::string(Attribute(item, "id"))] = {
        ResolvePart(package_path, Unescaped(Attribute(item, "href"))),
        Attribute(item, "properties").find("nav") != std::string_view::npos};
  }
  return items;
}

}  // namespace

Result<ParsedDocument> ParseEpub(const Source& source) {
  ASSIGN_OR_RETURN(const auto zip, ZipFile::Open(source.bytes));
  if (HasEncryptedChapters(zip.get())) {
    return InvalidArgument("is encrypted for one reader's device; nothing else can read it");
  }
  const std::string path = PackagePath(zip.get());
  if (path.empty()) return InvalidArgument("is a damaged EPUB: it does not say where its text is");
  ASSIGN_OR_RETURN(const XmlDocument package_document, ReadXmlPart(zip.get(), path));
  const pugi::xml_node package = package_document->document_element();
  auto items = ReadManifest(package, path);
  MarkdownWriter out;
  InnerPictures pictures(source);
  for (const pugi::xml_node& entry : Child(package, "spine").children()) {
    const auto item = items.find(std::string(Attribute(entry, "idref")));
    if (item == items.end() || item->second.is_navigation) continue;
    const auto chapter = zip->Read(item->second.path);
    if (!chapter.ok()) continue;
    const auto picture = [&](std::string_view target) {
      const std::string part = ResolvePart(item->second.path, Unescaped(target));
      if (!pictures.Wants(part)) return;
      const auto bytes = zip->Read(part);
      if (bytes.ok()) pictures.Write(*bytes, &out);
    };
    WriteHtml(DecodeHtml(*chapter), HtmlScope::kEverything, &out, picture);
  }
  ParsedDocument document;
  RETURN_IF_ERROR(pictures.Finish(&document.metadata));
  if (out.empty()) return InvalidArgument("is an EPUB without text");
  OfficeFacts facts;
  ReadDublinCore(Child(package, "metadata"), &facts);
  document.text = out.Take();
  document.mime_type = "application/epub+zip";
  document.metadata.merge(std::move(facts.metadata));
  document.title = facts.title.empty() ? TitleOf(document.text, document.mime_type, source.name)
                                       : std::move(facts.title);
  return document;
}

}  // namespace vade
