"""Reads examples from a CSV or JSONL file, row by row: a file of any length takes the memory of the rows that are kept.

Rows are drawn by a digest of their text. So the same file always gives the same sample, equal texts
are kept or left together, and whether a text comes twice can be told from the kept rows alone.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from runtime.errors import DocumentInvalid, DocumentMissing, DocumentUnreadable, UsageError

MAX_ROWS = 10_000
"""Rows that are kept: a minute or two of embedding on a laptop. More rarely helps a head; the learning curve says."""
LEAST_EACH = 20
"""Rows of a label that sampling never takes away, so that a rare label stays known; with MAX_LABELS no more than
MAX_ROWS in all."""
MAX_TEXT_CHARS = 8_000
"""About four pages; what follows is not read. With MAX_ROWS it bounds the memory to some 100 MB."""
MAX_LABEL_CHARS = 100
MAX_LABELS = 500
"""More is no list of categories: most likely the wrong column was named."""
MAX_LINE_CHARS = 1_000_000
"""Longest cell or JSON line; stops a file without line breaks from filling the memory."""
DELIMITERS = (",", ";", "\t")
TEXT_NAMES = ("text", "message", "body", "content", "mail", "email", "sentence", "utterance", "request", "question")
LABEL_NAMES = ("label", "category", "class", "intent", "topic", "tag", "target")
DIGEST_BYTES = 12

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Columns:
    """Names that the owner gave; empty: found by the usual names."""

    text: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    label: str
    digest: bytes
    """Of the text, DIGEST_BYTES long; letter case and blanks aside."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What a file holds, after sampling."""

    rows: tuple[Example, ...]
    counts: dict[str, int]
    """Rows of each label in the file, most frequent first."""
    empty_texts: int = 0
    empty_labels: int = 0
    repeated: int = 0
    """Rows that were left out because the same text with the same label came before, among the kept rows."""
    shortened: int = 0
    """Kept texts that were longer than MAX_TEXT_CHARS."""

    @property
    def total(self) -> int:
        """Rows of the file with text and label."""
        return sum(self.counts.values())

    @property
    def sampled(self) -> bool:
        return len(self.rows) + self.repeated < self.total


@dataclass(slots=True)
class _Sample:
    """The rows kept so far: of each label at least LEAST_EACH, beyond that those with the smallest digests."""

    cap: int
    rows: dict[str, dict[bytes, str]] = field(default_factory=dict)
    repeats: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    size: int = 0
    limit: bytes = b"\xff" * DIGEST_BYTES
    """Rows of well-known labels above it have been left out."""

    def add(self, text: str, label: str) -> None:
        digest = digest_of(text)
        kept = self.rows.setdefault(label, {})
        if digest in kept:
            self.repeats[label, digest] += 1
            return
        if len(kept) >= LEAST_EACH and digest >= self.limit:
            return
        kept[digest] = text[: MAX_TEXT_CHARS + 1]
        self.size += 1
        if self.size > self.cap * 5 // 4:  # trimming sorts, so not for every row
            self.trim()

    def trim(self) -> None:
        """Leave out the rows with the largest digests until the cap holds."""
        spare = sorted(
            (digest, label)
            for label, kept in self.rows.items()
            for digest in sorted(kept)[LEAST_EACH:]  # a label's first rows stay
        )
        for digest, label in reversed(spare[max(0, len(spare) - max(0, self.size - self.cap)) :]):
            del self.rows[label][digest]
            self.repeats.pop((label, digest), None)
            self.size -= 1
            self.limit = min(self.limit, digest)


def read(path: Path, columns: Columns | None = None, cap: int = MAX_ROWS) -> Examples:
    """Return the examples of a file, at most about `cap` of them. Blocks: a million rows take some ten seconds.

    Raises DocumentMissing, DocumentUnreadable, DocumentInvalid, UsageError.
    """
    if not path.is_file():
        raise DocumentMissing(f"There is no file {path}. Check the path.")
    sample, counts, skipped = _Sample(cap), Counter[str](), Counter[str]()
    try:
        for text, label in _rows(path, columns or Columns()):
            if not text or not label:
                skipped["label" if text else "text"] += 1
                continue
            counts[label] += 1
            _bounded(path, label, counts)
            sample.add(text, label)
    except UnicodeDecodeError as error:
        raise DocumentInvalid(_encoding(path, error)) from error
    except csv.Error as error:
        raise DocumentInvalid(
            f"{path.name} is no CSV file that can be read ({error}). Save it as CSV again."
        ) from error
    except OSError as error:
        raise DocumentUnreadable(f"{path} can't be read ({error.strerror}). Check its permissions.") from error
    sample.trim()
    return _examples(sample, counts, skipped)


def digest_of(text: str) -> bytes:
    """Return what a text is known by: equal but for letter case and blanks means equal."""
    return blake2b(" ".join(text.casefold().split()).encode(), digest_size=DIGEST_BYTES).digest()


def _examples(sample: _Sample, counts: Counter[str], skipped: Counter[str]) -> Examples:
    rows = [
        Example(text[:MAX_TEXT_CHARS], label, digest)
        for label in counts
        for digest, text in sample.rows.get(label, {}).items()
    ]
    return Examples(
        tuple(rows),
        dict(counts.most_common()),
        skipped["text"],
        skipped["label"],
        sum(sample.repeats.values()),
        sum(len(text) > MAX_TEXT_CHARS for kept in sample.rows.values() for text in kept.values()),
    )


def _bounded(path: Path, label: str, counts: Counter[str]) -> None:
    if len(label) > MAX_LABEL_CHARS:
        raise DocumentInvalid(
            f"{path.name} has a label of {len(label)} characters ({label[:30]!r}…): a label is a short name. "
            "Name the right column with --label-column."
        )
    if len(counts) > MAX_LABELS:
        raise DocumentInvalid(
            f"{path.name} has more than {MAX_LABELS} different labels, so they are no categories. "
            "Name the right column with --label-column, or group them."
        )


def _rows(path: Path, columns: Columns) -> Iterator[Row]:
    """Yield the text and the label of each row, without outer blanks."""
    with path.open("rb") as raw:
        start = raw.read(4096)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in start:
        raise DocumentInvalid(
            f"{path.name} is not UTF-8 text: it looks like UTF-16 or a spreadsheet. "
            "Save it as 'CSV UTF-8' and try again."
        )
    if path.suffix.lower() in (".jsonl", ".ndjson") or start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        yield from _json_rows(path, columns)
    else:
        yield from _csv_rows(path, columns)


def _csv_rows(path: Path, columns: Columns) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        first = stream.readline(MAX_LINE_CHARS)
        delimiter = max(DELIMITERS, key=first.count)
        header = next(csv.reader([first], delimiter=delimiter), [])
        text_at, label_at = _places(path, header, columns)
        for cells in csv.reader(stream, delimiter=delimiter):
            if cells:
                yield _cell(cells, text_at), _cell(cells, label_at)


def _cell(cells: list[str], at: int) -> str:
    return cells[at].strip() if at < len(cells) else ""


def _json_rows(path: Path, columns: Columns) -> Iterator[Row]:
    names: tuple[str, str] | None = None
    with path.open(encoding="utf-8-sig") as stream:
        number = 0
        while line := stream.readline(MAX_LINE_CHARS):
            number += 1
            if not line.strip():
                continue
            record = _record(path, number, line)
            if names is None:
                fields = list(record)
                at = _places(path, fields, columns)
                names = fields[at[0]], fields[at[1]]
            yield _value(record.get(names[0])), _value(record.get(names[1]))


def _record(path: Path, number: int, line: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DocumentInvalid(
            f"{path.name}, line {number} is not JSON. Write one object with a text and a label on each line."
        ) from error
    if not isinstance(record, dict):
        raise DocumentInvalid(f"{path.name}, line {number} is no JSON object. Write one object on each line.")
    return record


def _value(value: object) -> str:
    match value:
        case str():
            return value.strip()
        case bool() | int() | float():
            return json.dumps(value)
        case _:
            return ""


def _places(path: Path, header: list[str], columns: Columns) -> tuple[int, int]:
    """Return where the text and the label stand. Raises UsageError, DocumentInvalid."""
    names = [name.strip().casefold() for name in header]
    if not any(names):
        raise DocumentInvalid(f"{path.name} is empty. Its first line names the columns, for example: text,label")
    return (
        _place(path, names, columns.text, TEXT_NAMES, "text"),
        _place(path, names, columns.label, LABEL_NAMES, "label"),
    )


def _place(path: Path, names: list[str], wanted: str, usual: tuple[str, ...], what: str) -> int:
    for name in (wanted.strip().casefold(),) if wanted else usual:
        if name in names:
            return names.index(name)
    asked = f"no column {wanted!r}" if wanted else f"no column for the {what}"
    found = ", ".join(name[:30] or "(no name)" for name in names[:8])
    raise UsageError(f"{path.name} has {asked} (its first line has: {found}). Name it with --{what}-column.")


def _encoding(path: Path, error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return (
        f"{path.name} is not UTF-8 text (byte 0x{byte:02x}, {_line_of(path)}). "
        "Save it as UTF-8 ('CSV UTF-8' in a spreadsheet) and try again."
    )


def _line_of(path: Path) -> str:
    """Return which line is not UTF-8."""
    with path.open("rb") as stream:
        for number in range(1, 10_000_000):
            line = stream.readline(MAX_LINE_CHARS)
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"line {number}"
            if not line:
                break
    return "near the end"
