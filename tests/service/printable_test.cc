#include "service/printable.h"

#include <gtest/gtest.h>

namespace vade {
namespace {

TEST(Printable, OrdinaryTextIsLeftAlone) {
  const std::string text = "Leave: 30 days, 假期 مرحبا 😀 \xe2\x80\x8d";
  EXPECT_EQ(PrintableLine(text), text);
  EXPECT_EQ(PrintableText(text), text);
}

TEST(Printable, WhatSteersATerminalIsTakenOut) {
  EXPECT_EQ(PrintableText("a\x1b[2Jb\x07\x08\x7f"
                          "c\r"),
            "a[2Jbc");
  EXPECT_EQ(PrintableText("a\xc2\x9b"
                          "31mb"),
            "a31mb");  // CSI as a C1 control
  EXPECT_EQ(PrintableText("a\x9b"
                          "31m"),
            "a\xef\xbf\xbd"
            "31m");  // and as a bare byte
  EXPECT_EQ(PrintableText(std::string("a\0b", 3)), "ab");
}

TEST(Printable, WhatTurnsTheReadingDirectionIsTakenOut) {
  EXPECT_EQ(PrintableLine("invoice\xe2\x80\xae"
                          "fdp.exe"),
            "invoicefdp.exe");
  EXPECT_EQ(PrintableLine("\xe2\x81\xa6x\xe2\x81\xa9\xd8\x9c"), "x");
}

TEST(Printable, ALineStaysALineAndABodyKeepsItsLines) {
  EXPECT_EQ(PrintableLine("a\nvade: forged\tb\xe2\x80\xa8"
                          "c"),
            "a vade: forged b c");
  EXPECT_EQ(PrintableText("a\n\tb\n"), "a\n\tb\n");
}

}  // namespace
}  // namespace vade
