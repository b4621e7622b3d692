#include "ingest/formats/html_content.h"

#include <libxml/tree.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/strings.h"

namespace vade {
namespace {

constexpr std::array<std::string_view, 20> kUnseen = {
    "script", "style",  "noscript", "template", "svg",    "iframe",  "object",
    "embed",  "canvas", "audio",    "video",    "button", "select",  "input",
    "option", "map",    "link",     "meta",     "title",  "textarea"};

constexpr std::array<std::string_view, 7> kSiteRoles = {
    "navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar"};

// Words of class names and ids that say what a part is there for.
constexpr std::array<std::string_view, 40> kSiteWords = {
    "nav",        "navbar",      "navigation", "navbox",      "menu",          "sidebar",
    "breadcrumb", "breadcrumbs", "footer",     "cookie",      "cookies",       "consent",
    "advert",     "adverts",     "ads",        "adsbygoogle", "advertisement", "sponsored",
    "promo",      "share",       "sharing",    "social",      "related",       "recommended",
    "pagination", "pager",       "popup",      "modal",       "newsletter",    "subscribe",
    "skip",       "jump",        "noprint",    "catlinks",    "editsection",   "toolbar",
    "masthead",   "toc",         "hatnote",    "ambox"};

template <size_t n>
bool IsOneOf(std::string_view word, const std::array<std::string_view, n>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// "mw-editsection left_nav" has the words mw, editsection, left, nav.
bool HasSiteWord(std::string_view names) {
  size_t begin = 0;
  for (size_t i = 0; i <= names.size(); ++i) {
    const bool letter = i < names.size() && std::isalnum(static_cast<unsigned char>(names[i]));
    if (letter) continue;
    if (IsOneOf(AsciiLower(names.substr(begin, i - begin)), kSiteWords)) return true;
    begin = i + 1;
  }
  return false;
}

bool IsBelow(const HtmlNode* node, std::string_view name) {
  for (const HtmlNode* up = node->parent; up != nullptr; up = up->parent) {
    if (HtmlName(up) == name) return true;
  }
  return false;
}

// A list or block of little but links: a menu, whatever it is called.
bool IsLinkList(const HtmlNode* node) {
  const std::string_view name = HtmlName(node);
  if (name != "ul" && name != "ol") return false;
  size_t linked = 0, all = 0, links = 0;
  const HtmlNode* anchor = nullptr;
  for (const HtmlNode* at = node; at != nullptr; at = NextNode(at, node, false)) {
    if (HtmlName(at) == "a") {
      anchor = at;
      ++links;
    }
    if (at->type != XML_TEXT_NODE || at->content == nullptr) continue;
    const auto* content = reinterpret_cast<const char*>(at->content);
    const size_t size = StripAsciiWhitespace(content).size();
    all += size;
    if (anchor != nullptr && (at->parent == anchor || IsBelow(at, "a"))) linked += size;
  }
  constexpr size_t kMenuEntries = 4, kLongEntry = 40;
  return links >= kMenuEntries && linked * 10 >= all * 9 && all < links * kLongEntry;
}

size_t TextBytes(const HtmlNode* root) {
  size_t bytes = 0;
  for (const HtmlNode* at = root; at != nullptr; at = NextNode(at, root, IsUnseen(at))) {
    if (at->type != XML_TEXT_NODE || at->content == nullptr || IsUnseen(at)) continue;
    bytes += StripAsciiWhitespace(reinterpret_cast<const char*>(at->content)).size();
  }
  return bytes;
}

const HtmlNode* Largest(const HtmlNode* root, std::string_view name, size_t* bytes) {
  const HtmlNode* best = nullptr;
  *bytes = 0;
  for (const HtmlNode* at = root; at != nullptr;) {
    const bool found =
        HtmlName(at) == name || (name == "main" && HtmlAttribute(at, "role") == "main");
    if (found) {
      const size_t size = TextBytes(at);
      if (best == nullptr || size > *bytes) {
        best = at;
        *bytes = size;
      }
    }
    at = NextNode(at, root, found);
  }
  return best;
}

}  // namespace

std::string_view HtmlName(const HtmlNode* node) {
  if (node->type != XML_ELEMENT_NODE || node->name == nullptr) return "";
  return reinterpret_cast<const char*>(node->name);
}

std::string_view HtmlAttribute(const HtmlNode* node, const char* name) {
  if (node->type != XML_ELEMENT_NODE) return "";
  for (const xmlAttr* at = node->properties; at != nullptr; at = at->next) {
    if (std::strcmp(reinterpret_cast<const char*>(at->name), name) != 0) continue;
    const bool has = at->children != nullptr && at->children->content != nullptr;
    return has ? reinterpret_cast<const char*>(at->children->content) : "";
  }
  return "";
}

bool IsUnseen(const HtmlNode* node) {
  if (node->type == XML_COMMENT_NODE || node->type == XML_PI_NODE) return true;
  if (node->type != XML_ELEMENT_NODE) return false;
  if (IsOneOf(HtmlName(node), kUnseen)) return true;
  for (const xmlAttr* at = node->properties; at != nullptr; at = at->next) {
    if (std::strcmp(reinterpret_cast<const char*>(at->name), "hidden") == 0) return true;
  }
  std::string style(HtmlAttribute(node, "style"));
  style.erase(std::remove(style.begin(), style.end(), ' '), style.end());
  return AsciiLower(style).find("display:none") != std::string::npos;
}

bool IsBoilerplate(const HtmlNode* node, const HtmlNode* root) {
  if (node == root || node->type != XML_ELEMENT_NODE) return false;
  const std::string_view name = HtmlName(node);
  if (name == "body" || name == "main" || name == "article" || name == "html") return false;
  if (name == "nav" || name == "aside" || name == "dialog") return true;
  const auto in_article = [&] { return IsBelow(node, "article") || IsBelow(node, "main"); };
  if ((name == "header" || name == "footer") && !in_article()) return true;
  if (IsOneOf(HtmlAttribute(node, "role"), kSiteRoles)) return true;
  if (HtmlAttribute(node, "aria-hidden") == "true") return true;
  if (HasSiteWord(HtmlAttribute(node, "class")) || HasSiteWord(HtmlAttribute(node, "id"))) {
    return true;
  }
  return IsLinkList(node) && !in_article();
}

const HtmlNode* ContentRoot(const HtmlNode* document_root) {
  size_t main_bytes = 0, article_bytes = 0;
  const size_t all = TextBytes(document_root);
  const HtmlNode* main = Largest(document_root, "main", &main_bytes);
  if (main != nullptr && main_bytes * 4 >= all) return main;
  const HtmlNode* article = Largest(document_root, "article", &article_bytes);
  if (article != nullptr && article_bytes * 2 >= all) return article;
  return document_root;
}

const HtmlNode* NextNode(const HtmlNode* node, const HtmlNode* root, bool skip) {
  if (!skip && node->type == XML_ELEMENT_NODE && node->children != nullptr) return node->children;
  while (node != root) {
    if (node->next != nullptr) return node->next;
    node = node->parent;
    if (node == nullptr) return nullptr;
  }
  return nullptr;
}

}  // namespace vade
