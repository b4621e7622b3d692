// Word (docx): paragraphs with their styles as headings and list items, tables, notes, headers and
// footers once, text boxes. What was deleted under revision control is left out.
#include <algorithm>
#include <functional>
#include <pugixml.hpp>
#include <set>
#include <string>
#include <unordered_map>
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

constexpr std::string_view kDocument = "word/document.xml";

int Number(std::string_view text, int otherwise) {
  const auto number = ParseInt(text);
  return number && *number >= 0 && *number < 1000 ? static_cast<int>(*number) : otherwise;
}

// Style ids and numberings, as far as they make headings and lists.
class Styles {
 public:
  void ReadStyles(const pugi::xml_node& root) {
    for (const pugi::xml_node& style : root.children()) {
      if (LocalName(style) != "style") continue;
      const std::string id(Attribute(style, "styleId"));
      const std::string name = AsciiLower(Attribute(Child(style, "name"), "val"));
      const pugi::xml_node properties = Child(style, "pPr");
      int level = Number(Attribute(Child(properties, "outlineLvl"), "val"), -1);
      if (level > 8) level = -1;
      if (name.starts_with("heading ")) level = Number(name.substr(8), 1) - 1;
      if (name == "title") level = 0;
      if (level >= 0) headings_[id] = level + 1;
      parents_[id] = Attribute(Child(style, "basedOn"), "val");
      if (Child(properties, "numPr")) lists_.insert(id);
    }
  }

  void ReadNumbering(const pugi::xml_node& root) {
    std::unordered_map<std::string, bool> bullets;
    for (const pugi::xml_node& one : root.children()) {
      const std::string_view name = LocalName(one);
      if (name == "abstractNum") {
        const pugi::xml_node level = Child(one, "lvl");
        bullets[std::string(Attribute(one, "abstractNumId"))] =
            Attribute(Child(level, "numFmt"), "val") == "bullet";
      } else if (name == "num") {
        const std::string abstract(Attribute(Child(one, "abstractNumId"), "val"));
        if (!bullets[abstract]) ordered_.insert(std::string(Attribute(one, "numId")));
      }
    }
  }

  int HeadingOf(std::string id) const {
    for (int steps = 0; steps < 16 && !id.empty(); ++steps) {
      if (const auto at = headings_.find(id); at != headings_.end()) return at->second;
      const auto up = parents_.find(id);
      id = up == parents_.end() ? "" : up->second;
    }
    return 0;
  }
  bool IsList(const std::string& style) const { return lists_.count(style) > 0; }
  bool IsOrdered(const std::string& number) const { return ordered_.count(number) > 0; }

 private:
  std::unordered_map<std::string, int> headings_;         // style -> level from 1
  std::unordered_map<std::string, std::string> parents_;  // style -> the one it is based on
  std::set<std::string> lists_;                           // styles of list items
  std::set<std::string> ordered_;                         // numberings with numbers
};

class DocxWriter {
 public:
  // `picture` hears of each picture of the body by the id of its relationship, behind the paragraph
  // or the table that holds it.
  DocxWriter(const Styles* styles, MarkdownWriter* out,
             std::function<void(const std::string& id)> picture)
      : styles_(styles), out_(out), picture_(std::move(picture)) {}

  void WriteBlocks(const pugi::xml_node& parent) {
    for (const pugi::xml_node& node : parent.children()) {
      const std::string_view name = LocalName(node);
      if (name == "p") {
        WriteParagraph(node);
      } else if (name == "tbl") {
        WriteTable(node);
      } else if (name == "sdt" || name == "sdtContent" || name == "ins" || name == "customXml" ||
                 name == "smartTag" || name == "moveTo") {
        WriteBlocks(node);
      }
    }
  }

  // The paragraphs of a note or a header in one.
  std::string WordsOf(const pugi::xml_node& parent) {
    std::string words;
    CollectText(parent, &words);
    boxes_.clear();
    pictures_.clear();
    return words;
  }

  bool has_pages() const { return has_pages_; }

 private:
  void WriteParagraph(const pugi::xml_node& paragraph) {
    std::string words;
    CollectText(paragraph, &words);
    const pugi::xml_node properties = Child(paragraph, "pPr");
    const std::string style(Attribute(Child(properties, "pStyle"), "val"));
    int heading = styles_->HeadingOf(style);
    if (const int own = Number(Attribute(Child(properties, "outlineLvl"), "val"), 9); own < 9) {
      heading = own + 1;
    }
    const pugi::xml_node numbering = Child(properties, "numPr");
    if (heading > 0) {
      out_->Heading(heading, words);
    } else if (numbering || styles_->IsList(style)) {
      WriteItem(numbering, words);
    } else {
      numbers_.clear();
      out_->Paragraph(words);
    }
    WriteWhatHangsOnIt();
  }

  void WriteWhatHangsOnIt() {
    for (const std::string& id : std::exchange(pictures_, {})) picture_(id);
    for (const pugi::xml_node& box : std::exchange(boxes_, {})) WriteBlocks(box);
  }

  void WriteItem(const pugi::xml_node& numbering, const std::string& words) {
    const auto depth =
        static_cast<size_t>(std::min(Number(Attribute(Child(numbering, "ilvl"), "val"), 0), 8));
    const bool ordered =
        styles_->IsOrdered(std::string(Attribute(Child(numbering, "numId"), "val")));
    numbers_.resize(depth + 1);
    const int number = ++numbers_[depth];
    out_->ListItem(static_cast<int>(depth), ordered ? StrCat(number, ".") : "-", words);
  }

  void WriteTable(const pugi::xml_node& table) {
    out_->EndTable();
    for (const pugi::xml_node& row : table.children()) {
      if (LocalName(row) != "tr") continue;
      std::vector<std::string> cells;
      CollectCells(row, &cells);
      out_->Row(cells);
    }
    out_->EndTable();
    WriteWhatHangsOnIt();
  }

  void CollectCells(const pugi::xml_node& row, std::vector<std::string>* cells) {
    for (const pugi::xml_node& node : row.children()) {
      const std::string_view name = LocalName(node);
      if (name == "sdt" || name == "sdtContent") CollectCells(node, cells);
      if (name != "tc") continue;
      std::string words;
      CollectText(node, &words);
      cells->push_back(std::move(words));
      const int span = Number(Attribute(Child(Child(node, "tcPr"), "gridSpan"), "val"), 1);
      for (int i = 1; i < std::min(span, 64); ++i) cells->emplace_back();
    }
  }

  void CollectText(const pugi::xml_node& parent, std::string* words) {
    for (const pugi::xml_node& node : parent.children()) {
      const std::string_view name = LocalName(node);
      if (name == "t" || name == "delText") {
        if (name == "t") *words += node.child_value();
      } else if (name == "tab" || name == "cr" || name == "br") {
        words->push_back(' ');
      } else if (name == "lastRenderedPageBreak") {
        has_pages_ = true;
        words->push_back('\f');
      } else if (name == "noBreakHyphen") {
        words->push_back('-');
      } else if (name == "footnoteReference" || name == "endnoteReference") {
        *words += StrCat("[^", name == "endnoteReference" ? "e" : "", Attribute(node, "id"), "]");
      } else if (name == "txbxContent") {
        boxes_.push_back(node);
      } else if (name == "blip") {
        pictures_.emplace_back(Attribute(node, "embed"));
      } else if (name == "imagedata") {  // of files that are older than 2007
        pictures_.emplace_back(Attribute(node, "id"));
      } else if (name != "del" && name != "moveFrom" && name != "instrText" && name != "Fallback" &&
                 name != "pPr" && name != "rPr" && name != "tcPr") {
        if (name == "p" && !words->empty()) words->push_back(' ');
        CollectText(node, words);
      }
    }
  }

  const Styles* styles_;
  MarkdownWriter* out_;
  const std::function<void(const std::string& id)> picture_;
  std::vector<std::string> pictures_;  // that hang on the paragraph at work
  std::vector<int> numbers_;           // of the items at each depth
  std::vector<pugi::xml_node> boxes_;  // text boxes that hang on the paragraph at work
  bool has_pages_ = false;
};

// Headers above, footers below, each once: they say what a letter or a form is.
void WriteAround(ZipFile* zip, std::string_view kind, DocxWriter* writer, MarkdownWriter* out) {
  std::set<std::string> seen;
  for (const std::string& name : zip->Names()) {
    if (!name.starts_with(StrCat("word/", kind)) || !name.ends_with(".xml")) continue;
    const auto part = ReadXmlPart(zip, name);
    if (!part.ok()) continue;
    const std::string words = CleanWords(writer->WordsOf((*part)->document_element()));
    if (words.size() > 3 && seen.insert(words).second) out->Paragraph(words);
  }
}

void WriteNotes(ZipFile* zip, std::string_view part_name, std::string_view mark, DocxWriter* writer,
                MarkdownWriter* out) {
  const auto part = ReadXmlPart(zip, std::string(part_name));
  if (!part.ok()) return;
  for (const pugi::xml_node& note : (*part)->document_element().children()) {
    const std::string_view type = Attribute(note, "type");
    if (type == "separator" || type == "continuationSeparator") continue;
    out->Note(StrCat(mark, Attribute(note, "id")), writer->WordsOf(note));
  }
}

void WriteComments(ZipFile* zip, DocxWriter* writer, MarkdownWriter* out) {
  const auto part = ReadXmlPart(zip, "word/comments.xml");
  if (!part.ok()) return;
  for (const pugi::xml_node& comment : (*part)->document_element().children()) {
    const std::string words = writer->WordsOf(comment);
    if (!words.empty()) {
      out->Paragraph(StrCat("Comment by ", Attribute(comment, "author"), ": ", words));
    }
  }
}

}  // namespace

Result<ParsedDocument> ParseDocx(const Source& source) {
  ASSIGN_OR_RETURN(const auto zip, ZipFile::Open(source.bytes));
  ASSIGN_OR_RETURN(const XmlDocument main, ReadXmlPart(zip.get(), std::string(kDocument)));
  Styles styles;
  if (const auto part = ReadXmlPart(zip.get(), "word/styles.xml"); part.ok()) {
    styles.ReadStyles((*part)->document_element());
  }
  if (const auto part = ReadXmlPart(zip.get(), "word/numbering.xml"); part.ok()) {
    styles.ReadNumbering((*part)->document_element());
  }
  MarkdownWriter out;
  InnerPictures pictures(source);
  const auto targets = ReadRelationships(zip.get(), std::string(kDocument));
  const auto picture = [&](const std::string& id) {
    const auto part = targets.find(id);
    if (part == targets.end() || !pictures.Wants(part->second)) return;
    const auto bytes = zip->Read(part->second);
    if (bytes.ok()) pictures.Write(*bytes, &out);
  };
  DocxWriter writer(&styles, &out, picture);
  WriteAround(zip.get(), "header", &writer, &out);
  writer.WriteBlocks(Child(main->document_element(), "body"));
  const bool has_pages = writer.has_pages();
  WriteNotes(zip.get(), "word/footnotes.xml", "", &writer, &out);
  WriteNotes(zip.get(), "word/endnotes.xml", "e", &writer, &out);
  WriteComments(zip.get(), &writer, &out);
  WriteAround(zip.get(), "footer", &writer, &out);
  ParsedDocument document;
  RETURN_IF_ERROR(pictures.Finish(&document.metadata));
  if (out.empty()) return InvalidArgument("is a Word file without text");
  OfficeFacts facts = ReadOfficeFacts(zip.get(), "docProps/core.xml");
  document.text = out.Take();
  document.mime_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
  document.first_page = has_pages ? 1 : 0;
  document.title = facts.title.empty() ? TitleOf(document.text, document.mime_type, source.name)
                                       : std::move(facts.title);
  document.metadata.merge(std::move(facts.metadata));
  return document;
}

}  // namespace vade
