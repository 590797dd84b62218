"""Reading the files that the owner gives: a document's text, or one sentence why there is none.

What comes out is untrusted: somebody else may have written the file. Nothing in it is executed,
and no address in it is opened.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from models.types import Digest, Label, Trust
from runtime import formats
from runtime.errors import (
    DocumentBinary,
    DocumentEmpty,
    DocumentError,
    DocumentMissing,
    DocumentTooLarge,
    DocumentUnreadable,
)

MAX_DOCUMENT_BYTES = 20 * 10**6
"""20 MB: some 3000 pages of text. More would fill a small device's memory before any model sees it."""
MAX_CONTROL_SHARE = 0.02
"""Above this share of control characters, bytes that are not UTF-8 are no old text file either."""
STDIN = "-"

_CONTROL_BYTES = bytes({*range(32), 127} - set(b"\t\n\r\f\x1b"))
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Kind = Literal["text", "markdown", "csv", "json", "html", "pdf"]

KINDS: Mapping[str, Kind] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
}
"""By the end of the name; everything else is read as text if it is text."""

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP file or an office document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"GGUF", "a model"),
    (b"\x1f\x8b", "a compressed file"),
    (b"ID3", "a recording"),
    (b"\xd0\xcf\x11\xe0", "an old office document"),
    (b"SQLite format 3\x00", "a database"),
)
"""First bytes of what people give by mistake, and what to call it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file as text."""

    name: str
    """Without folders: evidence names it."""
    text: str
    kind: Kind
    size_bytes: int
    """Of the file."""
    digest: Digest
    """Of the file's bytes."""
    label: Label = Label.PERSONAL
    trust: Trust = Trust.UNTRUSTED
    notes: tuple[str, ...] = field(default=())
    """What the reader should know, for example that the encoding was guessed."""
    raw: str = ""
    """Of a table, the text as it is written; empty where that is `text` itself."""


def read(path: str | Path, *, label: Label = Label.PERSONAL) -> Document:
    """Return the document at a path; `-` reads standard input. Raises DocumentError."""
    if str(path) == STDIN:
        return parse(_bounded(sys.stdin.buffer, "standard input"), "standard input", label=label)
    place = Path(path).expanduser()
    return parse(_bytes_of(place), place.name, label=label)


def parse(data: bytes, name: str, *, label: Label = Label.PERSONAL) -> Document:
    """Return the document that these bytes are; the end of the name says of which kind. Raises DocumentError."""
    if not data.strip(b"\x00 \t\r\n"):
        raise DocumentEmpty(f"{name} is empty. Give a file with text in it.")
    kind = "pdf" if data.startswith(b"%PDF-") else KINDS.get(Path(name).suffix.lower(), "text")
    notes: tuple[str, ...] = ()
    raw = ""
    if kind == "pdf":
        text = formats.pdf_text(data, name)
    else:
        decoded, notes = decode(data, name, declared=_declared(data) if kind == "html" else "")
        text = _RENDER[kind](decoded, name)
        raw = _clean(decoded) if kind == "csv" else ""
    text = _clean(text)
    if not text.strip():
        raise DocumentEmpty(f"{name} holds no text. Give a file with text in it.")
    digest = Digest(hashlib.sha256(data).hexdigest())
    return Document(name, text, kind, len(data), digest, label, notes=notes, raw=raw)


def decode(data: bytes, name: str, *, declared: str = "") -> tuple[str, tuple[str, ...]]:
    """Return the text of these bytes and notes about it.

    UTF-8; UTF-16 and UTF-32 by their marks; else what the file declares; else Windows-1252, with a note.
    Raises DocumentBinary, DocumentUnreadable.
    """
    for signature, called in SIGNATURES:
        if data.startswith(signature):
            raise DocumentBinary(f"{name} is {called}, not text. Give its text, or a PDF with text in it.")
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return _exactly(data, "utf-32", name), ()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _exactly(data, "utf-16", name), ()
    if b"\x00" in data:
        raise DocumentBinary(f"{name} is not text (it holds zero bytes). Give a text file, or save it as UTF-8.")
    try:
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        if _control_share(data) > MAX_CONTROL_SHARE:
            raise DocumentBinary(f"{name} is not text. Give a text file, or a PDF with text in it.") from error
        if declared:
            return data.decode(declared, errors="replace"), ()
        note = f"{name} is not UTF-8; it was read as Windows-1252, so accented letters may be wrong"
        return data.decode("cp1252", errors="replace"), (note,)


def _control_share(data: bytes) -> float:
    return 1 - len(data.translate(None, _CONTROL_BYTES)) / len(data)


def _declared(data: bytes) -> str:
    """Return the encoding that a page names in its head, if Python knows it as one of text."""
    found = re.search(rb"charset\s*=\s*[\"']?([A-Za-z0-9_-]{1,40})", data[:2048])
    encoding = found[1].decode() if found else ""
    try:
        data.decode(encoding, errors="replace")
    except (LookupError, ValueError):  # unknown, or not an encoding of text
        return ""
    return encoding


def _clean(text: str) -> str:
    """Return the text with plain line ends, without control characters (terminals obey them) and half letters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    text = _CONTROL.sub("", text).strip("\n")
    return text.encode("utf-8", "replace").decode()


def _exactly(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentUnreadable(f"{name} begins like {encoding.upper()} text but is not. Save it as UTF-8.") from error


def _bytes_of(path: Path) -> bytes:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise DocumentMissing(f"{path} is a folder. Name the files in it one by one.")
        if not stat.S_ISREG(found.st_mode):
            raise DocumentUnreadable(
                f"{path} is not an ordinary file. Copy its content into one, or use `-` for a pipe."
            )
        if found.st_size > MAX_DOCUMENT_BYTES:  # before opening: nothing of it is read
            raise _too_large(path.name)
        with path.open("rb") as file:
            return _bounded(file, path.name)
    except FileNotFoundError as error:
        raise DocumentMissing(f"There is no file {path}. Check the path.") from error
    except PermissionError as error:
        raise DocumentUnreadable(f"{path} may not be read by you. Change its permissions, or copy it.") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte inside the path
        raise _odd_path(path, error) from error


def _odd_path(path: Path, error: Exception) -> DocumentError:
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP):
        return DocumentMissing(f"There is no file {str(path)[:200]} ({os.strerror(error.errno)}). Check the path.")
    if isinstance(error, ValueError):
        return DocumentMissing("A path can't hold a zero byte. Check the path.")
    return DocumentUnreadable(f"{path} could not be read ({error}). Check the disk, or copy the file.")


def _bounded(file: BinaryIO, name: str) -> bytes:
    data = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise _too_large(name)
    return data


def _too_large(name: str) -> DocumentTooLarge:
    return DocumentTooLarge(
        f"{name} is larger than {MAX_DOCUMENT_BYTES // 10**6} MB. Give the part that matters as a file of its own."
    )


def _as_is(text: str, name: str) -> str:
    return text


_RENDER: Mapping[Kind, Callable[[str, str], str]] = {
    "text": _as_is,
    "markdown": _as_is,
    "csv": formats.csv_text,
    "json": formats.json_text,
    "html": formats.html_text,
}
