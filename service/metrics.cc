#include "service/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

namespace vade {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// Samples of one name; each has the label or, with an empty name of it, none.
struct Sample {
  std::string label;
  uint64_t value = 0;
};

struct Named {
  std::string name, help, label = "";
};

MetricFamily Family(MetricType type, const Named& named, const std::vector<Sample>& samples) {
  MetricFamily family{named.name, named.help, type, {}};
  for (const Sample& sample : samples) {
    prometheus::ClientMetric metric;
    if (!named.label.empty()) metric.label.push_back({named.label, sample.label});
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) =
        static_cast<double>(sample.value);
    family.metric.push_back(std::move(metric));
  }
  return family;
}

MetricFamily Counter(const Named& named, const std::vector<Sample>& samples) {
  return Family(MetricType::Counter, named, samples);
}
MetricFamily Gauge(const Named& named, const std::vector<Sample>& samples) {
  return Family(MetricType::Gauge, named, samples);
}

class Figures final : public prometheus::Collectable {
 public:
  explicit Figures(LocalApi* api) : api_(api) {}

  std::vector<MetricFamily> Collect() const override {
    const ServiceCounts counts = api_->Counts();
    const GeneratorCounts& generator = counts.generator;
    const EngineCounts& engine = generator.engine;
    std::vector<Sample> ends;
    for (size_t i = 0; i < generator.ends.size(); ++i)
      ends.push_back({std::string(kAnswerEndNames[i]), generator.ends[i]});
    return {
        Counter({"vade_answers_total", "Questions by how they ended.", "end"}, ends),
        Counter({"vade_readings_total", "Answers by how their passages were read.", "way"},
                {{"alone", generator.asked_alone - generator.joined},
                 {"joined", generator.joined},
                 {"together", generator.asked_together}}),
        Counter({"vade_reading_rounds_total", "Rounds in which passages were asked alone."},
                {{"", generator.rounds}}),
        Counter({"vade_passages_asked_total", "Passages that were asked alone."},
                {{"", generator.readings}}),
        Counter({"vade_kept_passages_total",
                 "Passages that questions wanted, by where their keys and values were.", "from"},
                {{"memory", engine.passages_from_memory},
                 {"disk", engine.passages_from_file},
                 {"miss", engine.passages_read}}),
        Counter({"vade_passages_read_ahead_total", "Passages read by warming."},
                {{"", engine.passages_read_ahead}}),
        Counter({"vade_turns_found_total",
                 "Prompts that went on from what was read for an earlier question."},
                {{"", engine.turns_found}}),
        Counter(
            {"vade_turn_tokens_total", "Tokens of prompts that were kept of earlier questions."},
            {{"", engine.turn_tokens_kept}}),
        Counter(
            {"vade_prompt_tokens_total", "Tokens of prompts: read, or kept from earlier.", "from"},
            {{"kept", engine.prompt_tokens_kept}, {"read", engine.prompt_tokens_read}}),
        Counter({"vade_answer_tokens_total", "Tokens of answers, withheld ones too."},
                {{"", engine.answer_tokens}}),
        Counter({"vade_guessed_tokens_total", "Tokens guessed ahead of an answer."},
                {{"", engine.guessed_tokens}}),
        Counter({"vade_held_tokens_total", "Guessed tokens that the answer then had."},
                {{"", engine.held_tokens}}),
        Gauge({"vade_kept_bytes", "Keys and values of passages that are kept.", "in"},
              {{"memory", generator.kept_bytes}, {"disk", counts.kept_file_bytes}}),
        Gauge({"vade_kept_turn_bytes", "Keys and values of turns that are kept in memory."},
              {{"", generator.kept_turn_bytes}}),
        Gauge({"vade_kept_turns", "Prompts, with their answers, that are kept to go on from."},
              {{"", generator.kept_turns}}),
        Gauge({"vade_kept_budget_bytes", "What passages, and in memory turns, may take.", "in"},
              {{"memory", generator.kept_budget_bytes}, {"disk", counts.kept_file_budget_bytes}}),
        Gauge({"vade_kept_blocks", "Passages, and instructions, that are kept.", "in"},
              {{"memory", generator.kept_blocks}, {"disk", counts.kept_files}}),
    };
  }

 private:
  LocalApi* const api_;
};

}  // namespace

Result<std::unique_ptr<MetricsPage>> MetricsPage::Start(LocalApi* api, const std::string& address) {
  auto body = [api] { return prometheus::TextSerializer().Serialize(Figures(api).Collect()); };
  auto page = HttpPage::Start(address, {.path = "/metrics",
                                        .type = "text/plain; version=0.0.4; charset=utf-8",
                                        .body = std::move(body)});
  RETURN_IF_ERROR(page.status().WithContext("metrics.address"));
  return std::unique_ptr<MetricsPage>(new MetricsPage(*std::move(page)));
}

}  // namespace vade
