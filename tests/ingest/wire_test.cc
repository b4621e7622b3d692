// What a parser sends is believed within its limits only, and is about its file alone.
#include "ingest/formats/wire.h"

#include <gtest/gtest.h>

#include "ingest/tables.h"

namespace vade {
namespace {

Result<ParsedPart> SentAndRead(const ParsedPart& part) {
  const std::string frame = EncodePart(part);
  const auto head = DecodeFrameHead(std::string_view(frame).substr(0, kFrameHeadBytes));
  if (!head.ok()) return head.status();
  return DecodePart(head->kind, std::string_view(frame).substr(kFrameHeadBytes));
}

TEST(Wire, AnAnswerThatDoesNotReadIsTheFailureOfItsFile) {
  EXPECT_EQ(DecodeFrameHead("junk junk").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(DecodePart(FrameKind::kDocument, "junk").status().code(), StatusCode::kInvalidArgument);
  ParsedPart part;
  part.document.cells = {{0, {CellKind::kMoney, 1, "EUR"}}};
  EXPECT_TRUE(SentAndRead(part).ok());
  part.document.cells[0].value.currency = std::string(100, 'E');
  EXPECT_EQ(SentAndRead(part).status().code(), StatusCode::kInvalidArgument);
}

TEST(Wire, MoreCellsThanAreKeptDoNotRead) {
  ParsedPart part;
  part.document.cells.resize(kMaxTableCells);
  const auto most = SentAndRead(part);
  ASSERT_TRUE(most.ok());
  EXPECT_EQ(most->document.cells.size(), kMaxTableCells);
  part.document.cells.emplace_back();
  EXPECT_EQ(SentAndRead(part).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
