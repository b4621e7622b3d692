// gRPC and protobuf write their own troubles to standard error, where the command line promises one
// line an error. They go to our log instead, at debug level: what matters of them reaches the user
// as a Status. Private to service/.
#pragma once

namespace vade {

void RouteGrpcLog();  // once or more, from any thread

}  // namespace vade
