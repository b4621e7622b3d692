// How much a text looks like one that somebody wrote, to choose among charsets. Private to
// base/charset.cc.
#pragma once

#include <string>
#include <string_view>

namespace vade {

// For a reading in a legacy charset: the mean over its characters that are not ASCII; near 1 for a
// text, below 0 for noise. Counts for it: letters of one script, in sensible case. Against it:
// unassigned characters, scripts that change inside a word, symbols inside words, kana in Chinese,
// none in Japanese.
double ScoreText(std::string_view utf8, std::string_view charset);

// For a double-byte charset: the share of the characters that lie in its rows of common characters,
// which the standards of East Asia sort out from the rare ones. 0.8 for every other charset, so
// that sums compare.
double CommonShare(std::string_view bytes, std::string_view charset);

// For a reading as UTF-16: near 1 or above for a text, below 0 for noise and for the wrong byte
// order.
double ScoreUtf16(std::u32string_view units);

}  // namespace vade
