#include "service/serve.h"

#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/strings.h"
#include "service/cli_session.h"
#include "service/endpoint.h"
#include "service/limits.h"
#include "service/metrics.h"
#include "service/stop_signal.h"

namespace vade {
namespace {

const std::vector<std::string>& KnownKeys() {
  static const std::vector<std::string> keys = {"data.dir",
                                                "grpc.address",
                                                "grpc.max_message_bytes",
                                                "grpc.max_concurrent",
                                                "metrics.address",
                                                "http.address",
                                                "model.decoder",
                                                "model.embedder",
                                                "model.dir",
                                                "model.packed_dir",
                                                "model.threads",
                                                "model.context_tokens",
                                                "model.kv_bytes",
                                                "model.kv_type",
                                                "model.device",
                                                "model.gpu",
                                                "model.gpu_bytes",
                                                "model.gpu_graphs",
                                                "embed.device",
                                                "embed.gpu_bytes",
                                                "answer.max_active",
                                                "answer.max_waiting",
                                                "answer.max_prompt_tokens",
                                                "answer.history_tokens",
                                                "answer.min_dense_score",
                                                "answer.min_confidence",
                                                "answer.passage_gap",
                                                "answer.further_passages",
                                                "answer.guessed_tokens",
                                                "answer.reading",
                                                "answer.joining",
                                                "answer.kept_bytes",
                                                "answer.kept_disk_bytes",
                                                "answer.turns_kept_seconds",
                                                "search.device",
                                                "search.gpu_bytes",
                                                "search.earlier",
                                                "search.mmr",
                                                "search.neighbours",
                                                "store.block_cache_bytes",
                                                "store.graph_bytes",
                                                "store.hnsw_ef_search",
                                                "store.erase_within_seconds",
                                                "log.level",
                                                "grpc.shutdown_grace_seconds"};
  return keys;
}

// Reads values of the file into settings; what the file does not name stays as it is.
class Reader {
 public:
  explicit Reader(const Config& config) : config_(config) {}

  void Text(std::string_view key, std::string* out) const { *out = config_.GetString(key, *out); }

  Status Int(std::string_view key, int64_t least, int64_t most, int* out) const {
    ASSIGN_OR_RETURN(const int64_t value, config_.GetInt(key, *out));
    RETURN_IF_ERROR(CheckRange(key, value, least, most));
    *out = static_cast<int>(value);
    return OkStatus();
  }

  Status Bytes(std::string_view key, uint64_t least, uint64_t most, uint64_t* out) const {
    ASSIGN_OR_RETURN(const uint64_t value, config_.GetBytes(key, *out));
    if (value < least || value > most) {
      return InvalidArgument(StrCat(key, " is ", value, " bytes; give ", least, " to ", most));
    }
    *out = value;
    return OkStatus();
  }

  Status Bool(std::string_view key, bool* out) const {
    ASSIGN_OR_RETURN(*out, config_.GetBool(key, *out));
    return OkStatus();
  }

  Status Real(std::string_view key, double least, double most, double* out) const {
    if (!config_.Has(key)) return OkStatus();
    const auto value = ParseDouble(config_.GetString(key, ""));
    if (!value || !(*value >= least && *value <= most)) {
      return InvalidArgument(StrCat(key, " is '", config_.GetString(key, ""),
                                    "'; give a number from ", least, " to ", most));
    }
    *out = *value;
    return OkStatus();
  }

  Status Type(std::string_view key, kernels::KvType* out) const {
    if (!config_.Has(key)) return OkStatus();
    const std::string name = config_.GetString(key, "");
    const auto type = kernels::ParseKvType(name);
    if (!type) return InvalidArgument(StrCat(key, " is '", name, "'; give q8, q4, f16 or f32"));
    *out = *type;
    return OkStatus();
  }

  Status Level(std::string_view key, LogLevel* out) const {
    constexpr std::pair<std::string_view, LogLevel> kLevels[] = {{"debug", LogLevel::kDebug},
                                                                 {"info", LogLevel::kInfo},
                                                                 {"warning", LogLevel::kWarning},
                                                                 {"error", LogLevel::kError},
                                                                 {"off", LogLevel::kOff}};
    if (!config_.Has(key)) return OkStatus();
    const std::string name = config_.GetString(key, "");
    for (const auto& [known, level] : kLevels) {
      if (name != known) continue;
      *out = level;
      return OkStatus();
    }
    return InvalidArgument(
        StrCat(key, " is '", name, "'; give debug, info, warning, error or off"));
  }

  Status Reading(std::string_view key, ReadingMode* out) const {
    const std::string name = config_.GetString(key, "alone");
    if (name != "alone" && name != "together")
      return InvalidArgument(StrCat(key, " is '", name, "'; give alone or together"));
    if (config_.Has(key)) *out = name == "alone" ? ReadingMode::kAlone : ReadingMode::kTogether;
    return OkStatus();
  }

  Status Join(std::string_view key, Joining* out) const {
    if (!config_.Has(key)) return OkStatus();
    const std::string name = config_.GetString(key, "");
    const auto joining = ParseJoining(name);
    if (!joining)
      return InvalidArgument(StrCat(key, " is '", name, "'; give never, detected or always"));
    *out = *joining;
    return OkStatus();
  }

  Status Device(std::string_view key, DeviceChoice* out) const {
    if (!config_.Has(key)) return OkStatus();
    const std::string name = config_.GetString(key, "");
    const auto choice = ParseDeviceChoice(name);
    if (!choice) return InvalidArgument(StrCat(key, " is '", name, "'; give auto, cpu or cuda"));
    *out = *choice;
    return OkStatus();
  }

  static Status CheckRange(std::string_view key, int64_t value, int64_t least, int64_t most) {
    if (value >= least && value <= most) return OkStatus();
    return InvalidArgument(StrCat(key, " is ", value, "; give ", least, " to ", most));
  }

 private:
  const Config& config_;
};

Status ReadLocal(const Reader& file, LocalOptions* local) {
  file.Text("data.dir", &local->data_dir);
  file.Text("model.decoder", &local->decoder_model);
  file.Text("model.embedder", &local->embedder_model);
  file.Text("model.dir", &local->models_dir);
  file.Text("model.packed_dir", &local->packed_dir);
  RETURN_IF_ERROR(file.Int("model.threads", 0, 1024, &local->threads));
  RETURN_IF_ERROR(file.Int("model.context_tokens", 256, 131072, &local->context_tokens));
  RETURN_IF_ERROR(file.Bytes("model.kv_bytes", 1 << 20, 1ull << 40, &local->kv_budget_bytes));
  RETURN_IF_ERROR(file.Type("model.kv_type", &local->kv_type));
  RETURN_IF_ERROR(file.Device("model.device", &local->device));
  RETURN_IF_ERROR(file.Int("model.gpu", 0, 63, &local->gpu.device));
  RETURN_IF_ERROR(file.Bytes("model.gpu_bytes", 0, 1ull << 44, &local->gpu.memory_bytes));
  RETURN_IF_ERROR(file.Bool("model.gpu_graphs", &local->gpu.graphs));
  RETURN_IF_ERROR(file.Device("embed.device", &local->embed_device));
  RETURN_IF_ERROR(file.Bytes("embed.gpu_bytes", 0, 1ull << 44, &local->embed_gpu_bytes));
  local->search_device = DeviceChoice::kAuto;
  RETURN_IF_ERROR(file.Device("search.device", &local->search_device));
  RETURN_IF_ERROR(file.Bytes("search.gpu_bytes", 0, 1ull << 44, &local->search_gpu_bytes));
  RETURN_IF_ERROR(file.Bool("search.earlier", &local->search_earlier));
  RETURN_IF_ERROR(file.Real("search.mmr", 0, 1, &local->search_mmr));
  RETURN_IF_ERROR(file.Int("search.neighbours", 0, kMaxNeighbours, &local->search_neighbours));
  RETURN_IF_ERROR(
      file.Bytes("store.block_cache_bytes", 1 << 20, 1ull << 40, &local->store.block_cache_bytes));
  RETURN_IF_ERROR(file.Bytes("store.graph_bytes", 0, 1ull << 44, &local->store.graph_bytes));
  RETURN_IF_ERROR(file.Int("store.hnsw_ef_search", 1, 10000, &local->store.hnsw_ef_search));
  int erase_within = static_cast<int>(local->store.erase_within.count());
  RETURN_IF_ERROR(file.Int("store.erase_within_seconds", 0, 31536000, &erase_within));
  local->store.erase_within = std::chrono::seconds(erase_within);
  RETURN_IF_ERROR(file.Int("answer.max_active", 1, 256, &local->generator.max_active));
  RETURN_IF_ERROR(file.Int("answer.max_waiting", 0, 10000, &local->generator.max_waiting));
  RETURN_IF_ERROR(
      file.Int("answer.max_prompt_tokens", 128, 131072, &local->generator.max_prompt_tokens));
  RETURN_IF_ERROR(file.Int("answer.history_tokens", 0, 131072, &local->generator.history_tokens));
  RETURN_IF_ERROR(file.Real("answer.min_confidence", 0, 1, &local->generator.min_confidence));
  RETURN_IF_ERROR(file.Real("answer.passage_gap", 0, 1, &local->generator.passage_gap));
  RETURN_IF_ERROR(file.Int("answer.further_passages", 0, 100, &local->generator.further_passages));
  RETURN_IF_ERROR(file.Int("answer.guessed_tokens", 0, 64, &local->generator.guessed_tokens));
  RETURN_IF_ERROR(file.Reading("answer.reading", &local->generator.reading));
  RETURN_IF_ERROR(file.Join("answer.joining", &local->generator.joining));
  RETURN_IF_ERROR(file.Bytes("answer.kept_bytes", 0, 1ull << 40, &local->kept_bytes));
  RETURN_IF_ERROR(file.Bytes("answer.kept_disk_bytes", 0, 1ull << 44, &local->kept_disk_bytes));
  int turns_kept = static_cast<int>(local->generator.turns_kept_for.count());
  RETURN_IF_ERROR(file.Int("answer.turns_kept_seconds", 0, 86400, &turns_kept));
  local->generator.turns_kept_for = std::chrono::seconds(turns_kept);
  return file.Real("answer.min_dense_score", 0, 1, &local->generator.min_dense_score);
}

Status ReadServer(const Reader& file, ServeSettings* settings) {
  file.Text("grpc.address", &settings->server.grpc_address);
  file.Text("metrics.address", &settings->metrics_address);
  uint64_t message_bytes = static_cast<uint64_t>(settings->server.max_message_bytes);
  RETURN_IF_ERROR(file.Bytes("grpc.max_message_bytes", 1 << 10, 1 << 30, &message_bytes));
  settings->server.max_message_bytes = static_cast<int>(message_bytes);
  RETURN_IF_ERROR(file.Int("grpc.max_concurrent", 1, 1024, &settings->server.max_concurrent));
  int grace_seconds = static_cast<int>(settings->shutdown_grace.count() / 1000);
  RETURN_IF_ERROR(file.Int("grpc.shutdown_grace_seconds", 0, 3600, &grace_seconds));
  settings->shutdown_grace = std::chrono::seconds(grace_seconds);
  return file.Level("log.level", &settings->log_level);
}

// Each question holds a call from its arrival to its end.
void WarnOfStarvation(const ServeSettings& settings) {
  const int questions = settings.local.generator.max_active + settings.local.generator.max_waiting;
  const int calls = settings.server.max_concurrent;
  if (questions < calls) return;
  LogWarning(StrCat(
      "answer.max_active + answer.max_waiting is ", questions, " and grpc.max_concurrent ", calls,
      ": questions that wait can keep every other call out; raise grpc.max_concurrent "
      "or lower answer.max_waiting"));
}

Status Override(const ServeOptions& options, ServeSettings* settings) {
  if (options.data_dir) settings->local.data_dir = *options.data_dir;
  if (options.decoder_model) settings->local.decoder_model = *options.decoder_model;
  if (options.embedder_model) settings->local.embedder_model = *options.embedder_model;
  if (options.grpc_address) settings->server.grpc_address = *options.grpc_address;
  if (options.device) SetDevices(*options.device, &settings->local);
  if (options.threads) settings->local.threads = *options.threads;
  return Reader::CheckRange("--threads", settings->local.threads, 0, 1024);
}

// A model that is missing leaves a service that can do less, and says so; a model that is there and
// cannot be used is an error to be mended before anyone relies on the service.
Status LoadOrWarn(const Status& loaded, std::string_view without) {
  if (loaded.code() != StatusCode::kNotFound) return loaded;
  LogWarning(StrCat(without, ": ", loaded.message()));
  return OkStatus();
}

Status LoadModels(LocalApi* api, const StopSignal& signal) {
  RETURN_IF_ERROR(LoadOrWarn(api->LoadEmbedderNow(), "serving without search and ingestion"));
  if (signal.Came()) return OkStatus();
  return LoadOrWarn(api->LoadDecoderNow(), "serving without answers");
}

void Announce(const ServeOptions& options, const std::string& address) {
  LogInfo(StrCat("listening on ", address));
  switch (options.announce) {
    case ServeOptions::Announce::kNothing: break;
    case ServeOptions::Announce::kLine: std::printf("listening on %s\n", address.c_str()); break;
    case ServeOptions::Announce::kJson:
      std::printf("{\"listening\":\"%s\"}\n",
                  address.c_str());  // HOST:PORT that the endpoint file took
      break;
  }
  std::fflush(stdout);
  if (options.on_ready) options.on_ready(address);
}

}  // namespace

Result<ServeSettings> ReadServeSettings(const ServeOptions& options) {
  Config config;
  if (!options.config_file.empty()) {
    ASSIGN_OR_RETURN(config, Config::Load(options.config_file, KnownKeys()));
  }
  if (options.http_address || !config.GetString("http.address", "").empty()) {
    return Unimplemented(
        "HTTP is not available in this version; leave --http and http.address out");
  }
  ServeSettings settings;
  settings.local.data_dir = DefaultDataDir();
  const Reader file(config);
  Status read = ReadLocal(file, &settings.local);
  if (read.ok()) read = ReadServer(file, &settings);
  RETURN_IF_ERROR(read.WithContext(options.config_file));
  RETURN_IF_ERROR(Override(options, &settings));
  WarnOfStarvation(settings);
  return settings;
}

Status Serve(const ServeOptions& options) {
  ASSIGN_OR_RETURN(const ServeSettings settings, ReadServeSettings(options));
  SetLogLevel(settings.log_level);
  ASSIGN_OR_RETURN(const auto signal, StopSignal::Install());
  ASSIGN_OR_RETURN(auto api, LocalApi::Open(settings.local));
  ServerOptions server_options = settings.server;
  server_options.serving = false;
  ASSIGN_OR_RETURN(auto server, Server::Start(api.get(), server_options));
  std::unique_ptr<MetricsPage> metrics;
  if (!settings.metrics_address.empty()) {
    ASSIGN_OR_RETURN(metrics, MetricsPage::Start(api.get(), settings.metrics_address));
    LogInfo(StrCat("metrics on http://", metrics->address(), "/metrics"));
    if (options.on_metrics) options.on_metrics(metrics->address());
  }
  ASSIGN_OR_RETURN(auto endpoint, EndpointFile::Write(settings.local.data_dir, server->address()));

  RETURN_IF_ERROR(LoadModels(api.get(), *signal));
  server->SetServing(true);
  Announce(options, server->address());
  signal->Wait(options.stop);

  LogInfo("stopping: no new calls; those at work are being finished");
  endpoint.reset();
  server->Shutdown(settings.shutdown_grace);
  server.reset();
  metrics.reset();
  api.reset();
  LogInfo("stopped");
  return OkStatus();
}

}  // namespace vade
