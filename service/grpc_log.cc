#include "service/grpc_log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include "base/log.h"
#include "base/strings.h"

namespace vade {

namespace {

void LogProtobuf(google::protobuf::LogLevel, const char*, int, const std::string& line) {
  LogDebug(StrCat("protobuf: ", line));
}

}  // namespace

void RouteGrpcLog() {
  google::protobuf::SetLogHandler(LogProtobuf);
  gpr_set_log_function([](gpr_log_func_args* line) { LogDebug(StrCat("grpc: ", line->message)); });
}

}  // namespace vade
