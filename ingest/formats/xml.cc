// XML of no format that is known: elements that hold text are paragraphs "name: text", what is
// mixed with words flows into them. Entities beyond XML's five are left as they are: nothing is
// fetched.
#include <pugixml.hpp>
#include <string>
#include <utility>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/office_xml.h"
#include "ingest/formats/text.h"

namespace vade {
namespace {

bool HasWords(const pugi::xml_node& node) {
  for (const pugi::xml_node& child : node.children()) {
    const bool text = child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata;
    if (text && !CleanWords(child.value()).empty()) return true;
  }
  return false;
}

void Write(const pugi::xml_node& node, MarkdownWriter* out) {
  if (node.type() != pugi::node_element) return;
  if (HasWords(node)) {
    return out->Paragraph(StrCat(LocalName(node), ": ", AllText(node)));
  }
  for (const pugi::xml_attribute& attribute : node.attributes()) {
    const bool words = std::string_view(attribute.value()).find(' ') != std::string_view::npos;
    if (words)
      out->Paragraph(StrCat(LocalName(node), " ", attribute.name(), ": ", attribute.value()));
  }
  for (const pugi::xml_node& child : node.children()) Write(child, out);
}

// The charset that the declaration names; "" when it names none.
std::string DeclaredCharset(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, bytes.substr(0, 256).find("?>"));
  if (!head.starts_with("<?xml")) return "";
  const size_t at = head.find("encoding=");
  if (at == std::string_view::npos || at + 10 >= head.size()) return "";
  const char quote = head[at + 9];
  return std::string(head.substr(at + 10, head.find(quote, at + 10) - at - 10));
}

Result<std::string> Decode(std::string_view bytes) {
  const std::string charset = DeclaredCharset(bytes);
  if (!charset.empty() && AsciiLower(charset) != "utf-8") {
    if (auto text = DecodeAs(bytes, charset)) return std::move(*text);
  }
  return ReadText(bytes);
}

}  // namespace

Result<ParsedDocument> ParseXml(const Source& source) {
  ASSIGN_OR_RETURN(const std::string text, Decode(source.bytes));
  ASSIGN_OR_RETURN(const XmlDocument xml, ParseXmlText(text, "XML"));
  MarkdownWriter out;
  Write(xml->document_element(), &out);
  if (out.empty()) return InvalidArgument("is XML without text");
  ParsedDocument document;
  document.text = out.Take();
  document.mime_type = "application/xml";
  document.title = CleanWords(AllText(Child(xml->document_element(), "title")));
  if (document.title.empty()) document.title = TitleOf("", kPlainTextType, source.name);
  return document;
}

}  // namespace vade
