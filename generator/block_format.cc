#include "generator/block_format.h"

#include "base/bytes.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr std::string_view kMagic = "VADEKV01";
constexpr uint32_t kVersion = 1;

std::string Hex64(uint64_t value) {
  std::string bytes;
  AppendKey64(&bytes, value);
  return Hex(bytes);
}

}  // namespace

std::string BlockDocumentPath(std::string_view model, uint32_t collection,
                              std::string_view document) {
  return StrCat(model, "/", collection, "/", Hex64(Checksum64(document)), "/");
}

std::string BlockPath(std::string_view model, const BlockKey& key) {
  return StrCat(BlockDocumentPath(model, key.collection, key.document_id), key.passage_id, "-",
                Hex64(key.content[0]), Hex64(key.content[1]), kBlockFileSuffix);
}

// The checksum stands behind the magic and covers the rest.
std::string DescribeBlock(std::string_view model, const BlockKey& key, int tokens,
                          uint64_t payload_bytes) {
  std::string rest;
  AppendFixed<uint32_t>(&rest, kVersion);
  AppendFixed<uint32_t>(&rest, static_cast<uint32_t>(tokens));
  AppendFixed<uint64_t>(&rest, payload_bytes);
  AppendFixed<uint32_t>(&rest, key.collection);
  AppendFixed<uint64_t>(&rest, key.passage_id);
  AppendFixed<uint64_t>(&rest, key.content[0]);
  AppendFixed<uint64_t>(&rest, key.content[1]);
  AppendString(&rest, key.document_id);
  AppendString(&rest, model);
  return rest;
}

// The payload has a checksum of its own, so that nothing is copied to be summed.
std::string BlockHeader(std::string_view description, uint64_t payload_sum) {
  std::string header(kMagic);
  std::string summed(description);
  AppendFixed<uint64_t>(&summed, payload_sum);
  AppendFixed<uint64_t>(&header, Checksum64(summed));
  return header + summed;
}

Result<BlockFileFacts> ReadBlockFile(std::string_view bytes) {
  const Status truncated = DataLoss("it is truncated");
  if (bytes.substr(0, kMagic.size()) != kMagic.substr(0, bytes.size()))
    return DataLoss("it is damaged: it does not begin as such a file");
  ByteReader reader(bytes);
  uint64_t header_sum = 0, payload = 0, payload_sum = 0;
  uint32_t version = 0, tokens = 0;
  std::string_view document, model;
  BlockFileFacts facts;
  BlockKey& key = facts.key;
  if (!reader.Skip(kMagic.size()) || !reader.Read(&header_sum)) return truncated;
  const size_t summed_begin = reader.position();
  if (!reader.Read(&version)) return truncated;
  if (version != kVersion) return DataLoss(StrCat("it is damaged, or of version ", version));
  if (!reader.Read(&tokens) || !reader.Read(&payload) || !reader.Read(&key.collection) ||
      !reader.Read(&key.passage_id) || !reader.Read(&key.content[0]) ||
      !reader.Read(&key.content[1]) || !reader.ReadString(&document) ||
      !reader.ReadString(&model) || !reader.Read(&payload_sum)) {
    return truncated;
  }
  const std::string_view summed = bytes.substr(summed_begin, reader.position() - summed_begin);
  if (Checksum64(summed) != header_sum)
    return DataLoss("it is damaged: its head's checksum is off");
  if (reader.remaining() < payload) {
    return DataLoss(StrCat("it is truncated: ", reader.remaining(), " of ", payload,
                           " bytes of keys and values are there"));
  }
  if (reader.remaining() > payload || Checksum64(bytes.substr(reader.position())) != payload_sum)
    return DataLoss("it is damaged: the checksum of its keys and values is off");
  key.document_id = document;
  facts.model = model;
  return facts;
}

}  // namespace vade
