#!/usr/bin/env python3
"""A small client of a running `vade serve`: put a document, search, ask, chat, delete.

Everything it knows of the service is proto/vade/v1; README.md has the two commands that generate the stubs.
"""

import argparse
import pathlib
import sys

import grpc

from vade.v1 import answer_pb2, answer_pb2_grpc
from vade.v1 import corpus_pb2, corpus_pb2_grpc
from vade.v1 import search_pb2, search_pb2_grpc


def put(channel, args):
    corpus = corpus_pb2_grpc.CorpusServiceStub(channel)
    for name in args.files:
        path = pathlib.Path(name)
        request = corpus_pb2.PutDocumentRequest(collection=args.collection, content=path.read_bytes())
        request.info.document_id = path.name
        request.info.source = name
        response = corpus.PutDocument(request, timeout=args.timeout)
        outcome = corpus_pb2.PutDocumentResponse.Outcome.Name(response.outcome)
        print(f"{response.document_id}: {outcome}, revision {response.revision}, {response.passages} passages")


def list_documents(channel, args):
    corpus = corpus_pb2_grpc.CorpusServiceStub(channel)
    token = ""
    while True:
        page = corpus.ListDocuments(
            corpus_pb2.ListDocumentsRequest(collection=args.collection, page_token=token), timeout=args.timeout)
        for info in page.documents:
            print(f"{info.document_id}\t{info.title}\trevision {info.revision}")
        token = page.next
        if not token:
            return


def delete(channel, args):
    corpus = corpus_pb2_grpc.CorpusServiceStub(channel)
    response = corpus.DeleteDocuments(
        corpus_pb2.DeleteDocumentsRequest(collection=args.collection, document_ids=args.ids), timeout=args.timeout)
    print(f"{response.deleted} deleted")


def search(channel, args):
    stub = search_pb2_grpc.SearchServiceStub(channel)
    response = stub.Search(
        search_pb2.SearchRequest(question=args.question, collection=args.collection, k=args.k), timeout=args.timeout)
    for hit in response.hits:
        print(f"{hit.score:.3f}  {hit.document_id} [{hit.begin},{hit.end})  {hit.text.strip()[:80]!r}")


def print_answer(stream):
    """Prints the words as they come, then where they stand. Returns the whole answer."""
    answer = ""
    for event in stream:
        kind = event.WhichOneof("event")
        if kind == "token":
            print(event.token.text, end="", flush=True)
        elif kind == "done":
            answer = event.done.answer
            print()
            for citation in event.done.citations:
                where = f"{citation.document_id} [{citation.source_begin},{citation.source_end})"
                print(f"  [{citation.label}] {where}: {citation.quote!r}")
    return answer


# A request has at most 1000 turns, and the service reads only as many of the newest as its token budget lets in.
KEPT_TURNS = 200


def options(args):
    return answer_pb2.AskOptions(collection=args.collection, k=args.k, max_tokens=args.max_tokens)


def ask(channel, args):
    stub = answer_pb2_grpc.AnswerServiceStub(channel)
    request = answer_pb2.AskRequest(question=args.question, options=options(args))
    print_answer(stub.Ask(request, timeout=args.timeout))


def chat(channel, args):
    """The service keeps nothing: the client sends the turns each time."""
    stub = answer_pb2_grpc.AnswerServiceStub(channel)
    turns = []
    for line in sys.stdin:
        if not line.strip():
            continue
        turns.append(answer_pb2.Turn(role=answer_pb2.Turn.ROLE_USER, content=line.strip()))
        answer = print_answer(stub.Chat(answer_pb2.ChatRequest(turns=turns, options=options(args)),
                                        timeout=args.timeout))
        turns.append(answer_pb2.Turn(role=answer_pb2.Turn.ROLE_ASSISTANT, content=answer))
        del turns[:-KEPT_TURNS]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    parser.add_argument("--collection", default="default")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, function, text, *arguments):
        added = commands.add_parser(name, help=text)
        added.set_defaults(run=function)
        for flags, settings in arguments:
            added.add_argument(*flags, **settings)

    question = (["question"], {})
    k = (["-k"], {"type": int, "default": 5, "help": "passages to read"})
    max_tokens = (["--max-tokens"], {"type": int, "default": 256})
    command("put", put, "store files as documents", (["files"], {"nargs": "+"}))
    command("list", list_documents, "list the documents")
    command("delete", delete, "delete documents", (["ids"], {"nargs": "+"}))
    command("search", search, "find passages", question, k)
    command("ask", ask, "answer one question", question, k, max_tokens)
    command("chat", chat, "answer the lines of standard input, one after the other", k, max_tokens)
    return parser.parse_args()


def main():
    args = parse_arguments()
    # The service's messages are at most 64 MiB; the library's own limit is 4.
    limits = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
    with grpc.insecure_channel(args.server, options=limits) as channel:
        try:
            args.run(channel, args)
        except grpc.RpcError as error:
            # The message says what is wrong and what helps.
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
