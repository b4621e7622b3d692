// Which parts of a page are its content. Private to html.cc. Nodes are libxml2's.
#pragma once

#include <string_view>

struct _xmlNode;

namespace vade {

using HtmlNode = ::_xmlNode;

std::string_view HtmlName(const HtmlNode* node);  // lower case; "" for what is no element
std::string_view HtmlAttribute(const HtmlNode* node, const char* name);  // "" when missing

// Whether the node shows nothing: scripts, styles, form controls, what is hidden.
bool IsUnseen(const HtmlNode* node);
// Whether the node is there for the site rather than for this page.
bool IsBoilerplate(const HtmlNode* node, const HtmlNode* root);

// What holds the content: <main>, the one <article>, else the body.
const HtmlNode* ContentRoot(const HtmlNode* document_root);

// The node behind this one in document order, without entering this one when `skip`; null behind
// the last one below `root`. Never recurses: pages may be nested thousands deep.
const HtmlNode* NextNode(const HtmlNode* node, const HtmlNode* root, bool skip);

}  // namespace vade
