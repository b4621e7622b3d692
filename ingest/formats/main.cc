// vade-parse: files of any format become text behind closed doors. docs/ingestion.md has the why.
//
//   vade-parse --jailed        for `vade`: requests on descriptor 0, a child a file
//   vade-parse --jailed --ocr  the same, with Tesseract loaded where it is installed
//   vade-parse FILE [PASSWORD] prints the documents of one file, for people
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "ingest/formats/limits.h"
#include "ingest/formats/ocr.h"
#include "ingest/formats/ocr_data.h"
#include "ingest/formats/parser.h"
#include "ingest/formats/sandbox.h"
#include "ingest/formats/wire.h"

namespace vade {
namespace {

constexpr uint64_t kMaxFileBytes = 4ull << 30;
// How the child ends: 0 when an answer was given.
constexpr int kNoMoreRequests = 77;
constexpr int kBroken = 1;

bool ReadAll(char* out, size_t size) {
  while (size > 0) {
    const ssize_t got = read(STDIN_FILENO, out, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

Status WriteAll(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(STDIN_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Cancelled("nobody listens");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return OkStatus();
}

OcrPlace PlaceOfOcr() {
  if (OcrIsLoaded()) return OcrPlace::kHere;
  return OcrAtStart().languages.empty() ? OcrPlace::kNowhere : OcrPlace::kElsewhere;
}

Status Answer(std::string_view body) {
  ASSIGN_OR_RETURN(const ParseRequest request, DecodeRequest(body));
  const Status parsed =
      ParseFile(request, [](ParsedPart part) { return WriteAll(EncodePart(part)); },
                {.place = PlaceOfOcr(),
                 .at_work = [] { return WriteAll(EncodeFrame(FrameKind::kAtWork, "")); }});
  if (parsed.code() == StatusCode::kUnavailable) {
    return WriteAll(EncodeFrame(FrameKind::kWantsOcr, ""));
  }
  return WriteAll(parsed.ok() ? EncodeFrame(FrameKind::kEnd, "") : EncodeFailure(parsed));
}

// The clock is watched by who asked, page by page.
std::chrono::seconds ProcessorTime(uint64_t file_bytes) {
  const int pages = OcrIsLoaded() ? kMaxOcrPages : 0;
  return ParseTimeLimit(file_bytes) + pages * kOcrPageTime;
}

// One request, in a process of its own. Only its length is read before the door closes.
int ServeOne() {
  std::string head(kRequestHeadBytes, '\0');
  if (!ReadAll(head.data(), head.size())) return kNoMoreRequests;
  const auto length = RequestLength(head);
  if (!length.ok() || *length > kMaxFileBytes) return kBroken;
  if (const Status jailed = EnterSandbox(ProcessorTime(*length)); !jailed.ok()) {
    // Still to be read, or the other side would wait for ever to write it.
    std::string body(*length, '\0');
    if (!ReadAll(body.data(), body.size())) return kBroken;
    return WriteAll(EncodeFailure(jailed)).ok() ? 0 : kBroken;
  }
  std::string body(*length, '\0');
  if (!ReadAll(body.data(), body.size())) return kBroken;
  return Answer(body).ok() ? 0 : kBroken;
}

// Forks for each file until nobody asks any more. A child that died takes the parent with it: what
// it left of its request on the socket would be taken for the next one.
int Serve() {
  std::signal(SIGPIPE, SIG_IGN);
  for (;;) {
    const pid_t child = fork();
    if (child < 0) return kBroken;
    if (child == 0) _exit(ServeOne());
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) return kDiedOfSignal + WTERMSIG(status);
    if (WEXITSTATUS(status) == kNoMoreRequests) return 0;
    if (WEXITSTATUS(status) != 0) return WEXITSTATUS(status);
  }
}

std::string Shown(const MetadataValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<double>(&value)) return StrCat(*number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return Join(std::get<std::vector<std::string>>(value), ", ");
}

Status Print(const ParsedPart& part) {
  const ParsedDocument& document = part.document;
  std::printf("== %s\n", document.inner.c_str());
  if (!part.status.ok()) {
    std::printf("failed: %s\n", part.status.message().c_str());
    return OkStatus();
  }
  std::printf("title: %s\ntype: %s\n", document.title.c_str(), document.mime_type.c_str());
  for (const auto& [key, value] : document.metadata) {
    std::printf("%s: %s\n", key.c_str(), Shown(value).c_str());
  }
  std::printf("\n%s", document.text.c_str());
  return OkStatus();
}

int PrintFile(const std::string& path, const char* password) {
  const auto bytes = ReadFile(path, kMaxFileBytes);
  Status status = bytes.status();
  if (bytes.ok()) status = EnterSandbox(ProcessorTime(bytes->size()));
  if (status.ok()) {
    status = ParseFile({.name = path, .mime_type = "", .password = password, .bytes = *bytes},
                       Print, {.place = PlaceOfOcr()});
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s %s\n", path.c_str(), status.message().c_str());
  return 1;
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) {
  const std::string argument = argc > 1 ? argv[1] : "";
  if (argc > 3 || argument.empty() || (argument[0] == '-' && argument != "--jailed")) {
    std::fprintf(stderr, "usage: vade-parse FILE [PASSWORD]\n");
    return 2;
  }
  const bool jailed = argument == "--jailed";
  if (jailed) close_range(3, ~0u, 0);
  vade::OpenForLater("/usr/share/poppler");  // encodings, which are read when a font needs them
  vade::WarmParsers();
  // Loading it takes longer than all else, and most files have no use for it.
  if (const auto& ocr = vade::OcrAtStart();
      !jailed || (argc > 2 && std::string_view(argv[2]) == "--ocr")) {
    vade::OpenForLater(ocr.folder);
    vade::LoadOcr();
  }
  if (jailed) return vade::Serve();
  return vade::PrintFile(argument, argc > 2 ? argv[2] : "");
}
