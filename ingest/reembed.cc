#include "ingest/reembed.h"

#include <string_view>
#include <vector>

#include "ingest/ingest.h"
#include "ingest/job.h"
#include "ingest/splitter.h"

namespace vade {
namespace {

// What ingestion gives the embedder for these passages.
std::vector<std::string> TextsOf(std::span<const PassageToEmbed> passages, size_t passage_tokens,
                                 const Embedder& embedder) {
  std::vector<std::string> texts;
  texts.reserve(passages.size());
  for (const PassageToEmbed& one : passages) {
    const std::string title = EmbeddedTitle(one.title, passage_tokens, CounterOf(embedder));
    texts.push_back(EmbeddingText(title, one.passage));
  }
  return texts;
}

}  // namespace

Result<ReembedOutcome> ReembedWith(Store* store, const std::string& collection,
                                   const NewEmbedder& next, const ReembedProgress& progress,
                                   const Context& ctx) {
  Embedder& embedder = *next.embedder;
  IngestOptions unlimited;
  unlimited.passage_tokens = SIZE_MAX;
  const size_t most = SplitOptionsOf(unlimited, embedder).passage_tokens;
  const size_t passage_tokens = SplitOptionsOf({}, embedder).passage_tokens;
  ReembedOutcome outcome;
  const auto embed = [&](std::span<const PassageToEmbed> passages,
                         const Context& within) -> Result<std::vector<float>> {
    const std::vector<std::string> texts = TextsOf(passages, passage_tokens, embedder);
    for (const std::string& text : texts) outcome.cut += embedder.CountTokens(text) > most;
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    return embedder.Embed(views, EmbedRole::kPassage, within);
  };
  ASSIGN_OR_RETURN(outcome.report, store->Reembed(collection,
                                                  {.embedder_id = embedder.id(),
                                                   .dimension = embedder.dimension(),
                                                   .embedder_source = next.source,
                                                   .embed = embed,
                                                   .progress = progress},
                                                  ctx));
  return outcome;
}

}  // namespace vade
