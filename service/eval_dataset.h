// A dataset folder for `vade eval` (docs/cli.md): passages with questions, or with graded queries.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"

namespace vade {

struct EvalPassage {
  std::string id, title, text, lang;
};

struct EvalQuestion {
  std::string id, question, lang;
  std::vector<std::string> answers;
  std::string passage_id;             // of the passage that answers; "" when unknown
  bool is_impossible = false;         // no passage answers it
  std::string kind;                   // the set's own classes, "" when it has none
  std::map<std::string, int> grades;  // passage id -> grade; from qrels.tsv, else {passage_id: 1}
};

struct EvalDataset {
  std::string name;  // the folder's name and the variant
  std::vector<EvalPassage> passages;
  std::vector<EvalQuestion> questions;
  std::vector<std::string> passed_over;  // ids of questions without a text
};

// `variant` "" reads passages.jsonl, "en" passages.en.jsonl. Errors name file and line.
Result<EvalDataset> LoadEvalDataset(const std::string& directory, const std::string& variant);

// The first `limit` questions in the order of the file (0: all); with a seed other than 0 a sample
// drawn with it, in the order of the file.
void LimitQuestions(EvalDataset* dataset, size_t limit, uint64_t seed);

}  // namespace vade
