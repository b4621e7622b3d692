"""A folder of mixed files as people have them, made from real text by a seeded generator: the same bytes for every run.

The text is that of a book in Markdown (English and Chinese); each file takes the beginning of one of its sections and is
written in one of the formats. Real files of a second folder are taken in as they are, those under a limit of size.
"""

import base64
import csv
import email.header
import email.message
import html
import io
import json
import pathlib
import random
import re
import zipfile

# Format -> share of the made files.
SHARES = {"md": 20, "txt": 16, "html": 14, "pdf": 10, "docx": 10, "source": 8, "csv": 5, "json": 5, "xlsx": 4, "eml": 4, "ipynb": 4}
MOST_REAL_BYTES = 100_000
# A made file has about so many characters of text, by its place in this list.
LENGTHS = (300, 600, 900, 1500, 3000)
FENCE = re.compile(r"```(\w*)[^\n]*\n(.*?)```", re.S)


def plain(markdown):
    """Paragraphs without marks."""
    text = FENCE.sub(lambda found: found.group(2), re.sub(r"<[^>]+>|\{\{.*?\}\}", "", markdown))
    text = re.sub(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])", r"\1", text)
    return [re.sub(r"\s+", " ", re.sub(r"^#+ |[*`>]", "", part)).strip() for part in text.split("\n\n") if part.strip()]


def shortened(markdown, length):
    """Whole blocks up to about that length."""
    blocks, taken = markdown.split("\n\n"), 0
    for count, block in enumerate(blocks, 1):
        taken += len(block)
        if taken >= length and sum(one.startswith("```") for one in blocks[:count]) % 2 == 0:
            return "\n\n".join(blocks[:count])
    return markdown


def html_of(title, paragraphs):
    links = "".join(f'<li><a href="/{name}">{name.title()}</a></li>' for name in ("home", "about", "archive", "contact", "imprint"))
    body = "".join(f"<p>{html.escape(part)}</p>\n" for part in paragraphs)
    return (f"<!doctype html><html><head><title>{html.escape(title)}</title><style>p{{margin:1em}}</style></head><body><nav><ul>{links}"
            f"</ul></nav><main><h1>{html.escape(title)}</h1>\n{body}</main><footer>All rights reserved</footer></body></html>").encode()


def pdf_of(title, paragraphs):
    """Helvetica, wrapped at 90 characters, 50 lines a page. Latin-1 only."""
    lines = [title, ""]
    for part in paragraphs:
        words, line = part.split(" "), ""
        for word in words:
            if len(line) + len(word) > 90:
                lines.append(line)
                line = ""
            line += (" " if line else "") + word
        lines += [line, ""]
    pages = [lines[i:i + 50] for i in range(0, len(lines), 50)]
    objects = [b"<</Type/Catalog/Pages 2 0 R>>",
               f"<</Type/Pages/Kids[{' '.join(f'{4 + 2 * i} 0 R' for i in range(len(pages)))}]/Count {len(pages)}>>".encode(),
               b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"]
    for i, page in enumerate(pages):
        shown = b"".join(b"(" + re.sub(rb"([\\()])", rb"\\\1", line.encode("latin-1", "replace")) + b") Tj T*\n" for line in page)
        stream = b"BT /F 10 Tf 13 TL 56 780 Td\n" + shown + b"ET"
        objects.append(f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {5 + 2 * i} 0 R/Resources<</Font<</F 3 0 R>>>>>>".encode())
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream))
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + (b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" %
                  (len(objects) + 1, table, len(objects) + 1, len(out)))


def packed(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files:
            # A fixed time: the same bytes for every run.
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


TYPES = "<?xml version='1.0' encoding='UTF-8'?><Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'>"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
DEFAULTS = ("<Default Extension='rels' ContentType='application/vnd.openxmlformats-package.relationships+xml'/>"
            "<Default Extension='xml' ContentType='application/xml'/>")


def part(name, kind):
    return f"<Override PartName='{name}' ContentType='application/vnd.openxmlformats-officedocument.{kind}+xml'/>"


def relations(kind, target):
    return f"<Relationships xmlns='{PACKAGE}'><Relationship Id='rId1' Type='{OFFICE}/{kind}' Target='{target}'/></Relationships>"


def docx_of(title, paragraphs):
    body = f"<w:p><w:pPr><w:pStyle w:val='Heading1'/></w:pPr><w:r><w:t>{html.escape(title)}</w:t></w:r></w:p>"
    body += "".join(f"<w:p><w:r><w:t xml:space='preserve'>{html.escape(one)}</w:t></w:r></w:p>" for one in paragraphs)
    return packed([
        ("[Content_Types].xml", TYPES + DEFAULTS + part("/word/document.xml", "wordprocessingml.document.main") + "</Types>"),
        ("_rels/.rels", relations("officeDocument", "word/document.xml")),
        ("word/document.xml", "<w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'><w:body>" + body +
         "</w:body></w:document>")])


def xlsx_of(rows):
    def cell(value):
        return f"<c t='inlineStr'><is><t>{html.escape(value)}</t></is></c>"
    sheet = "".join(f"<row r='{i + 1}'>{''.join(map(cell, row))}</row>" for i, row in enumerate(rows))
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return packed([
        ("[Content_Types].xml", TYPES + DEFAULTS + part("/xl/workbook.xml", "spreadsheetml.sheet.main") +
         part("/xl/worksheets/sheet1.xml", "spreadsheetml.worksheet") + "</Types>"),
        ("_rels/.rels", relations("officeDocument", "xl/workbook.xml")),
        ("xl/workbook.xml", f"<workbook xmlns='{main}' xmlns:r='{OFFICE}'><sheets><sheet name='Sheet' sheetId='1' r:id='rId1'/></sheets></workbook>"),
        ("xl/_rels/workbook.xml.rels", relations("worksheet", "worksheets/sheet1.xml")),
        ("xl/worksheets/sheet1.xml", f"<worksheet xmlns='{main}'><sheetData>{sheet}</sheetData></worksheet>")])


def rows_of(title, paragraphs):
    return [["number", "section", "note"]] + [[str(i + 1), title, one] for i, one in enumerate(paragraphs)]


def csv_of(title, paragraphs):
    out = io.StringIO()
    csv.writer(out).writerows(rows_of(title, paragraphs))
    return out.getvalue().encode()


def mail_of(title, paragraphs):
    message = email.message.Message()
    message["From"], message["To"] = "Anna Weber <anna@example.org>", "book@example.org"
    message["Subject"] = email.header.Header(title, "utf-8").encode()
    message["Date"] = "Mon, 02 Mar 2026 09:00:00 +0000"
    message["MIME-Version"], message["Content-Type"] = "1.0", 'text/plain; charset="utf-8"'
    message["Content-Transfer-Encoding"] = "base64"
    message.set_payload(base64.encodebytes("\n\n".join(paragraphs).encode()).decode())
    return message.as_bytes()


def notebook_of(markdown):
    cells, at = [], 0
    def add(kind, text):
        if text.strip():
            cell = {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)}
            cells.append(cell | ({"outputs": [], "execution_count": None} if kind == "code" else {}))
    for found in FENCE.finditer(markdown):
        add("markdown", markdown[at:found.start()])
        add("code", found.group(2))
        at = found.end()
    add("markdown", markdown[at:])
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def source_of(title, markdown, paragraphs):
    code = [found.group(2) for found in FENCE.finditer(markdown)]
    return "\n\n".join([f"// {title}\n// {paragraphs[0]}", *code]).encode()


def write(kind, title, markdown, chinese):
    """The extension and the bytes of one file."""
    paragraphs = plain(markdown) or [title]
    if kind == "source" and "```" in markdown:
        return "rs", source_of(title, markdown, paragraphs)
    if kind == "pdf" and not chinese:
        return "pdf", pdf_of(title, paragraphs)
    makers = {"txt": lambda: "\n\n".join([title, *paragraphs]).encode(), "html": lambda: html_of(title, paragraphs),
              "docx": lambda: docx_of(title, paragraphs), "csv": lambda: csv_of(title, paragraphs),
              "xlsx": lambda: xlsx_of(rows_of(title, paragraphs)), "eml": lambda: mail_of(title, paragraphs),
              "ipynb": lambda: notebook_of(markdown),
              "json": lambda: json.dumps({"title": title, "paragraphs": paragraphs}, ensure_ascii=False).encode()}
    return (kind, makers[kind]()) if kind in makers else ("md", f"# {title}\n\n{markdown}\n".encode())


def make(out, book, real, count, seed):
    """`count` files below `out`; returns their number of bytes."""
    out.mkdir(parents=True)
    chooser = random.Random(seed)
    total = 0
    taken = sorted(path for path in real.iterdir() if path.is_file() and path.stat().st_size <= MOST_REAL_BYTES)
    for path in taken[:count]:
        (out / f"real-{path.name}").write_bytes(path.read_bytes())
        total += path.stat().st_size
    sections = {language: [json.loads(line) for line in open(book / f"sections.{language}.jsonl", encoding="utf-8")]
                for language in ("en", "zh")}
    for number in range(len(taken[:count]), count):
        language = chooser.choices(("en", "zh"), (4, 1))[0]
        among = sections[language]
        section, length = chooser.choice(among), chooser.choice(LENGTHS) // (1 if language == "en" else 3)
        kind = chooser.choices(list(SHARES), list(SHARES.values()))[0]
        # A made-up number, so that no two files are the same.
        markdown = f"Copy {number} of the papers.\n\n" + shortened(section["text"], length)
        ending, data = write(kind, section["title"], markdown, language == "zh")
        folder = out / f"part{number % 20}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.{ending}").write_bytes(data)
        total += len(data)
    return total
