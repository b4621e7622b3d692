#include "ingest/formats/container.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/limits.h"

namespace vade {
namespace {

constexpr size_t kMaxNameBytes = 512;

// As an id takes it: UTF-8, without control characters, without steps out of the container.
std::string SafeName(std::string_view name) {
  const std::string utf8 = ReplaceInvalidUtf8(name);
  std::string out;
  for (const std::string& part : Split(utf8, '/')) {
    if (part.empty() || part == "." || part == "..") continue;
    if (!out.empty()) out.push_back('/');
    for (char c : part) {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back(byte < 0x20 || byte == 0x7F ? '_' : c);
    }
  }
  if (out.size() > kMaxNameBytes) out.resize(FloorToCodePoint(out, kMaxNameBytes));
  return out.empty() ? "unnamed" : out;
}

}  // namespace

Container::Container(Sink sink, ParseInner parse, uint64_t packed_bytes)
    : own_{.sink = std::move(sink), .parse = std::move(parse), .packed_bytes = packed_bytes},
      shared_(&own_) {}

Container::Container(Shared* shared, std::string prefix, int depth)
    : shared_(shared), prefix_(std::move(prefix)), depth_(depth) {}

std::string Container::InnerName(std::string_view name) const { return prefix_ + SafeName(name); }

std::string Container::OwnName() const {
  return prefix_.substr(0, prefix_.size() - std::min(prefix_.size(), kInnerMark.size()));
}

Status Container::AddOwn(ParsedDocument document) {
  document.inner = OwnName();
  return shared_->sink({std::move(document), OkStatus()});
}

Status Container::AddOwnReason(std::string_view reason) {
  ParsedPart part;
  part.document.inner = OwnName();
  part.status = InvalidArgument(std::string(reason));
  return shared_->sink(std::move(part));
}

Status Container::Add(std::string_view name, std::string_view bytes) {
  if (++shared_->files > kMaxContainerFiles) {
    return InvalidArgument(
        StrCat("holds more than ", kMaxContainerFiles, " files; unpack it and ingest the folder"));
  }
  const std::string inner = InnerName(name);
  Container below(shared_, StrCat(inner, kInnerMark), depth_ + 1);
  // What came of it is only known when all of it has been read: until then it is held back.
  std::vector<ParsedPart> parts;
  const std::string hash = Sha256Hex(bytes);
  Sink outer = std::exchange(shared_->sink, [&](ParsedPart part) {
    if (part.document.inner.empty()) part.document.inner = inner;
    if (part.document.inner == inner) part.document.content_hash = hash;
    parts.push_back(std::move(part));
    return OkStatus();
  });
  const Status parsed = shared_->parse(name, bytes, &below);
  shared_->sink = std::move(outer);
  // A bomb is one as a whole; a page that is to be read elsewhere takes the whole file there.
  if (parsed.code() == StatusCode::kResourceExhausted || parsed.code() == StatusCode::kUnavailable)
    return parsed;
  if (!parsed.ok()) return Refuse(name, parsed.message());
  for (ParsedPart& part : parts) RETURN_IF_ERROR(shared_->sink(std::move(part)));
  return OkStatus();
}

Status Container::Refuse(std::string_view name, std::string_view reason) {
  ParsedPart part;
  part.document.inner = InnerName(name);
  part.status = InvalidArgument(std::string(reason));
  return shared_->sink(std::move(part));
}

Status Container::CountUnpacked(uint64_t bytes) {
  shared_->unpacked_bytes += bytes;
  const uint64_t fair = std::max(kUnpackedBytesAtEase, shared_->packed_bytes * kMaxUnpackedRatio);
  if (shared_->unpacked_bytes <= std::min(fair, kMaxUnpackedBytes)) return OkStatus();
  return ResourceExhausted(
      StrCat("unpacks to more than ", std::min(fair, kMaxUnpackedBytes) >> 20,
             " MiB, which its size does not account for; unpack it and ingest the folder"));
}

bool Container::too_deep() const { return depth_ >= kMaxContainerDepth; }

}  // namespace vade
