// RTF: paragraphs, headings by outline level, list texts, tables, notes; the charset is that of the
// font in use, else of the document.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/rtf_tokens.h"

namespace vade {
namespace {

constexpr size_t kMaxGroups = 10'000;  // open ones; files of programs stay below a hundred

// Groups that hold no text of the document.
bool IsHidden(std::string_view word) {
  static const auto* const words = new std::set<std::string_view>{
      "colortbl",  "stylesheet", "pict",         "object",
      "themedata", "listtable",  "rsidtbl",      "generator",
      "xmlnstbl",  "datastore",  "latentstyles", "listoverridetable",
      "filetbl",   "revtbl",     "fldinst",      "colorschememapping",
      "pgdsctbl",  "userprops",  "pntxta",       "pntxtb",
      "operator",  "bkmkstart",  "bkmkend",      "mmathPr",
      "falt",      "panose",     "nonshppict",   "xe",
      "tc",        "comment",    "company",      "category",
      "doccomm",   "creatim",    "revtim",       "printim"};
  return words->count(word) > 0;
}

// Windows' numbers of charsets, in font tables.
int CodePageOfCharset(int charset) {
  static const auto* const pages = new std::map<int, int>{
      {77, 10000}, {128, 932},  {129, 949},  {130, 1361}, {134, 936},  {136, 950},
      {161, 1253}, {162, 1254}, {163, 1258}, {177, 1255}, {178, 1256}, {186, 1257},
      {204, 1251}, {222, 874},  {238, 1250}, {254, 437}};
  const auto at = pages->find(charset);
  return at == pages->end() ? 0 : at->second;
}

std::string CharsetOf(int code_page) {
  if (code_page == 65001) return "UTF-8";
  if (code_page == 10000) return "macintosh";
  if (code_page == 936) return "gb18030";
  const bool windows = code_page == 874 || (code_page >= 1250 && code_page <= 1258);
  return StrCat(windows ? "windows-" : "cp", code_page);
}

enum class Place { kText, kFontTable, kTitle, kAuthor, kNote, kHidden };

class RtfReader {
 public:
  explicit RtfReader(std::string_view bytes) : tokens_(bytes) {}

  void Read(MarkdownWriter* out) {
    out_ = out;
    for (RtfToken token = tokens_.Next(); token.kind != RtfToken::Kind::kEnd;
         token = tokens_.Next()) {
      Take(token);
    }
    EndParagraph();
    for (size_t i = 0; i < notes_.size(); ++i) out_->Note(StrCat(i + 1), notes_[i]);
  }

  const std::string& title() const { return title_; }
  const std::string& author() const { return author_; }

 private:
  struct Group {
    Place place = Place::kText;
    int code_page = 0;     // of the font in use; 0: the document's
    int unicode_skip = 1;  // characters that stand in for a \u behind it
  };

  void Take(const RtfToken& token) {
    switch (token.kind) {
      case RtfToken::Kind::kOpen:
        FlushBytes();
        if (groups_.size() < kMaxGroups) groups_.push_back(group_);
        begins_ = true;
        skip_ = 0;
        return;
      case RtfToken::Kind::kClose: return Close();
      case RtfToken::Kind::kByte:
        if (skip_ > 0) {
          --skip_;
        } else {
          bytes_.push_back(token.byte);
        }
        break;
      case RtfToken::Kind::kSymbol: TakeSymbol(token.byte); break;
      case RtfToken::Kind::kWord:
        FlushBytes();
        TakeWord(token);
        break;
      case RtfToken::Kind::kEnd: break;
    }
    begins_ = token.kind == RtfToken::Kind::kSymbol && token.byte == '*';
  }

  void Close() {
    FlushBytes();
    const Place closed = group_.place;
    if (!groups_.empty()) {
      group_ = groups_.back();
      groups_.pop_back();
    }
    if (closed == Place::kNote && group_.place != Place::kNote) {
      notes_.push_back(std::exchange(note_, ""));
      words_ += StrCat("[^", notes_.size(), "]");
    }
    skip_ = 0;
    begins_ = false;
  }

  void TakeSymbol(char c) {
    FlushBytes();
    if (c == '~') Append(" ");
    if (c == '_') Append("-");
    // "\*": a group that a reader may pass over, unless it knows what it is.
    if (c == '*' && begins_) optional_ = true;
  }

  void TakeWord(const RtfToken& token) {
    const std::string_view word = token.word;
    if (begins_ && EnterPlace(word)) return;
    if (word == "u") return TakeUnicode(token.value);
    if (word == "uc") group_.unicode_skip = std::clamp(token.value, 0, 16);
    if (word == "ansicpg" && token.value > 0) code_page_ = token.value;
    if (word == "mac") code_page_ = 10000;
    if (word == "f") TakeFont(token.value);
    if (word == "fcharset" && group_.place == Place::kFontTable) {
      fonts_[font_] = CodePageOfCharset(token.value);
    }
    if (group_.place == Place::kText || group_.place == Place::kNote) TakeTextWord(token);
  }

  // Whether the group that begins with this word is a place of its own.
  bool EnterPlace(std::string_view word) {
    const bool optional = std::exchange(optional_, false);
    if (group_.place == Place::kHidden) return true;
    if (word == "fonttbl") {
      group_.place = Place::kFontTable;
    } else if (word == "title" && group_.place != Place::kText) {
      group_.place = Place::kTitle;
    } else if (word == "author" && group_.place != Place::kText) {
      group_.place = Place::kAuthor;
    } else if (word == "info") {
      group_.place = Place::kFontTable;  // nothing but what its own groups name
    } else if (word == "footnote") {
      group_.place = Place::kNote;
    } else if (IsHidden(word) || (optional && !IsShownOptional(word))) {
      group_.place = Place::kHidden;
    } else {
      return false;
    }
    return true;
  }

  static bool IsShownOptional(std::string_view word) {
    return word == "shptxt" || word == "shpinst" || word == "pn" || word == "cs" ||
           word == "pntext" || word == "listtext";
  }

  void TakeTextWord(const RtfToken& token) {
    const std::string_view word = token.word;
    if (word == "par" || word == "sect" || word == "page") {
      group_.place == Place::kNote ? Append(" ") : EndParagraph();
    } else if (word == "pard") {
      level_ = 0;
      in_table_ = false;
    } else if (word == "outlinelevel") {
      level_ = token.value >= 0 && token.value < 9 ? token.value + 1 : 0;
    } else if (word == "intbl") {
      in_table_ = true;
    } else if (word == "cell" || word == "nestcell") {
      row_.push_back(std::exchange(words_, ""));
    } else if (word == "row" || word == "nestrow") {
      EndRow();
    } else if (word == "tab" || word == "line") {
      Append(" ");
    } else {
      TakeCharacter(word);
    }
  }

  void TakeCharacter(std::string_view word) {
    static constexpr std::pair<std::string_view, std::string_view> kCharacters[] = {
        {"emdash", "\u2014"},    {"endash", "\u2013"}, {"bullet", "\u2022"},
        {"lquote", "\u2018"},    {"rquote", "\u2019"}, {"ldblquote", "\u201C"},
        {"rdblquote", "\u201D"}, {"emspace", " "},     {"enspace", " "},
        {"qmspace", " "}};
    for (const auto& [name, text] : kCharacters) {
      if (word == name) return Append(text);
    }
  }

  void TakeFont(int number) {
    font_ = number;
    if (group_.place == Place::kFontTable) return;
    const auto at = fonts_.find(number);
    group_.code_page = at == fonts_.end() ? 0 : at->second;
  }

  void TakeUnicode(int value) {
    const auto unit = static_cast<uint32_t>(value < 0 ? value + 65536 : value);
    skip_ = group_.unicode_skip;
    std::string text;
    if (unit >= 0xD800 && unit < 0xDC00) {
      high_ = unit;
      return;
    }
    if (unit >= 0xDC00 && unit < 0xE000 && high_ != 0) {
      AppendCodePoint(&text, 0x10000 + ((high_ - 0xD800) << 10) + (unit - 0xDC00));
    } else {
      AppendCodePoint(&text, unit < 0x110000 ? unit : 0xFFFD);
    }
    high_ = 0;
    Append(text);
  }

  void FlushBytes() {
    if (bytes_.empty()) return;
    const std::string bytes = std::exchange(bytes_, "");
    const int page = group_.code_page != 0 ? group_.code_page : code_page_;
    auto text = DecodeAs(bytes, CharsetOf(page));
    Append(text ? *text : ReplaceInvalidUtf8(bytes));
  }

  void Append(std::string_view text) {
    switch (group_.place) {
      case Place::kText: words_ += text; break;
      case Place::kNote: note_ += text; break;
      case Place::kTitle: title_ += text; break;
      case Place::kAuthor: author_ += text; break;
      default: break;
    }
  }

  void EndParagraph() {
    if (in_table_ && !row_.empty()) return Append(" ");
    const std::string words = CleanWords(std::exchange(words_, ""));
    if (words.empty()) return;
    static constexpr std::string_view kBullet = "\u2022";
    static constexpr std::string_view kSymbolBullet = "\uF0B7";
    for (std::string_view bullet : {kBullet, kSymbolBullet}) {
      if (words.starts_with(bullet)) {
        return out_->ListItem(0, "-", std::string_view(words).substr(bullet.size()));
      }
    }
    level_ > 0 ? out_->Heading(level_, words) : out_->Paragraph(words);
  }

  void EndRow() {
    out_->Row(std::exchange(row_, {}));
    in_table_ = false;
  }

  RtfTokens tokens_;
  MarkdownWriter* out_ = nullptr;
  Group group_;
  std::vector<Group> groups_;  // those around it
  std::map<int, int> fonts_;   // number -> code page, 0: the document's
  int font_ = 0, code_page_ = 1252;
  std::string bytes_;  // of text in the charset at hand
  std::string words_, note_, title_, author_;
  std::vector<std::string> notes_, row_;
  int level_ = 0;      // of the heading that the paragraph is, or 0
  int skip_ = 0;       // bytes that only stand in for a \u
  uint32_t high_ = 0;  // a high surrogate that waits for its other half
  bool in_table_ = false;
  bool begins_ = false;    // the group has just begun
  bool optional_ = false;  // and with "\*"
};

}  // namespace

Result<ParsedDocument> ParseRtf(const Source& source) {
  MarkdownWriter out;
  RtfReader reader(source.bytes);
  reader.Read(&out);
  if (out.empty()) return InvalidArgument("is an RTF file without text");
  ParsedDocument document;
  document.text = out.Take();
  document.mime_type = "application/rtf";
  document.title = CleanWords(reader.title());
  if (document.title.empty()) {
    document.title = TitleOf(document.text, document.mime_type, source.name);
  }
  const std::string author = CleanWords(reader.author());
  if (!author.empty()) document.metadata["author"] = author;
  return document;
}

}  // namespace vade
