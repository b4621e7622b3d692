// What `vade eval` prints: JSON, comparisons, and a page with plots that needs no other file.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "service/eval.h"
#include "service/json_text.h"

namespace vade {
namespace {

using Json = nlohmann::ordered_json;

Json Rate(double value) {
  if (value < 0) return nullptr;
  return std::round(value * 1e4) / 1e4;
}

Json SummaryJson(const AnswerSummary& s) {
  return {{"questions", s.questions},
          {"em", Rate(s.em)},
          {"f1", Rate(s.f1)},
          {"contains", Rate(s.contains)},
          {"rejection_rate", Rate(s.rejection_rate)},
          {"wrong_abstention_rate", Rate(s.wrong_abstention_rate)},
          {"citation_precision", Rate(s.citation_precision)},
          {"citation_recall", Rate(s.citation_recall)},
          {"recall@1", Rate(s.recall_at_1)},
          {"recall@5", Rate(s.recall_at_5)},
          {"answer_tokens", Rate(s.answer_tokens)},
          {"first_token_ms_p50", Rate(s.first_token_ms_p50)},
          {"total_ms_p50", Rate(s.total_ms_p50)}};
}

std::vector<const AnswerRecord*> Pointers(const std::vector<AnswerRecord>& records) {
  std::vector<const AnswerRecord*> pointers;
  for (const AnswerRecord& record : records) pointers.push_back(&record);
  return pointers;
}

// Records by the question's kind and language, in the order of the names; empty without kinds.
std::map<std::string, std::vector<const AnswerRecord*>> ByKind(
    const std::vector<AnswerRecord>& records) {
  std::map<std::string, std::vector<const AnswerRecord*>> groups;
  for (const AnswerRecord& record : records) {
    if (record.question->kind.empty()) continue;
    groups[record.question->kind].push_back(&record);
    groups[record.question->kind + "/" + record.question->lang].push_back(&record);
  }
  return groups;
}

std::string Escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string Fixed(double value, int digits) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.*f", digits, value);
  return buffer;
}

// A bar chart of counts over labelled bins.
std::string Bars(const std::string& title,
                 const std::vector<std::pair<std::string, size_t>>& bins) {
  size_t most = 1;
  for (const auto& [label, count] : bins) most = std::max(most, count);
  std::string svg =
      StrCat("<figure><figcaption>", Escape(title), "</figcaption><svg viewBox=\"0 0 ",
             bins.size() * 60 + 10, " 170\" width=\"", bins.size() * 60 + 10, "\">");
  for (size_t i = 0; i < bins.size(); ++i) {
    const size_t height = bins[i].second * 120 / most;
    svg += StrCat("<rect x=\"", i * 60 + 10, "\" y=\"", 140 - height, "\" width=\"45\" height=\"",
                  height, "\" fill=\"#3b6ea5\"/><text x=\"", i * 60 + 32, "\" y=\"", 135 - height,
                  "\" text-anchor=\"middle\">", bins[i].second, "</text><text x=\"", i * 60 + 32,
                  "\" y=\"158\" text-anchor=\"middle\">", Escape(bins[i].first), "</text>");
  }
  return svg + "</svg></figure>";
}

std::vector<std::pair<std::string, size_t>> F1Bins(const std::vector<AnswerRecord>& records) {
  std::vector<std::pair<std::string, size_t>> bins = {
      {"0", 0}, {"..0.2", 0}, {"..0.4", 0}, {"..0.6", 0}, {"..0.8", 0}, {"..1", 0}, {"1", 0}};
  for (const AnswerRecord& record : records) {
    if (record.question->is_impossible) continue;
    const double f1 = record.score.f1;
    const size_t bin = f1 <= 0   ? 0
                       : f1 >= 1 ? 6
                                 : 1 + std::min<size_t>(4, static_cast<size_t>(f1 * 5));
    ++bins[bin].second;
  }
  return bins;
}

std::vector<std::pair<std::string, size_t>> RankBins(const std::vector<AnswerRecord>& records) {
  std::vector<std::pair<std::string, size_t>> bins = {{"1", 0}, {"2", 0},  {"3", 0},
                                                      {"4", 0}, {"5+", 0}, {"none", 0}};
  for (const AnswerRecord& record : records) {
    if (record.question->is_impossible) continue;
    const int rank = record.gold_rank;
    ++bins[rank == 0 ? 5 : std::min(rank, 5) - 1].second;
  }
  return bins;
}

std::vector<std::pair<std::string, size_t>> TimeBins(const std::vector<AnswerRecord>& records) {
  static constexpr double kLimits[] = {100, 250, 500, 1000, 2500, 5000, 10000};
  std::vector<std::pair<std::string, size_t>> bins;
  for (double limit : kLimits)
    bins.emplace_back("<" + Fixed(limit / 1000, limit < 1000 ? 2 : 1) + "s", 0);
  bins.emplace_back("more", 0);
  for (const AnswerRecord& record : records) {
    size_t bin = 0;
    while (bin < std::size(kLimits) && record.first_token_ms >= kLimits[bin]) ++bin;
    ++bins[bin].second;
  }
  return bins;
}

std::string SummaryTable(const std::vector<AnswerRecord>& records) {
  std::string html = "<table><tr><th></th>";
  const Json all = SummaryJson(Summarise(Pointers(records)));
  for (const auto& [name, value] : all.items()) html += "<th>" + Escape(name) + "</th>";
  const auto row = [&](const std::string& label, const Json& summary) {
    html += "</tr><tr><td>" + Escape(label) + "</td>";
    for (const auto& [name, value] : summary.items())
      html += "<td>" + Escape(JsonText(value)) + "</td>";
  };
  row("all", all);
  for (const auto& [kind, group] : ByKind(records)) row(kind, SummaryJson(Summarise(group)));
  return html + "</tr></table>";
}

// Wrong ones first: what a person who wants to make it better reads.
std::string WorstTable(const std::vector<AnswerRecord>& records) {
  auto goodness = [](const AnswerRecord* r) {
    return r->question->is_impossible ? (r->abstained ? 1.0 : 0.0) : r->score.f1;
  };
  std::vector<const AnswerRecord*> order = Pointers(records);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto* a, auto* b) { return goodness(a) < goodness(b); });
  std::string html =
      "<table><tr><th>id</th><th>question</th><th>wanted</th><th>answer</th><th>F1</th>"
      "<th>rank</th><th>reason</th><th>first token</th></tr>";
  for (size_t i = 0; i < std::min<size_t>(order.size(), 200); ++i) {
    const AnswerRecord& r = *order[i];
    html += StrCat(
        "<tr><td>", Escape(r.question->id), "</td><td>", Escape(r.question->question), "</td><td>",
        r.question->is_impossible ? "(none)" : Escape(Join(r.question->answers, " | ")),
        "</td><td>", Escape(r.answer), "</td><td>", Fixed(r.score.f1, 2), "</td><td>", r.gold_rank,
        "</td><td>", Escape(r.reason), "</td><td>", Fixed(r.first_token_ms, 0), " ms</td></tr>");
  }
  return html + "</table>";
}

}  // namespace

std::string RetrievalEvalJson(const RetrievalEval& eval) {
  return JsonText(Json{{"queries", eval.queries},
                       {"recall@1", Rate(eval.mean.recall_at_1)},
                       {"recall@5", Rate(eval.mean.recall_at_5)},
                       {"recall@10", Rate(eval.mean.recall_at_10)},
                       {"ndcg@10", Rate(eval.mean.ndcg_at_10)},
                       {"mrr@10", Rate(eval.mean.mrr_at_10)}});
}

std::string AnswerEvalJson(const std::vector<AnswerRecord>& records) {
  Json json = SummaryJson(Summarise(Pointers(records)));
  Json kinds = Json::object();
  for (const auto& [kind, group] : ByKind(records)) kinds[kind] = SummaryJson(Summarise(group));
  if (!kinds.empty()) json["kinds"] = kinds;
  return JsonText(json);
}

std::string AnswerRecordLines(const std::vector<AnswerRecord>& records) {
  std::string lines;
  for (const AnswerRecord& r : records) {
    const Json line = {{"id", r.question->id},
                       {"lang", r.question->lang},
                       {"kind", r.question->kind},
                       {"impossible", r.question->is_impossible},
                       {"answer", r.answer},
                       {"abstained", r.abstained},
                       {"reason", r.reason},
                       {"em", Rate(r.score.em)},
                       {"f1", Rate(r.score.f1)},
                       {"contains", Rate(r.score.contains)},
                       {"gold_rank", r.gold_rank},
                       {"citations", r.citations},
                       {"right_citations", r.right_citations},
                       {"confidence", Rate(r.confidence)},
                       {"first_token_ms", Rate(r.first_token_ms)},
                       {"total_ms", Rate(r.total_ms)}};
    lines += JsonText(line) + "\n";
  }
  return lines;
}

std::string AnswerReportHtml(const std::string& title, const std::vector<AnswerRecord>& records) {
  return StrCat(
      "<!doctype html><html><head><meta charset=\"utf-8\"><title>", Escape(title),
      "</title><style>body{font:14px "
      "sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid "
      "#ccc;padding:3px "
      "7px;text-align:left;vertical-align:top}figure{display:inline-block;margin:1em 2em 1em "
      "0}svg text{font-size:12px}</style></head><body><h1>",
      Escape(title), "</h1>", SummaryTable(records),
      Bars("F1 of answerable questions", F1Bins(records)),
      Bars("Rank of the document that answers", RankBins(records)),
      Bars("Time to the first token", TimeBins(records)), "<h2>Questions, wrong ones first</h2>",
      WorstTable(records), "</body></html>\n");
}

std::string EvalLines(const std::string& json) {
  const Json parsed = Json::parse(json, nullptr, false);
  std::string lines;
  const auto add = [&lines](const std::string& indent, const Json& object) {
    for (const auto& [name, value] : object.items()) {
      if (value.is_object()) continue;
      const std::string label = indent + name;
      lines += label + std::string(label.size() < 24 ? 24 - label.size() : 1, ' ') +
               JsonText(value) + "\n";
    }
  };
  if (!parsed.is_object()) return lines;
  add("", parsed);
  const Json kinds = parsed.value("kinds", Json::object());
  for (const auto& [kind, summary] : kinds.items()) {
    lines += kind + "\n";
    add("  ", summary);
  }
  return lines;
}

Result<std::string> CompareJson(const std::string& old_json, const std::string& new_json) {
  const Json before = Json::parse(old_json, nullptr, false);
  const Json after = Json::parse(new_json, nullptr, false);
  if (!before.is_object() || !after.is_object()) {
    return InvalidArgument("--against needs the output of an earlier vade eval --json");
  }
  std::string lines;
  for (const auto& [name, value] : after.items()) {
    const auto old = before.find(name);
    if (old == before.end() || !value.is_number() || !old->is_number()) continue;
    const double difference = value.get<double>() - old->get<double>();
    lines += StrCat(name, ": ", JsonText(*old), " -> ", JsonText(value), "  (",
                    difference >= 0 ? "+" : "", Fixed(difference, 4), ")\n");
  }
  return lines;
}

}  // namespace vade
