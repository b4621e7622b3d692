#include "ingest/formats/office_xml.h"

#include <algorithm>
#include <cstring>
#include <pugixml.hpp>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/text.h"

namespace vade {
namespace {

// Elements in elements; documents of people stay below fifty.
constexpr int kMaxNesting = 1000;

std::string_view WithoutPrefix(const char* name) {
  const char* colon = std::strchr(name, ':');
  return colon == nullptr ? name : colon + 1;
}

bool IsTooDeep(const pugi::xml_node& root) {
  int depth = 0;
  for (pugi::xml_node at = root; at;) {
    if (at.first_child()) {
      at = at.first_child();
      if (++depth > kMaxNesting) return true;
      continue;
    }
    while (at && at != root && !at.next_sibling()) {
      at = at.parent();
      --depth;
    }
    if (!at || at == root) break;
    at = at.next_sibling();
  }
  return false;
}

}  // namespace

std::string_view LocalName(const pugi::xml_node& node) { return WithoutPrefix(node.name()); }

std::string_view Attribute(const pugi::xml_node& node, std::string_view local_name) {
  for (const pugi::xml_attribute& attribute : node.attributes()) {
    if (WithoutPrefix(attribute.name()) == local_name) return attribute.value();
  }
  return "";
}

pugi::xml_node Child(const pugi::xml_node& node, std::string_view local_name) {
  for (const pugi::xml_node& child : node.children()) {
    if (LocalName(child) == local_name) return child;
  }
  return {};
}

std::string AllText(const pugi::xml_node& node) {
  std::string out = node.value();
  for (const pugi::xml_node& child : node.children()) out += AllText(child);
  return out;
}

Result<XmlDocument> ParseXmlText(std::string_view bytes, std::string_view what) {
  auto document = std::make_unique<pugi::xml_document>();
  // What a declaration says counts only for bytes that have not been decoded yet.
  const pugi::xml_encoding encoding =
      IsValidUtf8(bytes) ? pugi::encoding_utf8 : pugi::encoding_auto;
  const pugi::xml_parse_result parsed = document->load_buffer(
      bytes.data(), bytes.size(), pugi::parse_default | pugi::parse_ws_pcdata, encoding);
  if (!parsed && parsed.status != pugi::status_no_document_element) {
    return InvalidArgument(
        StrCat("is damaged: ", what, ": ", parsed.description(), "; save it again"));
  }
  if (IsTooDeep(*document)) return InvalidArgument("is nested too deeply to be a document");
  return document;
}

Result<XmlDocument> ReadXmlPart(ZipFile* zip, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string bytes, zip->Read(name));
  if (bytes.empty()) return std::make_unique<pugi::xml_document>();
  return ParseXmlText(bytes, name);
}

std::string ResolvePart(std::string_view part, std::string_view target) {
  if (target.starts_with('/')) return std::string(target.substr(1));
  std::vector<std::string> steps = Split(part, '/');
  steps.pop_back();
  for (const std::string& step : Split(target, '/')) {
    if (step == ".." && !steps.empty()) {
      steps.pop_back();
    } else if (step != "." && step != "..") {
      steps.push_back(step);
    }
  }
  return Join(steps, "/");
}

std::unordered_map<std::string, std::string> ReadRelationships(ZipFile* zip,
                                                               const std::string& part) {
  std::unordered_map<std::string, std::string> targets;
  const size_t slash = part.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  const auto document =
      ReadXmlPart(zip, StrCat(part.substr(0, name), "_rels/", part.substr(name), ".rels"));
  if (!document.ok()) return targets;
  for (const pugi::xml_node& one : (*document)->document_element().children()) {
    if (Attribute(one, "TargetMode") == "External") continue;
    targets.emplace(Attribute(one, "Id"), ResolvePart(part, Attribute(one, "Target")));
  }
  return targets;
}

void ReadDublinCore(const pugi::xml_node& node, OfficeFacts* facts) {
  for (const pugi::xml_node& one : node.children()) {
    const std::string_view name = LocalName(one);
    const std::string text = AllText(one);
    Metadata* metadata = &facts->metadata;
    if (name == "title" && facts->title.empty()) facts->title = CleanWords(text);
    if (name == "creator" || name == "initial-creator") KeepFact("author", text, metadata);
    if (name == "created" || name == "creation-date") KeepFact("created", text, metadata);
    if (name == "modified") KeepFact("modified", text, metadata);
    if (name == "date") KeepFact("modified", text, metadata);
    if (name == "language") KeepFact("language", text, metadata);
    if (name == "subject") KeepFact("subject", text, metadata);
    if (name == "keywords" || name == "keyword") KeepFact("keywords", text, metadata);
  }
}

OfficeFacts ReadOfficeFacts(ZipFile* zip, const std::string& part) {
  OfficeFacts facts;
  const auto document = ReadXmlPart(zip, part);
  if (!document.ok()) return facts;
  const pugi::xml_node root = (*document)->document_element();
  ReadDublinCore(root, &facts);
  ReadDublinCore(Child(root, "meta"), &facts);
  return facts;
}

}  // namespace vade
