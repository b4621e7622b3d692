#include "ingest/formats/html.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/strings.h"

namespace vade {
namespace {

std::string Text(std::string_view html, HtmlScope scope = HtmlScope::kMainContent) {
  MarkdownWriter out;
  WriteHtml(html, scope, &out);
  return out.Take();
}

TEST(Html, BecomesHeadingsParagraphsListsTablesAndCode) {
  EXPECT_EQ(Text("<h1>A <b>title</b></h1><p>One<br>line, <a href=x>a link</a>.<p>Two"),
            "# A title\n\nOne line, a link.\n\nTwo\n");
  EXPECT_EQ(Text("<ul><li>a<li>b<ol><li>c<li>d</ol></ul>"), "- a\n- b\n  1. c\n  2. d\n");
  EXPECT_EQ(Text("<table><tr><th>N<th>D<tr><td>x<td><p>1</p></table>"),
            "| N | D |\n| --- | --- |\n| x | 1 |\n");
  EXPECT_EQ(Text("<pre><code class='language-cc'>int a;\n  b();\n</code></pre>"),
            "```cc\nint a;\n  b();\n```\n");
  EXPECT_EQ(Text("<blockquote>said</blockquote><p>a<br><br>b"), "> said\n\na\n\nb\n");
}

TEST(Html, LeavesOutWhatIsThereForTheSite) {
  const std::string page =
      "<html><head><title>T</title><style>p{}</style></head><body><header>Site</header>"
      "<nav><a href=a>Home</a></nav><div class='cookie-banner'>We use cookies</div>"
      "<p>The content of the page, which is long enough to be it.</p><script>x()</script>"
      "<p hidden>unseen</p><ul><li><a>a</a><li><a>b</a><li><a>c</a><li><a>d</a></ul>"
      "<footer>(c) us</footer></body></html>";
  EXPECT_EQ(Text(page), "The content of the page, which is long enough to be it.\n");
  const std::string everything = Text(page, HtmlScope::kEverything);
  EXPECT_NE(everything.find("We use cookies"), std::string::npos);
  EXPECT_EQ(everything.find("unseen"), std::string::npos);
}

TEST(Html, ReadsMainAloneWhereThereIsOne) {
  EXPECT_EQ(Text("<body><div>Menu and more</div><main><h2>Title</h2><p>Main words, many of them."
                 "</main><div>Other</div>"),
            "## Title\n\nMain words, many of them.\n");
}

TEST(Html, KeepsAPageThatWouldSeemToBeAllMenu) {
  EXPECT_EQ(Text("<body><div class=menu><p>Soup of the day, and all that we cook.</div>"),
            "Soup of the day, and all that we cook.\n");
}

TEST(Html, EndsInNoTimeHoweverDeepItIs) {
  std::string deep;
  for (int i = 0; i < 20000; ++i) deep += "<div>";
  EXPECT_EQ(Text(deep + "deep text"), "deep text\n");
}

TEST(Html, IsDecodedAsItDeclaresUnlessThatIsWrong) {
  EXPECT_EQ(DecodeHtml("<meta charset=iso-8859-1>caf\xE9 \x80"),
            "<meta charset=iso-8859-1>caf\u00E9 \u20AC");
  EXPECT_EQ(DecodeHtml("<meta charset=iso-8859-1>caf\u00E9"), "<meta charset=iso-8859-1>caf\u00E9");
  EXPECT_EQ(DecodeHtml("<meta charset='gb2312'>\xD6\xD0\xCE\xC4"), "<meta charset='gb2312'>中文");
}

TEST(Html, TellsItsTitleAuthorDateAndLanguage) {
  MarkdownWriter out;
  const HtmlFacts facts = WriteHtml(
      "<html lang=de><head><title> A\nB </title><meta name=author content=Me>"
      "<meta property='article:published_time' content='2024-05-01'></head><p>x",
      HtmlScope::kMainContent, &out);
  EXPECT_EQ(facts.title, "A B");
  const Metadata expected = {{"author", "Me"}, {"created", "2024-05-01"}, {"language", "de"}};
  EXPECT_EQ(facts.metadata, expected);
}

}  // namespace
}  // namespace vade
