#include "service/eval_dataset.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "base/files.h"
#include "base/strings.h"

namespace vade {
namespace {

using Json = nlohmann::json;
constexpr uint64_t kMaxFileBytes = 1ull << 30;
constexpr int64_t kMaxGrade = 1000;

std::string Text(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// Calls `use` for each line's object; an error gets the file and the line in front.
Status ForEachLine(const std::string& path, const std::function<Status(const Json&)>& use) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxFileBytes));
  size_t number = 0;
  for (const std::string& line : Split(bytes, '\n')) {
    ++number;
    if (StripAsciiWhitespace(line).empty()) continue;
    const Json object = Json::parse(line, nullptr, false);
    const std::string where = StrCat(path, " line ", number);
    if (!object.is_object()) return InvalidArgument(where + " is not a JSON object");
    RETURN_IF_ERROR(use(object).WithContext(where));
  }
  return OkStatus();
}

Status LoadPassages(const std::string& path, EvalDataset* dataset) {
  std::set<std::string> seen;
  return ForEachLine(path, [&](const Json& object) {
    EvalPassage passage{Text(object, "id"), Text(object, "title"), Text(object, "text"),
                        Text(object, "lang")};
    if (passage.id.empty()) return InvalidArgument("a passage needs an \"id\" (a string)");
    if (!seen.insert(passage.id).second)
      return InvalidArgument("the id " + passage.id + " occurs twice");
    dataset->passages.push_back(std::move(passage));
    return OkStatus();
  });
}

Status LoadQuestions(const std::string& path, EvalDataset* dataset) {
  return ForEachLine(path, [&](const Json& object) {
    EvalQuestion q{Text(object, "id"),         Text(object, "question"),
                   Text(object, "lang"),       {},
                   Text(object, "passage_id"), false,
                   Text(object, "kind"),       {}};
    const auto text = object.find("question");
    if (q.id.empty() || text == object.end() || !text->is_string()) {
      return InvalidArgument("a question needs \"id\" and \"question\" (strings)");
    }
    if (StripAsciiWhitespace(q.question).empty()) {  // published sets have such
      dataset->passed_over.push_back(q.id);
      return OkStatus();
    }
    if (const auto it = object.find("answers"); it != object.end() && it->is_array()) {
      for (const Json& answer : *it) {
        if (answer.is_string()) q.answers.push_back(answer.get<std::string>());
      }
    }
    const auto impossible = object.find("is_impossible");
    q.is_impossible =
        impossible != object.end() && impossible->is_boolean() && impossible->get<bool>();
    if (!q.passage_id.empty() && !q.is_impossible) q.grades[q.passage_id] = 1;
    dataset->questions.push_back(std::move(q));
    return OkStatus();
  });
}

Status LoadGrades(const std::string& path, EvalDataset* dataset) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxFileBytes));
  std::map<std::string, std::map<std::string, int>> grades;
  size_t number = 0;
  for (const std::string& line : Split(bytes, '\n')) {
    if (++number == 1 || StripAsciiWhitespace(line).empty()) continue;
    const std::vector<std::string> fields = Split(StripAsciiWhitespace(line), '\t');
    const auto grade = fields.size() == 3 ? ParseInt(fields[2]) : std::nullopt;
    if (!grade || *grade > kMaxGrade) {
      return InvalidArgument(StrCat(path, " line ", number,
                                    " is not query id, passage id, grade (at most ", kMaxGrade,
                                    ") with tabs between"));
    }
    if (*grade > 0) grades[fields[0]][fields[1]] = static_cast<int>(*grade);
  }
  for (EvalQuestion& question : dataset->questions) question.grades = grades[question.id];
  return OkStatus();
}

}  // namespace

Result<EvalDataset> LoadEvalDataset(const std::string& directory, const std::string& variant) {
  const std::string dot = variant.empty() ? "" : "." + variant;
  const auto file = [&](const char* stem) {
    return JoinPath(directory, StrCat(stem, dot, ".jsonl"));
  };
  if (!FileExists(file("passages"))) {
    return NotFound(StrCat(file("passages"),
                           " does not exist; a dataset folder has passages.jsonl and qa.jsonl",
                           variant.empty() ? " (or give --variant)" : ""));
  }
  EvalDataset dataset;
  ASSIGN_OR_RETURN(const std::string absolute, AbsolutePath(directory));
  dataset.name = BaseName(absolute) + (variant.empty() ? "" : "-" + variant);
  RETURN_IF_ERROR(LoadPassages(file("passages"), &dataset));
  if (FileExists(file("qa"))) {
    RETURN_IF_ERROR(LoadQuestions(file("qa"), &dataset));
  } else {
    RETURN_IF_ERROR(LoadQuestions(file("queries"), &dataset));
    RETURN_IF_ERROR(LoadGrades(JoinPath(directory, StrCat("qrels", dot, ".tsv")), &dataset));
  }
  if (dataset.questions.empty()) return InvalidArgument(directory + " has no questions");
  return dataset;
}

void LimitQuestions(EvalDataset* dataset, size_t limit, uint64_t seed) {
  auto& questions = dataset->questions;
  if (limit == 0 || limit >= questions.size()) return;
  if (seed != 0) {
    // Selection by the size of a hash: a sample that does not depend on the standard library.
    const auto mix = [seed](uint64_t i) {
      uint64_t z = (i + 1) * 0x9e3779b97f4a7c15ull + seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
      return z ^ (z >> 31);
    };
    std::vector<size_t> order(questions.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return mix(a) < mix(b); });
    order.resize(limit);
    std::sort(order.begin(), order.end());
    std::vector<EvalQuestion> sample;
    for (size_t i : order) sample.push_back(std::move(questions[i]));
    questions = std::move(sample);
    return;
  }
  questions.resize(limit);
}

}  // namespace vade
