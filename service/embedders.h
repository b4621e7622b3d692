// The embedders of a LocalApi: the one that new collections are made with, and those of collections
// that were re-embedded with another. Private to service/.
//
// Each file is loaded once, at first use, and stays. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "model/embedder.h"
#include "service/lazy.h"

namespace vade {

class Embedders {
 public:
  // Loads the embedder that is called so; NOT_FOUND when there is none.
  using Load = std::function<Result<std::unique_ptr<Embedder>>(const std::string& name_or_path)>;

  // `usual`: the name or path of the one for new collections. `given`: it, when it is loaded
  // already.
  Embedders(std::string usual, std::unique_ptr<Embedder> given, Load load);

  Result<Embedder*> Usual(const Context& ctx) { return Called(usual_, ctx); }
  Result<Embedder*> Called(const std::string& name_or_path, const Context& ctx);
  // The one that the collection's vectors are of. FAILED_PRECONDITION when its weights are not to
  // be found, with what to do about it.
  Result<Embedder*> Of(const CollectionInfo& collection, const Context& ctx);

 private:
  const std::string usual_;
  const Load load_;
  std::mutex mutex_;  // guards the map; its values guard themselves
  std::map<std::string, std::unique_ptr<Lazy<Embedder>>> by_name_;
};

}  // namespace vade
