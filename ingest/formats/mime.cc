#include "ingest/formats/mime.h"
#include "ingest/formats/text.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr int kMaxDepth = 16;
constexpr size_t kMaxParts = 2000;

using Headers = std::map<std::string, std::string>;  // lower-case name -> raw value, unfolded

// Also moves `rest` behind the blank line.
Headers ReadHeaders(std::string_view* rest) {
  Headers headers;
  std::string name;
  while (!rest->empty()) {
    const size_t end = rest->find('\n');
    std::string_view line = rest->substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    const bool folded = !line.empty() && (line[0] == ' ' || line[0] == '\t');
    if (!line.empty() && !folded && colon == std::string_view::npos) break;  // a body without one
    rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
    if (line.empty()) break;
    if (folded) {
      if (!name.empty()) headers[name] += StrCat(' ', StripAsciiWhitespace(line));
      continue;
    }
    name = AsciiLower(line.substr(0, colon));
    // The first of a name: later ones were added on the way.
    if (!headers.emplace(name, StripAsciiWhitespace(line.substr(colon + 1))).second) name.clear();
  }
  return headers;
}

struct Field {
  std::string value;  // lower case
  std::map<std::string, std::string> parameters;
};

// What follows a ';' up to the next one that is not in quotes.
std::string_view NextParameter(std::string_view* rest) {
  bool quoted = false;
  size_t i = 0;
  for (; i < rest->size(); ++i) {
    const char c = (*rest)[i];
    if (c == '\\' && quoted) {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ';' && !quoted) {
      break;
    }
  }
  const std::string_view parameter = rest->substr(0, i);
  rest->remove_prefix(std::min(rest->size(), i + 1));
  return StripAsciiWhitespace(parameter);
}

std::string Unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '"') return std::string(text);
  std::string out;
  for (size_t i = 1; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out.push_back(text[i]);
  }
  return out;
}

// RFC 2231: "utf-8'en'%C3%A9.txt".
std::string DecodeExtended(std::string_view value) {
  const size_t first = value.find('\'');
  const size_t second = first == std::string_view::npos ? first : value.find('\'', first + 1);
  if (second == std::string_view::npos) return std::string(value);
  std::string bytes;
  for (size_t i = second + 1; i < value.size(); ++i) {
    const bool escape = value[i] == '%' && i + 2 < value.size() && HexDigit(value[i + 1]) >= 0 &&
                        HexDigit(value[i + 2]) >= 0;
    bytes.push_back(escape ? static_cast<char>(HexDigit(value[i + 1]) * 16 + HexDigit(value[i + 2]))
                           : value[i]);
    if (escape) i += 2;
  }
  return ReadAnyText(bytes, std::string(value.substr(0, first)));
}

Field ParseField(std::string_view text) {
  Field field;
  field.value = AsciiLower(NextParameter(&text));
  while (!text.empty()) {
    const std::string_view parameter = NextParameter(&text);
    const size_t equals = parameter.find('=');
    if (equals == std::string_view::npos) continue;
    std::string name = AsciiLower(StripAsciiWhitespace(parameter.substr(0, equals)));
    std::string value = Unquoted(StripAsciiWhitespace(parameter.substr(equals + 1)));
    // "filename*0", "filename*1*": pieces, in order.
    const size_t star = name.find('*');
    const bool extended = name.ends_with('*');
    if (star != std::string::npos) name.resize(star);
    field.parameters[name] += extended ? DecodeExtended(value) : DecodeEncodedWords(value);
  }
  return field;
}

std::string Get(const Headers& headers, const char* name) {
  const auto at = headers.find(name);
  return at == headers.end() ? "" : at->second;
}

std::string Decoded(std::string_view body, std::string_view encoding) {
  if (encoding == "base64") return DecodeBase64(body);
  if (encoding == "quoted-printable") return DecodeQuotedPrintable(body);
  return std::string(body);
}

// Where the delimiter of a multipart stands at a line's start, from `from` on.
size_t FindDelimiter(std::string_view body, const std::string& mark, size_t from) {
  for (size_t at = body.find(mark, from); at != std::string_view::npos;
       at = body.find(mark, at + 1)) {
    if (at == 0 || body[at - 1] == '\n') return at;
  }
  return std::string_view::npos;
}

class MimeReader {
 public:
  MimePart Read(std::string_view bytes, int depth) {
    ++parts_;
    MimePart part;
    std::string_view body = bytes;
    const Headers headers = ReadHeaders(&body);
    part.subject = DecodeEncodedWords(Get(headers, "subject"));
    part.from = DecodeEncodedWords(Get(headers, "from"));
    part.to = DecodeEncodedWords(Get(headers, "to"));
    part.cc = DecodeEncodedWords(Get(headers, "cc"));
    part.date = Get(headers, "date");
    Field type = ParseField(Get(headers, "content-type"));
    Field disposition = ParseField(Get(headers, "content-disposition"));
    if (!type.value.empty()) part.type = type.value;
    part.charset = type.parameters["charset"];
    part.file_name = disposition.parameters["filename"];
    if (part.file_name.empty()) part.file_name = type.parameters["name"];
    part.is_attachment = disposition.value == "attachment";
    const std::string named = Get(headers, "content-id");
    std::string_view id = StripAsciiWhitespace(named);
    if (id.starts_with('<') && id.ends_with('>')) id = id.substr(1, id.size() - 2);
    part.content_id = id;
    const std::string boundary = type.parameters["boundary"];
    if (part.type.starts_with("multipart/") && !boundary.empty() && depth < kMaxDepth) {
      ReadParts(body, "--" + boundary, depth, &part);
    } else {
      part.body = Decoded(
          body, AsciiLower(StripAsciiWhitespace(Get(headers, "content-transfer-encoding"))));
    }
    return part;
  }

 private:
  void ReadParts(std::string_view body, const std::string& mark, int depth, MimePart* part) {
    size_t at = FindDelimiter(body, mark, 0);
    while (at != std::string_view::npos && parts_ < kMaxParts) {
      const size_t behind = at + mark.size();
      if (body.substr(behind, 2) == "--") return;
      const size_t begin = body.find('\n', behind);
      if (begin == std::string_view::npos) return;
      const size_t next = FindDelimiter(body, mark, begin + 1);
      std::string_view inner = body.substr(begin + 1, next - begin - 1);
      if (next != std::string_view::npos && inner.ends_with('\n')) inner.remove_suffix(1);
      part->parts.push_back(Read(inner, depth + 1));
      at = next;
    }
  }

  size_t parts_ = 0;
};

// One "=?charset?B?text?="; `end` is set behind it. False when it is none.
bool ReadEncodedWord(std::string_view text, size_t begin, std::string* out, size_t* end) {
  const size_t charset_end = text.find('?', begin + 2);
  if (charset_end == std::string_view::npos || charset_end + 2 >= text.size()) return false;
  const char encoding = static_cast<char>(text[charset_end + 1] | 0x20);
  if (text[charset_end + 2] != '?' || (encoding != 'b' && encoding != 'q')) return false;
  const size_t close = text.find("?=", charset_end + 3);
  if (close == std::string_view::npos) return false;
  std::string words(text.substr(charset_end + 3, close - charset_end - 3));
  if (encoding == 'q') std::replace(words.begin(), words.end(), '_', ' ');
  std::string charset(text.substr(begin + 2, charset_end - begin - 2));
  charset.resize(std::min(charset.size(), charset.find('*')));  // a language behind it
  *out +=
      ReadAnyText(encoding == 'b' ? DecodeBase64(words) : DecodeQuotedPrintable(words), charset);
  *end = close + 2;
  return true;
}

}  // namespace

MimePart ParseMime(std::string_view bytes) { return MimeReader().Read(bytes, 0); }

std::string DecodeEncodedWords(std::string_view text) {
  std::string out;
  bool after_word = false;
  for (size_t pos = 0; pos < text.size();) {
    size_t at = text.find("=?", pos);
    if (at == std::string_view::npos) at = text.size();
    const std::string_view between = text.substr(pos, at - pos);
    // White space between two encoded words is none.
    const bool blank = StripAsciiWhitespace(between).empty();
    if (!(after_word && blank && at < text.size())) out += between;
    if (at == text.size()) break;
    after_word = ReadEncodedWord(text, at, &out, &pos);
    if (after_word) continue;
    out += "=?";
    pos = at + 2;
  }
  return IsValidUtf8(out) ? out : ReadAnyText(out, "");
}

std::string DecodeQuotedPrintable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      out.push_back(text[i]);
      continue;
    }
    const std::string_view next = text.substr(i + 1);
    if (next.starts_with('\n')) {
      ++i;
    } else if (next.starts_with("\r\n")) {
      i += 2;
    } else if (next.size() >= 2 && HexDigit(next[0]) >= 0 && HexDigit(next[1]) >= 0) {
      out.push_back(static_cast<char>(HexDigit(next[0]) * 16 + HexDigit(next[1])));
      i += 2;
    } else {
      out.push_back('=');
    }
  }
  return out;
}

std::string MailDateToIso(std::string_view date) {
  static constexpr std::array<std::string_view, 12> kMonths = {
      "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
  if (const size_t comma = date.find(','); comma != std::string_view::npos) {
    date.remove_prefix(comma + 1);
  }
  std::vector<std::string> words = Split(date, ' ');
  words.erase(std::remove(words.begin(), words.end(), ""), words.end());
  if (words.size() < 4) return "";
  const auto day = ParseUint(words[0]);
  const auto year = ParseUint(words[2]);
  const auto month = std::find(kMonths.begin(), kMonths.end(), AsciiLower(words[1]).substr(0, 3));
  if (!day || !year || *day > 31 || *year < 1970 || *year > 9999 || month == kMonths.end())
    return "";
  const auto two = [](uint64_t number) { return StrCat(number < 10 ? "0" : "", number); };
  const std::string time = words[3].size() == 5 ? words[3] + ":00" : words[3];
  const bool clock = time.size() == 8 && time[2] == ':' && time[5] == ':' &&
                     time.find_first_not_of("0123456789:") == std::string::npos;
  if (!clock) return "";
  std::string zone = "Z";
  if (words.size() > 4 && words[4].size() == 5 && (words[4][0] == '+' || words[4][0] == '-') &&
      words[4].find_first_not_of("0123456789", 1) == std::string::npos) {
    zone = StrCat(words[4].substr(0, 3), ":", words[4].substr(3));
  }
  return StrCat(*year, "-", two(static_cast<uint64_t>(month - kMonths.begin()) + 1), "-", two(*day),
                "T", time, zone);
}

}  // namespace vade
