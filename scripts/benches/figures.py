"""Figures with their spread: what was measured n times is told by median and quartiles, never by one number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Better = Literal["higher", "lower", "neither"]
Held = Literal["figure", "ratio"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeated measurements of one thing."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""
    n: int


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share lies, between neighbours in proportion.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.5
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles. There must be a value."""
    return Spread(median(values), percentile(values, 0.25), percentile(values, 0.75), len(values))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report: Covey's figure, the reference's, and their ratio round by round."""

    what: str
    unit: str
    covey: Spread
    reference: Spread | None = None
    ratio: Spread | None = None
    """Covey's over the reference's, of the rounds that belong together."""
    better: Better = "higher"
    bar: float | None = None
    """What must be reached at the better end; None holds it to nothing."""
    held: Held = "figure"
    """What the bar holds: Covey's figure, or its ratio to the reference's."""

    @property
    def reached(self) -> float:
        """The median that the bar holds."""
        found = self.ratio if self.held == "ratio" else self.covey
        return found.median if found is not None else math.nan

    @property
    def missed(self) -> bool:
        """A ratio that there is none of reaches no bar."""
        if self.bar is None:
            return False
        return not (self.reached <= self.bar if self.better == "lower" else self.reached >= self.bar)


Pair = tuple[Sequence[float], Sequence[float]]
"""Two series that were measured in turn: Covey's and the reference's."""


def compared(
    what: str,
    unit: str,
    pair: Pair,
    better: Better = "higher",
    *,
    bar: float | None = None,
    held: Held = "ratio",
) -> Row:
    """Return the row of two series."""
    covey, reference = pair
    ratios = [ours / theirs for ours, theirs in zip(covey, reference, strict=True) if theirs]
    ratio = spread(ratios) if ratios else None
    return Row(what, unit, spread(covey), spread(reference), ratio, better, bar, held)


def alone(
    what: str, unit: str, values: Sequence[float], better: Better = "neither", *, bar: float | None = None
) -> Row:
    """Return the row of one series. The bar holds the median: a worst case is a series of one."""
    return Row(what, unit, spread(values), better=better, bar=bar)


@dataclass(frozen=True, slots=True)
class Report:
    """What a bench found out."""

    name: str
    about: str
    rows: tuple[Row, ...]
    sides: tuple[str, str] = ("Covey", "reference")
    """What the two columns are."""
    settings: dict[str, object] | None = None
    """How it was measured: counts, the reference's options, and which others were tried."""
    notes: tuple[str, ...] = ()

    @property
    def missed(self) -> tuple[str, ...]:
        """What fell short of its bar, a sentence each."""
        return tuple(
            f"{self.name}: {row.what}: {_reached(row)}, and the bar is {number(row.bar)}."
            for row in self.rows
            if row.missed and row.bar is not None
        )


def number(value: float) -> str:
    """Return three significant digits.

    >>> number(1234.5), number(12.34), number(0.01234), number(0)
    ('1234', '12.3', '0.0123', '0')
    """
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def cell(found: Spread | None) -> str:
    """Return `median (low to high)`, or the one value there is."""
    if found is None:
        return ""
    if found.n == 1:
        return number(found.median)
    return f"{number(found.median)} ({number(found.low)} to {number(found.high)})"


def table(report: Report) -> list[list[str]]:
    """Return the report's cells, the header first."""
    ours, theirs = report.sides
    paired = any(row.reference for row in report.rows)
    held = any(row.bar is not None for row in report.rows)
    lines = [["", "unit", ours, *([theirs, "ratio"] if paired else []), *(["bar"] if held else []), "n"]]
    for row in report.rows:
        pair = [cell(row.reference), cell(row.ratio)] if paired else []
        bar = [_bar(row)] if held else []
        lines.append([row.what, row.unit, cell(row.covey), *pair, *bar, str(row.covey.n)])
    return lines


def _reached(row: Row) -> str:
    if row.held == "ratio":
        return f"{number(row.reached)} times the reference's"
    return f"{number(row.reached)} {row.unit}".rstrip()


def _bar(row: Row) -> str:
    """Return the bar as a reader takes it in at a glance, and whether it was missed."""
    if row.bar is None:
        return ""
    of = "ratio " if row.held == "ratio" else ""
    bound = f"{of}{'≤' if row.better == 'lower' else '≥'} {number(row.bar)}"
    return f"{bound}, missed" if row.missed else bound


def as_text(report: Report) -> str:
    """Return the report for a terminal."""
    lines = table(report)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    drawn = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([f"{report.name}: {report.about}", *drawn, *report.notes])
