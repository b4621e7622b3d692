// The real command in a home of its own: what the tests of the command line share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "index/index.h"
#include "tests/testing/process.h"
#include "tests/testing/temp_dir.h"

namespace vade::testing {

class CliTest : public ::testing::Test {
 protected:
  using Json = nlohmann::json;
  TempDir dir_;                                          // before what is made from it
  static constexpr std::chrono::seconds kPatience{120};  // sanitizers on a busy machine are slow

  struct Ran {
    int status = -1;
    std::string out, err;
    // "status 1, nothing on standard output, one line on standard error" is what every failure
    // looks like.
    bool FailedInOneLine() const {
      return status == 1 && out.empty() && std::count(err.begin(), err.end(), '\n') == 1 &&
             err.rfind("vade: ", 0) == 0;
    }
    bool Says(std::string_view text) const { return err.find(text) != std::string::npos; }
    std::string Shown() const { return StrCat("status ", status, "\nout: ", out, "\nerr: ", err); }
  };

  // No models, no data and no settings but those that a test puts there.
  Process::Environment environment_ = {{"HOME", dir_.path()},
                                       {"XDG_CACHE_HOME", dir_.File("cache")},
                                       {"VADE_MODELS", dir_.File("models")},
                                       {"VADE_DATA", dir_.File("data")},
                                       {"VADE_LEVEL", ""}};

  Process Start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), VADE_BINARY);
    return Process(dir_.path(), arguments, environment_);
  }

  Ran Run(const std::vector<std::string>& arguments, std::string_view input = "") {
    Process process = Start(arguments);
    process.Write(input);
    process.CloseInput();
    const auto status = process.Wait(kPatience);
    return {status.value_or(-1), process.out(), process.err()};
  }

  // With --json: the one object on standard output, null when it is anything else.
  static Json Object(const Ran& ran) {
    if (std::count(ran.out.begin(), ran.out.end(), '\n') != 1 || ran.out.back() != '\n')
      return nullptr;
    Json json = Json::parse(ran.out, nullptr, false);
    return json.is_object() ? json : Json(nullptr);
  }
  Json RunJson(std::vector<std::string> arguments, std::string_view input = "") {
    arguments.push_back("--json");
    const Ran ran = Run(arguments, input);
    EXPECT_EQ(ran.status, 0) << ran.Shown();
    const Json json = Object(ran);
    EXPECT_TRUE(json.is_object()) << ran.Shown();
    return json;
  }

  std::string data() const { return dir_.File("data"); }

  void ExpectUsage(const std::vector<std::string>& arguments, const std::string& names) {
    const Ran ran = Run(arguments);
    EXPECT_EQ(ran.status, 2) << ran.Shown();
    EXPECT_TRUE(ran.out.empty()) << ran.Shown();
    EXPECT_TRUE(ran.Says(names)) << "'" << names << "' is not in\n" << ran.Shown();
  }

  void ExpectFailure(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& names) {
    const Ran ran = Run(arguments);
    EXPECT_TRUE(ran.FailedInOneLine()) << ran.Shown();
    for (const std::string& name : names) {
      EXPECT_TRUE(ran.Says(name)) << "'" << name << "' is not in\n" << ran.Shown();
    }
  }

  // A store in the data directory with one document in "default", as if an embedder had been there.
  std::unique_ptr<Store> MakeStore() {
    auto store = OpenStore(data(), {});
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    if (!store.ok()) return nullptr;
    CollectionInfo collection;
    collection.name = "default";
    collection.embedder_id = "hashing-4";
    collection.dimension = 4;
    EXPECT_TRUE((*store)->CreateCollection(collection).ok());
    DocumentInfo info;
    info.id = "leave.md";
    info.title = "Leave";
    info.source = "docs/leave.md";
    auto writer = (*store)->BeginDocument("default", info);
    EXPECT_TRUE(writer.ok());
    Passage passage;
    passage.end = 12;
    const float vector[4] = {1, 0, 0, 0};
    EXPECT_TRUE((*writer)->AddText("Thirty days.").ok());
    EXPECT_TRUE((*writer)->AddPassages({&passage, 1}, vector).ok());
    EXPECT_TRUE((*writer)->Commit({}).ok());
    return std::move(store).value();
  }
};

}  // namespace vade::testing
