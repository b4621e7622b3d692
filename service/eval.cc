#include "service/eval.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/trace.h"
#include "base/unicode.h"

namespace vade {
namespace {

// Hits are passages, ranks are over documents: the first hit of a document counts.
std::vector<std::string> RankedDocuments(const std::vector<Hit>& hits) {
  std::vector<std::string> ranked;
  for (const Hit& hit : hits) {
    if (std::find(ranked.begin(), ranked.end(), hit.passage.document_id) == ranked.end()) {
      ranked.push_back(hit.passage.document_id);
    }
  }
  return ranked;
}

double StageMs(const Trace& trace, std::string_view stage) {
  for (const auto& [name, ms] : trace.times_ms()) {
    if (name == stage) return ms;
  }
  return 0;
}

// The texts of documents, read once each.
class DocumentTexts {
 public:
  DocumentTexts(Api* api, const std::string& collection) : api_(api), collection_(collection) {}

  Result<const std::string*> Get(const std::string& id, const Context& ctx) {
    auto it = texts_.find(id);
    if (it == texts_.end()) {
      ASSIGN_OR_RETURN(Document document, api_->GetDocument(collection_, id, ctx));
      it = texts_.emplace(id, std::move(document.text)).first;
    }
    return &it->second;
  }

 private:
  Api* api_;
  std::string collection_;
  std::map<std::string, std::string> texts_;
};

bool Quotes(const std::string& text, const Citation& c) {
  return c.source_begin < c.source_end && c.source_end <= text.size() &&
         text.compare(c.source_begin, c.source_end - c.source_begin, c.quote) == 0;
}

// Non-blank sentences of the answer, each with whether a right citation overlaps it.
void CountSentences(const std::string& answer, const std::vector<Citation>& right,
                    AnswerRecord* record) {
  for (const TextSpan& span : Sentences(answer)) {
    const auto text = std::string_view(answer).substr(span.begin, span.end - span.begin);
    if (ScoringTokens(text, record->question->lang).empty()) continue;
    ++record->sentences;
    record->supported_sentences += std::any_of(right.begin(), right.end(), [&](const Citation& c) {
      return c.answer_begin < span.end && c.answer_end > span.begin;
    });
  }
}

Status Record(const AskReply& reply, const EvalQuestion& question, DocumentTexts& texts,
              const Context& ctx, AnswerRecord* record) {
  const Answer& answer = reply.answer;
  record->question = &question;
  record->answer = answer.text;
  record->abstained = answer.abstained;
  record->reason = answer.reason;
  record->confidence = answer.confidence;
  const auto ranked = RankedDocuments(reply.retrieved.hits);
  const auto gold = std::find(ranked.begin(), ranked.end(), question.passage_id);
  if (gold != ranked.end()) record->gold_rank = static_cast<int>(gold - ranked.begin()) + 1;
  if (answer.abstained) return OkStatus();
  record->score = ScoreAnswer(answer.text, question.answers, question.lang);
  std::vector<Citation> right;
  record->citations = answer.citations.size();
  for (const Citation& citation : answer.citations) {
    if (citation.document_id != question.passage_id) continue;
    ASSIGN_OR_RETURN(const std::string* text, texts.Get(citation.document_id, ctx));
    if (Quotes(*text, citation)) right.push_back(citation);
  }
  record->right_citations = right.size();
  CountSentences(answer.text, right, record);
  return OkStatus();
}

double Median(std::vector<double> values) {
  if (values.empty()) return -1;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

double Ratio(double part, double whole) { return whole > 0 ? part / whole : -1; }

}  // namespace

Result<std::string> PrepareEvalCollection(Api* api, const EvalDataset& dataset,
                                          const Context& ctx) {
  // The name tells datasets apart that only share a folder's name.
  std::string ids;
  for (const EvalPassage& passage : dataset.passages) AppendString(&ids, passage.id);
  std::string safe;
  for (char c : dataset.name)
    safe.push_back(std::isalnum(static_cast<unsigned char>(c)) || c == '-' ? c : '_');
  const std::string collection =
      StrCat("eval-", safe.substr(0, 40), "-", Sha256Hex(ids).substr(0, 8));

  for (const EvalPassage& passage : dataset.passages) {
    RETURN_IF_ERROR(ctx.Check());
    // Cranfield has two of these: there is nothing to find in them, and a store takes no empty
    // document.
    if (StripAsciiWhitespace(passage.text).empty()) continue;
    PutRequest put;
    put.info.id = passage.id;
    put.info.title = passage.title;
    put.info.source = passage.id;
    put.info.mime_type = "text/plain";
    put.bytes = passage.text;
    auto stored = api->PutDocument(collection, put, ctx);
    if (!stored.ok()) return stored.status().WithContext("passage " + passage.id);
  }
  return collection;
}

Result<RetrievalEval> EvalRetrieval(Api* api, const EvalDataset& dataset,
                                    const std::string& collection,
                                    const RetrievalEvalOptions& options, const Context& ctx) {
  RetrievalEval eval;
  RankingScore sum;
  for (size_t i = 0; i < dataset.questions.size(); ++i) {
    const EvalQuestion& question = dataset.questions[i];
    if (options.progress) options.progress(i, dataset.questions.size());
    if (question.grades.empty()) continue;
    Query query;
    query.question = question.question;
    query.collection = collection;
    query.ranking = options.ranking;
    query.k = 50;  // several passages may be of one document; ten documents are wanted
    ASSIGN_OR_RETURN(Retrieved found, api->Search(query, ctx));
    const RankingScore score = ScoreRanking(RankedDocuments(found.hits), question.grades);
    sum.recall_at_1 += score.recall_at_1;
    sum.recall_at_5 += score.recall_at_5;
    sum.recall_at_10 += score.recall_at_10;
    sum.ndcg_at_10 += score.ndcg_at_10;
    sum.mrr_at_10 += score.mrr_at_10;
    ++eval.queries;
  }
  if (eval.queries == 0)
    return InvalidArgument("no question of the dataset has a relevant passage");
  const double n = static_cast<double>(eval.queries);
  eval.mean = {sum.recall_at_1 / n, sum.recall_at_5 / n, sum.recall_at_10 / n, sum.ndcg_at_10 / n,
               sum.mrr_at_10 / n};
  return eval;
}

Result<std::vector<AnswerRecord>> EvalAnswers(Api* api, const EvalDataset& dataset,
                                              const std::string& collection,
                                              const AnswerEvalOptions& options,
                                              const EvalProgress& progress, const Context& ctx) {
  std::vector<AnswerRecord> records;
  DocumentTexts texts(api, collection);
  for (size_t i = 0; i < dataset.questions.size(); ++i) {
    const EvalQuestion& question = dataset.questions[i];
    if (progress) progress(i, dataset.questions.size());
    AskRequest request;
    request.query.question = question.question;
    request.query.collection = collection;
    request.query.k = options.k;
    request.strict = options.strict;
    request.joining = options.joining;
    request.sampling.seed = options.seed;
    request.sampling.max_tokens = options.max_tokens;
    Trace trace(question.id);
    auto reply = api->Ask(request, {}, ctx.WithTrace(&trace));
    if (!reply.ok()) return reply.status().WithContext("question " + question.id);
    RETURN_IF_ERROR(Record(*reply, question, texts, ctx, &records.emplace_back()));
    records.back().first_token_ms = StageMs(trace, "first_token");
    records.back().total_ms = StageMs(trace, "total");
  }
  return records;
}

AnswerSummary Summarise(const std::vector<const AnswerRecord*>& records) {
  AnswerSummary summary;
  summary.questions = records.size();
  double answerable = 0, impossible = 0, em = 0, f1 = 0, contains = 0, rejected = 0, wrongly = 0;
  double citations = 0, right = 0, sentences = 0, supported = 0, at1 = 0, at5 = 0, tokens = 0,
         answered = 0;
  std::vector<double> first, total;
  for (const AnswerRecord* r : records) {
    first.push_back(r->first_token_ms);
    total.push_back(r->total_ms);
    if (r->question->is_impossible) {
      ++impossible;
      rejected += r->abstained;
      continue;
    }
    ++answerable;
    em += r->score.em;
    f1 += r->score.f1;
    contains += r->score.contains;
    wrongly += r->abstained;
    citations += static_cast<double>(r->citations);
    right += static_cast<double>(r->right_citations);
    sentences += static_cast<double>(r->sentences);
    supported += static_cast<double>(r->supported_sentences);
    at1 += r->gold_rank == 1;
    at5 += r->gold_rank >= 1 && r->gold_rank <= 5;
    if (!r->abstained) {
      ++answered;
      tokens += static_cast<double>(ScoringTokens(r->answer, r->question->lang).size());
    }
  }
  summary.em = Ratio(em, answerable);
  summary.f1 = Ratio(f1, answerable);
  summary.contains = Ratio(contains, answerable);
  summary.rejection_rate = Ratio(rejected, impossible);
  summary.wrong_abstention_rate = Ratio(wrongly, answerable);
  summary.citation_precision = Ratio(right, citations);
  summary.citation_recall = Ratio(supported, sentences);
  summary.recall_at_1 = Ratio(at1, answerable);
  summary.recall_at_5 = Ratio(at5, answerable);
  summary.answer_tokens = Ratio(tokens, answered);
  summary.first_token_ms_p50 = Median(std::move(first));
  summary.total_ms_p50 = Median(std::move(total));
  return summary;
}

}  // namespace vade
