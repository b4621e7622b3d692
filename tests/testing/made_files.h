// Files of many formats with a given text in them, as programs write them in their simplest form.
// What a parser must find is `words`; ASCII without XML's special characters.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "tests/testing/zip.h"

namespace vade::testing {

inline const char* const kWordSpace =
    "xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'";
inline const char* const kRelationshipSpace =
    "xmlns:r='http://schemas.openxmlformats.org/officeDocument/2006/relationships'";

inline std::string Relationships(const std::vector<std::pair<std::string, std::string>>& targets) {
  std::string out = "<Relationships>";
  for (const auto& [id, target] : targets) {
    out += StrCat("<Relationship Id='", id, "' Target='", target, "'/>");
  }
  return out + "</Relationships>";
}

// Of the inside of <w:body>.
inline std::string DocxOf(const std::string& body,
                          std::vector<std::pair<std::string, std::string>> more = {}) {
  more.insert(more.begin(), {{"[Content_Types].xml", "<Types/>"},
                             {"word/document.xml", StrCat("<w:document ", kWordSpace, "><w:body>",
                                                          body, "</w:body></w:document>")}});
  return Zip(more);
}
inline std::string Docx(const std::string& words) {
  return DocxOf(StrCat("<w:p><w:r><w:t>", words, "</w:t></w:r></w:p>"));
}

// Of slides' shapes.
inline std::string PptxOf(const std::vector<std::string>& slides,
                          std::vector<std::pair<std::string, std::string>> files = {}) {
  std::string list;
  std::vector<std::pair<std::string, std::string>> targets;
  for (size_t i = 0; i < slides.size(); ++i) {
    list += StrCat("<p:sldId r:id='r", i, "'/>");
    targets.emplace_back(StrCat("r", i), StrCat("slides/slide", i, ".xml"));
    files.emplace_back(StrCat("ppt/slides/slide", i, ".xml"),
                       StrCat("<p:sld xmlns:p='p' xmlns:a='a'><p:cSld><p:spTree>", slides[i],
                              "</p:spTree></p:cSld></p:sld>"));
  }
  files.emplace_back("ppt/presentation.xml",
                     StrCat("<p:presentation xmlns:p='p' ", kRelationshipSpace, "><p:sldIdLst>",
                            list, "</p:sldIdLst></p:presentation>"));
  files.emplace_back("ppt/_rels/presentation.xml.rels", Relationships(targets));
  return Zip(files);
}
inline std::string Shape(const std::string& placeholder, const std::string& words) {
  return StrCat("<p:sp><p:nvSpPr><p:nvPr><p:ph type='", placeholder,
                "'/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>", words,
                "</a:t></a:r></a:p></p:txBody></p:sp>");
}
inline std::string Pptx(const std::string& words) { return PptxOf({Shape("body", words)}); }

// Of the inside of <sheetData>, with shared strings and the formats of cells.
inline std::string XlsxOf(const std::string& rows, const std::string& strings,
                          const std::string& styles, const std::string& state = "visible") {
  return Zip({{"xl/workbook.xml",
               StrCat("<workbook ", kRelationshipSpace, "><sheets><sheet name='Stock' state='",
                      state, "' r:id='r1'/></sheets></workbook>")},
              {"xl/_rels/workbook.xml.rels", Relationships({{"r1", "worksheets/sheet1.xml"}})},
              {"xl/sharedStrings.xml", StrCat("<sst>", strings, "</sst>")},
              {"xl/styles.xml", StrCat("<styleSheet>", styles, "</styleSheet>")},
              {"xl/worksheets/sheet1.xml",
               StrCat("<worksheet><sheetData>", rows, "</sheetData></worksheet>")}});
}
inline std::string Xlsx(const std::string& words) {
  return XlsxOf("<row r='1'><c r='A1' t='s'><v>0</v></c></row>",
                StrCat("<si><t>", words, "</t></si>"), "");
}

// `kind` is text, spreadsheet or presentation; of the inside of its element.
inline std::string OpenDocumentOf(const std::string& kind, const std::string& inside,
                                  std::vector<std::pair<std::string, std::string>> more = {}) {
  more.insert(
      more.begin(),
      {{"mimetype", StrCat("application/vnd.oasis.opendocument.", kind)},
       {"META-INF/manifest.xml", "<manifest:manifest xmlns:manifest='m'/>"},
       {"content.xml",
        StrCat("<office:document-content xmlns:office='o' xmlns:text='t' xmlns:table='tb' "
               "xmlns:draw='d' xmlns:presentation='p' xmlns:xlink='x'><office:body><office:",
               kind, ">", inside, "</office:", kind,
               "></office:body></office:document-content>")}});
  return Zip(more);
}
inline std::string Odt(const std::string& words) {
  return OpenDocumentOf("text", StrCat("<text:p>", words, "</text:p>"));
}
inline std::string Ods(const std::string& words) {
  return OpenDocumentOf(
      "spreadsheet", StrCat("<table:table table:name='Stock'><table:table-row><table:table-cell>"
                            "<text:p>",
                            words, "</text:p></table:table-cell></table:table-row></table:table>"));
}
inline std::string Odp(const std::string& words) {
  return OpenDocumentOf("presentation",
                        StrCat("<draw:page><draw:frame><draw:text-box><text:p>", words,
                               "</text:p></draw:text-box></draw:frame></draw:page>"));
}

// Of chapters, in the order of the spine.
inline std::string EpubOf(const std::vector<std::string>& chapters,
                          const std::vector<std::pair<std::string, std::string>>& more = {}) {
  std::string manifest, spine;
  std::vector<std::pair<std::string, std::string>> files = {
      {"mimetype", "application/epub+zip"},
      {"META-INF/container.xml",
       "<container><rootfiles><rootfile full-path='OEBPS/book.opf'/></rootfiles></container>"}};
  for (size_t i = chapters.size(); i-- > 0;) {
    manifest +=
        StrCat("<item id='c", i, "' href='c%20", i, ".xhtml' media-type='application/xhtml+xml'/>");
    files.emplace_back(StrCat("OEBPS/c ", i, ".xhtml"),
                       StrCat("<html><body>", chapters[i], "</body></html>"));
  }
  for (size_t i = 0; i < chapters.size(); ++i) spine += StrCat("<itemref idref='c", i, "'/>");
  files.emplace_back("OEBPS/book.opf",
                     StrCat("<package><metadata><dc:title>A Book</dc:title><dc:creator>B. Writer"
                            "</dc:creator></metadata><manifest>",
                            manifest, "</manifest><spine>", spine, "</spine></package>"));
  files.insert(files.end(), more.begin(), more.end());
  return Zip(files);
}

// Lines of about 70 characters: what lies beyond a page's edge is not on it.
inline std::string PdfLines(const std::string& words) {
  std::string lines, line;
  for (const std::string& word : Split(words, ' ')) {
    if (line.size() + word.size() > 70) {
      lines += StrCat("(", line, ") Tj T* ");
      line.clear();
    }
    line += line.empty() ? word : " " + word;
  }
  return StrCat(lines, "(", line, ") Tj");
}

// A page a text, in Helvetica. Without a table of references: readers rebuild it.
inline std::string PdfOf(const std::vector<std::string>& pages) {
  std::string kids, objects;
  for (size_t i = 0; i < pages.size(); ++i) {
    const size_t page = 10 + 2 * i;
    const std::string stream = StrCat("BT /F 12 Tf 14 TL 72 700 Td ", PdfLines(pages[i]), " ET");
    kids += StrCat(page, " 0 R ");
    objects +=
        StrCat(page, " 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents ", page + 1,
               " 0 R/Resources<</Font<</F 3 0 R>>>>>>endobj\n", page + 1, " 0 obj<</Length ",
               stream.size(), ">>stream\n", stream, "\nendstream endobj\n");
  }
  return StrCat("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[",
                kids, "]/Count ", pages.size(),
                ">>endobj\n3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n", objects,
                "trailer<</Root 1 0 R>>\n");
}

inline std::string Mail(const std::string& words) {
  return StrCat(
      "From: A <a@example.org>\nTo: b@example.org\nSubject: Note\nDate: Tue, 1 Jul 2003 "
      "10:52:37 +0200\n\n",
      words, "\n");
}

// A tar archive of one file.
inline std::string Tar(const std::string& name, const std::string& bytes) {
  const auto octal = [](size_t number, size_t width) {
    std::string digits;
    for (size_t i = 0; i < width; ++i, number /= 8) {
      digits.insert(digits.begin(), static_cast<char>('0' + number % 8));
    }
    return digits + '\0';
  };
  std::string head = name + std::string(100 - name.size(), '\0') + octal(0644, 7) + octal(0, 7) +
                     octal(0, 7) + octal(bytes.size(), 11) + octal(0, 11) + "        " + "0" +
                     std::string(100, '\0') + "ustar" +
                     std::string(
                         "\0"
                         "00",
                         3);
  head.resize(512, '\0');
  size_t sum = 0;
  for (const char c : head) sum += static_cast<unsigned char>(c);
  head.replace(148, 8, octal(sum, 6) + ' ');
  std::string out = head + bytes;
  out.resize((out.size() + 511) / 512 * 512 + 1024, '\0');
  return out;
}

// One file a format, each with its own words in it: name and bytes.
inline std::vector<std::pair<std::string, std::string>> OneOfEach(
    const std::vector<std::string>& words) {
  size_t next = 0;
  const auto fact = [&] { return words[next++ % words.size()]; };
  std::vector<std::pair<std::string, std::string>> files;
  files.emplace_back("a.txt", fact());
  files.emplace_back("b.md", StrCat("# Note\n\n", fact()));
  files.emplace_back("c.html", StrCat("<html><body><nav>Home</nav><p>", fact()));
  files.emplace_back("d.pdf", PdfOf({"A first page", fact()}));
  files.emplace_back("e.docx", Docx(fact()));
  files.emplace_back("f.pptx", Pptx(fact()));
  files.emplace_back("g.xlsx", Xlsx(fact()));
  files.emplace_back("h.odt", Odt(fact()));
  files.emplace_back("i.ods", Ods(fact()));
  files.emplace_back("j.odp", Odp(fact()));
  files.emplace_back("k.epub", EpubOf({StrCat("<p>", fact(), "</p>")}));
  files.emplace_back("l.rtf", StrCat("{\\rtf1\\ansi ", fact(), "\\par}"));
  files.emplace_back("m.csv", StrCat("what,note\nfact,", fact(), "\n"));
  files.emplace_back("n.json", StrCat("{\"fact\": \"", fact(), "\"}"));
  files.emplace_back("o.jsonl", StrCat("{\"fact\": \"", fact(), "\"}\n"));
  files.emplace_back("p.xml",
                     StrCat("<?xml version='1.0'?><note><fact>", fact(), "</fact></note>"));
  files.emplace_back("q.eml", Mail(fact()));
  files.emplace_back("r.ipynb",
                     StrCat("{\"nbformat\": 4, \"cells\": [{\"cell_type\": \"markdown\", "
                            "\"source\": [\"",
                            fact(), "\"]}]}"));
  files.emplace_back("s.srt", StrCat("1\n00:00:01,000 --> 00:00:04,000\n", fact(), "\n"));
  files.emplace_back("t.zip", Zip({{"in/t.txt", fact()}}));
  files.emplace_back("u.tar", Tar("u.txt", fact()));
  files.emplace_back("v.mbox",
                     StrCat("From a@example.org Tue Jul  1 10:52:37 2003\n", Mail(fact())));
  return files;
}

}  // namespace vade::testing
