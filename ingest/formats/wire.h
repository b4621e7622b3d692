// The messages between `vade` and vade-parse; docs/ingestion.md has the bytes. Both ends check what
// they read: a parser that was taken over must not be able to harm the process that started it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ingest/document.h"

namespace vade {

// Views into the caller's bytes.
struct ParseRequest {
  std::string_view name;       // of the file: its extension may decide, its stem may be the title
  std::string_view mime_type;  // "": find out
  std::string_view password;   // tried on encrypted files; "": none
  std::string_view bytes;
};

// vade-parse ends with this and the number of the signal that its child died of.
inline constexpr int kDiedOfSignal = 100;

inline constexpr size_t kRequestHeadBytes = 12;  // magic and length of what follows

// All but the bytes, which are sent behind it.
std::string EncodeRequestHead(const ParseRequest& request);
// The length of what follows a head of kRequestHeadBytes.
Result<uint64_t> RequestLength(std::string_view head);
Result<ParseRequest> DecodeRequest(std::string_view body);  // views into `body`

enum class FrameKind : uint8_t {
  kDocument = 'D',
  kBadPart = 'E',   // a file in the container; the rest goes on
  kFailure = 'F',   // of the whole file; the last frame
  kAtWork = 'W',    // a page without text: OCR, where it is, takes its time over it; no payload
  kWantsOcr = 'O',  // a parser that has loaded Tesseract is to be asked; no payload; the last frame
  kEnd = 'Z',       // all is said; the last frame
};

inline constexpr size_t kFrameHeadBytes = 9;

struct FrameHead {
  FrameKind kind = FrameKind::kEnd;
  uint64_t length = 0;
};

std::string EncodeFrame(FrameKind kind, std::string_view payload);
// INVALID_ARGUMENT, as below, where it does not read: the failure of the file at work.
Result<FrameHead> DecodeFrameHead(std::string_view head);

std::string EncodePart(const ParsedPart& part);  // a whole frame: kDocument or kBadPart
std::string EncodeFailure(const Status& status);
Result<ParsedPart> DecodePart(FrameKind kind, std::string_view payload);
Status DecodeFailure(std::string_view payload);  // never OK

}  // namespace vade
