#include "service/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/resource_quota.h>

#include <utility>

#include "base/strings.h"
#include "service/grpc_log.h"
#include "service/rpc_host.h"

namespace vade {
namespace {

// Threads beyond max_concurrent: they answer health and reflection, and refuse what is too much.
constexpr int kSpareThreads = 16;

struct HostPort {
  std::string host;  // with brackets when it is an IPv6 address
  int port = 0;
};

Result<HostPort> ParseAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : ParseUint(address.substr(colon + 1));
  if (!port || *port > 65535 || colon == 0) {
    return InvalidArgument(
        StrCat("the address '", address, "' is not HOST:PORT; give for instance 127.0.0.1:50051"));
  }
  return HostPort{address.substr(0, colon), static_cast<int>(*port)};
}

// "Every address of this machine" is nothing that one can connect to.
std::string ReachableHost(const std::string& host) {
  if (host == "0.0.0.0") return "127.0.0.1";
  if (host == "[::]") return "[::1]";
  return host;
}

class GrpcServer final : public Server {
 public:
  GrpcServer(LocalApi* api, const ServerOptions& options)
      : host_(options.max_concurrent),
        corpus_(MakeCorpusService(api, &host_, options.export_patience)),
        search_(MakeSearchService(api, &host_)),
        answer_(MakeAnswerService(api, &host_)) {}

  ~GrpcServer() override { Shutdown(std::chrono::milliseconds(0)); }

  Status Listen(const ServerOptions& options) {
    ASSIGN_OR_RETURN(const HostPort wanted, ParseAddress(options.grpc_address));
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options.grpc_address, grpc::InsecureServerCredentials(), &port);
    // Two services on one port would each get some of the calls; the second is told instead.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    // A client whose machine has vanished is noticed, too.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
    builder.SetMaxReceiveMessageSize(options.max_message_bytes);
    grpc::ResourceQuota quota("vade");
    quota.SetMaxThreads(options.max_concurrent + kSpareThreads);
    builder.SetResourceQuota(quota);
    for (grpc::Service* service : {corpus_.get(), search_.get(), answer_.get()})
      builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) {
      return Unavailable(
          StrCat("cannot listen on ", options.grpc_address,
                 ": the port is taken, or the address is not this machine's; choose another with "
                 "--grpc HOST:PORT"));
    }
    address_ = StrCat(ReachableHost(wanted.host), ":", port);
    SetServing(options.serving);
    return OkStatus();
  }

  const std::string& address() const override { return address_; }

  void SetServing(bool serving) override {
    grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
    if (health == nullptr) return;
    health->SetServingStatus(serving);
    for (const char* name :
         {"vade.v1.CorpusService", "vade.v1.SearchService", "vade.v1.AnswerService"}) {
      health->SetServingStatus(name, serving);
    }
  }

  void Shutdown(std::chrono::milliseconds grace) override {
    if (!server_) return;
    SetServing(false);
    host_.Drain(grace);
    server_->Shutdown(std::chrono::system_clock::now());  // cancels what is left
    server_->Wait();
    server_.reset();
  }

 private:
  RpcHost host_;
  std::unique_ptr<grpc::Service> corpus_, search_, answer_;
  std::unique_ptr<grpc::Server> server_;  // last: it ends before what it calls
  std::string address_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(LocalApi* api, const ServerOptions& options) {
  if (options.max_concurrent < 1 || options.max_message_bytes < 1) {
    return InvalidArgument("a server needs max_concurrent and max_message_bytes of at least 1");
  }
  RouteGrpcLog();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto server = std::make_unique<GrpcServer>(api, options);
  RETURN_IF_ERROR(server->Listen(options));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace vade
