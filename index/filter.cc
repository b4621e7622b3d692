// What a filter says of one document.
#include "index/filter.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/clock.h"

namespace vade {
namespace {

using Kind = FilterNode::Kind;

// A document's value of a field; nothing when it has none.
using Actual = std::variant<std::monostate, std::string_view, double, bool, FilterTime,
                            const std::vector<std::string>*>;

Actual FilledText(const std::string& text) {
  if (text.empty()) return {};
  return std::string_view(text);
}

Actual MetadataOf(const DocumentInfo& info, const std::string& key) {
  const auto found = info.metadata.find(key);
  if (found == info.metadata.end()) return {};
  if (const auto* text = std::get_if<std::string>(&found->second)) return std::string_view(*text);
  if (const auto* number = std::get_if<double>(&found->second)) return *number;
  if (const auto* truth = std::get_if<bool>(&found->second)) return *truth;
  return &std::get<std::vector<std::string>>(found->second);
}

Actual ValidFrom(const DocumentInfo& info) {
  if (info.valid_from.empty()) return {};
  const auto time = ParseRfc3339(info.valid_from);
  if (!time.ok()) return {};
  return FilterTime{*time};
}

Actual ValueOf(const DocumentInfo& info, const FilterNode& node) {
  switch (node.field) {
    case FilterField::kId: return FilledText(info.id);
    case FilterField::kTitle: return FilledText(info.title);
    case FilterField::kSource: return FilledText(info.source);
    case FilterField::kMimeType: return FilledText(info.mime_type);
    case FilterField::kSupersedes: return FilledText(info.supersedes);
    case FilterField::kCreated: return FilterTime{info.created_unix_micros};
    case FilterField::kUpdated: return FilterTime{info.updated_unix_micros};
    case FilterField::kValidFrom: return ValidFrom(info);
    case FilterField::kGroups:
      if (info.groups.empty()) return {};
      return &info.groups;
    case FilterField::kMetadata: return MetadataOf(info, node.key);
  }
  return {};
}

template <typename T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

// Below, at or above 0 as the actual value is less than, equal to or greater than the wanted one;
// nothing when they are of different types.
std::optional<int> Compare(const Actual& actual, const FilterValue& wanted) {
  if (const auto* text = std::get_if<std::string>(&wanted)) {
    const auto* is = std::get_if<std::string_view>(&actual);
    return is ? std::optional(Order(*is, std::string_view(*text))) : std::nullopt;
  }
  if (const auto* number = std::get_if<double>(&wanted)) {
    const auto* is = std::get_if<double>(&actual);
    return is ? std::optional(Order(*is, *number)) : std::nullopt;
  }
  if (const auto* truth = std::get_if<bool>(&wanted)) {
    const auto* is = std::get_if<bool>(&actual);
    return is ? std::optional(Order(*is, *truth)) : std::nullopt;
  }
  const auto* is = std::get_if<FilterTime>(&actual);
  return is ? std::optional(Order(is->unix_micros, std::get<FilterTime>(wanted).unix_micros))
            : std::nullopt;
}

bool HasElement(const std::vector<std::string>& list, const FilterValue& wanted) {
  const auto* text = std::get_if<std::string>(&wanted);
  return text && std::find(list.begin(), list.end(), *text) != list.end();
}

bool Contains(const Actual& actual, const FilterValue& wanted) {
  if (const auto* list = std::get_if<const std::vector<std::string>*>(&actual)) {
    return HasElement(**list, wanted);
  }
  const auto* is = std::get_if<std::string_view>(&actual);
  const auto* part = std::get_if<std::string>(&wanted);
  return is && part && is->find(*part) != std::string_view::npos;
}

bool IsOneOf(const Actual& actual, const std::vector<FilterValue>& values) {
  return std::any_of(values.begin(), values.end(), [&](const FilterValue& value) {
    if (const auto* list = std::get_if<const std::vector<std::string>*>(&actual)) {
      return HasElement(**list, value);
    }
    return Compare(actual, value) == 0;
  });
}

bool Holds(const FilterNode& node, const DocumentInfo& info);

bool HoldsForField(const FilterNode& node, const Actual& actual) {
  switch (node.kind) {
    case Kind::kExists: return !std::holds_alternative<std::monostate>(actual);
    case Kind::kContains: return Contains(actual, node.values[0]);
    case Kind::kIn: return IsOneOf(actual, node.values);
    default: break;
  }
  const std::optional<int> order = Compare(actual, node.values[0]);
  if (!order) return false;
  switch (node.kind) {
    case Kind::kEqual: return *order == 0;
    case Kind::kLess: return *order < 0;
    case Kind::kLessOrEqual: return *order <= 0;
    case Kind::kGreater: return *order > 0;
    case Kind::kGreaterOrEqual: return *order >= 0;
    default: return false;
  }
}

bool Holds(const FilterNode& node, const DocumentInfo& info) {
  const auto holds = [&](const FilterNode& part) { return Holds(part, info); };
  switch (node.kind) {
    case Kind::kAnd: return std::all_of(node.parts.begin(), node.parts.end(), holds);
    case Kind::kOr: return std::any_of(node.parts.begin(), node.parts.end(), holds);
    case Kind::kNot: return !holds(node.parts[0]);
    default: return HoldsForField(node, ValueOf(info, node));
  }
}

}  // namespace

bool Filter::Keeps(const DocumentInfo& info) const { return Holds(root_, info); }

}  // namespace vade
