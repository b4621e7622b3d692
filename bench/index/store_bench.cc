// A whole store of many passages: how long to fill and to open, how much memory, how fast are its
// searches, alone and beside a writer? Prints one JSON object a line.
//
//   store_bench fill DIR BASE.fbin TEXTS.txt             a passage a line and row, 100 a document
//   store_bench open DIR
//   store_bench search DIR QUERIES.fbin QUERIES.txt vectors|terms|both THREADS [WRITER.fbin]
//
// With WRITER.fbin one more thread puts documents of its rows all the time, into the same
// collection; what it wrote is deleted at the end. .fbin: bench/index/matrix.h.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "bench/index/matrix.h"
#include "index/index.h"

namespace vade {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kPassagesOfDocument = 100;
constexpr size_t kWritten = 10;  // passages of a document that is put beside searches
constexpr auto kSearching = std::chrono::seconds(20);

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of this process, MiB: what /proc/self/status calls `key`.
double MemoryMib(std::string_view key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(key)) continue;
    return std::atof(line.c_str() + line.find_first_of("0123456789")) / 1024;
  }
  return 0;
}

Result<std::vector<std::string>> ReadLines(const std::string& path) {
  std::ifstream file(path);
  if (!file) return NotFound(path + " cannot be read");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
  return lines;
}

struct NewDocument {
  std::string id;
  std::span<const std::string> texts;
  const float* vectors;
};

Result<std::unique_ptr<DocumentWriter>> Stage(Store* store, const NewDocument& document) {
  DocumentInfo info;
  info.id = info.content_hash = document.id;
  ASSIGN_OR_RETURN(auto writer, store->BeginDocument("default", info));
  ASSIGN_OR_RETURN(const CollectionInfo collection, store->GetCollection("default"));
  uint64_t at = 0;
  std::vector<Passage> passages;
  for (const std::string& text : document.texts) {
    RETURN_IF_ERROR(writer->AddText(text + "\n"));
    Passage passage;
    passage.begin = at;
    passage.end = at + text.size();
    passage.language = "en";
    at += text.size() + 1;
    passages.push_back(std::move(passage));
  }
  RETURN_IF_ERROR(writer->AddPassages(
      passages,
      {document.vectors, document.texts.size() * static_cast<size_t>(collection.dimension)}));
  return writer;
}

Status Fill(const std::string& directory, const std::string& base, const std::string& text_file) {
  ASSIGN_OR_RETURN(const Matrix<float> vectors, ReadMatrix<float>(base));
  ASSIGN_OR_RETURN(const auto texts, ReadLines(text_file));
  if (texts.size() < vectors.rows) return InvalidArgument("there are fewer texts than vectors");
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(const auto store, OpenStore(directory, {}));
  RETURN_IF_ERROR(store->CreateCollection(
      {.name = "default", .embedder_id = "bench", .dimension = static_cast<int>(vectors.columns)}));
  for (size_t at = 0; at < vectors.rows; at += kPassagesOfDocument) {
    const size_t count = std::min<size_t>(kPassagesOfDocument, vectors.rows - at);
    ASSIGN_OR_RETURN(const auto writer,
                     Stage(store.get(), {.id = StrCat("d", at),
                                         .texts = std::span(texts).subspan(at, count),
                                         .vectors = vectors.Row(at)}));
    RETURN_IF_ERROR(writer->Commit(Context()).status());
  }
  const double put = SecondsSince(start);
  RETURN_IF_ERROR(store->SealAll(Context()));
  std::printf("{\"put_seconds\":%.1f,\"sealed_seconds\":%.1f,\"peak_mib\":%.0f}\n", put,
              SecondsSince(start), MemoryMib("VmHWM"));
  return OkStatus();
}

Result<std::unique_ptr<Store>> OpenTimed(const std::string& directory) {
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(auto store, OpenStore(directory, {.create_if_missing = false}));
  std::printf("{\"open_ms\":%.1f,\"resident_mib\":%.0f,\"of_it_mapped_mib\":%.0f}\n",
              SecondsSince(start) * 1000, MemoryMib("VmRSS"), MemoryMib("RssFile"));
  return store;
}

struct Questions {
  Matrix<float> vectors;
  std::vector<std::string> words;
  RankingOptions ranking;
};

// Goes through the questions until the time is over; the seconds that each took.
Result<std::vector<double>> Ask(Store* store, const Questions& questions, size_t first,
                                Clock::time_point end) {
  std::vector<double> taken;
  for (size_t q = first; Clock::now() < end; ++q) {
    const size_t at = q % questions.words.size();
    SearchRequest request;
    request.collection = "default";
    request.vector.assign(questions.vectors.Row(at), questions.vectors.Row(at + 1));
    request.question = questions.words[at];
    request.k = 10;
    request.ranking = questions.ranking;
    const auto start = Clock::now();
    RETURN_IF_ERROR(store->Search(request, Context()).status());
    taken.push_back(SecondsSince(start));
  }
  return taken;
}

Status Write(Store* store, const Matrix<float>& vectors, const std::vector<std::string>& words,
             const std::atomic<bool>& stop, std::vector<std::string>* written) {
  while (!stop) {
    const size_t at = written->size() * kWritten % (vectors.rows - kWritten);
    ASSIGN_OR_RETURN(
        const auto writer,
        Stage(store, {.id = StrCat("written", written->size()),
                      .texts = std::span(words).subspan(at % (words.size() - kWritten), kWritten),
                      .vectors = vectors.Row(at)}));
    RETURN_IF_ERROR(writer->Commit(Context()).status());
    written->push_back(StrCat("written", written->size()));
  }
  return OkStatus();
}

void Report(std::vector<double> taken, size_t threads, size_t written) {
  std::sort(taken.begin(), taken.end());
  const auto milliseconds = [&](double share) {
    return taken[static_cast<size_t>(share * static_cast<double>(taken.size() - 1))] * 1000;
  };
  std::printf(
      "{\"threads\":%zu,\"questions_per_second\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,"
      "\"passages_written\":%zu,\"resident_mib\":%.0f}\n",
      threads,
      static_cast<double>(taken.size()) / std::chrono::duration<double>(kSearching).count(),
      milliseconds(.5), milliseconds(.99), written * kWritten, MemoryMib("VmRSS"));
  std::fflush(stdout);
}

// `threads` at once, each from another question on.
Status AskTogether(Store* store, const Questions& questions, size_t threads,
                   std::vector<double>* taken) {
  const auto end = Clock::now() + kSearching;
  std::vector<Result<std::vector<double>>> results(threads, Internal("not run"));
  std::vector<std::thread> searching;
  for (size_t t = 0; t < threads; ++t) {
    searching.emplace_back([&, t] { results[t] = Ask(store, questions, t * 97, end); });
  }
  for (std::thread& thread : searching) thread.join();
  for (const auto& result : results) {
    RETURN_IF_ERROR(result.status());
    taken->insert(taken->end(), result->begin(), result->end());
  }
  return OkStatus();
}

Status AskBesideWriter(Store* store, const Questions& questions, size_t threads,
                       const std::string& writer_file) {
  ASSIGN_OR_RETURN(const Matrix<float> vectors, ReadMatrix<float>(writer_file));
  if (vectors.rows <= kWritten || vectors.columns != questions.vectors.columns) {
    return InvalidArgument(writer_file + " has too few rows, or other ones");
  }
  std::atomic<bool> stop{false};
  std::vector<std::string> written;
  Status wrote;
  std::thread writing([&] { wrote = Write(store, vectors, questions.words, stop, &written); });
  std::vector<double> taken;
  const Status asked = AskTogether(store, questions, threads, &taken);
  stop = true;
  writing.join();
  RETURN_IF_ERROR(asked);
  RETURN_IF_ERROR(wrote);
  Report(std::move(taken), threads, written.size());
  return store->DeleteDocuments("default", written, Context()).status();
}

Status Search(const std::vector<std::string>& arguments) {
  Questions questions;
  ASSIGN_OR_RETURN(questions.vectors, ReadMatrix<float>(arguments[1]));
  ASSIGN_OR_RETURN(questions.words, ReadLines(arguments[2]));
  if (questions.words.size() <= kWritten || questions.words.size() > questions.vectors.rows) {
    return InvalidArgument("the questions' words and vectors do not belong together");
  }
  using Source = RankingOptions::Source;
  questions.ranking.source = arguments[3] == "vectors" ? Source::kVectors
                             : arguments[3] == "terms" ? Source::kTerms
                                                       : Source::kBoth;
  const size_t threads = std::clamp<size_t>(ParseUint(arguments[4]).value_or(1), 1, 64);
  ASSIGN_OR_RETURN(const auto store, OpenTimed(arguments[0]));
  std::vector<double> warming, taken;
  RETURN_IF_ERROR(AskTogether(store.get(), questions, threads, &warming));
  RETURN_IF_ERROR(AskTogether(store.get(), questions, threads, &taken));
  Report(std::move(taken), threads, 0);
  if (arguments.size() < 6) return OkStatus();
  return AskBesideWriter(store.get(), questions, threads, arguments[5]);
}

Status Run(std::vector<std::string> arguments) {
  const std::string command = arguments.empty() ? "" : arguments[0];
  if (!arguments.empty()) arguments.erase(arguments.begin());
  if (command == "fill" && arguments.size() == 3) {
    return Fill(arguments[0], arguments[1], arguments[2]);
  }
  if (command == "open" && arguments.size() == 1) return OpenTimed(arguments[0]).status();
  if (command == "search" && arguments.size() >= 5) return Search(arguments);
  return InvalidArgument("see the top of bench/index/store_bench.cc for what it takes");
}

}  // namespace
}  // namespace vade

int main(int argc, char** argv) {
  const vade::Status done = vade::Run(std::vector<std::string>(argv + 1, argv + argc));
  if (!done.ok()) std::fprintf(stderr, "store_bench: %s\n", done.ToString().c_str());
  return done.ok() ? 0 : 1;
}
