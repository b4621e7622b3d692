// What a request may ask for: the limits that proto/vade/v1 promises, checked in one place for
// every way in.
//
// LocalApi checks each call with these, so the gRPC server over it does; RemoteApi checks before it
// sends. INVALID_ARGUMENT names the field, what it is and what it may be. UNIMPLEMENTED names a
// field that this version cannot honour: it is refused, never ignored. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ingest/ingest.h"
#include "retriever/retriever.h"
#include "service/answer.h"

namespace vade {

inline constexpr int kMaxSearchHits = 1000;
inline constexpr int kMaxAskPassages = 100;
inline constexpr int kDefaultHits = 5;
inline constexpr int kMaxPageSize = 1000;
inline constexpr int kDefaultPageSize = 100;
inline constexpr int kMaxDeleteIds = 1000;
inline constexpr size_t kMaxDocumentIdBytes = 1024;
inline constexpr size_t kMaxTitleBytes = 4096;
inline constexpr size_t kMaxSourceBytes = 8192;
inline constexpr size_t kMaxMetadataEntries = 256;
inline constexpr size_t kMaxMetadataKeyBytes = 256;
inline constexpr size_t kMaxMetadataValueBytes = 64 * 1024;
inline constexpr size_t kMaxListValues = 1024;
inline constexpr size_t kMaxGroups = 256;
inline constexpr size_t kMaxGroupBytes = 256;
inline constexpr uint64_t kMaxContentBytes = 256ull << 20;
inline constexpr uint64_t kMaxGrowthBytes = 64 << 10;  // of a file between its offer and its end
inline constexpr int kMaxAnswerTokens = 8192;
inline constexpr int kDefaultAnswerTokens = 256;
inline constexpr double kMaxTemperature = 5;
inline constexpr int kMaxTopK = 1'000'000;
inline constexpr double kMinRepetitionPenalty = 0.1;
inline constexpr double kMaxRepetitionPenalty = 10;
inline constexpr double kMaxTokenPenalty = 2;  // presence and frequency, to both sides of 0
inline constexpr double kMaxLogitBias = 100;   // to both sides of 0; the least bans
inline constexpr size_t kMaxLogitBiases = 1024;
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr size_t kMaxStopStrings = 16;
inline constexpr size_t kMaxStopBytes = 256;
inline constexpr size_t kMaxSystemBytes = 32 * 1024;
inline constexpr size_t kMaxFormBytes = 64 * 1024;  // of a JSON schema or a grammar
inline constexpr size_t kMaxModelNameBytes = 4096;  // a path, where that is allowed
inline constexpr size_t kMaxTurns = 1000;
inline constexpr size_t kMaxTurnBytes = 256 * 1024;

// 1 to 64 letters, digits, '-', '_': what may travel as a header and stand in a log. Others are not
// used.
bool IsPlainRequestId(std::string_view id);

Status CheckCollectionName(std::string_view name);
Status CheckEmbedderName(const std::string& name);
Status CheckDocumentId(std::string_view id);
Status CheckListDocuments(const DocumentQuery& query);
Status CheckDeleteIds(const std::vector<std::string>& ids);
Status CheckGroups(const std::vector<std::string>& groups);
Status CheckPut(const PutRequest& request);
Status CheckQuery(const Query& query);
Status CheckAsk(const AskRequest& request);

// "never", "detected", "always"; nothing for any other text.
std::optional<Joining> ParseJoining(std::string_view name);

}  // namespace vade
