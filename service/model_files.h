// Which files the models of a LocalApi are, and where. Private to service/.
#pragma once

#include <string>

#include "base/status.h"
#include "service/local_api.h"

namespace vade {

std::string ModelsDir(const LocalOptions& options);
std::string PackedDir(const LocalOptions& options);

// Paths of files that are there. NOT_FOUND names the model and the command that fetches it.
Result<std::string> FindEmbedderFile(const LocalOptions& options);
Result<std::string> FindDecoderFile(const LocalOptions& options);

}  // namespace vade
