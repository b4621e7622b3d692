"""A folder into a FAISS index through LangChain, as its guides show it; prints one JSON object. See run.

    langchain_ingest.py FOLDER OUT GRAPHS KIND THREADS PASSAGE_TOKENS OVERLAP_TOKENS

Loaders are LangChain's own where they need no further program; spreadsheets, mail and notebooks, for which it has only those of
`unstructured` (or pandas), are read with openpyxl, email and json in a few lines. A file that fails is counted and passed over.
"""

import email
import email.policy
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from langchain_community.document_loaders import BSHTMLLoader, CSVLoader, Docx2txtLoader, PyPDFLoader, TextLoader
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

import e5_onnx


class E5(Embeddings):
    def __init__(self, encoder):
        self.encoder = encoder

    def embed_documents(self, texts):
        return self.encoder.embed([f"passage: {text}" for text in texts]).tolist()

    def embed_query(self, text):
        return self.encoder.embed([f"query: {text}"])[0].tolist()


def one(path, text):
    return [Document(page_content=text, metadata={"source": str(path)})]


def spreadsheet(path):
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    rows = (" | ".join("" if cell is None else str(cell) for cell in row) for sheet in book for row in sheet.iter_rows(values_only=True))
    return one(path, "\n".join(rows))


def mail(path):
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = message.get_body(("plain", "html"))
    return one(path, f"{message['subject']}\n\n{body.get_content() if body else ''}")


def notebook(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return one(path, "\n\n".join("".join(cell["source"]) for cell in cells))


def values(path):
    def texts(value):
        if isinstance(value, dict):
            return [f"{key}: {text}" for key, inner in value.items() for text in texts(inner)]
        if isinstance(value, list):
            return [text for inner in value for text in texts(inner)]
        return [str(value)]
    return one(path, "\n".join(texts(json.loads(path.read_text(encoding="utf-8")))))


def loader(path):
    kind = path.suffix.lower()
    ready = {".html": lambda: BSHTMLLoader(str(path), open_encoding="utf-8").load(), ".pdf": lambda: PyPDFLoader(str(path)).load(),
             ".docx": lambda: Docx2txtLoader(str(path)).load(), ".csv": lambda: CSVLoader(str(path), encoding="utf-8").load(),
             ".xlsx": lambda: spreadsheet(path), ".eml": lambda: mail(path), ".ipynb": lambda: notebook(path),
             ".json": lambda: values(path)}
    plain = {".txt", ".md", ".rs", ".rst", ".org", ".xml"}
    if kind in plain:
        return TextLoader(str(path), autodetect_encoding=True).load()
    return ready[kind]()  # another kind has no loader: a failure


def main():
    folder, out, graphs, kind, threads, tokens, overlap = sys.argv[1:]
    seconds = {}
    start = time.perf_counter()
    def lap(name):
        nonlocal start
        now = time.perf_counter()
        seconds[name], start = round(now - start, 2), now
    encoder = e5_onnx.Encoder(graphs, kind, int(threads))
    lap("model")
    documents, failed = [], []
    for path in sorted(p for p in pathlib.Path(folder).rglob("*") if p.is_file()):
        try:
            documents += loader(path)
        except Exception as problem:  # whatever a loader throws
            failed.append(f"{path.name}: {type(problem).__name__}")
    lap("load")
    splitter = RecursiveCharacterTextSplitter(chunk_size=int(tokens), chunk_overlap=int(overlap), length_function=encoder.count)
    passages = [passage for passage in splitter.split_documents(documents) if passage.page_content.strip()]
    lap("split")
    store = FAISS.from_documents(passages, E5(encoder))
    lap("embed")
    store.save_local(out)
    lap("save")
    print(json.dumps({"passages": len(passages), "failed": len(failed), "failures": failed,
                      "text_bytes": sum(len(one.page_content.encode()) for one in documents), "seconds": seconds}))


if __name__ == "__main__":
    main()
