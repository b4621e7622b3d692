// docs, collections, warm, verify.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "service/cli_input.h"
#include "service/cli_session.h"
#include "service/json_output.h"
#include "service/printable.h"

namespace vade {
namespace {

// --- docs
// -----------------------------------------------------------------------------------------------

struct DocsFlags {
  std::string id;
  std::vector<std::string> ids;
  std::string file;
  std::string title, groups, supersedes, valid_from, filter, after;
  std::vector<std::string> meta;
  bool as_caller = false;  // --groups was given to list
  bool erase = false;
  bool tables = false;
  int limit = 100;
};

Status RunList(CliSession& session, const DocsFlags& flags) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  DocumentQuery query{.after = flags.after, .limit = flags.limit, .filter = flags.filter};
  if (flags.as_caller) query.caller_groups = SplitList(flags.groups);
  const auto listed = api->ListDocuments(session.options.collection, query, session.ctx());
  if (!listed.ok()) return session.Explain(listed.status());
  const DocumentPage& page = *listed;
  if (session.options.json) {
    std::printf("%s\n", DocumentListJson(page).c_str());
    return OkStatus();
  }
  for (const DocumentInfo& info : page.documents) {
    std::printf("%s\t%s\trevision %llu\t%llu passages\n", ShownLine(info.id).c_str(),
                ShownLine(info.title).c_str(), static_cast<unsigned long long>(info.revision),
                static_cast<unsigned long long>(info.passage_count));
  }
  if (!page.next.empty()) {
    std::fprintf(stderr, "more follows: vade docs list --after '%s'\n",
                 PrintableLine(page.next).c_str());
  }
  return OkStatus();
}

// Columns with what they are, then the rows, tabs between the cells.
void PrintTables(const std::vector<Table>& tables) {
  for (const Table& table : tables) {
    std::vector<std::string> names;
    for (size_t i = 0; i < table.columns.size(); ++i) {
      names.push_back(
          StrCat(ShownLine(table.columns[i]), " (", CellKindName(ColumnKind(table, i)), ")"));
    }
    std::printf("%s\n", Join(names, "\t").c_str());
    for (const auto& row : table.rows) {
      std::vector<std::string> cells;
      for (const TableCell& cell : row) cells.push_back(ShownLine(cell.text));
      std::printf("%s\n", Join(cells, "\t").c_str());
    }
    std::printf("%s\n", table.cut ? "(further rows are not kept)\n" : "");
  }
}

Status RunShow(CliSession& session, const DocsFlags& flags) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  const auto found = api->GetDocument(session.options.collection, flags.id, session.ctx());
  if (!found.ok()) return session.Explain(found.status());
  const Document& document = *found;
  const auto near = api->FindNearDuplicate(session.options.collection, flags.id, session.ctx());
  RETURN_IF_ERROR(near.status());
  std::optional<std::vector<Table>> tables;
  if (flags.tables) {
    ASSIGN_OR_RETURN(tables, api->GetTables(session.options.collection, flags.id, session.ctx()));
  }
  if (session.options.json) {
    std::printf("%s\n", DocumentJson(document, *near, tables).c_str());
  } else if (tables) {
    PrintTables(*tables);
  } else {
    const std::string text = ShownText(document.text);
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (!document.text.empty() && document.text.back() != '\n') std::printf("\n");
    if (*near) {
      std::fprintf(stderr, "nearly the same (%d%%): %s\n",
                   static_cast<int>(100 * (*near)->likeness), PrintableLine((*near)->id).c_str());
    }
  }
  return OkStatus();
}

// "key=value": true and false are bools, numbers numbers, "a|b" a list, all else a string.
Status ParseMeta(const std::string& text, Metadata* metadata) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) {
    return InvalidArgument("--meta " + text + " is not of the form KEY=VALUE");
  }
  const std::string value = text.substr(equals + 1);
  MetadataValue& slot = (*metadata)[text.substr(0, equals)];
  if (value == "true" || value == "false") {
    slot = value == "true";
  } else if (const auto number = ParseDouble(value)) {
    slot = *number;
  } else if (value.find('|') != std::string::npos) {
    slot = Split(value, '|');
  } else {
    slot = value;
  }
  return OkStatus();
}

Status RunPut(CliSession& session, const DocsFlags& flags) {
  PutRequest request;
  request.info.id = flags.id;
  request.info.title = flags.title;
  request.info.source = flags.file == "-" ? flags.id : flags.file;
  request.info.groups = SplitList(flags.groups);
  request.info.supersedes = flags.supersedes;
  request.info.valid_from = flags.valid_from;
  for (const std::string& meta : flags.meta)
    RETURN_IF_ERROR(ParseMeta(meta, &request.info.metadata));
  ASSIGN_OR_RETURN(request.bytes, ReadInput(flags.file));
  RETURN_IF_ERROR(session.ctx().Check());  // an input that Ctrl-C cut short is not stored
  ASSIGN_OR_RETURN(Api * api, session.api());
  ASSIGN_OR_RETURN(PutResult result,
                   api->PutDocument(session.options.collection, request, session.ctx()));
  if (session.options.json) {
    std::printf("%s\n", PutJson(result).c_str());
  } else {
    std::printf(
        "%s %s, revision %llu, %llu passages\n", std::string(OutcomeName(result.outcome)).c_str(),
        ShownLine(result.document_id).c_str(), static_cast<unsigned long long>(result.revision),
        static_cast<unsigned long long>(result.passages));
  }
  return OkStatus();
}

Status RunDelete(CliSession& session, const DocsFlags& flags) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  const std::string& collection = session.options.collection;
  const auto deleted = flags.erase ? api->EraseDocuments(collection, flags.ids, session.ctx())
                                   : api->DeleteDocuments(collection, flags.ids, session.ctx());
  if (!deleted.ok()) return session.Explain(deleted.status());
  if (session.options.json) {
    std::printf("%s\n", DeletedJson(*deleted).c_str());
  } else {
    std::printf("%llu deleted\n", static_cast<unsigned long long>(*deleted));
  }
  if (*deleted == 0) return NotFound("no document of that id; vade docs list shows the ids");
  return OkStatus();
}

void AddDocs(CLI::App& app, CliSession& session) {
  auto flags = std::make_shared<DocsFlags>();
  CLI::App* docs = app.add_subcommand("docs", "List, show, put and delete documents");
  docs->require_subcommand(1);

  CLI::App* list = docs->add_subcommand("list", "Documents by id");
  list->add_option("--filter", flags->filter,
                   "Only documents that satisfy this expression (docs/filters.md)");
  auto* groups = list->add_option("--groups", flags->groups,
                                  "Only what a caller with these groups may find (default: all)");
  list->add_option("--after", flags->after, "Begin behind this id");
  list->add_option("--limit", flags->limit, "Documents at most")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  list->callback([&session, flags, groups] {
    flags->as_caller = groups->count() > 0;
    session.Run([&] { return RunList(session, *flags); });
  });

  CLI::App* show = docs->add_subcommand("show", "A document's text");
  show->add_option("id", flags->id, "Document id")->required();
  show->add_flag("--tables", flags->tables,
                 "Its tables with the types of their columns (--json: of their cells)");
  show->callback([&session, flags] { session.Run([&] { return RunShow(session, *flags); }); });

  CLI::App* put = docs->add_subcommand("put", "Store a document under an id");
  put->add_option("id", flags->id, "Document id")->required();
  put->add_option("file", flags->file, "File, or - for standard input")->required();
  put->add_option("--title", flags->title, "Title (default: from the text)");
  put->add_option("--meta", flags->meta, "KEY=VALUE, may be repeated");
  put->add_option("--groups", flags->groups,
                  "Who may find it, comma-separated (default: everyone)");
  put->add_option("--supersedes", flags->supersedes,
                  "Id of the document whose place this one takes");
  put->add_option("--valid-from", flags->valid_from,
                  "From when it holds: RFC 3339 or a date (default: always)");
  put->callback([&session, flags] { session.Run([&] { return RunPut(session, *flags); }); });

  CLI::App* remove = docs->add_subcommand("delete", "Delete documents");
  remove->add_option("id", flags->ids, "Document ids")->required();
  remove->add_flag("--erase", flags->erase, "Return once the bytes have left the files");
  remove->callback([&session, flags] { session.Run([&] { return RunDelete(session, *flags); }); });
}

// --- collections
// ------------------------------------------------------------------------------------------

Status PrintCollections(CliSession& session, const std::vector<CollectionInfo>& collections) {
  if (session.options.json) {
    std::printf("%s\n", CollectionsJson(collections).c_str());
    return OkStatus();
  }
  for (const CollectionInfo& c : collections) {
    std::printf("%s\t%llu documents\t%llu passages\t%s\n", c.name.c_str(),
                static_cast<unsigned long long>(c.document_count),
                static_cast<unsigned long long>(c.passage_count), ShownLine(c.embedder_id).c_str());
  }
  return OkStatus();
}

Status RunCollectionsList(CliSession& session) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  ASSIGN_OR_RETURN(auto collections, api->ListCollections(session.ctx()));
  return PrintCollections(session, collections);
}

Status RunCollectionsCreate(CliSession& session, const std::string& name) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  ASSIGN_OR_RETURN(CollectionInfo info, api->CreateCollection(name, session.ctx()));
  return PrintCollections(session, {info});
}

Status RunCollectionsDelete(CliSession& session, const std::string& name) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  RETURN_IF_ERROR(api->DeleteCollection(name, session.ctx()));
  if (session.options.json) std::printf("%s\n", DeletedJson(1).c_str());
  return OkStatus();
}

void AddCollections(CLI::App& app, CliSession& session) {
  auto name = std::make_shared<std::string>();
  CLI::App* collections = app.add_subcommand("collections", "List, create and delete collections");
  collections->require_subcommand(1);
  collections->add_subcommand("list", "All collections")->callback([&session] {
    session.Run([&] { return RunCollectionsList(session); });
  });
  CLI::App* create = collections->add_subcommand("create", "A new, empty collection");
  create->add_option("name", *name, "Name")->required();
  create->callback(
      [&session, name] { session.Run([&] { return RunCollectionsCreate(session, *name); }); });
  CLI::App* remove =
      collections->add_subcommand("delete", "Delete a collection with all its documents");
  remove->add_option("name", *name, "Name")->required();
  remove->callback(
      [&session, name] { session.Run([&] { return RunCollectionsDelete(session, *name); }); });
}

struct VerifyFlags {
  bool repair = false;
};

Status RunWarm(CliSession& session) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  auto report = api->Warm(session.options.collection, session.ctx());
  RETURN_IF_ERROR(session.Explain(report.status()));
  if (session.options.json) {
    std::printf("%s\n", WarmJson(*report).c_str());
    return OkStatus();
  }
  std::printf("%llu passages, %llu read now\n", static_cast<unsigned long long>(report->passages),
              static_cast<unsigned long long>(report->read));
  if (!report->complete)
    std::printf("the budget is used up; answer.kept_disk_bytes of the configuration raises it\n");
  return OkStatus();
}

void PrintVerified(const VerifyReport& report, const KeptFilesReport& kept) {
  for (const std::string& problem : report.problems)
    std::printf("problem: %s\n", ShownLine(problem).c_str());
  std::printf("%llu documents, %llu passages, %llu vectors, %zu problems\n",
              static_cast<unsigned long long>(report.documents),
              static_cast<unsigned long long>(report.passages),
              static_cast<unsigned long long>(report.vectors), report.problems.size());
  for (const KeptFileProblem& problem : kept.problems)
    std::printf("%s: kept passage %s\n", problem.removed ? "removed" : "problem",
                ShownLine(problem.line).c_str());
  std::printf("%llu files of kept passages, %llu bytes, %zu problems\n",
              static_cast<unsigned long long>(kept.files),
              static_cast<unsigned long long>(kept.bytes), kept.problems.size());
}

Status RunVerify(CliSession& session, const VerifyFlags& flags) {
  ASSIGN_OR_RETURN(LocalApi * local, session.local());
  ASSIGN_OR_RETURN(const VerifyReport report, local->store().Verify(session.ctx()));
  const auto repair = flags.repair ? BlockFiles::Repair::kRemove : BlockFiles::Repair::kNothing;
  ASSIGN_OR_RETURN(const KeptFilesReport kept, local->VerifyKeptFiles(repair, session.ctx()));
  if (session.options.json) {
    std::printf("%s\n", VerifyJson(report, kept).c_str());
  } else {
    PrintVerified(report, kept);
  }
  if (!report.problems.empty())
    return DataLoss("the store does not agree with itself; the problems stand above");
  const uint64_t left = kept.problems.size() - kept.removed();
  if (left > 0 && flags.repair) {
    return DataLoss(StrCat(left,
                           " files or folders of kept passages are no good and are still "
                           "there; why stands above"));
  }
  if (left > 0) {
    return DataLoss(
        "files of kept passages are no good; `vade verify --repair` removes them, and what they "
        "held is read again when it is needed");
  }
  return OkStatus();
}

}  // namespace

void AddCorpusCommands(CLI::App& app, CliSession& session) {
  AddDocs(app, session);
  AddCollections(app, session);
  app.add_subcommand("warm", "Read passages ahead of the questions, within the budget of the cache")
      ->callback([&session] { session.Run([&] { return RunWarm(session); }); });
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App* verify =
      app.add_subcommand("verify", "Check that text, vectors and derived files agree");
  verify->add_flag("--repair", flags->repair,
                   "Remove files of kept passages that are damaged or out of date");
  verify->callback([&session, flags] { session.Run([&] { return RunVerify(session, *flags); }); });
}

}  // namespace vade
