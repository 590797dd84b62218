"""How kinds of work have gone here lately, read from the journal."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.db import Database
from runtime.marking import ENOUGH_RUNS, Past
from runtime.task import TaskId

LATELY = 30
"""Runs of a kind that are looked at."""
NEWEST_EVENTS = 5000
"""Of the journal that are read for all kinds at once: some hundred requests, a few milliseconds."""
STEP = 0.05
"""Shares are told in steps of this: one more run is no news."""
_SURE = """
    json_extract(done.body, '$.refusal') = '' AND NOT EXISTS (
        SELECT 1 FROM json_each(json_extract(done.body, '$.verdicts')) WHERE value = 0
    )
"""
_RUNS = """
    event AS begun JOIN event AS done
        ON done.task_id = begun.task_id AND done.kind = 'StepFinished' AND done.id > begun.id
        AND json_extract(done.body, '$.step') = json_extract(begun.body, '$.step')
"""
_OF_ONE = f"""
    SELECT {_SURE} FROM {_RUNS}
    WHERE begun.kind = 'StepStarted' AND json_extract(begun.body, '$.capability') = ?
        AND json_extract(begun.body, '$.node') = ? AND begun.task_id != ?
    ORDER BY begun.id DESC LIMIT ?
"""
_OF_ALL = f"""
    SELECT json_extract(begun.body, '$.capability'), {_SURE} FROM {_RUNS}
    WHERE begun.kind = 'StepStarted' AND begun.id > ? AND json_extract(begun.body, '$.node') = ?
    ORDER BY begun.id DESC
"""


def past(database: Database, capability: str, node: str, but: TaskId) -> Past:
    """Return how the last runs of a capability went on a node, those of one task left out. Raises JournalError."""
    with database.reading() as db:
        rows = db.execute(_OF_ONE, (capability, node, but, LATELY)).fetchall()
    return Past(len(rows), sum(bool(sure) for (sure,) in rows))


def newest(database: Database) -> int:
    """Return the number of the newest event; while it stays, nothing else here changes. Raises JournalError."""
    with database.reading() as db:
        found: int | None = db.execute("SELECT MAX(id) FROM event").fetchone()[0]
    return found or 0


def shares(database: Database, node: str) -> Mapping[str, float]:
    """Return which share of the last answers of each capability on a node was sure and passed every check.

    A capability that has run too seldom to tell is left out. Raises JournalError.
    """
    since = newest(database) - NEWEST_EVENTS
    with database.reading() as db:
        rows = db.execute(_OF_ALL, (since, node)).fetchall()
    runs: dict[str, list[bool]] = {}
    for capability, sure in rows:
        of_one = runs.setdefault(capability, [])
        if len(of_one) < LATELY:
            of_one.append(bool(sure))
    return {name: _share(sum(found), len(found)) for name, found in runs.items() if len(found) >= ENOUGH_RUNS}


def _share(sure: int, runs: int) -> float:
    """Return what the next run is likely to be (Laplace's rule): ten sure ones of ten are no promise.

    >>> _share(10, 10)
    0.9
    """
    return round(round((sure + 1) / (runs + 2) / STEP) * STEP, 2)
