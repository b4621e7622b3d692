// Passages as search hands them on.
#pragma once

#include <string>
#include <utility>

#include "generator/generator.h"

namespace vade::testing {

// Of a document of its own, "doc-ID", with the same score by vectors.
inline Hit HitOf(PassageId id, std::string text, double score) {
  Hit hit;
  hit.passage.id = id;
  hit.passage.document_id = "doc-" + std::to_string(id);
  hit.passage.end = text.size();
  hit.passage.text = std::move(text);
  hit.score = hit.dense_score = score;
  return hit;
}

}  // namespace vade::testing
