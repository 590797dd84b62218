"""Reads data sets: one JSON object a line, gzipped or not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import DocumentMissing
from runtime.evals.errors import RowsError
from runtime.evals.halves import ID_FIELDS

MAX_LINE_CHARS = 4_000_000
"""A longer line is no row of a data set; the bound keeps a wrong file from filling the memory."""


@dataclass(frozen=True, slots=True)
class Row:
    """One case: its fields, and where it came from so that an error can name it."""

    number: int
    """Line in the file, counted from 1."""
    origin: str
    fields: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The source's id, or the line number where it has none."""
        for field in ID_FIELDS:
            if self.fields.get(field) is not None:
                return str(self.fields[field])
        return f"line-{self.number}"

    def has(self, path: str) -> bool:
        """Return whether there is a value at a dotted path."""
        try:
            self.at(path)
        except RowsError:
            return False
        return True

    def at(self, path: str) -> Any:
        """Return the value at a dotted path such as `messages.0.content`. Raises RowsError."""
        value: Any = self.fields
        for part in path.split("."):
            if isinstance(value, Mapping) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                raise RowsError(
                    f"{self.origin}, row {self.number}: the field {path!r} is missing. "
                    "Add it to the row, or choose a suite whose rows have no such field."
                )
        return value


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file. Raises DocumentMissing and RowsError."""
    if not path.is_file():
        raise DocumentMissing(f"There is no file {path}. Check the path, or set COVEY_DATA to the folder of data sets.")
    rows: list[Row] = []
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    rows.append(Row(number, str(path), _object(line, path, number)))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise RowsError(f"{path} can't be read as lines of JSON: {error}. Check that it is the right file.") from error
    if not rows:
        raise RowsError(f"{path} holds no rows. Give a file with one JSON object a line.")
    return rows


def data_file(folder: Path, name: str) -> Path | None:
    """Return `name.jsonl` or `name.jsonl.gz` in a folder, whichever is there."""
    return next((p for p in (folder / f"{name}.jsonl", folder / f"{name}.jsonl.gz") if p.is_file()), None)


def _object(line: str, path: Path, number: int) -> dict[str, Any]:
    if len(line) > MAX_LINE_CHARS:
        raise RowsError(f"{path}, row {number}: longer than {MAX_LINE_CHARS:,} characters. Cut it into shorter rows.")
    try:
        value = json.loads(line)
    except ValueError as error:
        raise RowsError(f"{path}, row {number}: not valid JSON ({error}). Correct the line.") from error
    if not isinstance(value, dict):
        raise RowsError(f"{path}, row {number}: not a JSON object. Each line must be one object with named fields.")
    return value
