// OpenDocument: text (odt), tables (ods), slides (odp). Headings, lists, tables, notes; a slide is
// a page. What was deleted under revision control is left out.
#include <algorithm>
#include <cmath>
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

// A row or cell may be said to be repeated a million times, to fill a sheet.
constexpr int kMaxRepeat = 1000;

class OpenDocumentWriter {
 public:
  // `picture` hears of each picture by its name in the archive, behind the block that holds it.
  OpenDocumentWriter(MarkdownWriter* out, std::function<void(const std::string& name)> picture)
      : out_(out), picture_(std::move(picture)) {}

  void WriteBlocks(const pugi::xml_node& parent) {
    for (const pugi::xml_node& node : parent.children()) WriteBlock(node);
  }

  void WriteNotes() {
    for (size_t i = 0; i < notes_.size(); ++i) out_->Note(StrCat(i + 1), notes_[i]);
  }

  int slides() const { return slides_; }

  std::string WordsOf(const pugi::xml_node& node) {
    std::string words;
    Collect(node, &words);
    return words;
  }

 private:
  void WriteBlock(const pugi::xml_node& node) {
    const std::string_view name = LocalName(node);
    if (name == "h") {
      const auto level = ParseInt(Attribute(node, "outline-level"));
      WriteWords(node, static_cast<int>(level.value_or(1)));
    } else if (name == "p") {
      WriteWords(node, 0);
    } else if (name == "list") {
      WriteList(node, 0);
    } else if (name == "table") {
      WriteTable(node);
    } else if (name == "image") {
      picture_(std::string(Attribute(node, "href")));
    } else if (name == "page") {
      WriteSlide(node);
    } else if (name != "tracked-changes" && name != "forms" && name != "table-of-content" &&
               name != "sequence-decls" && name != "annotation") {
      WriteBlocks(node);
    }
  }

  // Frames that hang on a paragraph come behind it.
  void WriteWords(const pugi::xml_node& node, int heading) {
    const std::string words = WordsOf(node);
    heading > 0 ? out_->Heading(heading, words) : out_->Paragraph(words);
    TellPictures();
    for (const pugi::xml_node& frame : std::exchange(frames_, {})) WriteBlocks(frame);
  }

  void TellPictures() {
    for (const std::string& name : std::exchange(pictures_, {})) picture_(name);
  }

  void WriteList(const pugi::xml_node& list, int depth) {
    for (const pugi::xml_node& item : list.children()) {
      for (const pugi::xml_node& node : item.children()) {
        if (LocalName(node) == "list") {
          WriteList(node, depth + 1);
        } else {
          out_->ListItem(depth, "-", WordsOf(node));
          TellPictures();
        }
      }
    }
  }

  void WriteTable(const pugi::xml_node& table) {
    const std::string_view sheet = Attribute(table, "name");
    if (LocalName(table.parent()) == "spreadsheet") out_->Heading(2, sheet);
    out_->EndTable();
    WriteRows(table);
    out_->EndTable();
    TellPictures();
  }

  void WriteRows(const pugi::xml_node& parent) {
    for (const pugi::xml_node& node : parent.children()) {
      const std::string_view name = LocalName(node);
      if (name == "table-row") {
        WriteRow(node);
      } else if (name == "table-header-rows" || name == "table-rows" || name == "table-row-group") {
        WriteRows(node);
      }
    }
  }

  // What the file says of a cell; its words are in the language of whoever wrote it.
  static CellValue ValueOf(const pugi::xml_node& cell) {
    const std::string_view type = Attribute(cell, "value-type");
    if (type == "string" || type == "boolean") return {.kind = CellKind::kText};
    if (type == "date") return ReadCell(Attribute(cell, "date-value"), CellStyle());
    CellValue value;
    const auto number = ParseDouble(Attribute(cell, "value"));
    if (!number || !std::isfinite(*number)) return value;
    value.number = *number;
    if (type == "float") value.kind = CellKind::kNumber;
    if (type == "percentage") value.kind = CellKind::kPercent;
    if (type == "currency") {
      // Without one that can be one it is a number.
      value.currency = NamedCurrency(Attribute(cell, "currency"));
      value.kind = value.currency.empty() ? CellKind::kNumber : CellKind::kMoney;
    }
    return value.kind == CellKind::kEmpty ? CellValue() : value;
  }

  void WriteRow(const pugi::xml_node& row) {
    std::vector<std::string> cells;
    std::vector<CellValue> values;
    for (const pugi::xml_node& cell : row.children()) {
      const std::string_view name = LocalName(cell);
      if (name != "table-cell" && name != "covered-table-cell") continue;
      const std::string words = name == "table-cell" ? WordsOf(cell) : "";
      const auto repeat = ParseInt(Attribute(cell, "number-columns-repeated")).value_or(1);
      cells.resize(cells.size() + static_cast<size_t>(std::clamp<int64_t>(repeat, 1, kMaxRepeat)),
                   words);
      values.resize(cells.size(), ValueOf(cell));
    }
    while (!cells.empty() && cells.back().empty()) cells.pop_back();
    // An empty row ends a table, as it does for who looks at it.
    if (cells.empty()) return out_->EndTable();
    const auto repeat = ParseInt(Attribute(row, "number-rows-repeated")).value_or(1);
    for (int64_t i = 0; i < std::clamp<int64_t>(repeat, 1, kMaxRepeat); ++i)
      out_->Row(cells, values);
  }

  void WriteSlide(const pugi::xml_node& page) {
    if (slides_++ > 0) out_->PageBreak();
    bool titled = false;
    for (const pugi::xml_node& node : page.children()) {
      const std::string_view kind = Attribute(node, "class");
      if (!titled && kind == "title") {
        titled = true;
        out_->Heading(2, WordsOf(node));
      } else if (LocalName(node) == "notes") {
        const std::string words = WordsOf(node);
        if (!CleanWords(words).empty()) out_->Paragraph(StrCat("Notes: ", words));
      } else {
        WriteBlock(node);
      }
    }
  }

  void Collect(const pugi::xml_node& parent, std::string* words) {
    for (const pugi::xml_node& node : parent.children()) {
      const std::string_view name = LocalName(node);
      if (node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata) {
        *words += node.value();
      } else if (name == "s" || name == "tab" || name == "line-break") {
        words->push_back(' ');
      } else if (name == "soft-page-break") {
        continue;
      } else if (name == "note") {
        notes_.push_back(WordsOf(Child(node, "note-body")));
        *words += StrCat("[^", notes_.size(), "]");
      } else if (name == "image") {
        pictures_.emplace_back(Attribute(node, "href"));
      } else if (name == "text-box" && LocalName(node.parent().parent()) == "p") {
        frames_.push_back(node);
      } else if (name != "annotation" && name != "tracked-changes") {
        if ((name == "p" || name == "h") && !words->empty()) words->push_back(' ');
        Collect(node, words);
      }
    }
  }

  MarkdownWriter* out_;
  std::vector<std::string> notes_;
  std::vector<pugi::xml_node> frames_;
  const std::function<void(const std::string& name)> picture_;
  std::vector<std::string> pictures_;  // of the block at work
  int slides_ = 0;
};

bool IsEncrypted(ZipFile* zip) {
  const auto manifest = zip->Read("META-INF/manifest.xml");
  return manifest.ok() && manifest->find("encryption-data") != std::string::npos;
}

// Headers and footers of the pages, each once.
void WriteAround(ZipFile* zip, std::string_view kind, OpenDocumentWriter* writer,
                 MarkdownWriter* out) {
  const auto styles = ReadXmlPart(zip, "styles.xml");
  if (!styles.ok()) return;
  std::vector<std::string> seen;
  for (const pugi::xml_node& page :
       Child((*styles)->document_element(), "master-styles").children()) {
    if (LocalName(page) != "master-page") continue;
    const std::string words = CleanWords(writer->WordsOf(Child(page, kind)));
    if (words.size() <= 3 || std::count(seen.begin(), seen.end(), words) > 0) continue;
    seen.push_back(words);
    out->Paragraph(words);
  }
}

}  // namespace

Result<ParsedDocument> ParseOpenDocument(const Source& source) {
  ASSIGN_OR_RETURN(const auto zip, ZipFile::Open(source.bytes));
  if (IsEncrypted(zip.get())) return InvalidArgument("is encrypted; save it without a password");
  ASSIGN_OR_RETURN(std::string type, zip->Read("mimetype"));
  ASSIGN_OR_RETURN(const XmlDocument content, ReadXmlPart(zip.get(), "content.xml"));
  MarkdownWriter out;
  InnerPictures pictures(source);
  const auto picture = [&](const std::string& name) {
    const std::string part = name.starts_with("./") ? name.substr(2) : name;
    if (!pictures.Wants(part)) return;
    const auto bytes = zip->Read(part);
    if (bytes.ok()) pictures.Write(*bytes, &out);
  };
  OpenDocumentWriter writer(&out, picture);
  const bool text = type.find("opendocument.text") != std::string::npos;
  if (text) WriteAround(zip.get(), "header", &writer, &out);
  writer.WriteBlocks(Child(content->document_element(), "body"));
  writer.WriteNotes();
  if (text) WriteAround(zip.get(), "footer", &writer, &out);
  ParsedDocument document;
  RETURN_IF_ERROR(pictures.Finish(&document.metadata));
  if (out.empty()) return InvalidArgument("is an OpenDocument file without text");
  OfficeFacts facts = ReadOfficeFacts(zip.get(), "meta.xml");
  document.text = out.Take();
  document.cells = out.TakeCells();
  document.mime_type = type.empty() ? "application/vnd.oasis.opendocument.text" : CleanWords(type);
  document.metadata.merge(std::move(facts.metadata));
  if (writer.slides() > 0) {
    document.first_page = 1;
    document.metadata["pages"] = static_cast<double>(writer.slides());
  }
  document.title = facts.title.empty() ? TitleOf(document.text, document.mime_type, source.name)
                                       : std::move(facts.title);
  return document;
}

}  // namespace vade
