// Recognises a reply that says that the passages do not hold the answer: the one word that the
// prompt asks for ("None", "无"), and what small models write in its place ("The documents do not
// mention ..."). Tolerant of case, quotes, punctuation and white space. Pure functions.
#pragma once

#include <string_view>

namespace vade {

enum class RefusalVerdict {
  kUndecided,  // more text is needed
  kAnswer,
  kRefusal,
};

// What the reply is, judged by its beginning. `complete`: nothing follows; then never kUndecided.
RefusalVerdict JudgeReply(std::string_view text, bool complete);

}  // namespace vade
