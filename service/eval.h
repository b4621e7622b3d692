// `vade eval`: a dataset folder -> a collection of its own -> numbers. Works on any Api.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "service/api.h"
#include "service/eval_dataset.h"
#include "service/eval_scoring.h"

namespace vade {

// Puts the passages into the collection "eval-..." that belongs to this dataset (each a document of
// the passage's id; unchanged ones are kept, blank ones left out) and returns its name, which
// depends on the ids of the passages.
Result<std::string> PrepareEvalCollection(Api* api, const EvalDataset& dataset, const Context& ctx);

using EvalProgress = std::function<void(size_t done, size_t total)>;

struct RetrievalEval {
  size_t queries = 0;  // those that have a relevant passage
  RankingScore mean;
};
struct RetrievalEvalOptions {
  RankingOptions ranking = {};
  EvalProgress progress = nullptr;
};
Result<RetrievalEval> EvalRetrieval(Api* api, const EvalDataset& dataset,
                                    const std::string& collection,
                                    const RetrievalEvalOptions& options, const Context& ctx);

// One question's outcome.
struct AnswerRecord {
  const EvalQuestion* question = nullptr;
  std::string answer;
  bool abstained = false;
  std::string reason;
  AnswerScore score;
  size_t citations = 0;            // sent
  size_t right_citations = 0;      // of the document that answers, and quoting it word for word
  size_t sentences = 0;            // of the answer; 0 when it abstained
  size_t supported_sentences = 0;  // with at least one right citation
  int gold_rank = 0;  // of the document that answers among the hits, from 1; 0: not there
  double first_token_ms = 0, total_ms = 0;
  double confidence = 0;
};

// Means over a set of records. Rates over nothing are negative: printed as null.
struct AnswerSummary {
  size_t questions = 0;
  double em = -1, f1 = -1, contains = -1;     // over answerable questions; an abstention scores 0
  double rejection_rate = -1;                 // abstentions over unanswerable questions
  double wrong_abstention_rate = -1;          // abstentions over answerable questions
  double citation_precision = -1;             // right citations over all, answerable questions
  double citation_recall = -1;                // sentences with a right citation over all sentences
  double recall_at_1 = -1, recall_at_5 = -1;  // of the document that answers among the hits
  double first_token_ms_p50 = -1, total_ms_p50 = -1;
  double answer_tokens = -1;  // mean length, in scoring tokens
};
AnswerSummary Summarise(const std::vector<const AnswerRecord*>& records);

struct AnswerEvalOptions {
  int k = 5;
  bool strict = false;
  std::optional<Joining> joining = std::nullopt;  // nothing: as the service is set up
  uint64_t seed = 0;
  int max_tokens = 256;
};
Result<std::vector<AnswerRecord>> EvalAnswers(Api* api, const EvalDataset& dataset,
                                              const std::string& collection,
                                              const AnswerEvalOptions& options,
                                              const EvalProgress& progress, const Context& ctx);

// Output: JSON of one line, and a page with plots that needs nothing else.
std::string RetrievalEvalJson(const RetrievalEval& eval);
// The same numbers for people: one a line, kinds indented.
std::string EvalLines(const std::string& json);
std::string AnswerEvalJson(const std::vector<AnswerRecord>& records);
// A line of JSON a question, in their order: what a comparison pair by pair needs.
std::string AnswerRecordLines(const std::vector<AnswerRecord>& records);
std::string AnswerReportHtml(const std::string& title, const std::vector<AnswerRecord>& records);
// Lines "field: old -> new" for the numbers that two --json outputs share. INVALID_ARGUMENT: no
// JSON.
Result<std::string> CompareJson(const std::string& old_json, const std::string& new_json);

}  // namespace vade
