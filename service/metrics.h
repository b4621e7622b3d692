// What the service has done, for Prometheus: a page of metrics over HTTP, on an address of its own.
//
//   ASSIGN_OR_RETURN(auto metrics, MetricsPage::Start(api.get(), "127.0.0.1:9464"));
//   ... http://127.0.0.1:9464/metrics (docs/cli.md has the names) ...
//
// Figures are taken when the page is asked for; nothing is computed between. Anyone who reaches the
// address can read the page: it names no document and no question. The
// format is prometheus-cpp's, the server is not: Debian's civetweb, which that brings, overflows
// the 100 KiB of stack of its threads with an error page, so that any request for another path
// ended the process.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "service/http_page.h"
#include "service/local_api.h"

namespace vade {

class MetricsPage {
 public:
  // UNAVAILABLE when the address is taken, INVALID_ARGUMENT when it is none. Port 0: any free one.
  // `api` is not owned and outlives the page.
  static Result<std::unique_ptr<MetricsPage>> Start(LocalApi* api, const std::string& address);

  const std::string& address() const { return page_->address(); }  // HOST:PORT, with the real port

 private:
  explicit MetricsPage(std::unique_ptr<HttpPage> page) : page_(std::move(page)) {}
  const std::unique_ptr<HttpPage> page_;
};

}  // namespace vade
