// A message as RFC 5322 and MIME have it: headers, and parts within parts. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vade {

struct MimePart {
  // Of the headers that matter, decoded to UTF-8; "" when missing.
  std::string subject, from, to, cc, date;
  std::string type = "text/plain";  // lower case
  std::string charset;              // as given
  std::string file_name;
  std::string content_id;       // without its brackets: what "cid:" in HTML names
  bool is_attachment = false;   // says so itself
  std::string body;             // decoded bytes; empty where there are parts
  std::vector<MimePart> parts;  // of multipart/...
};

// Nesting and the number of parts are bounded; what lies beyond is left out.
MimePart ParseMime(std::string_view bytes);

// "=?utf-8?B?...?=" and its like as UTF-8.
std::string DecodeEncodedWords(std::string_view text);

// "Tue, 1 Jul 2003 10:52:37 +0200" -> "2003-07-01T10:52:37+02:00"; "" when it is none.
std::string MailDateToIso(std::string_view date);

std::string DecodeQuotedPrintable(std::string_view text);  // bad escapes stay as they are

}  // namespace vade
