// Messages (eml) and mailboxes (mbox). A message is a document of its subject, who wrote to whom
// and when, and its text; its attachments are documents of their own, but for pictures, whose words
// stand in the message.
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/html.h"
#include "ingest/formats/inner_pictures.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/mime.h"
#include "ingest/formats/text.h"

namespace vade {
namespace {

bool IsPicture(const MimePart& part) { return part.type.starts_with("image/"); }

bool IsShownText(const MimePart& part) {
  return !part.is_attachment && (part.type == "text/plain" || part.type == "text/html");
}

class MessageWriter {
 public:
  MessageWriter(MarkdownWriter* out, InnerPictures* pictures) : out_(out), pictures_(pictures) {}

  void Write(const MimePart& message) {
    FindPictures(message);
    WritePart(message);
  }

  // Those that no text has shown.
  void WritePictures() {
    for (const MimePart* part : shown_last_) {
      pictures_->Write(part->body, out_, CleanWords(part->file_name));
    }
  }

  const std::vector<const MimePart*>& attachments() const { return attachments_; }

 private:
  void FindPictures(const MimePart& part) {
    for (const MimePart& inner : part.parts) FindPictures(inner);
    if (!IsPicture(part)) return;
    shown_last_.push_back(&part);
    if (!part.content_id.empty()) by_id_.emplace(part.content_id, &part);
  }

  void WritePart(const MimePart& part) {
    if (part.type == "multipart/alternative" && !part.parts.empty()) {
      return WritePart(Preferred(part));
    }
    for (const MimePart& inner : part.parts) WritePart(inner);
    if (!part.parts.empty()) return;
    if (!IsShownText(part)) {
      attachments_.push_back(&part);
    } else if (part.type == "text/html") {
      WriteHtml(part.charset.empty() ? DecodeHtml(part.body) : ReadAnyText(part.body, part.charset),
                HtmlScope::kEverything, out_, [&](std::string_view source) { Show(source); });
    } else {
      WritePlain(ReadAnyText(part.body, part.charset));
    }
  }

  // Behind the paragraph that has it.
  void Show(std::string_view source) {
    if (!source.starts_with("cid:")) return;
    const auto part = by_id_.find(source.substr(4));
    if (part != by_id_.end()) pictures_->Write(part->second->body, out_);
  }

  // The plain text, where it says something; else the last, which is the richest.
  static const MimePart& Preferred(const MimePart& part) {
    for (const MimePart& inner : part.parts) {
      if (inner.type == "text/plain" && !StripAsciiWhitespace(inner.body).empty()) return inner;
    }
    return part.parts.back();
  }

  // Paragraphs between blank lines; what was quoted stays so.
  void WritePlain(const std::string& text) {
    std::string paragraph;
    bool quoted = false;
    const auto flush = [&] {
      quoted ? out_->Quote(paragraph) : out_->Paragraph(paragraph);
      paragraph.clear();
    };
    for (const std::string& line : Split(text, '\n')) {
      const std::string_view words = StripAsciiWhitespace(line);
      if (words.empty() || words.starts_with('>') != quoted) flush();
      quoted = words.starts_with('>');
      const size_t begin = quoted ? words.find_first_not_of("> ") : 0;
      if (begin == std::string_view::npos) continue;
      paragraph += StrCat(words.substr(begin), "\n");
    }
    flush();
  }

  MarkdownWriter* out_;
  InnerPictures* pictures_;
  std::vector<const MimePart*> attachments_;
  std::vector<const MimePart*> shown_last_;  // one that was shown before is passed over
  std::map<std::string, const MimePart*, std::less<>> by_id_;
};

void WriteLine(std::string_view label, std::string_view value, MarkdownWriter* out) {
  if (!CleanWords(value).empty()) out->ListItem(0, "-", StrCat(label, ": ", value));
}

bool IsNoDocument(const MimePart& part) {
  return IsPicture(part) || part.type.starts_with("audio/") || part.type.starts_with("video/") ||
         part.type == "application/pgp-signature" || part.type == "application/pkcs7-signature";
}

std::string NameOf(const MimePart& part, size_t number) {
  if (!part.file_name.empty()) return part.file_name;
  if (part.type == "message/rfc822") return StrCat("message-", number, ".eml");
  if (part.type == "text/calendar") return StrCat("invitation-", number, ".ics");
  return StrCat("attachment-", number);
}

Status AddAttachments(const std::vector<const MimePart*>& attachments, Container* container) {
  size_t number = 0;
  for (const MimePart* part : attachments) {
    ++number;
    if (part->body.empty() || IsNoDocument(*part)) continue;
    RETURN_IF_ERROR(container->CountUnpacked(part->body.size()));
    RETURN_IF_ERROR(container->Add(NameOf(*part, number), part->body));
  }
  return OkStatus();
}

ParsedDocument DocumentOf(const MimePart& message, std::string_view name, MessageWriter* writer,
                          MarkdownWriter* out) {
  out->Heading(1, message.subject);
  WriteLine("From", message.from, out);
  WriteLine("To", message.to, out);
  WriteLine("Cc", message.cc, out);
  WriteLine("Date", message.date, out);
  writer->Write(message);
  size_t number = 0;
  for (const MimePart* part : writer->attachments()) {
    WriteLine("Attachment", NameOf(*part, ++number), out);
  }
  writer->WritePictures();
  ParsedDocument document;
  document.text = out->Take();
  document.mime_type = "message/rfc822";
  document.title = CleanWords(message.subject);
  if (document.title.empty()) document.title = TitleOf("", kPlainTextType, name);
  const std::string author = CleanWords(message.from);
  if (!author.empty()) document.metadata["author"] = author;
  const std::string created = MailDateToIso(message.date);
  if (!created.empty()) document.metadata["created"] = created;
  return document;
}

}  // namespace

Status ParseMail(const Source& source, Container* container) {
  const MimePart message = ParseMime(source.bytes);
  MarkdownWriter out;
  InnerPictures pictures(source);
  MessageWriter writer(&out, &pictures);
  ParsedDocument document = DocumentOf(message, source.name, &writer, &out);
  RETURN_IF_ERROR(pictures.Finish(&document.metadata));
  if (document.text.empty()) return InvalidArgument("is a mail without text");
  RETURN_IF_ERROR(container->AddOwn(std::move(document)));
  return AddAttachments(writer.attachments(), container);
}

Status ParseMailbox(const Source& source, Container* container) {
  const std::string_view bytes = source.bytes;
  size_t number = 0;
  for (size_t begin = 0; begin < bytes.size();) {
    size_t next = bytes.find("\nFrom ", begin + 1);
    next = next == std::string_view::npos ? bytes.size() : next + 1;
    std::string_view message = bytes.substr(begin, next - begin);
    const size_t line = message.find('\n');  // "From someone date" is the box's, not the mail's
    if (message.starts_with("From ") && line != std::string_view::npos) {
      message.remove_prefix(line + 1);
    }
    RETURN_IF_ERROR(container->CountUnpacked(message.size()));
    RETURN_IF_ERROR(container->Add(StrCat(++number, ".eml"), message));
    begin = next;
  }
  return OkStatus();
}

}  // namespace vade
