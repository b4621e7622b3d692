// Reads the flat JSON lines of the development data sets: objects of strings, lists of strings, and
// others, which are skipped. For tests and tools only: well-formed input is assumed.
#pragma once

#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/unicode.h"
#include "index/passage.h"

namespace vade::testing {

struct JsonRow {
  std::map<std::string, std::vector<std::string>> values;  // a string is a list of one

  std::string Get(const std::string& key) const {
    const auto it = values.find(key);
    return it == values.end() || it->second.empty() ? "" : it->second[0];
  }
  std::vector<std::string> List(const std::string& key) const {
    const auto it = values.find(key);
    return it == values.end() ? std::vector<std::string>() : it->second;
  }
};

class JsonLineReader {
 public:
  explicit JsonLineReader(std::string_view line) : text_(line) {}

  JsonRow Read() {
    JsonRow row;
    Skip("{");
    while (At() == '"') {
      const std::string key = String();
      Skip(":");
      row.values[key] = Value();
      Skip(",");
    }
    return row;
  }

 private:
  char At() {
    while (pos_ < text_.size() && text_[pos_] == ' ') ++pos_;
    return pos_ < text_.size() ? text_[pos_] : '\0';
  }
  void Skip(std::string_view sign) {
    if (At() == sign[0]) ++pos_;
  }
  std::vector<std::string> Value() {
    if (At() == '"') return {String()};
    if (At() != '[') return {Bare()};
    std::vector<std::string> list;
    ++pos_;
    while (At() != ']' && At() != '\0') {
      list.push_back(At() == '"' ? String() : Bare());
      Skip(",");
    }
    Skip("]");
    return list;
  }
  std::string Bare() {
    const size_t begin = pos_;
    while (pos_ < text_.size() &&
           std::string_view(",]}").find(text_[pos_]) == std::string_view::npos)
      ++pos_;
    return std::string(text_.substr(begin, pos_ - begin));
  }
  std::string String() {
    std::string out;
    for (++pos_; pos_ < text_.size() && text_[pos_] != '"'; ++pos_) {
      if (text_[pos_] == '\\') {
        Escape(&out);
      } else {
        out += text_[pos_];
      }
    }
    ++pos_;
    return out;
  }
  void Escape(std::string* out) {
    const char c = text_[++pos_];
    if (c != 'u') {
      *out += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
      return;
    }
    char32_t value = Hex();
    if (value >= 0xD800 && value < 0xDC00 && text_.substr(pos_ + 1, 2) == "\\u") {
      pos_ += 2;
      value = 0x10000 + ((value - 0xD800) << 10) + (Hex() - 0xDC00);
    }
    AppendCodePoint(out, value);
  }
  char32_t Hex() {  // the four digits behind the 'u' at pos_
    const char32_t value =
        static_cast<char32_t>(std::stoul(std::string(text_.substr(pos_ + 1, 4)), nullptr, 16));
    pos_ += 4;
    return value;
  }

  std::string_view text_;
  size_t pos_ = 0;
};

// Empty when the file does not exist.
inline std::vector<JsonRow> ReadJsonLines(const std::string& path) {
  std::vector<JsonRow> rows;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) rows.push_back(JsonLineReader(line).Read());
  }
  return rows;
}

// A row of passages.*.jsonl as search would have found it.
inline Hit ToHit(const JsonRow& row) {
  Hit hit;
  hit.passage.document_id = row.Get("id");
  hit.passage.text = row.Get("text");
  hit.passage.end = hit.passage.text.size();
  hit.title = row.Get("title");
  return hit;
}

}  // namespace vade::testing
