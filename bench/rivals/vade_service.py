"""`vade serve` as the comparisons use it: started with settings of its own, spoken to over gRPC."""

import importlib
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import grpc
import grpc_tools
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
GOOGLE_PROTO = pathlib.Path(grpc_tools.__file__).parent / "_proto"
LIMITS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]


def _stubs():
    """The messages and stubs of proto/vade/v1, generated into a folder that goes when all are loaded."""
    names = ("common", "corpus", "search", "answer")
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"-I{PROTO}", f"-I{GOOGLE_PROTO}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
        if protoc.main(["protoc", *flags, *(f"vade/v1/{name}.proto" for name in names)]) != 0:
            sys.exit("error: the stubs could not be generated from proto/; protoc's message stands above")
        sys.path.insert(0, folder)
        try:
            return {f"{name}{kind}": importlib.import_module(f"vade.v1.{name}_pb2{kind}")
                    for name in names for kind in ("", "_grpc")}
        finally:
            sys.path.remove(folder)


V1 = _stubs()


def free_address():
    """One that nobody listens on, for now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


class Service:
    """A service on a data directory; it ends with the block. `settings` are lines of its configuration file."""

    def __init__(self, vade, data, model, settings, threads=0):
        self.data, self._log = pathlib.Path(data), tempfile.TemporaryFile("w+")
        self._config = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self._metrics = free_address()
        lines = {"data.dir": data, "model.decoder": model, "model.threads": threads, "metrics.address": self._metrics,
                 **settings}
        self._config.write("".join(f"{key} = {value}\n" for key, value in lines.items()))
        self._config.flush()
        command = [vade, "--json", "serve", "--config", self._config.name, "--grpc", "127.0.0.1:0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, text=True)
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            sys.exit(f"error: the service did not start: {self._log.read().strip()[-500:]}")
        self._channel = grpc.insecure_channel(json.loads(line)["listening"], options=LIMITS)
        self._corpus = V1["corpus_grpc"].CorpusServiceStub(self._channel)
        self._search = V1["search_grpc"].SearchServiceStub(self._channel)
        self._answer = V1["answer_grpc"].AnswerServiceStub(self._channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._channel.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._config.close()
        self._log.close()

    def metrics(self):
        """The figures of its page of metrics, by name with labels."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self._metrics}/metrics") as page:
            lines = page.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def put(self, collection, document_id, title, text):
        request = V1["corpus"].PutDocumentRequest(collection=collection, content=text.encode())
        request.info.document_id, request.info.title = document_id, title
        self._corpus.PutDocument(request)

    def search(self, collection, question, k):
        return self._search.Search(V1["search"].SearchRequest(question=question, collection=collection, k=k)).hits

    def ask(self, collection, question, k, max_tokens=256, system=""):
        """The facts of one answer: times in milliseconds, `seen` from here and the others by the service."""
        options = V1["answer"].AskOptions(collection=collection, k=k, max_tokens=max_tokens, system=system)
        start, seen, done = time.perf_counter(), None, None
        for event in self._answer.Ask(V1["answer"].AskRequest(question=question, options=options)):
            kind = event.WhichOneof("event")
            if kind == "token" and seen is None:
                seen = (time.perf_counter() - start) * 1000
            if kind == "done":
                done = event.done
        times = {timing.stage: timing.milliseconds for timing in done.timings}
        found = sum(times.get(stage, 0) for stage in ("embed", "search", "rerank"))
        if seen is None:
            sys.exit(f"error: the answer to '{question}' has no text")
        return {"seen_ms": seen, "found_ms": found, "read_ms": times["first_token"] - found,
                "decode_ms": times.get("decode", 0), "text": done.answer, "abstained": done.abstained,
                "prompt_tokens": done.usage.prompt_tokens, "cached_tokens": done.usage.cached_tokens,
                "completion_tokens": done.usage.completion_tokens}


def copy_of(data, to):
    """A data directory that nobody has open, copied, so that a second service can have it."""
    shutil.copytree(data, to)
    (pathlib.Path(to) / "lock").unlink(missing_ok=True)
    return to


def kept_files(data):
    """The files of the passages that were read and kept."""
    return [path for path in (pathlib.Path(data) / "kv").rglob("*") if path.is_file()]


def forget_kept(data):
    """Removes all passages that were read and kept; the service must not run."""
    shutil.rmtree(pathlib.Path(data) / "kv", ignore_errors=True)
