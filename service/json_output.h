// The JSON objects that commands print (docs/cli.md). Each function returns one line without a line
// end. Ids are strings; byte offsets are half-open UTF-8; times are milliseconds.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/trace.h"
#include "generator/block_files.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "service/answer.h"
#include "service/api.h"

namespace vade {

std::string SearchJson(const Retrieved& retrieved, const Trace& trace);
std::string WarmJson(const WarmReport& report);
std::string AskJson(const AskReply& reply, const Trace& trace);
std::string IngestJson(const IngestReport& report, const Trace& trace);
std::string ExportJson(const std::string& file, const ExportReport& report, const Trace& trace);
std::string ReembedJson(const ReembedOutcome& outcome, const Trace& trace);
std::string ImportJson(const ImportReport& report, const Trace& trace);
std::string PutJson(const PutResult& result);
std::string DocumentListJson(const DocumentPage& page);
// `tables` as well where they are asked for.
std::string DocumentJson(const Document& document, const std::optional<NearDocument>& near,
                         const std::optional<std::vector<Table>>& tables = std::nullopt);
std::string DeletedJson(uint64_t deleted);
std::string CollectionsJson(const std::vector<CollectionInfo>& collections);
std::string VerifyJson(const VerifyReport& report, const KeptFilesReport& kept);

// "created", "updated", "unchanged", "duplicate", "failed", "renamed".
std::string_view OutcomeName(IngestOutcome outcome);

}  // namespace vade
