"""From a file format to readable text: CSV, JSON, HTML and PDF; each refuses what is broken with a sentence.

Nothing is executed and no address is opened. What a file says about itself is not believed without a bound.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from typing import TYPE_CHECKING

from models import tables
from runtime.errors import DocumentError, DocumentInvalid, DocumentTooLarge, DocumentUnreadable

if TYPE_CHECKING:  # heavy: few requests come with a page or a PDF
    from bs4.element import PageElement, Tag
    from pypdf import PdfReader

MAX_PDF_PAGES = 2000
"""A small file can claim a million pages; reading them would take hours."""
MAX_TEXT_CHARS = 20 * 10**6
"""Characters that one PDF may unfold to: as much as the largest text file that is read."""
MAX_INDENT = 8
"""Spaces: deeper levels are not set in further, or millions of deep values would unfold to gigabytes."""
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_BREAK = "\x1e"
"""Marks the end of a block while HTML's own line breaks are still ordinary space."""
_UNSEEN = ("script", "style", "noscript", "template", "head", "svg", "iframe", "object")
_EDGES = dict.fromkeys(
    "address article aside blockquote caption dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hr li main nav ol option p pre section summary table tr ul br".split(),
    _BREAK,
)
"""What stands before and after a tag's text: blocks are lines of their own."""


def csv_text(text: str, name: str) -> str:
    """Return one line per row, each cell after its column's name, so that a row makes sense by itself."""
    try:
        table = tables.read(text)
    except tables.NotATable as error:
        raise DocumentInvalid(f"{name} is not a valid table: {error}. Export it again as CSV.") from error
    if not table.rows:
        return ", ".join(table.columns)
    return "\n".join(
        "; ".join(_cell(key, cell) for key, cell in zip(table.columns, row.cells, strict=False)) for row in table.rows
    )


def _cell(key: str, cell: str) -> str:
    return f"{key}: {cell}" if key else cell


def json_text(text: str, name: str) -> str:
    """Return the same JSON with one value per line; numbers stay as they are written."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise DocumentInvalid(
            f"{name} is not valid JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}. "
            "Correct the file."
        ) from error
    except ValueError as error:
        raise DocumentInvalid(f"{name} is not valid JSON: {error}. Correct the file.") from error
    except RecursionError as error:
        raise DocumentInvalid(f"{name} is nested too deeply to read. Give the part of it that matters.") from error
    return _one_value_per_line(text)


def _no_constant(word: str) -> None:
    raise ValueError(f"it has {word}, which JSON does not know")


def _one_value_per_line(text: str) -> str:
    parts: list[str] = []
    depth = 0
    before = ""
    for token in _JSON_TOKEN.findall(text):
        if token in "]}":
            depth -= 1
            if before not in ("[", "{"):
                parts.append("\n" + " " * min(depth, MAX_INDENT))
        elif before in ("[", "{", ","):
            parts.append("\n" + " " * min(depth, MAX_INDENT))
        if token in "[{":
            depth += 1
        if token.startswith('"'):  # escapes such as \u00e9 become the letters they stand for
            parts.append(json.dumps(json.loads(token), ensure_ascii=False))
        else:
            parts.append(": " if token == ":" else token)
        before = token
    return "".join(parts)


def html_text(text: str, name: str) -> str:
    """Return what a reader of the page sees, one line per block; scripts and styles are left out."""
    from bs4 import BeautifulSoup  # heavy, first use only

    try:
        with warnings.catch_warnings():  # that it looks like XML, or like a file name, is no news to the owner
            warnings.simplefilter("ignore")
            soup = BeautifulSoup(text, "html.parser")
        title = soup.title.get_text(" ") if soup.title else ""
    except RecursionError as error:
        raise DocumentInvalid(f"{name} is nested too deeply to read. Save the page as text.") from error
    lines = (" ".join(line.split()).removeprefix("| ") for line in [title, *_seen(soup).split(_BREAK)])
    return "\n".join(line for line in lines if line)


def _seen(page: Tag) -> str:
    """Return the text of a page with a mark at the edges of each block; in linear time, however deep it is nested."""
    from bs4.element import CData, NavigableString, Tag  # heavy, first use only

    parts: list[str] = []
    waiting: list[PageElement | str] = [page]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tag):
            if item.name in _UNSEEN:
                continue
            edge = _EDGES.get(item.name, "")
            parts.append(" | " if item.name in ("td", "th") else edge)
            waiting.append(edge)
            waiting.extend(reversed(item.contents))
        elif type(item) in (str, NavigableString, CData):  # other kinds are comments and declarations
            parts.append(str(item))
    return "".join(parts)


def pdf_text(data: bytes, name: str) -> str:
    """Return the text of all pages, with an empty line between them."""
    from pypdf import PdfReader  # heavy, first use only

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            _unlock(reader, name)
        pages: list[str] = []
        for number, page in enumerate(reader.pages):
            if number == MAX_PDF_PAGES or sum(map(len, pages)) > MAX_TEXT_CHARS:
                raise DocumentTooLarge(
                    f"{name} has more than {number} pages' worth of text. Give the pages that matter."
                )
            pages.append(page.extract_text().strip())
    except DocumentError:
        raise
    except Exception as error:  # a hostile PDF makes the parser fail in any way there is
        raise DocumentUnreadable(f"{name} is a damaged PDF. Save or download it again.") from error
    if not any(pages):
        raise DocumentUnreadable(f"{name} has only pictures, no text. Run text recognition (OCR) on it first.")
    return "\n\n".join(page for page in pages if page)


def _unlock(reader: PdfReader, name: str) -> None:
    """Open a PDF that is encrypted with the empty password, as print-protected ones are."""
    from pypdf.errors import DependencyError  # heavy, first use only

    try:
        opened = bool(reader.decrypt(""))
    except DependencyError:
        opened = False
    if not opened:
        raise DocumentUnreadable(f"{name} is encrypted. Open it with its password and save it without one.")
