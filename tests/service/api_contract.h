// The fixture of what an Api promises, whichever side does the work: each test runs over a LocalApi
// and over a RemoteApi that talks to a real server on loopback.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/service/service_fixture.h"

namespace vade::testing {

enum class Side { kLocal, kRemote };

class ApiContract : public ::testing::TestWithParam<Side> {
 protected:
  Api& api() {
    return GetParam() == Side::kLocal ? static_cast<Api&>(*fake_.local) : *fake_.remote;
  }

  PutResult Put(const std::string& id, const std::string& text,
                const std::string& collection = "default") {
    auto put = api().PutDocument(collection, MakePut(id, text), ctx_);
    EXPECT_TRUE(put.ok()) << put.status().ToString();
    return put.ok() ? *put : PutResult{};
  }

  std::set<std::string> Found(const Query& query) {
    std::set<std::string> ids;
    const auto found = api().Search(query, ctx_);
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    if (found.ok()) {
      for (const Hit& hit : found->hits) ids.insert(hit.passage.document_id);
    }
    return ids;
  }

  ServedFake fake_;
  Context ctx_;
};

inline std::string SideName(const ::testing::TestParamInfo<Side>& side) {
  return side.param == Side::kLocal ? "Local" : "Remote";
}

}  // namespace vade::testing
