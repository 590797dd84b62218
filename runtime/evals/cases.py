"""Chooses the rows of a suite and turns each into a case: a request and what is expected of it. Runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.types import Json, Request
from runtime.evals.errors import SuiteSkipped
from runtime.evals.halves import half
from runtime.evals.rows import Row, data_file, read_rows
from runtime.evals.suite import Source, Suite
from runtime.evals.wrap import fill

SHARED = Path(__file__).parent
"""Where Covey's own files of requests lie."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row, ready to be asked."""

    id: str
    """Unique in the run: the data set and the row's own id."""
    request: Request
    expected: Json
    also: tuple[Json, ...] = ()
    group: str = ""
    tests: str = ""
    """Program that checks the answer, where the row has one."""


def cases_of(suite: Suite, data: Path, rows_file: Path | None = None, limit: int | None = None) -> list[Case]:
    """Return the suite's cases from its own data sets, or from one file that replaces the first of them.

    A given file is taken whole; of the suite's own data only its half and its first rows are.
    Raises SuiteSkipped, DocumentMissing, RowsError.
    """
    if rows_file is not None:
        rows = read_rows(rows_file)
        return _distinct([_case(suite, suite.sources[0], row) for row in rows[: limit or len(rows)]])
    cases: list[Case] = []
    for source in suite.sources:
        chosen = [row for row in source_rows(source, data) if _chosen(row, source, suite)]
        cases += [_case(suite, source, row) for row in chosen[: source.limit or len(chosen)]]
    most = suite.limit if limit is None else limit
    if len(suite.sources) == 1 and most:
        cases = cases[:most]
    elif limit:
        cases = _spread(cases, limit)
    return _distinct(cases)


def source_rows(source: Source, data: Path, file: str = "") -> list[Row]:
    """Return all rows of a source's file. Raises SuiteSkipped, RowsError."""
    if source.data.endswith(".jsonl"):
        return read_rows(SHARED / source.data)
    name = file or source.file
    path = data_file(data / source.data, name)
    if path is None:
        raise SuiteSkipped(
            f"The data set {source.data} ({name}.jsonl) is not in {data}. Put it there, or set COVEY_DATA."
        )
    return read_rows(path)


def _chosen(row: Row, source: Source, suite: Suite) -> bool:
    if suite.half != "all" and not source.data.endswith(".jsonl") and half(row.fields) != suite.half:
        return False
    return all(_allowed(row.at(field), value) for field, value in (source.where or {}).items())


def _allowed(value: Json, wanted: Json) -> bool:
    return value in wanted if isinstance(wanted, list) else value == wanted


def _case(suite: Suite, source: Source, row: Row) -> Case:
    also = row.fields.get(source.also, []) if source.also else []
    given = {name: fill(template, row) for name, template in source.input.items()}
    return Case(
        id=f"{source.group or source.data}/{row.id}",
        request=Request(suite.capability, {name: value for name, value in given.items() if value is not None}),
        expected=fill(source.expect, row),
        also=tuple(also),
        group=str(row.fields.get(suite.by, "")) if suite.by else source.group,
        tests=str(fill(source.tests, row)) if source.tests else "",
    )


def _distinct(cases: Sequence[Case]) -> list[Case]:
    """Return the cases without a second of the same id, so that runs can be paired row by row."""
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.id, case)
    return list(first.values())


def _spread(cases: Sequence[Case], limit: int) -> list[Case]:
    """Return `limit` cases taken evenly from all sources."""
    step = max(1.0, len(cases) / limit)
    return [cases[int(n * step)] for n in range(min(limit, len(cases)))]
