// SubRip and WebVTT: what is said, in paragraphs of about half a minute, each behind the time at
// which it begins.
#include <string>
#include <utility>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/text.h"

namespace vade {
namespace {

constexpr int kParagraphSeconds = 30;
constexpr int kPauseSeconds = 5;  // a silence that ends a paragraph

// Seconds of "00:01:02,500" or "01:02.500"; -1 when it is none.
int SecondsOf(std::string_view time) {
  int total = 0, parts = 0;
  for (const std::string& part : Split(time.substr(0, time.find_first_of(",. ")), ':')) {
    const auto number = ParseUint(part);
    if (!number || *number > 100000 || ++parts > 3) return -1;
    total = total * 60 + static_cast<int>(*number);
  }
  return parts >= 2 ? total : -1;
}

std::string Clock(int seconds) {
  const auto two = [](int number) { return StrCat(number < 10 ? "0" : "", number); };
  return StrCat(two(seconds / 3600), ":", two(seconds / 60 % 60), ":", two(seconds % 60));
}

// Without "<i>", "<v Speaker>", "{\an8}".
std::string WithoutTags(std::string_view line) {
  std::string out;
  char closing = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (closing != 0) {
      if (c == closing) closing = 0;
    } else if (c == '<' && line.find('>', i) != std::string_view::npos) {
      closing = '>';
    } else if (c == '{' && line.substr(i, 2) == "{\\") {
      closing = '}';
    } else {
      out.push_back(c);
    }
  }
  return out;
}

class Transcript {
 public:
  explicit Transcript(MarkdownWriter* out) : out_(out) {}

  void BeginCue(int begin, int end) {
    if (words_.empty()) begin_ = begin;
    if (begin < begin_ || begin - begin_ >= kParagraphSeconds || begin - end_ >= kPauseSeconds) {
      Flush();
      begin_ = begin;
    }
    end_ = end;
  }
  void Say(const std::string& line) {
    const std::string clean = CleanWords(WithoutTags(line));
    // Live captions repeat the line before.
    if (clean.empty() || clean == last_) return;
    last_ = clean;
    words_ += words_.empty() ? clean : StrCat("\n", clean);
  }
  void Flush() {
    if (!words_.empty()) out_->Paragraph(StrCat("[", Clock(begin_), "] ", words_));
    words_.clear();
  }

 private:
  MarkdownWriter* out_;
  std::string words_, last_;
  int begin_ = 0, end_ = 0;
};

}  // namespace

Result<ParsedDocument> ParseSubtitles(const Source& source) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(source.bytes));
  MarkdownWriter out;
  Transcript transcript(&out);
  bool in_cue = false;
  for (const std::string& line : Split(text, '\n')) {
    const size_t arrow = line.find("-->");
    if (arrow != std::string::npos) {
      const int begin = SecondsOf(StripAsciiWhitespace(line.substr(0, arrow)));
      const int end = SecondsOf(StripAsciiWhitespace(line.substr(arrow + 3)));
      in_cue = begin >= 0;
      if (in_cue) transcript.BeginCue(begin, end);
    } else if (StripAsciiWhitespace(line).empty()) {
      in_cue = false;
    } else if (in_cue) {
      transcript.Say(line);
    }
  }
  transcript.Flush();
  if (out.empty()) return InvalidArgument("has no subtitles");
  ParsedDocument document;
  document.text = out.Take();
  document.mime_type = text.starts_with("WEBVTT") ? "text/vtt" : "application/x-subrip";
  document.title = TitleOf("", kPlainTextType, source.name);
  return document;
}

}  // namespace vade
