#include "service/embedders.h"

#include <utility>

#include "base/strings.h"

namespace vade {

Embedders::Embedders(std::string usual, std::unique_ptr<Embedder> given, Load load)
    : usual_(std::move(usual)), load_(std::move(load)) {
  if (given) by_name_[usual_] = std::make_unique<Lazy<Embedder>>(std::move(given));
}

Result<Embedder*> Embedders::Called(const std::string& name_or_path, const Context& ctx) {
  Lazy<Embedder>* lazy = nullptr;
  {
    std::lock_guard lock(mutex_);
    auto& slot = by_name_[name_or_path];
    if (!slot) slot = std::make_unique<Lazy<Embedder>>();
    lazy = slot.get();
  }
  return lazy->Get([&] { return load_(name_or_path); }, ctx);
}

Result<Embedder*> Embedders::Of(const CollectionInfo& collection, const Context& ctx) {
  const auto fits = [&](const Embedder& embedder) {
    return embedder.id() == collection.embedder_id && embedder.dimension() == collection.dimension;
  };
  const std::string& source = collection.embedder_source;
  std::string found_instead;
  if (!source.empty() && source != usual_) {
    const auto own = Called(source, ctx);
    RETURN_IF_ERROR(ctx.Check());
    if (own.ok() && fits(**own)) return own;
    found_instead =
        own.ok() ? StrCat("'", source, "' is '", (*own)->id(), "' now") : own.status().message();
  }
  ASSIGN_OR_RETURN(Embedder * usual, Usual(ctx));
  if (fits(*usual) || found_instead.empty()) return usual;  // who searches says what does not fit
  return FailedPrecondition(
      StrCat("collection '", collection.name, "' has vectors of embedder '", collection.embedder_id,
             "', which was called '", source, "'; ", found_instead,
             ". Put its file back, or name it with --embedder (model.embedder of the "
             "configuration), or run `vade reembed --embedder` with one that there is"));
}

}  // namespace vade
