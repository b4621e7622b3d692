// bench prefill, decode, embed, search.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/files.h"
#include "base/strings.h"
#include "base/threads.h"
#include "kernels/kernels.h"
#include "service/bench.h"
#include "service/cli_session.h"
#include "service/json_text.h"
#include "service/model_files.h"

namespace vade {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kMaxTokens = 1 << 20;

struct BenchFlags {
  int prefill_tokens = 512;
  int decode_tokens = 64;
  int embed_tokens = 160;
  int depth = 0;
  int batch = 32;
  int repeat = 3;
  size_t vectors = 100000;
  std::string kind = "hnsw";
  int ef = 64;
  std::string dataset;
};

// One line of JSON, or the same names and values one a line.
Status Print(const CliSession& session, const Json& json) {
  if (session.options.json) {
    std::printf("%s\n", JsonText(json).c_str());
    return OkStatus();
  }
  for (const auto& [name, value] : json.items())
    std::printf("%-22s %s\n", name.c_str(), ShownLine(JsonText(value)).c_str());
  return OkStatus();
}

int Threads(const CliSession& session) {
  return session.options.threads > 0 ? session.options.threads : UsableCores();
}

Json Header(const std::string& model, int threads) {
  return {{"model", model},
          {"threads", threads},
          {"level", kernels::LevelName(kernels::Active().level)}};
}

Status RunDecoder(CliSession& session, const BenchFlags& flags, bool prefill) {
  const LocalOptions local = session.local_options();
  ASSIGN_OR_RETURN(const std::string path, FindDecoderFile(local));
  ThreadPool pool(Threads(session));
  DecoderOptions options;
  options.pool = &pool;
  options.packed_cache_dir = PackedDir(local);
  options.device = local.device;
  options.gpu = local.gpu;
  ASSIGN_OR_RETURN(auto decoder, LoadDecoder(path, options));
  auto bench = prefill
                   ? BenchPrefill(decoder.get(), flags.prefill_tokens, flags.repeat, session.ctx())
                   : BenchDecode(decoder.get(), &pool, flags.decode_tokens, flags.depth,
                                 flags.repeat, session.ctx());
  if (!bench.ok()) return bench.status();
  Json json = Header(decoder->info().name, pool.threads());
  json["device"] = decoder->info().device;
  json["tokens_per_second"] = bench->tokens_per_second;
  // The bandwidth beside it is the processor's.
  const bool has_share = bench->bandwidth_share >= 0 && decoder->info().device == "cpu";
  json["bandwidth_share"] = has_share ? Json(bench->bandwidth_share) : Json(nullptr);
  if (!prefill) {
    json["read_gb_per_second"] = bench->read_bytes_per_second / 1e9;
    json["weight_mb_per_token"] = static_cast<double>(decoder->info().weight_bytes_per_token) / 1e6;
  }
  return Print(session, json);
}

Status RunEmbed(CliSession& session, const BenchFlags& flags) {
  const LocalOptions local = session.local_options();
  ASSIGN_OR_RETURN(const std::string path, FindEmbedderFile(local));
  ThreadPool pool(Threads(session));
  ASSIGN_OR_RETURN(auto embedder, LoadEmbedder(path, EmbedderOptionsOf(local, &pool)));
  ASSIGN_OR_RETURN(EmbedBench bench, BenchEmbed(embedder.get(), flags.embed_tokens, flags.batch,
                                                flags.repeat, session.ctx()));
  Json json = Header(embedder->id(), pool.threads());
  json["tokens_per_second"] = bench.tokens_per_second;
  json["passages_per_second"] = bench.passages_per_second;
  return Print(session, json);
}

Status RunSearch(CliSession& session, const BenchFlags& flags) {
  if (session.options.threads > 1) {
    return FailedPrecondition(
        "bench search asks one question after the other on one thread; leave --threads out");
  }
  SearchBenchOptions options;
  options.vectors = flags.vectors;
  options.hnsw = flags.kind == "hnsw";
  options.ef = flags.ef;
  options.repeat = flags.repeat;
  const char* temporary = std::getenv("TMPDIR");
  std::string directory =
      JoinPath(temporary && *temporary ? temporary : "/tmp", "vade-bench-XXXXXX");
  if (!mkdtemp(directory.data()))
    return Unavailable("cannot make " + directory + "; set TMPDIR to a folder with room");
  options.directory = directory;
  ASSIGN_OR_RETURN(SearchBench bench, BenchSearch(options, session.ctx()));
  return Print(session, {{"kind", flags.kind},
                         {"vectors", flags.vectors},
                         {"level", kernels::LevelName(kernels::Active().level)},
                         {"recall@10", bench.recall_at_10},
                         {"queries_per_second", bench.queries_per_second},
                         {"build_seconds", bench.build_seconds},
                         {"bytes_per_vector", bench.bytes_per_vector}});
}

}  // namespace

void AddBenchCommands(CLI::App& app, CliSession& session) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* bench = app.add_subcommand("bench", "Measure the speed of the parts on this machine");
  bench->require_subcommand(1);
  const auto add = [&](const char* name, const char* what) {
    CLI::App* command = bench->add_subcommand(name, what);
    command->add_option("--repeat", flags->repeat, "Repeats; the median is printed")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    return command;
  };
  CLI::App* prefill = add("prefill", "Tokens read a second by the decoder");
  prefill->add_option("--tokens", flags->prefill_tokens, "Length of the prompt")
      ->check(CLI::Range(1, kMaxTokens))
      ->capture_default_str();
  prefill->callback(
      [&session, flags] { session.Run([&] { return RunDecoder(session, *flags, true); }); });

  CLI::App* decode =
      add("decode", "Tokens written a second, and the share of the memory bandwidth");
  decode->add_option("--tokens", flags->decode_tokens, "Tokens to write")
      ->check(CLI::Range(1, kMaxTokens))
      ->capture_default_str();
  decode->add_option("--depth", flags->depth, "Tokens read before")
      ->check(CLI::Range(0, kMaxTokens))
      ->capture_default_str();
  decode->callback(
      [&session, flags] { session.Run([&] { return RunDecoder(session, *flags, false); }); });

  CLI::App* embed = add("embed", "Tokens embedded a second");
  embed->add_option("--tokens", flags->embed_tokens, "Length of a text")
      ->check(CLI::Range(1, kMaxTokens))
      ->capture_default_str();
  embed->add_option("--batch", flags->batch, "Texts in a batch")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  embed->callback([&session, flags] { session.Run([&] { return RunEmbed(session, *flags); }); });

  CLI::App* search = add("search", "Vector search through a throwaway store");
  search->add_option("--vectors", flags->vectors, "Vectors")->capture_default_str();
  search->add_option("--kind", flags->kind, "flat or hnsw")
      ->check(CLI::IsMember({"flat", "hnsw"}))
      ->capture_default_str();
  search->add_option("--ef", flags->ef, "Candidates kept in the walk")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  search->callback([&session, flags] { session.Run([&] { return RunSearch(session, *flags); }); });

  CLI::App* ask = add("ask", "Whole answers on a dataset folder (not in this version)");
  ask->add_option("dataset", flags->dataset, "Dataset folder")->required();
  ask->callback([&session] {
    session.Run([] {
      return Unimplemented(
          "bench ask is not in this version; vade eval answers prints the times too");
    });
  });
}

}  // namespace vade
