// JSON, JSON lines and Jupyter notebooks. Values are written as nested list items "key: value", so
// that a value keeps its name beside it; a record of JSON lines is a paragraph.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/text.h"

namespace vade {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 64;  // deeper values are written as JSON
constexpr size_t kMaxOutputBytes = 64 << 10;

// A parser of depth without limit would overflow the stack as its tree is destroyed.
bool IsTooDeep(std::string_view text) {
  constexpr int kMaxNesting = 2000;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
      continue;
    }
    in_string = c == '"';
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (depth > kMaxNesting) return true;
  }
  return false;
}

Json Parse(std::string_view text) {
  if (IsTooDeep(text)) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, /*allow_exceptions=*/false, /*ignore_comments=*/true);
}

std::string Dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Scalar(const Json& value) {
  return value.is_string() ? value.get<std::string>() : Dump(value);
}

bool IsFlatList(const Json& value) {
  if (!value.is_array()) return false;
  for (const Json& item : value) {
    if (item.is_structured()) return false;
  }
  return true;
}

std::string FlatList(const Json& list) {
  std::string out;
  for (const Json& item : list) {
    if (!out.empty()) out += ", ";
    out += Scalar(item);
  }
  return out;
}

void WriteValue(const std::string& key, const Json& value, int depth, MarkdownWriter* out) {
  const std::string label = key.empty() ? "" : key + ":";
  const auto item = [&](const std::string& words) {
    out->ListItem(depth, "-", label.empty() ? words : StrCat(label, " ", words));
  };
  if (!value.is_structured()) return item(Scalar(value));
  if (IsFlatList(value)) return item(FlatList(value));
  if (depth >= kMaxDepth) return item(Dump(value));
  if (!label.empty()) out->ListItem(depth, "-", label);
  const int below = label.empty() ? depth : depth + 1;
  if (value.is_array()) {
    int number = 0;
    for (const Json& entry : value) WriteValue(StrCat(++number), entry, below, out);
    return;
  }
  for (const auto& [name, entry] : value.items()) WriteValue(name, entry, below, out);
}

// "key: value; key: value" of a record.
std::string Record(const Json& value) {
  if (!value.is_object()) return Scalar(value);
  std::string out;
  for (const auto& [name, entry] : value.items()) {
    if (!out.empty()) out += "; ";
    out += StrCat(name, ": ", IsFlatList(entry) ? FlatList(entry) : Scalar(entry));
  }
  return out;
}

// A notebook's text is a string or a list of lines.
std::string Lines(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string out;
  if (!value.is_array()) return out;
  for (const Json& line : value) {
    if (line.is_string()) out += line.get<std::string>();
  }
  return out;
}

const Json& Member(const Json& value, const char* name) {
  static const Json* const nothing = new Json();
  if (!value.is_object()) return *nothing;
  const auto at = value.find(name);
  return at == value.end() ? *nothing : *at;
}

void WriteOutput(const Json& output, MarkdownWriter* out) {
  std::string text = Lines(Member(output, "text"));
  if (text.empty()) text = Lines(Member(Member(output, "data"), "text/plain"));
  if (text.size() > kMaxOutputBytes) text.resize(FloorToCodePoint(text, kMaxOutputBytes));
  out->Code("", text);
}

void WriteCell(const Json& cell, std::string_view language, MarkdownWriter* out) {
  const std::string type = Lines(Member(cell, "cell_type"));
  const std::string text = Lines(Member(cell, "source"));
  if (type != "code") return out->Markdown(text);
  out->Code(language, text);
  const Json& outputs = Member(cell, "outputs");
  if (!outputs.is_array()) return;
  for (const Json& output : outputs) WriteOutput(output, out);
}

void WriteNotebook(const Json& notebook, MarkdownWriter* out) {
  std::string language =
      Lines(Member(Member(Member(notebook, "metadata"), "kernelspec"), "language"));
  if (language.empty() || language.find_first_of("`\n ") != std::string::npos) language = "python";
  const Json& cells = Member(notebook, "cells");
  if (!cells.is_array()) return;
  for (const Json& cell : cells) WriteCell(cell, language, out);
}

Result<ParsedDocument> Finish(const Source& source, std::string_view mime_type, std::string title,
                              MarkdownWriter* out) {
  if (out->empty()) return InvalidArgument("is empty");
  ParsedDocument document;
  document.text = out->Take();
  document.mime_type = mime_type;
  document.title = title.empty() ? TitleOf("", kPlainTextType, source.name) : std::move(title);
  return document;
}

}  // namespace

Result<ParsedDocument> ParseJson(const Source& source) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(source.bytes));
  const Json value = Parse(text);
  // What does not read as JSON is still text.
  if (value.is_discarded()) return ParseDocument(source.bytes, source.name, kPlainTextType);
  if (Member(value, "nbformat").is_number() && Member(value, "cells").is_array()) {
    return ParseNotebook(source);
  }
  MarkdownWriter out;
  WriteValue("", value, 0, &out);
  return Finish(source, "application/json", CleanWords(Lines(Member(value, "title"))), &out);
}

Result<ParsedDocument> ParseJsonLines(const Source& source) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(source.bytes));
  MarkdownWriter out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    const Json value = Parse(line);
    out.Paragraph(value.is_discarded() ? line : Record(value));
    begin = end + 1;
  }
  return Finish(source, "application/x-ndjson", "", &out);
}

Result<ParsedDocument> ParseNotebook(const Source& source) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(source.bytes));
  const Json notebook = Parse(text);
  if (notebook.is_discarded()) {
    return InvalidArgument("is a notebook whose JSON is damaged; save it again");
  }
  MarkdownWriter out;
  WriteNotebook(notebook, &out);
  if (out.empty()) return InvalidArgument("is a notebook without text");
  ParsedDocument document;
  document.text = out.Take();
  document.mime_type = "application/x-ipynb+json";
  document.title = CleanWords(Lines(Member(Member(notebook, "metadata"), "title")));
  if (document.title.empty()) {
    document.title = TitleOf(document.text, document.mime_type, source.name);
  }
  return document;
}

}  // namespace vade
