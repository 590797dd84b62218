"""The one place that opens SQLite: write-ahead log, busy timeout, private files, migrations, errors as sentences."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from runtime.errors import HomeNotWritable, JournalBusy, JournalCorrupt, JournalError, JournalFull, JournalTooNew

BUSY_TIMEOUT_S = 10.0
"""How long a write waits for another process; longer than any transaction here takes."""
FILE_MODE = 0o600
"""Owner only. SQLite gives its -wal and -shm files the same mode."""

P = ParamSpec("P")
R = TypeVar("R")
Migration = Callable[[sqlite3.Connection], None]


def _v1_events_and_content(db: sqlite3.Connection) -> None:
    db.execute(
        """CREATE TABLE event (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            time_ns INTEGER NOT NULL,
            task_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            body TEXT NOT NULL CHECK (json_valid(body))
        ) STRICT"""
    )
    db.execute("CREATE INDEX event_of_task ON event (task_id, id)")
    db.execute(
        """CREATE TABLE content (
            task_id TEXT NOT NULL,
            digest TEXT NOT NULL,
            text TEXT NOT NULL,
            expires_ns INTEGER NOT NULL,
            PRIMARY KEY (task_id, digest)
        ) STRICT, WITHOUT ROWID"""
    )


def _v2_spans(db: sqlite3.Connection) -> None:
    db.execute(
        """CREATE TABLE span (
            trace_id TEXT NOT NULL,
            span_id TEXT NOT NULL,
            parent_id TEXT NOT NULL,
            name TEXT NOT NULL,
            start_ns INTEGER NOT NULL,
            end_ns INTEGER NOT NULL,
            status TEXT NOT NULL,
            attributes TEXT NOT NULL CHECK (json_valid(attributes)),
            PRIMARY KEY (trace_id, span_id)
        ) STRICT, WITHOUT ROWID"""
    )


def _v3_indexes(db: sqlite3.Connection) -> None:
    db.execute("CREATE INDEX content_of_digest ON content (digest)")
    db.execute("CREATE INDEX content_expiry ON content (expires_ns)")
    db.execute("CREATE INDEX event_of_kind ON event (kind, id)")


def _v4_speeds(db: sqlite3.Connection) -> None:
    db.execute(
        """CREATE TABLE speed (
            node TEXT NOT NULL,
            model TEXT NOT NULL,
            prefill_tps REAL,
            decode_tps REAL,
            load_s REAL,
            runs INTEGER NOT NULL,
            PRIMARY KEY (node, model)
        ) STRICT, WITHOUT ROWID"""
    )


MIGRATIONS: tuple[Migration, ...] = (_v1_events_and_content, _v2_spans, _v3_indexes, _v4_speeds)
"""Append only: a file that was written by version n has run the first n."""


class Database:
    """One open file, shared by those who keep things in it (journal, traces). Safe to use from several threads."""

    def __init__(self, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        """Open, create or migrate the file. Raises JournalError, HomeNotWritable."""
        self.path = path
        self._lock = threading.RLock()
        self._connection = connect(path, migrations)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for queries."""
        with self._lock, errors_of(self.path):
            yield self._connection

    @contextmanager
    def writing(self, *, synced: bool = False) -> Iterator[sqlite3.Connection]:
        """Give the connection inside one transaction.

        What was committed outlives the process; with `synced` it also outlives a power cut.
        """
        with self._lock, errors_of(self.path):
            if synced:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                with transaction(self._connection):
                    yield self._connection
            finally:
                if synced:
                    self._connection.execute("PRAGMA synchronous = NORMAL")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class DatabaseThread:
    """Runs blocking calls one after the other in a thread of its own, so that the event loop never waits for the disk.

    >>> async with DatabaseThread() as thread:                       # doctest: +SKIP
    ...     await thread.run(journal.append, task_id, event)
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="covey-db")

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one call. A cancelled wait does not stop a write that has begun."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, partial(call, *args, **kwargs))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._executor.shutdown)


def connect(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> sqlite3.Connection:
    """Open the file, creating or migrating it as needed. Raises JournalError or HomeNotWritable.

    The connection may be used by several threads, one at a time; the caller holds the lock.
    """
    with errors_of(path):
        _create_private(path)
        db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            _configure(db)
            migrate(db, path, migrations)
        except BaseException:  # whatever it is, the file does not stay open
            db.close()
            raise
        return db


def migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the schema up to date: all missing migrations in one transaction."""
    if version(db) == len(migrations):
        return
    with transaction(db):
        found = version(db)  # read again: another process may have migrated while this one waited
        if found > len(migrations):
            raise JournalTooNew(
                f"{path} was written by a newer Covey (format {found}, this one knows {len(migrations)}). "
                "Update Covey, or set COVEY_HOME to another folder."
            )
        for step in migrations[found:]:
            step(db)
        db.execute(f"PRAGMA user_version = {len(migrations)}")


def version(db: sqlite3.Connection) -> int:
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    return found


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. Takes the write lock at once, so that it waits at the start and not half-way."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:  # an interrupt too: half a group is never committed
        if db.in_transaction:  # SQLite itself rolls back after a full disk
            db.execute("ROLLBACK")
        raise


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about this file into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _ours(error, path) from error


def check(db: sqlite3.Connection) -> str:
    """Return `ok`, or SQLite's first complaint about the file."""
    found: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    return found


def _create_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
    except OSError as error:
        raise HomeNotWritable(
            f"{path} can't be written ({error.strerror}). Make it writable, or set COVEY_HOME to a folder that is."
        ) from error


def _configure(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = ON")  # what was forgotten is overwritten, not only unlinked
    _use_wal(db)
    db.execute("PRAGMA synchronous = NORMAL")


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; two processes that do so at once don't wait for each other by themselves."""
    end = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _ours(error: sqlite3.Error, path: Path) -> JournalError:
    code = getattr(error, "sqlite_errorcode", None) or 0
    match code & 0xFF:  # the low byte is the primary code
        case sqlite3.SQLITE_FULL:
            return JournalFull(f"The disk that holds {path} is full. Free some space and run the command again.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return JournalCorrupt(
                f"The journal {path} is damaged. Move it away (mv '{path}' '{path}.damaged') "
                "and run the command again: a fresh one is started."
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return JournalBusy(f"Another program holds the journal {path}. Try again in a moment.")
        case sqlite3.SQLITE_IOERR:
            return JournalError(
                f"The disk failed while writing {path} ({error}). Check its free space and health, then try again."
            )
        case _:
            return JournalError(f"The journal {path} could not be used ({error}). Run `covey doctor` to see why.")
