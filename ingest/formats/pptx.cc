// PowerPoint (pptx): a slide is a page, its title a heading, its text paragraphs by level; tables,
// notes. Hidden slides are marked.
#include <functional>
#include <pugixml.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/inner_pictures.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/office_xml.h"
#include "ingest/formats/zip_file.h"

namespace vade {
namespace {

constexpr std::string_view kPresentation = "ppt/presentation.xml";

std::string ParagraphText(const pugi::xml_node& node) {
  std::string words;
  for (const pugi::xml_node& child : node.children()) {
    const std::string_view name = LocalName(child);
    if (name == "t") {
      words += child.child_value();
    } else if (name == "br") {
      words.push_back(' ');
    } else if (name != "rPr" && name != "pPr") {
      words += ParagraphText(child);
    }
  }
  return words;
}

std::string PlaceholderOf(const pugi::xml_node& shape) {
  const pugi::xml_node properties = Child(Child(shape, "nvSpPr"), "nvPr");
  const pugi::xml_node placeholder = Child(properties, "ph");
  return placeholder ? StrCat("ph:", Attribute(placeholder, "type")) : "";
}

class SlideWriter {
 public:
  // `picture` hears of each picture by the id of its relationship, where it stands.
  SlideWriter(MarkdownWriter* out, std::function<void(const std::string& id)> picture)
      : out_(out), picture_(std::move(picture)) {}

  void Write(const pugi::xml_node& tree) {
    for (const pugi::xml_node& node : tree.children()) {
      const std::string_view name = LocalName(node);
      if (name == "sp") {
        WriteShape(node);
      } else if (name == "grpSp" || name == "AlternateContent" || name == "Choice") {
        Write(node);
      } else if (name == "graphicFrame") {
        WriteTables(node);
      } else if (name == "pic") {
        picture_(std::string(Attribute(Child(Child(node, "blipFill"), "blip"), "embed")));
      }
    }
  }

 private:
  void WriteShape(const pugi::xml_node& shape) {
    const std::string placeholder = PlaceholderOf(shape);
    // Numbers of slides, and what the master repeats.
    if (placeholder == "ph:sldNum" || placeholder == "ph:sldImg") return;
    const bool title = placeholder == "ph:title" || placeholder == "ph:ctrTitle";
    for (const pugi::xml_node& paragraph : Child(shape, "txBody").children()) {
      if (LocalName(paragraph) != "p") continue;
      const std::string words = ParagraphText(paragraph);
      const auto level = ParseInt(Attribute(Child(paragraph, "pPr"), "lvl"));
      if (title) {
        out_->Heading(2, words);
      } else if (placeholder == "ph:" || placeholder == "ph:body" || placeholder == "ph:obj") {
        out_->ListItem(level ? static_cast<int>(*level) : 0, "-", words);
      } else {
        out_->Paragraph(words);
      }
    }
  }

  void WriteTables(const pugi::xml_node& node) {
    if (LocalName(node) == "tbl") {
      out_->EndTable();
      for (const pugi::xml_node& row : node.children()) {
        std::vector<std::string> cells;
        for (const pugi::xml_node& cell : row.children()) {
          if (LocalName(cell) == "tc") cells.push_back(CellText(Child(cell, "txBody")));
        }
        if (!cells.empty()) out_->Row(cells);
      }
      return out_->EndTable();
    }
    for (const pugi::xml_node& child : node.children()) WriteTables(child);
  }

  static std::string CellText(const pugi::xml_node& body) {
    std::string words;
    for (const pugi::xml_node& paragraph : body.children()) {
      if (LocalName(paragraph) == "p") words += ParagraphText(paragraph) + " ";
    }
    return words;
  }

  MarkdownWriter* out_;
  const std::function<void(const std::string& id)> picture_;
};

void WriteNotes(ZipFile* zip, const std::string& slide, MarkdownWriter* out) {
  for (const auto& [id, target] : ReadRelationships(zip, slide)) {
    if (target.find("notesSlide") == std::string::npos) continue;
    const auto part = ReadXmlPart(zip, target);
    if (!part.ok()) continue;
    std::string words;
    const pugi::xml_node tree = Child(Child((*part)->document_element(), "cSld"), "spTree");
    for (const pugi::xml_node& shape : tree.children()) {
      if (PlaceholderOf(shape) != "ph:body") continue;
      for (const pugi::xml_node& paragraph : Child(shape, "txBody").children()) {
        if (LocalName(paragraph) == "p") words += ParagraphText(paragraph) + "\n";
      }
    }
    if (!CleanWords(words).empty()) out->Paragraph(StrCat("Notes: ", words));
  }
}

Status WriteSlide(ZipFile* zip, const std::string& name, InnerPictures* pictures,
                  MarkdownWriter* out) {
  ASSIGN_OR_RETURN(const XmlDocument slide, ReadXmlPart(zip, name));
  const pugi::xml_node root = slide->document_element();
  if (Attribute(root, "show") == "0") out->Paragraph("(hidden slide)");
  const auto targets = ReadRelationships(zip, name);
  const auto picture = [&](const std::string& id) {
    const auto part = targets.find(id);
    if (part == targets.end() || !pictures->Wants(part->second)) return;
    const auto bytes = zip->Read(part->second);
    if (bytes.ok()) pictures->Write(*bytes, out);
  };
  SlideWriter(out, picture).Write(Child(Child(root, "cSld"), "spTree"));
  WriteNotes(zip, name, out);
  return OkStatus();
}

}  // namespace

Result<ParsedDocument> ParsePptx(const Source& source) {
  ASSIGN_OR_RETURN(const auto zip, ZipFile::Open(source.bytes));
  const std::string name(kPresentation);
  ASSIGN_OR_RETURN(const XmlDocument presentation, ReadXmlPart(zip.get(), name));
  const auto parts = ReadRelationships(zip.get(), name);
  MarkdownWriter out;
  InnerPictures pictures(source);
  size_t slides = 0, damaged = 0;
  for (const pugi::xml_node& entry :
       Child(presentation->document_element(), "sldIdLst").children()) {
    const auto part = parts.find(entry.attribute("r:id").value());
    if (part == parts.end()) continue;
    if (slides++ > 0) out.PageBreak();
    if (!WriteSlide(zip.get(), part->second, &pictures, &out).ok()) ++damaged;
  }
  ParsedDocument document;
  RETURN_IF_ERROR(pictures.Finish(&document.metadata));
  if (out.empty()) {
    return InvalidArgument(damaged > 0 ? "is damaged: none of its slides can be read"
                                       : "has no text on its slides");
  }
  OfficeFacts facts = ReadOfficeFacts(zip.get(), "docProps/core.xml");
  document.text = out.Take();
  document.mime_type = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
  document.first_page = 1;
  document.metadata.merge(std::move(facts.metadata));
  document.metadata["pages"] = static_cast<double>(slides);
  const bool named = !facts.title.empty() && !AsciiLower(facts.title).starts_with("powerpoint");
  document.title =
      named ? std::move(facts.title) : TitleOf(document.text, document.mime_type, source.name);
  return document;
}

}  // namespace vade
