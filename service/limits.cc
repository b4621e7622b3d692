#include "service/limits.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/clock.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

// The text of one field: at most `most` bytes of UTF-8.
Status CheckText(std::string_view field, std::string_view text, size_t most) {
  if (text.size() > most) {
    return InvalidArgument(
        StrCat(field, " is ", text.size(), " bytes long; at most ", most, " are allowed"));
  }
  if (!IsValidUtf8(text)) return InvalidArgument(StrCat(field, " is not valid UTF-8"));
  return OkStatus();
}

Status CheckFilled(std::string_view field, std::string_view text, size_t most) {
  if (text.empty()) return InvalidArgument(StrCat(field, " is empty; give 1 to ", most, " bytes"));
  return CheckText(field, text, most);
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

Status CheckRange(std::string_view field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return OkStatus();
  return InvalidArgument(StrCat(field, " is ", value, "; give ", least, " to ", most));
}

// Also refuses what is no number.
Status CheckReal(std::string_view field, double value, double least, double most) {
  if (value >= least && value <= most) return OkStatus();
  return InvalidArgument(StrCat(field, " is ", value, "; give ", least, " to ", most));
}

Status CheckMetadataValue(const std::string& field, const MetadataValue& value) {
  if (const auto* text = std::get_if<std::string>(&value))
    return CheckText(field, *text, kMaxMetadataValueBytes);
  if (const auto* number = std::get_if<double>(&value)) {
    return std::isfinite(*number) ? OkStatus()
                                  : InvalidArgument(StrCat(field, " is not a finite number"));
  }
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  if (list == nullptr) return OkStatus();
  if (list->size() > kMaxListValues) {
    return InvalidArgument(
        StrCat(field, " has ", list->size(), " values; at most ", kMaxListValues));
  }
  for (const std::string& text : *list)
    RETURN_IF_ERROR(CheckText(field, text, kMaxMetadataValueBytes));
  return OkStatus();
}

Status CheckMetadata(const Metadata& metadata) {
  if (metadata.size() > kMaxMetadataEntries) {
    return InvalidArgument(
        StrCat("metadata has ", metadata.size(), " entries; at most ", kMaxMetadataEntries));
  }
  for (const auto& [key, value] : metadata) {
    RETURN_IF_ERROR(CheckFilled("a key of metadata", key, kMaxMetadataKeyBytes));
    RETURN_IF_ERROR(CheckMetadataValue(StrCat("metadata '", key, "'"), value));
  }
  return OkStatus();
}

// For shares of a mass: none is no set at all.
Status CheckMass(std::string_view field, double value) {
  if (value > 0 && value <= 1) return OkStatus();
  return InvalidArgument(
      StrCat(field, " is ", value, "; give more than 0 and at most 1, which is off"));
}

Status CheckLogitBias(const std::vector<std::pair<int32_t, double>>& logit_bias) {
  if (logit_bias.size() > kMaxLogitBiases) {
    return InvalidArgument(
        StrCat("logit_bias has ", logit_bias.size(), " entries; at most ", kMaxLogitBiases));
  }
  std::vector<int32_t> ids;
  for (const auto& [id, bias] : logit_bias) {
    RETURN_IF_ERROR(
        CheckRange("a token in logit_bias", id, 0, std::numeric_limits<int32_t>::max()));
    RETURN_IF_ERROR(
        CheckReal(StrCat("logit_bias of token ", id), bias, -kMaxLogitBias, kMaxLogitBias));
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice == ids.end()) return OkStatus();
  return InvalidArgument(StrCat("logit_bias names token ", *twice, " twice; name it once"));
}

Status CheckSampling(const Sampling& sampling) {
  RETURN_IF_ERROR(CheckReal("temperature", sampling.temperature, 0, kMaxTemperature));
  RETURN_IF_ERROR(CheckMass("top_p", sampling.top_p));
  RETURN_IF_ERROR(CheckRange("top_k", sampling.top_k, 0, kMaxTopK));
  RETURN_IF_ERROR(CheckReal("min_p", sampling.min_p, 0, 1));
  RETURN_IF_ERROR(CheckMass("typical_p", sampling.typical_p));
  RETURN_IF_ERROR(CheckReal("repetition_penalty", sampling.repetition_penalty,
                            kMinRepetitionPenalty, kMaxRepetitionPenalty));
  RETURN_IF_ERROR(CheckReal("presence_penalty", sampling.presence_penalty, -kMaxTokenPenalty,
                            kMaxTokenPenalty));
  RETURN_IF_ERROR(CheckReal("frequency_penalty", sampling.frequency_penalty, -kMaxTokenPenalty,
                            kMaxTokenPenalty));
  RETURN_IF_ERROR(CheckLogitBias(sampling.logit_bias));
  RETURN_IF_ERROR(CheckRange("top_logprobs", sampling.top_logprobs, 0, kMaxTopLogprobs));
  RETURN_IF_ERROR(CheckRange("max_tokens", sampling.max_tokens, 1, kMaxAnswerTokens));
  RETURN_IF_ERROR(CheckRange("answers", sampling.answers, 1, kMaxAnswers));
  RETURN_IF_ERROR(CheckRange("beams", sampling.beams, 1, kMaxBeams));
  if (sampling.stop.size() > kMaxStopStrings) {
    return InvalidArgument(
        StrCat("stop has ", sampling.stop.size(), " strings; at most ", kMaxStopStrings));
  }
  for (const std::string& stop : sampling.stop)
    RETURN_IF_ERROR(CheckFilled("a string in stop", stop, kMaxStopBytes));
  return OkStatus();
}

Status CheckHistory(const std::vector<ChatTemplate::Turn>& history) {
  if (history.size() >= kMaxTurns) {
    return InvalidArgument(
        StrCat(history.size() + 1, " turns; at most ", kMaxTurns, ": leave out the oldest"));
  }
  for (const ChatTemplate::Turn& turn : history) {
    if (turn.role == Role::kSystem) {
      return InvalidArgument(
          "a turn of the system is among the turns; give it as `system` instead");
    }
    RETURN_IF_ERROR(CheckText("the content of a turn", turn.content, kMaxTurnBytes));
  }
  return OkStatus();
}

Status CheckForm(const AnswerForm& form, bool strict) {
  if (form.kind == AnswerForm::Kind::kFree) return OkStatus();
  if (strict) return InvalidArgument("strict and a form of the answer: give one of them");
  if (form.kind == AnswerForm::Kind::kJson) return OkStatus();
  return CheckFilled(form.kind == AnswerForm::Kind::kGrammar ? "grammar" : "json_schema",
                     form.definition, kMaxFormBytes);
}

}  // namespace

bool IsPlainRequestId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
  });
}

Status CheckCollectionName(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
  if (plain && !name.empty() && name.size() <= 64 && name[0] != '.') return OkStatus();
  return InvalidArgument(
      "the collection's name is not allowed; give 1 to 64 of letters, digits, '_', '.', '-', not "
      "beginning with '.'");
}

Status CheckEmbedderName(const std::string& name) {
  return CheckFilled("the name of the embedder", name, kMaxModelNameBytes);
}

Status CheckDocumentId(std::string_view id) {
  RETURN_IF_ERROR(CheckFilled("document_id", id, kMaxDocumentIdBytes));
  if (HasControl(id)) return InvalidArgument("document_id has a control character; leave it out");
  return OkStatus();
}

Status CheckListDocuments(const DocumentQuery& query) {
  RETURN_IF_ERROR(CheckRange("page_size", query.limit, 1, kMaxPageSize));
  if (!query.filter.empty()) RETURN_IF_ERROR(CheckFilter(query.filter));
  if (query.caller_groups) RETURN_IF_ERROR(CheckGroups(*query.caller_groups));
  return query.after.empty()
             ? OkStatus()
             : CheckDocumentId(query.after).WithContext("page_token is not one of ours");
}

Status CheckDeleteIds(const std::vector<std::string>& ids) {
  RETURN_IF_ERROR(
      CheckRange("the number of document_ids", static_cast<int64_t>(ids.size()), 1, kMaxDeleteIds));
  for (const std::string& id : ids) RETURN_IF_ERROR(CheckDocumentId(id));
  return OkStatus();
}

Status CheckGroups(const std::vector<std::string>& groups) {
  if (groups.size() > kMaxGroups) {
    return InvalidArgument(StrCat(groups.size(), " groups; at most ", kMaxGroups, " are allowed"));
  }
  for (const std::string& group : groups)
    RETURN_IF_ERROR(CheckFilled("a name in groups", group, kMaxGroupBytes));
  return OkStatus();
}

Status CheckPut(const PutRequest& request) {
  const DocumentInfo& info = request.info;
  RETURN_IF_ERROR(CheckDocumentId(info.id));
  RETURN_IF_ERROR(CheckText("title", info.title, kMaxTitleBytes));
  RETURN_IF_ERROR(CheckText("source", info.source, kMaxSourceBytes));
  RETURN_IF_ERROR(CheckText("mime_type", info.mime_type, 256));
  RETURN_IF_ERROR(CheckMetadata(info.metadata));
  RETURN_IF_ERROR(CheckGroups(info.groups));
  if (!info.supersedes.empty())
    RETURN_IF_ERROR(CheckDocumentId(info.supersedes).WithContext("supersedes"));
  if (!info.valid_from.empty())
    RETURN_IF_ERROR(ParseRfc3339(info.valid_from).status().WithContext("valid_from"));
  if (request.bytes.empty())
    return InvalidArgument(StrCat("document '", info.id, "' is empty; give it some text"));
  if (request.bytes.size() > kMaxContentBytes) {
    return InvalidArgument(StrCat("document '", info.id, "' is ", request.bytes.size() >> 20,
                                  " MiB; at most 256 MiB are allowed: split it"));
  }
  return OkStatus();
}

Status CheckQuery(const Query& query) {
  RETURN_IF_ERROR(CheckFilled("question", query.question, kMaxQuestionBytes));
  if (StripAsciiWhitespace(query.question).empty()) {
    return InvalidArgument("question is blank; ask something");
  }
  RETURN_IF_ERROR(CheckCollectionName(query.collection));
  RETURN_IF_ERROR(CheckRange("k", query.k, 1, kMaxSearchHits));
  if (query.mmr) RETURN_IF_ERROR(CheckReal("mmr", *query.mmr, 0, 1));
  if (query.neighbours) {
    RETURN_IF_ERROR(CheckRange("neighbours", *query.neighbours, 0, kMaxNeighbours));
  }
  if (query.earlier.size() > kMaxTurns) {
    return InvalidArgument(StrCat(query.earlier.size(), " earlier questions; at most ", kMaxTurns,
                                  ": the latest suffice"));
  }
  for (const std::string& earlier : query.earlier)
    RETURN_IF_ERROR(CheckText("an earlier question", earlier, kMaxTurnBytes));
  RETURN_IF_ERROR(CheckGroups(query.groups));
  if (!query.filter.empty()) RETURN_IF_ERROR(CheckFilter(query.filter));
  if (!query.as_of.empty())
    RETURN_IF_ERROR(ParseRfc3339(query.as_of).status().WithContext("as_of"));
  return OkStatus();
}

Status CheckAsk(const AskRequest& request) {
  RETURN_IF_ERROR(CheckQuery(request.query));
  RETURN_IF_ERROR(CheckRange("k", request.query.k, 1, kMaxAskPassages));
  RETURN_IF_ERROR(CheckHistory(request.history));
  RETURN_IF_ERROR(CheckText("system", request.system, kMaxSystemBytes));
  RETURN_IF_ERROR(CheckForm(request.form, request.strict));
  RETURN_IF_ERROR(CheckSampling(request.sampling));
  if (request.mode != AnswerMode::kDirect) {
    return Unimplemented("mode: only direct is supported yet; leave it unset");
  }
  return OkStatus();
}

std::optional<Joining> ParseJoining(std::string_view name) {
  if (name == "never") return Joining::kNever;
  if (name == "detected") return Joining::kDetected;
  if (name == "always") return Joining::kAlways;
  return std::nullopt;
}

}  // namespace vade
