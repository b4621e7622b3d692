#include "ingest/formats/pdf_layout.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/strings.h"

namespace vade {
namespace {

constexpr double kCharacter = 5;  // width of one, in points
constexpr double kLine = 12;

// A page that is written line by line, each word as wide as its letters.
class PageMaker {
 public:
  PageMaker() { page_.height = 800; }
  PageMaker& At(double left, double top) {
    left_ = left;
    top_ = top;
    return *this;
  }
  PageMaker& Size(double size) {
    size_ = size;
    return *this;
  }
  PageMaker& Line(std::string_view text) {
    double left = left_;
    for (const std::string& word : Split(text, ' ')) {
      const double width = kCharacter * static_cast<double>(word.size());
      if (!word.empty()) {
        page_.words.push_back({.text = word,
                               .left = left,
                               .top = top_,
                               .right = left + width,
                               .bottom = top_ + size_,
                               .font_size = size_,
                               .space_after = true});
      }
      left += width + 3;
    }
    top_ += kLine * size_ / 10;
    return *this;
  }
  operator PdfPage() const { return page_; }  // NOLINT: reads as a page

 private:
  PdfPage page_;
  double left_ = 50, top_ = 200, size_ = 10;
};

TEST(PdfLayout, JoinsTheLinesOfAParagraph) {
  EXPECT_EQ(LayOutPdf({PageMaker()
                           .Line("The boiler is serviced every")
                           .Line("spring, and the inter-")
                           .Line("national rules apply to it.")
                           .Line("Second paragraph here, behind a short line.")}),
            "The boiler is serviced every spring, and the international rules apply to it.\n\n"
            "Second paragraph here, behind a short line.\n");
}

TEST(PdfLayout, KeepsAHyphenThatIsWrittenElsewhere) {
  EXPECT_EQ(LayOutPdf({PageMaker()
                           .Line("A well-known thing, and a well-")
                           .Line("known thing again in the text.")}),
            "A well-known thing, and a well-known thing again in the text.\n");
}

TEST(PdfLayout, ReadsTheLeftColumnBeforeTheRight) {
  PageMaker page;
  page.At(50, 100).Line("A title that goes right across both of the columns of the page");
  page.At(50, 150).Line("The left column has words").Line("and more words in it.");
  page.At(300, 150).Line("The right column follows").Line("when the left is read.");
  EXPECT_EQ(LayOutPdf({page}),
            "A title that goes right across both of the columns of the page\n\n"
            "The left column has words and more words in it.\n\n"
            "The right column follows when the left is read.\n");
}

TEST(PdfLayout, ReadsTablesByRows) {
  PageMaker page;
  page.At(50, 100).Line("Name").Line("Apples").Line("Pears");
  page.At(250, 100).Line("Price").Line("1.20").Line("2.40");
  EXPECT_EQ(LayOutPdf({page}),
            "| Name | Price |\n| --- | --- |\n| Apples | 1.20 |\n| Pears | 2.40 |\n");
}

TEST(PdfLayout, TakesLargeLettersForHeadingsAndBulletsForItems) {
  EXPECT_EQ(LayOutPdf({PageMaker()
                           .Size(20)
                           .Line("Annual Report")
                           .Size(10)
                           .At(50, 260)
                           .Line("Words of the text that are many more than those of the title.")
                           .Line("\u2022 first item")
                           .Line("\u2022 second item")}),
            "# Annual Report\n\nWords of the text that are many more than those of the title.\n\n"
            "- first item\n- second item\n");
}

TEST(PdfLayout, KeepsWhatEveryPageRepeatsOnce) {
  std::vector<PdfPage> pages;
  for (int i = 1; i <= 4; ++i) {
    PageMaker page;
    page.At(50, 20).Line("ACME Handbook");
    page.At(50, 300).Line(StrCat("Text of page ", i, "."));
    page.At(300, 780).Line(StrCat(i));
    pages.push_back(page);
  }
  EXPECT_EQ(LayOutPdf(pages),
            "ACME Handbook\n\nText of page 1.\n\n\f\n\nText of page 2.\n\n\f\n\nText of page "
            "3.\n\n\f\n\nText of page 4.\n");
}

TEST(PdfLayout, LetsASentenceGoOnOverThePageEnd) {
  EXPECT_EQ(LayOutPdf({PageMaker().Line("This sentence goes on"), PdfPage{},
                       PageMaker().Line("over the page and ends here.")}),
            "This sentence goes on\f\fover the page and ends here.\n");
}

}  // namespace
}  // namespace vade
