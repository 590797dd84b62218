"""The journal: every event of every task, append-only; their texts apart, so that these can be forgotten.

Events hold digests and figures and stay for good. Texts live in a table of their own, with an
expiry, and `forget` removes them: the digests still verify. Of a task with the label `secret`
nothing but figures is kept: no text, and no digest either, because a short secret is guessed from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from models.types import Digest, Json, Label
from runtime.db import Database
from runtime.errors import JournalCorrupt, JournalTooNew, NotFound
from runtime.events import (
    FREE_TEXT,
    NO_DIGEST,
    EffectIntended,
    EffectSettled,
    Event,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRejected,
    TaskState,
    TaskSubmitted,
    fold,
)
from runtime.task import TaskId

DAY_NS = 24 * 3600 * 10**9
MAX_CONTENT_BYTES = 256 * 1024
"""Longer texts (whole documents) are known by their digest only: the journal is no second copy of every file."""
SYNCED = (EffectIntended, EffectSettled)
"""Events that must outlive a power cut before anything else happens; the others outlive a crash of the process."""
ENDINGS = (TaskCompleted, TaskFailed, TaskCanceled, TaskRejected)
KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}
"""The name under which each event is stored. A class here is never renamed: old files hold its name."""
_DIGESTS = frozenset({"request", "documents", "plan", "input", "output", "answer"})
"""Event fields with digests of content (those of models, prompts and grammars are no secret)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it was written."""

    id: int
    """Grows with time, over all tasks and processes."""
    time_ns: int
    """Nanoseconds since 1970."""
    task_id: TaskId
    event: Event


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What `forget` removed."""

    tasks: int
    texts: int


def digest(text: str) -> Digest:
    """Return the SHA-256 of a text's UTF-8 bytes."""
    return Digest(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


class Journal:
    """The journal of one node. Several processes and threads may use the same file at once.

    Calls block for the disk; on an event loop run them through `runtime.db.DatabaseThread`.
    Every call raises JournalError.
    """

    def __init__(
        self, database: Database, *, content_days: int = 30, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """`content_days`: how long texts are kept; 0 keeps none. Texts whose days are over are removed at once."""
        self.database = database
        self._content_ns = content_days * DAY_NS
        self._clock_ns = clock_ns
        self.expire()

    def now_ns(self) -> int:
        """Return the time by this journal's clock: nanoseconds since 1970."""
        return self._clock_ns()

    def append(self, task_id: TaskId, *events: Event, label: Label = Label.PUBLIC) -> int:
        """Write events in one transaction and return the id of the last.

        `label` raises the task's own for these events, where a step saw something more private.
        """
        synced = any(isinstance(event, SYNCED) for event in events)
        with self.database.writing(synced=synced) as db:
            written, purged = 0, 0
            if label >= Label.SECRET:  # it turned out to be secret: what was kept before goes, too
                purged = db.execute("DELETE FROM content WHERE task_id = ?", (task_id,)).rowcount
            for event in events:
                own = event.label if isinstance(event, TaskSubmitted) else _label(db, task_id)
                written = self._append(db, task_id, event, max(label, own))
        if purged:
            self._empty_log()
        return written

    def put_content(self, task_id: TaskId, text: str, label: Label) -> Digest:
        """Keep a text of this task until it expires, and return its digest; NO_DIGEST for a secret."""
        with self.database.writing() as db:
            return self.keep(db, task_id, text, label)

    def keep(self, db: sqlite3.Connection, task_id: str, text: str, label: Label) -> Digest:
        """Do what `put_content` does, inside a transaction that is open already."""
        if label >= Label.SECRET:
            return NO_DIGEST
        made = digest(text)
        if self._content_ns and len(text.encode("utf-8", "surrogatepass")) <= MAX_CONTENT_BYTES:
            stored = text.encode("utf-8", "replace").decode()  # SQLite takes no lone surrogates
            row = (task_id, made, stored, self._clock_ns() + self._content_ns)
            db.execute("INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?)", row)
        return made

    def content(self, wanted: Digest, task_id: TaskId | None = None) -> str | None:
        """Return a text by its digest; None when it was not kept, has expired or was forgotten.

        Each task has its own copy: with `task_id`, what that task forgot stays forgotten.
        """
        with self.database.reading() as db:
            return text_of(db, wanted, self._clock_ns(), task_id)

    def events(self, task_id: TaskId) -> list[Entry]:
        """Return a task's events, oldest first. Forgotten texts are empty."""
        now = self._clock_ns()
        with self.database.reading() as db:
            rows = db.execute("SELECT id, time_ns, kind, body FROM event WHERE task_id = ? ORDER BY id", (task_id,))
            return [Entry(row[0], row[1], task_id, _event(db, task_id, row[2], row[3], now)) for row in rows.fetchall()]

    def state(self, task_id: TaskId) -> TaskState:
        """Return where a task stands. Raises NotFound."""
        entries = self.events(task_id)
        if not entries:
            raise NotFound(f"No task {task_id} is in the journal. Run `covey traces list` to see those that are.")
        return fold(entry.event for entry in entries)

    def tasks(self, limit: int = 20) -> list[TaskId]:
        """Return the newest tasks, newest first."""
        with self.database.reading() as db:
            rows = db.execute(
                "SELECT task_id FROM event WHERE kind = 'TaskSubmitted' ORDER BY id DESC LIMIT ?", (limit,)
            )
            return [TaskId(row[0]) for row in rows]

    def resumable(self, *, idle_s: float = 0.0) -> list[TaskId]:
        """Return tasks without an end whose last event is at least `idle_s` old, oldest first.

        Another process may be working on a task that is not idle.
        """
        endings = [kind.__name__ for kind in ENDINGS]
        with self.database.reading() as db:
            rows = db.execute(
                "SELECT task_id FROM event GROUP BY task_id "
                f"HAVING SUM(kind IN ({', '.join('?' * len(endings))})) = 0 AND MAX(time_ns) <= ? ORDER BY MIN(id)",
                (*endings, self._clock_ns() - int(idle_s * 1e9)),
            )
            return [TaskId(row[0]) for row in rows]

    def forget(self, task_id: TaskId | None = None, *, before_ns: int | None = None) -> Forgotten:
        """Remove the texts of one task, or of all tasks begun before a time; with neither, of all tasks.

        Events stay, and their digests still verify. The bytes are overwritten on disk.
        """
        clause, values = "1", ()  # type: str, tuple[str | int, ...]
        if task_id is not None:
            clause, values = "task_id = ?", (task_id,)
        elif before_ns is not None:
            clause = "task_id IN (SELECT task_id FROM event GROUP BY task_id HAVING MIN(time_ns) < ?)"
            values = (before_ns,)
        gone = self._remove(clause, values)
        self._empty_log()
        return gone

    def expire(self) -> Forgotten:
        """Remove texts whose days are over; called at the start, and by a node that runs for long once a day."""
        clause, values = "expires_ns <= ?", (self._clock_ns(),)
        with self.database.reading() as db:  # mostly there is nothing to do, and reading waits for no writer
            due = db.execute(f"SELECT EXISTS (SELECT 1 FROM content WHERE {clause})", values).fetchone()[0]
        if not due:
            return Forgotten(0, 0)
        gone = self._remove(clause, values)
        self._empty_log()
        return gone

    def _remove(self, clause: str, values: Sequence[str | int]) -> Forgotten:
        with self.database.writing() as db:
            tasks = db.execute(f"SELECT COUNT(DISTINCT task_id) FROM content WHERE {clause}", values).fetchone()[0]
            texts = db.execute(f"DELETE FROM content WHERE {clause}", values).rowcount
        return Forgotten(tasks, texts)

    def _empty_log(self) -> None:
        """Move the write-ahead log into the file, or it would still hold the pages as they were."""
        with self.database.reading() as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _append(self, db: sqlite3.Connection, task_id: TaskId, event: Event, label: Label) -> int:
        kind = type(event).__name__
        body = _finite(_adapter(kind).dump_python(event, mode="json"))
        assert isinstance(body, dict)
        for name in FREE_TEXT & body.keys():
            text = body[name]
            body[name] = self.keep(db, task_id, text, label) if isinstance(text, str) and text else ""
        if label >= Label.SECRET:
            body |= {name: [] if isinstance(body[name], list) else "" for name in _DIGESTS & body.keys()}
        cursor = db.execute(
            "INSERT INTO event (time_ns, task_id, kind, body) VALUES (?, ?, ?, ?)",
            (self._clock_ns(), task_id, kind, json.dumps(body)),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid


def text_of(db: sqlite3.Connection, wanted: str, now_ns: int, task_id: str | None) -> str | None:
    """Return the text with this digest (of this task, or of any), unless it has expired."""
    row = db.execute(
        "SELECT text FROM content WHERE digest = ? AND expires_ns > ? AND (? IS NULL OR task_id = ?)",
        (wanted, now_ns, task_id, task_id),
    ).fetchone()
    return None if row is None else str(row[0])


def unreadable(task_id: str) -> JournalCorrupt:
    """Return the error for an entry that SQLite finds whole and that makes no sense."""
    return JournalCorrupt(
        f"The journal is damaged: what it says of {task_id} can't be read. Move journal.sqlite3 in Covey's folder away "
        "and run the command again: a fresh one is started."
    )


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(KINDS[kind])


def _event(db: sqlite3.Connection, task_id: TaskId, kind: str, body: str, now_ns: int) -> Event:
    if kind not in KINDS:
        raise JournalTooNew(f"The journal holds {kind!r}, which this Covey does not know. Update Covey.")
    found = json.loads(body)
    for name in FREE_TEXT & found.keys():
        found[name] = (text_of(db, found[name], now_ns, task_id) or "") if found[name] else ""
    try:
        event: Event = _adapter(kind).validate_python(found)
    except ValidationError as error:
        raise unreadable(task_id) from error
    return event


def _label(db: sqlite3.Connection, task_id: TaskId) -> Label:
    """Return the label under which the task was submitted."""
    row = db.execute(
        "SELECT json_extract(body, '$.label') FROM event WHERE task_id = ? AND kind = 'TaskSubmitted' LIMIT 1",
        (task_id,),
    ).fetchone()
    return Label.PUBLIC if row is None else Label(int(row[0]))


def _finite(value: Json) -> Json:
    """Write infinities and NaN, which JSON lacks, as words that read back as numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
