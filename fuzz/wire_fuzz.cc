// Any bytes as what a parser sends: vade must come to no harm, and what it accepts must read the
// same after it was written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ingest/formats/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static_cast<void>(vade::DecodeRequest(bytes).ok());
  static_cast<void>(vade::DecodeFailure(bytes).ok());
  const auto head = vade::DecodeFrameHead(bytes);
  if (!head.ok()) return 0;
  const auto part = vade::DecodePart(head->kind, bytes.substr(vade::kFrameHeadBytes));
  if (!part.ok()) return 0;
  const std::string again = vade::EncodePart(*part);
  const auto head_again = vade::DecodeFrameHead(again);
  const auto part_again =
      vade::DecodePart(head_again->kind, std::string_view(again).substr(vade::kFrameHeadBytes));
  if (!part_again.ok() || part_again->document.text != part->document.text) std::abort();
  return 0;
}
