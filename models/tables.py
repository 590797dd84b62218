"""A table in a text, as spreadsheets export it: named columns, rows, and where each row stands in the text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import accumulate
from typing import Literal

from models.numerals import literal_at

DELIMITERS = ",;\t|"
MISSING = frozenset({"", "-", "–", "—", "n/a", "na", "null", "none", "?"})
"""What people write into a cell that has no value, in lower case."""

PLAIN_DIGITS = 18
MAX_AMOUNT_CHARS = 100
"""Nothing that is measured has more; Python itself reads no number of several thousand digits."""

Kind = Literal["number", "date", "text"]
_AMOUNT = re.compile(r"(?P<sign>[-+−]?)\s*(?P<front>[$€£¥₹]?)\s*(?P<digits>[\d.][\d.,  '’]*)\s*(?P<back>[$€£¥₹%]?)")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class NotATable(ValueError):
    """The text is no table; the message says where it goes wrong."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row below the names of the columns."""

    cells: tuple[str, ...]
    """Without space around them; the last ones may be left out."""
    start: int
    end: int
    """The row is text[start:end], without its line break."""

    def cell(self, index: int) -> str:
        return self.cells[index] if index < len(self.cells) else ""


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """What one cell measures."""

    value: Fraction
    """Of a date, its day number."""
    unit: str = ""
    """A currency's sign, or %."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column's values, where all that are there can be compared."""

    kind: Kind
    amounts: tuple[Amount | None, ...]
    """One a row; None where the cell is empty. Of a text column, all are None."""
    unit: str = ""


def read(text: str) -> Table:
    """Return the table that a text is; the first row names the columns. Raises NotATable."""
    lines = list(io.StringIO(text, newline=""))
    ends = list(accumulate(map(len, lines)))
    rows: list[tuple[int, Row]] = []
    reader = csv.reader(lines, delimiter=_delimiter(text), strict=True)
    before = 0
    try:
        for cells in reader:
            start, end = (ends[before - 1] if before else 0), ends[reader.line_num - 1]
            before = reader.line_num
            if any(cells):
                end = start + len(text[start:end].rstrip("\r\n"))
                rows.append((reader.line_num, Row(tuple(cell.strip() for cell in cells), start, end)))
    except csv.Error as error:
        raise NotATable(str(error)) from error
    if not rows:
        return Table((), ())
    columns = rows[0][1].cells
    return Table(columns, tuple(_fitted(row, len(columns), line) for line, row in rows[1:]))


def _delimiter(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    try:
        return max(DELIMITERS, key=lambda one: len(next(csv.reader([first], delimiter=one), [])))
    except csv.Error as error:
        raise NotATable(str(error)) from error


def _fitted(row: Row, width: int, line: int) -> Row:
    """Return the row without empty cells that stand under no column."""
    if any(row.cells[width:]):
        raise NotATable(f"line {line} has {len(row.cells)} cells under {width} columns")
    return Row(row.cells[:width], row.start, row.end)


def column(table: Table, index: int) -> Column:
    """Return what a column measures: numbers of one unit, dates, or neither."""
    cells = [row.cell(index) for row in table.rows]
    for kind, reading in _READINGS:
        amounts = _all_read(cells, reading)
        units = {one.unit for one in amounts or () if one is not None}
        if amounts is not None and len(units) == 1:
            return Column(kind, amounts, units.pop())
    return Column("text", (None,) * len(cells))


def _all_read(cells: Sequence[str], reading: Callable[[str], Amount | None]) -> tuple[Amount | None, ...] | None:
    """Return what the cells measure, None for the empty ones; None as a whole when one measures nothing."""
    amounts: list[Amount | None] = []
    for cell in cells:
        found = None if is_missing(cell) else reading(cell)
        if found is None and not is_missing(cell):
            return None
        amounts.append(found)
    return tuple(amounts)


def is_missing(cell: str) -> bool:
    return cell.casefold() in MISSING


def amount(cell: str) -> Amount | None:
    """Return the number in a cell, with its unit; None when it is none, or could be read in two ways.

    >>> amount("€ 1,250.50")
    Amount(value=Fraction(2501, 2), unit='€')
    """
    if len(cell) <= PLAIN_DIGITS and cell.isascii() and cell.isdigit():  # most cells, and ten times as fast
        return Amount(Fraction(int(cell)))
    match = _AMOUNT.fullmatch(cell) if len(cell) <= MAX_AMOUNT_CHARS else None
    if match is None or (match["front"] and match["back"]):
        return None
    digits = match["digits"].rstrip()
    read = literal_at(digits, 0)
    if read is None or read[1] != len(digits):
        return None
    return Amount(-read[0] if match["sign"] in ("-", "−") else read[0], match["front"] or match["back"])


def _day(cell: str) -> Amount | None:
    if not _ISO_DATE.fullmatch(cell):
        return None
    try:
        return Amount(Fraction(date.fromisoformat(cell).toordinal()))
    except ValueError:
        return None


_READINGS: Sequence[tuple[Kind, Callable[[str], Amount | None]]] = (("number", amount), ("date", _day))
"""In this order: a year is a number."""


def named(columns: Sequence[str], words: str) -> int | None:
    """Return the one column that a name means: letter for letter, else by its words; None when several could be it.

    >>> named(["name", "Score (%)", "unit_price"], "unit prices")
    2
    """
    wanted = _words(words)
    if not wanted:
        return None
    keys = [_words(name) for name in columns]
    for fits in (_same, _within):
        found = [place for place, key in enumerate(keys) if key and fits(wanted, key)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _same(wanted: Sequence[str], key: Sequence[str]) -> bool:
    return list(wanted) == list(key)


def _within(wanted: Sequence[str], key: Sequence[str]) -> bool:
    return set(wanted) <= set(key)


def _words(name: str) -> list[str]:
    return list(_spelled(name))


def _spelled(name: str) -> Iterator[str]:
    """Yield the words of a name in one spelling: lower case, singular."""
    for word in re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()):
        yield word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
