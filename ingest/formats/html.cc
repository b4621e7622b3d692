#include "ingest/formats/html.h"

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/html_content.h"
#include "ingest/formats/text.h"

namespace vade {
namespace {

constexpr size_t kDeclaredWithin = 4096;  // bytes in which a page names its charset
// A table whose cells are longer than this on average lays a page out.
constexpr size_t kLongCell = 400;
// Main content that is less than a tenth of what a page shows is a mistake of ours.
constexpr size_t kLeastShare = 10;

struct DocumentFree {
  void operator()(xmlDoc* document) const { xmlFreeDoc(document); }
};
using HtmlDocument = std::unique_ptr<xmlDoc, DocumentFree>;

constexpr std::array<std::string_view, 33> kBlocks = {
    "p",       "div",        "section", "article", "main",    "header", "footer",
    "ul",      "ol",         "dl",      "dt",      "dd",      "table",  "tr",
    "td",      "th",         "li",      "caption", "form",    "figure", "figcaption",
    "address", "blockquote", "center",  "details", "summary", "hr",     "fieldset",
    "legend",  "body",       "html",    "aside",   "nav"};

bool IsBlock(std::string_view name) {
  return std::find(kBlocks.begin(), kBlocks.end(), name) != kBlocks.end();
}

int HeadingLevel(std::string_view name) {
  const bool heading = name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6';
  return heading ? name[1] - '0' : 0;
}

std::string LanguageOf(const HtmlNode* pre) {
  for (const HtmlNode* at = pre; at != nullptr; at = NextNode(at, pre, false)) {
    for (const std::string& word : Split(HtmlAttribute(at, "class"), ' ')) {
      for (std::string_view mark : {"language-", "lang-", "highlight-source-"}) {
        if (!word.starts_with(mark)) continue;
        const std::string name = word.substr(mark.size());
        if (name.find_first_of("`\n") == std::string::npos) return name;
      }
    }
    if (at != pre && HtmlName(at) != "code") break;
  }
  return "";
}

bool IsDataTable(const HtmlNode* table) {
  size_t rows = 0, cells = 0, in_row = 0, bytes = 0;
  for (const HtmlNode* at = table; at != nullptr; at = NextNode(at, table, IsUnseen(at))) {
    const std::string_view name = HtmlName(at);
    if (at != table && name == "table") return false;
    if (name == "tr") in_row = 0;
    if (name == "td" || name == "th") {
      ++cells;
      if (++in_row == 2) ++rows;
    }
    if (at->type == XML_TEXT_NODE && at->content != nullptr) {
      bytes += StripAsciiWhitespace(reinterpret_cast<const char*>(at->content)).size();
    }
  }
  return rows >= 2 && bytes < cells * kLongCell && HtmlAttribute(table, "role") != "presentation";
}

class HtmlWriter {
 public:
  HtmlWriter(const HtmlNode* root, HtmlScope scope, MarkdownWriter* out,
             const HtmlPicture& picture = nullptr)
      : root_(root), scope_(scope), out_(out), picture_(picture) {}

  // Without recursion: pages may be nested thousands deep.
  void Write() {
    for (const HtmlNode* node = root_;;) {
      if (Enter(node) && node->type == XML_ELEMENT_NODE && node->children != nullptr) {
        node = node->children;
        continue;
      }
      Leave(node);
      while (node != root_ && node->next == nullptr) {
        node = node->parent;
        Leave(node);
      }
      if (node == root_) break;
      node = node->next;
    }
    Flush();
  }

 private:
  struct List {
    bool ordered = false;
    int number = 0;
  };
  struct Table {
    const HtmlNode* node = nullptr;
    bool data = false;
    std::vector<std::string> row;
  };

  bool Skips(const HtmlNode* node) const {
    if (IsUnseen(node)) return true;
    if (scope_ == HtmlScope::kMainContent && IsBoilerplate(node, root_)) return true;
    return HtmlName(node) == "sup" &&
           HtmlAttribute(node, "class").find("reference") != std::string_view::npos;
  }

  // Whether what is in it counts.
  bool Enter(const HtmlNode* node) {
    if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
      if (node->content != nullptr) inline_ += reinterpret_cast<const char*>(node->content);
      return false;
    }
    if (node->type != XML_ELEMENT_NODE || Skips(node)) return false;
    const std::string_view name = HtmlName(node);
    if (name == "br") LineBreak();
    if (name == "img" && picture_) pictures_.emplace_back(HtmlAttribute(node, "src"));
    if (name == "pre" && !InCell()) return EnterPre(node);
    if (IsBlock(name) || HeadingLevel(name) > 0) Flush();
    if (const int level = HeadingLevel(name); level > 0) heading_ = level;
    if (name == "ul" || name == "ol") lists_.push_back({.ordered = name == "ol"});
    if (name == "li") BeginItem();
    if (name == "blockquote") ++quotes_;
    if (name == "table") BeginTable(node);
    return true;
  }

  bool EnterPre(const HtmlNode* node) {
    Flush();
    pre_ = node;
    return true;
  }

  void Leave(const HtmlNode* node) {
    if (node->type != XML_ELEMENT_NODE || Skips(node)) return;
    const std::string_view name = HtmlName(node);
    if (node == pre_) {
      out_->Code(LanguageOf(node), inline_);
      inline_.clear();
      pre_ = nullptr;
      return;
    }
    if (name == "td" || name == "th") return LeaveCell();
    if (IsBlock(name) || HeadingLevel(name) > 0) Flush();
    if (HeadingLevel(name) > 0) heading_ = 0;
    if ((name == "ul" || name == "ol") && !lists_.empty()) lists_.pop_back();
    if (name == "li") item_ = false;
    if (name == "blockquote" && quotes_ > 0) --quotes_;
    if (name == "tr") LeaveRow();
    if (!tables_.empty() && tables_.back().node == node) {
      tables_.pop_back();
      out_->EndTable();
      TellPictures();
    }
  }

  void LineBreak() {
    const size_t last = inline_.find_last_not_of(" \t\r");
    const bool second = last != std::string::npos && inline_[last] == '\n' && inline_.size() > 1;
    if (second && pre_ == nullptr && heading_ == 0) return Flush();
    inline_ += "\n";
  }

  void BeginItem() {
    item_ = true;
    if (lists_.empty()) lists_.push_back({});
    ++lists_.back().number;
  }

  void BeginTable(const HtmlNode* node) {
    if (InCell()) return;
    tables_.push_back({.node = node, .data = IsDataTable(node), .row = {}});
  }

  bool InCell() const { return !tables_.empty() && tables_.back().data; }

  void LeaveCell() {
    if (!InCell()) return Flush();
    tables_.back().row.push_back(std::exchange(inline_, ""));
  }

  void LeaveRow() {
    if (!InCell()) return;
    out_->Row(tables_.back().row);
    tables_.back().row.clear();
  }

  // Once what holds them is written.
  void TellPictures() {
    if (InCell() || pre_ != nullptr) return;
    for (const std::string& source : std::exchange(pictures_, {})) picture_(source);
  }

  void Flush() {
    WriteWords();
    TellPictures();
  }

  // The words so far are a block.
  void WriteWords() {
    if (pre_ != nullptr) return;
    if (InCell()) {
      inline_ += " ";
      return;
    }
    const std::string words = std::exchange(inline_, "");
    if (words.empty()) return;
    if (heading_ > 0) return out_->Heading(heading_, words);
    if (CleanWords(words).empty()) return;
    if (item_ && !lists_.empty()) {
      item_ = false;
      const List& list = lists_.back();
      const std::string mark = list.ordered ? StrCat(list.number, ".") : "-";
      return out_->ListItem(static_cast<int>(lists_.size()) - 1, mark, words);
    }
    if (quotes_ > 0) return out_->Quote(words);
    out_->Paragraph(words);
  }

  const HtmlNode* root_;
  const HtmlScope scope_;
  MarkdownWriter* out_;
  std::string inline_;  // words that are no block yet
  std::vector<List> lists_;
  std::vector<Table> tables_;
  const HtmlNode* pre_ = nullptr;
  int heading_ = 0;  // level of the heading that is open, or 0
  int quotes_ = 0;   // open <blockquote>
  const HtmlPicture picture_;
  std::vector<std::string> pictures_;  // of the block at work
  bool item_ = false;                  // the next words begin an item of the innermost list
};

void ReadMeta(const HtmlNode* node, HtmlFacts* facts) {
  std::string_view name = HtmlAttribute(node, "name");
  if (name.empty()) name = HtmlAttribute(node, "property");
  const std::string key = AsciiLower(name);
  const std::string_view value = HtmlAttribute(node, "content");
  if (key == "author" || key == "article:author" || key == "dc.creator") {
    KeepFact("author", value, &facts->metadata);
  } else if (key == "article:published_time" || key == "date" || key == "dc.date") {
    KeepFact("created", value, &facts->metadata);
  } else if (key == "article:modified_time" || key == "last-modified") {
    KeepFact("modified", value, &facts->metadata);
  } else if (key == "keywords") {
    KeepFact("keywords", value, &facts->metadata);
  } else if (key == "og:title" && facts->title.empty()) {
    facts->title = CleanWords(value);
  }
}

HtmlFacts ReadFacts(const HtmlNode* root) {
  HtmlFacts facts;
  for (const HtmlNode* at = root; at != nullptr; at = NextNode(at, root, false)) {
    const std::string_view name = HtmlName(at);
    if (name == "html") KeepFact("language", HtmlAttribute(at, "lang"), &facts.metadata);
    if (name == "meta") ReadMeta(at, &facts);
    if (name == "title" && at->children != nullptr && at->children->content != nullptr) {
      facts.title = CleanWords(reinterpret_cast<const char*>(at->children->content));
    }
    if (name == "body") break;
  }
  return facts;
}

HtmlDocument Parse(std::string_view utf8) {
  constexpr int kOptions = HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                           HTML_PARSE_NONET | HTML_PARSE_NODEFDTD | HTML_PARSE_IGNORE_ENC;
  htmlParserCtxt* context = htmlCreateMemoryParserCtxt(utf8.data(), static_cast<int>(utf8.size()));
  if (context == nullptr) return nullptr;
  htmlCtxtUseOptions(context, kOptions);
  // Beyond 256 open elements the parser would stop; nothing here recurses into the tree.
  context->options |= XML_PARSE_HUGE;
  xmlSwitchEncoding(context, XML_CHAR_ENCODING_UTF8);
  htmlParseDocument(context);
  HtmlDocument document(context->myDoc);
  htmlFreeParserCtxt(context);
  return document;
}

std::string DeclaredCharset(std::string_view bytes) {
  const std::string head = AsciiLower(bytes.substr(0, kDeclaredWithin));
  const size_t at = head.find("charset=");
  if (at == std::string::npos) return "";
  const size_t begin = head.find_first_not_of("\"' ", at + 8);
  if (begin == std::string::npos) return "";
  return head.substr(begin, head.find_first_of("\"'> ;/\r\n", begin) - begin);
}

// Browsers read the small sets as the larger ones that contain them.
std::string LargerCharset(const std::string& name) {
  if (name == "iso-8859-1" || name == "latin1" || name == "us-ascii") return "windows-1252";
  if (name == "gb2312" || name == "gbk") return "gb18030";
  if (name == "shift_jis" || name == "sjis" || name == "x-sjis") return "cp932";
  if (name == "euc-kr" || name == "ks_c_5601-1987") return "cp949";
  return name;
}

bool MostlyReadable(std::string_view text) {
  size_t lost = 0;
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  for (size_t at = text.find(kReplacement); at != std::string_view::npos;
       at = text.find(kReplacement, at + kReplacement.size())) {
    ++lost;
  }
  return lost * 100 <= text.size();
}

}  // namespace

std::string DecodeHtml(std::string_view bytes) {
  const std::string declared = DeclaredCharset(bytes);
  const bool wide = bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF");
  if (!wide && !IsValidUtf8(bytes) && !declared.empty() && declared.find("utf") != 0) {
    auto text = DecodeAs(bytes, LargerCharset(declared));
    if (text && MostlyReadable(*text)) return std::move(*text);
  }
  return ReadAnyText(bytes, "");
}

HtmlFacts WriteHtml(std::string_view utf8, HtmlScope scope, MarkdownWriter* out,
                    const HtmlPicture& picture) {
  const HtmlDocument document = Parse(utf8);
  const HtmlNode* root = document ? xmlDocGetRootElement(document.get()) : nullptr;
  if (root == nullptr) return {};
  HtmlFacts facts = ReadFacts(root);
  if (scope == HtmlScope::kEverything) {
    HtmlWriter(root, scope, out, picture).Write();
    return facts;
  }
  MarkdownWriter content, everything;
  HtmlWriter(ContentRoot(root), scope, &content).Write();
  HtmlWriter(root, HtmlScope::kEverything, &everything).Write();
  const bool enough = content.size() * kLeastShare >= everything.size();
  out->Markdown((enough ? content : everything).Take());
  return facts;
}

Result<ParsedDocument> ParseHtml(const Source& source) {
  MarkdownWriter out;
  HtmlFacts facts = WriteHtml(DecodeHtml(source.bytes), HtmlScope::kMainContent, &out);
  if (out.empty()) return InvalidArgument("shows no text");
  ParsedDocument document;
  document.text = out.Take();
  document.mime_type = "text/html";
  document.title = std::move(facts.title);
  if (document.title.empty()) {
    document.title = TitleOf(document.text, document.mime_type, source.name);
  }
  document.metadata = std::move(facts.metadata);
  return document;
}

}  // namespace vade
