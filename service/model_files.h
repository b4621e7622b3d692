// Which files the models of a LocalApi are, and where. Private to service/.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "model/embedder.h"
#include "service/local_api.h"

namespace vade {

std::string ModelsDir(const LocalOptions& options);
std::string PackedDir(const LocalOptions& options);

// Paths of files that are there. NOT_FOUND names the model and the command that fetches it.
// An embedder is a name of the catalog, the name of a file in the models folder, or a path.
Result<std::string> FindEmbedderFile(const LocalOptions& options);
Result<std::string> FindEmbedderFile(const LocalOptions& options, const std::string& name);
std::string UsualEmbedder(const LocalOptions& options);  // its name or path
// Whether it names a model by itself: a client of a service names none of the service's paths.
bool IsPlainModelName(std::string_view name);
Result<std::string> FindDecoderFile(const LocalOptions& options);

// How an embedder is loaded. The pool outlives it.
EmbedderOptions EmbedderOptionsOf(const LocalOptions& options, ThreadPool* pool);

}  // namespace vade
