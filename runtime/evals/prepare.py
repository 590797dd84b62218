"""Puts before a suite what it needs: the pool that is searched, the head that is read or fitted, the router."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.heads import head as heads
from runtime.evals.cases import Case, source_rows
from runtime.evals.errors import SuiteError
from runtime.evals.halves import half
from runtime.evals.heads import HeadSubject, find_head, fit
from runtime.evals.retrieval import RetrievalSubject
from runtime.evals.rows import Row, read_rows
from runtime.evals.run import Progress
from runtime.evals.subject import Subject
from runtime.evals.suite import Suite
from runtime.evals.vectors import kept_vectors
from runtime.evals.wrap import fill


@dataclass(frozen=True, slots=True)
class Place:
    """Where an evaluation reads and keeps things."""

    data: Path
    """Folder of the data sets."""
    folder: Path
    """`evals` in Covey's folder."""

    @property
    def suites(self) -> Path:
        return self.folder / "suites"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def heads(self) -> Path:
        return self.folder / "heads"

    @property
    def vectors(self) -> Path:
        return self.folder / "vectors"

    @property
    def results(self) -> Path:
        return self.folder / "results.sqlite3"


async def fit_head(suite: Suite, subject: Subject, place: Place, progress: Progress) -> None:
    """Fit the suite's head on its training rows and keep it. Raises SuiteSkipped, RowsError."""
    wanted = suite.head
    if wanted is None:
        raise SuiteError(f"The suite {suite.name} has no head to fit. Run it without --fit.")
    rows = source_rows(suite.sources[0], place.data, wanted.file)
    if wanted.file == suite.sources[0].file:  # no training file: what is reported on must stay unseen
        rows = [row for row in rows if half(row.fields) == "tuning"]
    rows = first_each(rows, wanted.label, wanted.each) if wanted.each else rows
    texts = [str(row.at(wanted.text)) for row in rows]
    labels = [str(row.at(wanted.label)) for row in rows]
    vectors, artifacts = await kept_vectors(subject, texts, place.vectors, progress)
    fitted = await asyncio.to_thread(fit, vectors, texts, labels, artifacts[0], wanted)
    place.heads.mkdir(parents=True, exist_ok=True)
    heads.save(fitted, place.heads)


def first_each(rows: Sequence[Row], field: str, most: int) -> list[Row]:
    """Return at most so many rows of each label, the first ones."""
    counts: Counter[str] = Counter()
    kept: list[Row] = []
    for row in rows:
        label = str(row.at(field))
        counts[label] += 1
        if counts[label] <= most:
            kept.append(row)
    return kept


def with_head(suite: Suite, subject: Subject, place: Place) -> Subject:
    """Return the suite's head over the subject's vectors. Raises SuiteSkipped."""
    assert suite.head is not None, "checked when the suite was read"
    return HeadSubject(subject, find_head(suite.head.name, place.heads), suite.head.none)


async def with_pool(
    suite: Suite, subject: Subject, place: Place, cases: list[Case], rows_file: Path | None, progress: Progress
) -> tuple[Subject, list[Case]]:
    """Return the retriever over all passages of the file, and the cases with the place of theirs in the pool.

    A passage that several rows share is in the pool once.
    """
    assert suite.retrieval is not None, "checked when the suite was read"
    rows = read_rows(rows_file) if rows_file else source_rows(suite.sources[0], place.data)
    passages = list(dict.fromkeys(_passage(suite, row) for row in rows))
    places = {passage: number for number, passage in enumerate(passages)}
    vectors, _ = await kept_vectors(subject, passages, place.vectors, progress)
    wanted = suite.retrieval
    retriever = RetrievalSubject(
        subject, passages, vectors, prefix=wanted.prefix, rerank=wanted.rerank, depth=wanted.depth
    )
    return retriever, [replace(case, expected=places[str(case.expected)]) for case in cases]


def _passage(suite: Suite, row: Row) -> str:
    """The expected value of a retrieval suite is the passage itself."""
    return str(fill(suite.sources[0].expect, row))
