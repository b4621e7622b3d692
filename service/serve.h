// `vade serve`: one process that has a data directory open and answers over gRPC until it is told
// to stop.
//
//   Status status = Serve({.config_file = "/etc/vade.conf", .grpc_address = "0.0.0.0:50051"});
//
// It opens the store, listens, writes DIR/endpoint, loads the models and only then reports SERVING
// and says "listening on HOST:PORT". A model that is missing is said in the log, and the service
// does what it can without: Ask answers NOT_FOUND with the command that fetches the model, and
// takes it up once it is there. SIGINT and SIGTERM end it cleanly: no new calls, those at work get
// the grace, the store is closed, OK. A second signal, of either kind, ends the process at once.
//
// The configuration file (base/config.h: lines `key = value`); the command line beats it:
//   data.dir                   the data directory; default $VADE_DATA, else ~/.local/share/vade
//   grpc.address               HOST:PORT, default 127.0.0.1:50051; port 0 takes a free one
//   grpc.max_message_bytes     of one request, 1K to 1G, default 64M
//   grpc.max_concurrent        calls at work, 1 to 1024, default 64; beyond: RESOURCE_EXHAUSTED
//   grpc.shutdown_grace_seconds  for calls at work, 0 to 3600, default 5
//   metrics.address            HOST:PORT of a page for Prometheus, /metrics, over plain HTTP and for
//                              whoever reaches it; default none; port 0 takes a free one
//   http.address               HTTP is not part of this version: refused when given
//   model.decoder              catalog name or file; default: the first of the catalog there is
//   model.embedder             catalog name or file; default multilingual-e5-small
//   model.dir                  where models lie; default $VADE_MODELS, else ~/.cache/vade/models
//   model.packed_dir           repacked weights; default ~/.cache/vade/packed
//   model.threads              0 (default): all that this process may use
//   model.context_tokens       longest prompt and answer together, 256 to 131072, default 8192
//   model.kv_bytes             memory for keys and values, default 512M
//   model.kv_type              what they are kept as: q8 (8 bits and a scale for each 32), q4 (4 bits,
//                              a scale and a minimum for each 32: .6 of the memory, a worse model; not
//                              on a GPU), f16, f32; default q8
//   model.device               auto (default): an NVIDIA GPU when there is one that can, else the
//                              processor; cpu, cuda
//   model.gpu                  which GPU, 0 (default) to 63, as the driver counts them
//   model.gpu_bytes            its memory, at most; 0 (default): nine tenths of what is free
//   model.gpu_graphs           true (default): steps of few rows are recorded and launched as one
//   embed.device               auto (default): passages on the same GPU when there is one, as soon as
//                              there are some 25 to embed at once, questions on the processor; cpu;
//                              cuda: questions too
//   embed.gpu_bytes            of the GPU's memory for it, at most; 0 (default): nine tenths of what
//                              is free
//   answer.max_active          answers in one batch, 1 to 256, default 8
//   answer.max_waiting         answers that wait, 0 to 10000, default 32; beyond:
//                              RESOURCE_EXHAUSTED. With max_active it stays below
//                              grpc.max_concurrent, or questions that wait take every place and
//                              nothing else is answered (a warning says so)
//   answer.max_prompt_tokens   128 to 131072, default 4096
//   answer.history_tokens      budget for earlier turns, 0 to 131072, default 2048
//   answer.min_dense_score     the best passage must reach this cosine, else "irrelevant"; 0
//                              (default): off
//   answer.min_confidence      an answer that begins less surely is withheld, "uncertain"; default
//                              0.4, 0: off
//   answer.passage_gap         hits this far below the best score (0..1) are not read, "weaker";
//                              default 0.3, 0: off
//   answer.further_passages    hits beyond those asked for, 0 to 100, default 5: read where those do
//                              not answer, before the documents are said to hold no answer
//   answer.guessed_tokens      read at most at a time beyond an answer's last token, 0 to 64,
//                              default 7, 0: off; changes the time that an answer takes, no word
//   answer.reading             alone (default): each passage is asked by itself, from what is kept
//                              of it, and the answer goes on from the best one; together: all in one
//                              prompt
//   answer.joining             whether passages that were asked alone are also read in one prompt, for
//                              questions that do not say: never, detected (default), always
//   answer.kept_bytes          of model.kv_bytes, for passages that were read; default 300M, at
//                              most 60% of it; 0: none is kept
//   answer.turns_kept_seconds  what was read for a question is kept so long after its last use, for when
//                              the conversation goes on, in a quarter of kept_bytes; 0 to 86400,
//                              default 600, 0: not
//   answer.kept_disk_bytes     for their files in data.dir/kv, default 4G, 0: none
//   search.device              auto (default): the same GPU, when there is one, looks at all rows of
//                              segments with 8,192 or more, so that they are searched exactly; the
//                              processor walks their graphs otherwise; cpu, cuda
//   search.gpu_bytes           of the GPU's memory for their rows, at most; 0 (default): half of what
//                              is free
//   search.earlier             in a chat, a question is searched for together with those before it, which
//                              it may lean on ("how tall is it?"); true (default) or false
//   search.mmr                 0 to 1, for questions that do not say, default 1 (off): the share of the
//                              score beside unlikeness to better hits
//   search.neighbours          0 to 10, default 0: passages joined to each hit on each side
//   store.block_cache_bytes    default 64M
//   store.graph_bytes          a collection whose codes and graphs would take more gets cells, which need
//                              a fifth of the memory; default 0: half of the machine's memory
//   store.hnsw_ef_search       candidates kept in a walk, cells that are looked into, 1 to 10000,
//                              default 64
//   store.erase_within_seconds bytes of what was deleted or replaced leave the files within this
//                              time, 0 to 31536000, default 3600; 0: only with erase
//   log.level                  debug, info (default), warning, error, off
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/context.h"
#include "base/log.h"
#include "base/status.h"
#include "service/local_api.h"
#include "service/server.h"

namespace vade {

struct ServeOptions {
  std::string config_file;  // "": none
  // What the command line says; each beats the file's key.
  std::optional<std::string> data_dir;
  std::optional<std::string> grpc_address;
  std::optional<std::string> http_address;  // UNIMPLEMENTED when given
  std::optional<std::string> decoder_model;
  std::optional<std::string> embedder_model;
  std::optional<int> threads;
  std::optional<DeviceChoice> device;
  // What standard output says once it serves: nothing, "listening on HOST:PORT",
  // {"listening":"HOST:PORT"}.
  enum class Announce { kNothing, kLine, kJson } announce = Announce::kNothing;
  // For tests: called once it serves; and a second way to end it, besides the signals.
  std::function<void(const std::string& address)> on_ready;
  std::function<void(const std::string& address)> on_metrics;  // where its page of metrics is
  CancelToken stop;
};

// What file and command line come to.
struct ServeSettings {
  LocalOptions local;
  ServerOptions server;
  std::string metrics_address;  // "": none
  std::chrono::milliseconds shutdown_grace{5000};
  LogLevel log_level = LogLevel::kInfo;
};

// INVALID_ARGUMENT names the key, its value and what it may be.
Result<ServeSettings> ReadServeSettings(const ServeOptions& options);

// Returns OK after a clean end. One at a time in a process: it handles the process's signals.
Status Serve(const ServeOptions& options);

}  // namespace vade
