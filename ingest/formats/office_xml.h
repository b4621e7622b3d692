// What the XML parts of Office files, OpenDocument and e-books have in common. Private to those
// formats; nodes are pugixml's, whose header stays in the .cc files.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/status.h"
#include "index/passage.h"
#include "ingest/formats/zip_file.h"

namespace pugi {
class xml_document;
class xml_node;
}  // namespace pugi

namespace vade {

// The name without its prefix: producers choose their own.
std::string_view LocalName(const pugi::xml_node& node);
// The value of the attribute of that local name, "" when missing.
std::string_view Attribute(const pugi::xml_node& node, std::string_view local_name);
// The first child of that local name; an empty node when there is none.
pugi::xml_node Child(const pugi::xml_node& node, std::string_view local_name);
// All text below a node.
std::string AllText(const pugi::xml_node& node);

using XmlDocument = std::unique_ptr<pugi::xml_document>;

// A part of the archive as XML. Empty when there is no such part; INVALID_ARGUMENT when it is
// damaged, or nested deeper than a recursion through it may go.
Result<XmlDocument> ReadXmlPart(ZipFile* zip, const std::string& name);
Result<XmlDocument> ParseXmlText(std::string_view bytes, std::string_view what);

// Relationships of a part: id -> name of the part it points to, in the archive.
std::unordered_map<std::string, std::string> ReadRelationships(ZipFile* zip,
                                                               const std::string& part);
// "../media/a.xml" seen from "ppt/slides/slide1.xml".
std::string ResolvePart(std::string_view part, std::string_view target);

// Title and metadata of docProps/core.xml or meta.xml: Dublin Core's names.
struct OfficeFacts {
  std::string title;
  Metadata metadata;
};
OfficeFacts ReadOfficeFacts(ZipFile* zip, const std::string& part);
void ReadDublinCore(const pugi::xml_node& node, OfficeFacts* facts);

}  // namespace vade
