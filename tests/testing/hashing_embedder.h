// A fake Embedder: a bag of hashed words, deterministic, without weights.
//
// Texts that share words have a positive cosine, equal texts a cosine of 1, so retrieval over it
// behaves like a weak keyword search. Words are runs of ASCII letters and digits (case folded) and
// single characters beyond ASCII. A text without words is the unit vector of its own hash.
// Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cmath>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/strings.h"
#include "model/embedder.h"

namespace vade {

class HashingEmbedder : public Embedder {
 public:
  explicit HashingEmbedder(int dimension = 64, int max_tokens = 512)
      : id_(StrCat("hashing-", dimension)), dimension_(dimension), max_tokens_(max_tokens) {}

  const std::string& id() const override { return id_; }
  int dimension() const override { return dimension_; }
  int max_tokens() const override { return max_tokens_; }

  size_t CountTokens(std::string_view text) const override { return WordsOf(text).size(); }

  Result<std::vector<float>> Embed(std::span<const std::string_view> texts, EmbedRole,
                                   const Context& ctx) override {
    RETURN_IF_ERROR(ctx.Check());
    while (held_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      RETURN_IF_ERROR(ctx.Check());
    }
    std::vector<float> vectors;
    vectors.reserve(texts.size() * static_cast<size_t>(dimension_));
    for (std::string_view text : texts) {
      const std::vector<float> one = EmbedOne(text);
      vectors.insert(vectors.end(), one.begin(), one.end());
    }
    embedded_ += texts.size();
    return vectors;
  }

  // One text's vector, for tests that need no Result.
  std::vector<float> EmbedOne(std::string_view text) const {
    std::vector<std::string> words = WordsOf(text);
    if (words.size() > static_cast<size_t>(max_tokens_)) words.resize(max_tokens_);
    if (words.empty()) words.push_back(std::string(text));
    std::vector<float> vector(dimension_, 0.0f);
    for (const std::string& word : words) AddWord(word, &vector);
    Normalize(&vector);
    return vector;
  }

  // How many texts have been embedded so far: shows that unchanged texts were not embedded again.
  size_t embedded() const { return embedded_; }

  // From now on Embed() waits until LetGo(), or for its caller's end.
  void Hold() { held_ = true; }
  void LetGo() { held_ = false; }

 private:
  static std::vector<std::string> WordsOf(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    for (size_t i = 0; i < text.size(); ++i) {
      const unsigned char c = static_cast<unsigned char>(text[i]);
      const bool ascii_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (ascii_letter || (c >= '0' && c <= '9')) {
        word.push_back(static_cast<char>(ascii_letter ? (c | 0x20) : c));
        continue;
      }
      Flush(&word, &words);
      if (c < 0x80) continue;
      do word.push_back(text[i++]);
      while (i < text.size() && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80);
      --i;
      Flush(&word, &words);
    }
    Flush(&word, &words);
    return words;
  }

  static void Flush(std::string* word, std::vector<std::string>* words) {
    if (!word->empty()) words->push_back(std::move(*word));
    word->clear();
  }

  // Four signed components a word, chosen by its hash.
  void AddWord(std::string_view word, std::vector<float>* vector) const {
    uint64_t hash = Checksum64(word);
    for (int i = 0; i < 4; ++i) {
      (*vector)[(hash >> 1) % static_cast<uint64_t>(dimension_)] += (hash & 1) ? 1.0f : -1.0f;
      hash = Checksum64(StrCat(hash, "/", i));
    }
  }

  void Normalize(std::vector<float>* vector) const {
    double squares = 0;
    for (float x : *vector) squares += static_cast<double>(x) * x;
    if (squares == 0) squares = ((*vector)[0] = 1.0f);
    const float factor = static_cast<float>(1.0 / std::sqrt(squares));
    for (float& x : *vector) x *= factor;
  }

  const std::string id_;
  const int dimension_;
  const int max_tokens_;
  std::atomic<size_t> embedded_{0};
  std::atomic<bool> held_{false};
};

}  // namespace vade
