// robots.txt (RFC 9309): may this program read that path?
//
// The group that names us counts, else the one for "*"; in it the longest rule that matches, and of
// two equally long ones Allow. '*' stands for any characters, '$' at the end for the end. Pure.
#pragma once

#include <string_view>

namespace vade {

// `agent` is the program's name in lower case, `path` a URL's path with its query, "/a?b".
bool RobotsAllow(std::string_view robots_txt, std::string_view agent, std::string_view path);

}  // namespace vade
