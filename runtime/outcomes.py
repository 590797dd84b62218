"""How a kind of work has gone here lately, read from the journal."""

from __future__ import annotations

from runtime.db import Database
from runtime.marking import Past
from runtime.task import TaskId

LATELY = 30
"""Runs that are looked at."""
_QUERY = """
    SELECT json_extract(done.body, '$.refusal') = '' AND NOT EXISTS (
        SELECT 1 FROM json_each(json_extract(done.body, '$.verdicts')) WHERE value = 0
    )
    FROM event AS begun JOIN event AS done
        ON done.task_id = begun.task_id AND done.kind = 'StepFinished' AND done.id > begun.id
        AND json_extract(done.body, '$.step') = json_extract(begun.body, '$.step')
    WHERE begun.kind = 'StepStarted' AND json_extract(begun.body, '$.capability') = ?
        AND json_extract(begun.body, '$.node') = ? AND begun.task_id != ?
    ORDER BY begun.id DESC LIMIT ?
"""


def past(database: Database, capability: str, node: str, but: TaskId) -> Past:
    """Return how the last runs of a capability went on a node, those of one task left out. Raises JournalError."""
    with database.reading() as db:
        rows = db.execute(_QUERY, (capability, node, but, LATELY)).fetchall()
    return Past(len(rows), sum(bool(sure) for (sure,) in rows))
