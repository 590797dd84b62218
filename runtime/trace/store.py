"""Where traces are kept: the spans of a task, written in one transaction when it ends.

Texts in attributes go where the journal keeps texts, so that one `forget` removes them all.
A text is whatever is not in PLAIN: a new attribute is private until somebody has thought about it.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from models.types import Json, Label
from runtime.errors import NotFound, UsageError
from runtime.events import NO_DIGEST
from runtime.journal import Journal, text_of, unreadable
from runtime.task import TaskId
from runtime.trace.spans import TASK, Attribute, Span

PLAIN = frozenset(
    {
        "covey.task.id",
        "covey.label",
        "covey.status",
        "covey.tier",
        "covey.stage",
        "covey.capability",
        "covey.plan.term",
        "covey.step.id",
        "covey.specialist",
        "covey.node",
        "covey.asker",
        "covey.placement",
        "covey.candidates",
        "covey.trust",
        "covey.artifacts",
        "covey.check",
        "covey.verdict",
        "covey.refusal",
        "error.type",
        "gen_ai.operation.name",
        "gen_ai.request.model",
    }
)
"""Attributes whose words are names of ours, never the owner's text."""
SHORTEST_PREFIX = 4
"""Digits of an id that must be typed; fewer would match by accident."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the list of traces."""

    trace_id: str
    start_ns: int
    seconds: float
    status: str
    request: str
    """Empty when it was forgotten or never kept."""
    bytes_out: int


class TraceStore:
    """The spans in the journal's file. Every call raises JournalError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._database = journal.database

    def save(self, task_id: TaskId, spans: Iterable[Span], label: Label) -> None:
        """Keep the spans of a task; of a secret one only names and figures."""
        with self._database.writing() as db:
            for span in spans:
                attributes = {
                    key: stored
                    for key, value in span.attributes.items()
                    if (stored := self._stored(db, task_id, key, value, label)) is not None
                }
                db.execute(
                    "INSERT OR REPLACE INTO span VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        task_id,
                        span.span_id,
                        span.parent_id,
                        span.name,
                        span.start_ns,
                        span.end_ns,
                        span.status,
                        json.dumps(attributes),
                    ),
                )

    def load(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace, oldest first; empty when there are none."""
        now = self._journal.now_ns()
        with self._database.reading() as db:
            rows = db.execute("SELECT * FROM span WHERE trace_id = ? ORDER BY start_ns, end_ns DESC", (trace_id,))
            return [_span(db, row, now) for row in rows.fetchall()]

    def find(self, given: str) -> TaskId:
        """Return the one task that `last`, an id or the beginning of an id means. Raises NotFound, UsageError."""
        if given == "last":
            newest = self._journal.tasks(1)
            if newest:
                return newest[0]
            raise NotFound("There are no traces yet. Ask something first: `covey ask TEXT`.")
        if len(given) < SHORTEST_PREFIX or not all(c in "0123456789abcdef" for c in given.lower()):
            raise UsageError(
                f"{given!r} is not a trace id: give `last` or at least {SHORTEST_PREFIX} of its hexadecimal digits."
            )
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT DISTINCT task_id FROM event WHERE kind = 'TaskSubmitted' AND task_id GLOB ? LIMIT 2",
                (given.lower() + "*",),
            ).fetchall()
        if not rows:
            raise NotFound(f"No trace begins with {given}. Run `covey traces list` to see those that are kept.")
        if len(rows) > 1:
            raise UsageError(f"More than one trace begins with {given}. Give more digits.")
        return TaskId(rows[0][0])

    def summaries(self, limit: int = 20) -> list[Summary]:
        """Return the newest tasks, newest first; those without spans (killed half-way) too."""
        return [self._summary(task_id) for task_id in self._journal.tasks(limit)]

    def _summary(self, task_id: TaskId) -> Summary:
        entries = self._journal.events(task_id)
        state = self._journal.state(task_id)
        request = self._journal.content(state.request, task_id) if state.request else None
        seconds = (entries[-1].time_ns - entries[0].time_ns) / 1e9
        for span in self.load(task_id):
            if span.name == TASK:
                seconds = span.seconds
        return Summary(task_id, entries[0].time_ns, seconds, state.status.value, request or "", state.bytes_out)

    def _stored(self, db: sqlite3.Connection, task_id: TaskId, key: str, value: Attribute, label: Label) -> Json:
        """Return what the attributes column holds for a value; None when nothing of it may be kept."""
        if isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return value if key in PLAIN else self._reference(db, task_id, value, label)
        items: list[str | float] = list(value)
        if key not in PLAIN and any(isinstance(item, str) for item in items):
            return self._reference(db, task_id, json.dumps(items), label, many=True)
        return list(items)

    def _reference(
        self, db: sqlite3.Connection, task_id: TaskId, text: str, label: Label, *, many: bool = False
    ) -> Json:
        made = self._journal.keep(db, task_id, text, label)
        return None if made == NO_DIGEST else {"texts" if many else "text": made}


def _span(db: sqlite3.Connection, row: Sequence[Any], now_ns: int) -> Span:
    trace_id, span_id, parent_id, name, start_ns, end_ns, status, attributes = row
    span = Span(trace_id, span_id, parent_id, name, start_ns, end_ns, status=status)
    kept = json.loads(attributes)
    if not isinstance(kept, dict):
        raise unreadable(trace_id)
    for key, value in kept.items():
        if not isinstance(value, dict):
            span.attributes[key] = value
            continue
        if len(value) != 1:
            raise unreadable(trace_id)
        ((form, made),) = value.items()
        text = text_of(db, made, now_ns, trace_id)
        if text is None:
            span.attributes[f"{key}.digest"] = made  # the text is gone; what it was can still be verified
        else:
            span.attributes[key] = json.loads(text) if form == "texts" else text
    return span
