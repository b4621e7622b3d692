// Jobs for an engine over a scripted decoder, and what comes of them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "generator/engine.h"
#include "tests/testing/scripted_decoder.h"

namespace vade {

class EngineJobs : public ::testing::Test {
 protected:
  EngineJob Job(const std::string& prompt, Sampling sampling, Context ctx = {}) {
    using testing::ByteTokenizer;
    EngineJob job;
    job.prefix = decoder_.tokenizer().Encode("the shared prefix", Special::kText);
    job.rest = decoder_.tokenizer().Encode(prompt, Special::kText);
    job.rest.push_back(ByteTokenizer::kImStart);
    for (int32_t id : decoder_.tokenizer().Encode("assistant\n", Special::kText))
      job.rest.push_back(id);
    job.sampling = std::move(sampling);
    job.ctx = std::move(ctx);
    return job;
  }

  // The text of a whole answer, or its error.
  std::string Read(TokenStream& stream) {
    std::string out;
    for (;;) {
      auto token = stream.Next();
      if (!token.ok()) return std::string(StatusCodeName(token.status().code()));
      if (!*token) return out;
      out += decoder_.tokenizer().Piece((*token)->id);
    }
  }
  std::string Ask(Engine& engine, EngineJob job) {
    auto stream = engine.Start(std::move(job));
    if (!stream.ok()) return std::string(StatusCodeName(stream.status().code()));
    return Read(**stream);
  }
  std::string AnswerFrom(Engine& engine, std::unique_ptr<ReadBlock> block) {
    EngineJob job;
    job.from = std::move(block);
    job.sampling.max_tokens = 64;
    return Ask(engine, std::move(job));
  }

  testing::ScriptedDecoder decoder_;
};

}  // namespace vade
