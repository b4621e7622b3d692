// Our values <-> the messages of proto/vade/v1, and Status <-> grpc::Status. Private to
// service/*.cc.
//
// To*: always succeed; text that is not UTF-8 (a file's name can be) is mended, since a message
// with it could not be read by anyone. From*: take what the wire can carry that our types cannot (0
// for "the default", unknown enum values, numbers beyond int) and refuse it or give it its meaning;
// the limits themselves are limits.h's. Pure functions.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "ingest/tables.h"
#include "service/answer.h"

namespace grpc {
class Status;
}
namespace vade::v1 {
class AskRequest;
class ChatRequest;
class Citation;
class Collection;
class DocumentInfo;
class Done;
class GetTablesResponse;
class Hit;
class Candidate;
class ListDocumentsRequest;
class PutDocumentRequest;
class PutDocumentResponse;
class SearchRequest;
class SearchResponse;
class Retrieved;
}  // namespace vade::v1

namespace vade {

using StageTimes = std::vector<std::pair<std::string, double>>;  // as Trace::times_ms()

std::string Utf8(const std::string& text);  // mended where it is not UTF-8
// 0 stands for `fallback`. What does not fit an int is beyond every limit.
int OrDefault(uint32_t value, int fallback);

// Codes map one to one. The message is cut to what a header may carry.
grpc::Status ToGrpc(const Status& status);
Status FromGrpc(const grpc::Status& status);

void ToProto(const DocumentInfo& info, v1::DocumentInfo* out);
void ToProto(const Hit& hit, v1::Hit* out);
void ToProto(const std::vector<Table>& tables, v1::GetTablesResponse* out);
void ToProto(const Citation& citation, v1::Citation* out);
void ToProto(const CollectionInfo& info, v1::Collection* out);
void ToProto(const PutRequest& request, v1::PutDocumentRequest* out);
void ToProto(const PutResult& result, v1::PutDocumentResponse* out);
void ToProto(const DocumentQuery& query, v1::ListDocumentsRequest* out);
void ToProto(const Query& query, v1::SearchRequest* out);
void ToProto(const AskRequest& request, v1::AskRequest* out);  // leaves the history out
void ToProto(const AskRequest& request,
             v1::ChatRequest* out);  // the question becomes the last turn
void ToProto(const Retrieved& found, const std::string& request_id, v1::Retrieved* out);
void ToProto(const Retrieved& found, const std::string& request_id, const StageTimes& times,
             v1::SearchResponse* out);
void ToProto(const Explained& candidate, v1::Candidate* out);
void ToProto(const Answer& answer, v1::Done* out);  // all but the timings
void ToProto(const Answer& answer, const StageTimes& times, v1::Done* out);

// Responses, as a client reads them.
Result<DocumentInfo> FromProto(
    const v1::DocumentInfo& in);  // INVALID_ARGUMENT: metadata without a value
Hit FromProto(const v1::Hit& in);
Explained FromProto(const v1::Candidate& in);
Citation FromProto(const v1::Citation& in);
CollectionInfo FromProto(const v1::Collection& in);
std::vector<Table> FromProto(const v1::GetTablesResponse& in);
PutResult FromProto(const v1::PutDocumentResponse& in);
Retrieved FromProto(const v1::Retrieved& in);
Retrieved FromProto(const v1::SearchResponse& in, StageTimes* times);
Answer FromProto(const v1::Done& in);  // all but the timings
Answer FromProto(const v1::Done& in, StageTimes* times);

// Requests, as the server reads them.
std::string CollectionOrDefault(const std::string& name);
int FromPageSize(uint32_t page_size);
DocumentQuery FromProto(const v1::ListDocumentsRequest& in);
Result<PutRequest> FromProto(v1::PutDocumentRequest&& in);  // takes the content away
Result<Query> FromProto(const v1::SearchRequest& in);
Result<AskRequest> FromProto(const v1::AskRequest& in);
Result<AskRequest> FromProto(const v1::ChatRequest& in);

}  // namespace vade
