// The shared nouns: a passage of a document, a hit (a passage with scores), how hits are ordered,
// and what a document is. Plain values; no behaviour.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace vade {

// Never reused within a store, not even after deletion. A decimal string in all JSON.
using PassageId = uint64_t;

struct Passage {
  PassageId id = 0;
  std::string document_id;
  uint32_t ordinal = 0;  // 0-based position in the document
  uint64_t begin = 0;    // byte range [begin, end) in the document's normalised text (UTF-8)
  uint64_t end = 0;
  uint32_t page = 0;         // 1-based, 0 when the format has no pages
  std::string heading_path;  // "Handbook > Leave > Sick leave"; "" when none
  std::string language;      // ISO 639 code, "en"; "" when not known
  std::string text;          // the bytes of that range
};

// A passage found for a question.
struct Hit {
  Passage passage;
  std::string title;       // of the document
  std::string source;      // of the document: path or URI
  std::string valid_from;  // RFC 3339, "" when the document has none
  // What the list is ordered by, greater is better (RankingOptions says how it is made).
  double score = 0;
  double dense_score = 0;  // cosine of question and passage
  double term_score = 0;   // BM25; 0 when the passage has none of the question's words
  // Where neighbours were joined to it (SearchRequest::neighbours): what was found, within the
  // passage's range, which is the joined one. 0, 0: nothing was joined.
  uint64_t found_begin = 0, found_end = 0;
};

// What proposes passages for a question, and what their order is made of.
struct RankingOptions {
  enum class Source : uint8_t {
    kBoth,     // vectors and words, fused
    kVectors,  // score: dense_score, with what the passage's language took off it given back
    kTerms,    // score: term_score
  };
  enum class Fusion : uint8_t {
    kConvex,          // (1 - term_weight) * vectors + term_weight * words, each at most 1
    kReciprocalRank,  // of the ranks in both lists, whatever lies between them
  };
  Source source = Source::kBoth;
  Fusion fusion = Fusion::kConvex;
  double term_weight = 0.3;  // share of the words, 0..1
  // Share of the score, 0..1, where passages are also weighed by how little they are like those
  // ahead of them (index/diversity.h); 1: off.
  double mmr = 1;
  friend bool operator==(const RankingOptions&, const RankingOptions&) = default;
};

// Why a passage that was proposed for a question is where it is, or is not there.
struct Explained {
  PassageId passage_id = 0;
  std::string document_id;
  uint32_t dense_rank = 0;  // among what vectors proposed, from 1; 0: they did not propose it
  uint32_t term_rank = 0;   // among what words proposed
  double dense_score = 0;   // as in Hit
  double term_score = 0;
  double score = 0;
  uint32_t rank = 0;    // by the score, from 1; its place in the list unless RankingOptions::mmr
  double likeness = 0;  // with mmr: the greatest cosine with a passage ahead of it
  // "": it is a hit; "repeat": a better one has the same text; "rank": better ones were enough;
  // "alike": its score would have done, and it is too like those ahead of it; "joined": it is
  // a part of one ahead of it, whose neighbours were joined.
  std::string cut;
  friend bool operator==(const Explained&, const Explained&) = default;
};

using MetadataValue = std::variant<std::string, double, bool, std::vector<std::string>>;
using Metadata = std::map<std::string, MetadataValue>;

// Everything about a document but its text and passages.
struct DocumentInfo {
  std::string id;  // given, or derived from the source
  std::string title;
  std::string source;        // URI, or path relative to the source root
  std::string mime_type;     // "text/markdown"
  std::string content_hash;  // SHA-256 of the source's bytes, hexadecimal
  Metadata metadata;
  std::vector<std::string> groups;  // empty: everyone
  std::string supersedes;           // id of the document that this one replaces, or ""
  std::string valid_from;           // RFC 3339, or ""
  // Set by the store:
  uint64_t revision = 0;  // 1 for the first, growing
  uint64_t commit = 0;    // commit number that made this revision current
  uint64_t passage_count = 0;
  uint64_t text_bytes = 0;
  int64_t created_unix_micros = 0;  // first revision
  int64_t updated_unix_micros = 0;  // this revision
};

}  // namespace vade
