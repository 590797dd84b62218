"""The file under the journal: nothing that was committed is lost, and damage, age and want of room are sentences."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import db
from runtime.db import Database, DatabaseThread
from runtime.errors import HomeNotWritable, JournalBusy, JournalCorrupt, JournalError, JournalTooNew
from runtime.events import Routed
from runtime.journal import Journal
from runtime.task import Status
from tests.runtime.every_event import EVERY_EVENT, OTHER, SUBMITTED, TASK

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Database(path) as database:
        yield Journal(database)


def run(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


APPEND_FOREVER = """
    import sys
    from pathlib import Path
    from models.types import Label, Tier
    from runtime.db import Database
    from runtime.events import Routed, TaskSubmitted
    from runtime.journal import Journal, digest
    from runtime.task import TaskId
    journal, task = Journal(Database(Path(sys.argv[1]))), TaskId(sys.argv[2])
    journal.append(task, TaskSubmitted(digest("x"), Label.PERSONAL, Tier.DEVICE))
    for number in range(int(sys.argv[3])):
        journal.append(task, Routed("rules", str(number), 1.0, 0.5))
        print(number, flush=True)
"""


class TestDurability:
    def test_kill_9_loses_no_committed_event(self, path: Path) -> None:
        child = run(APPEND_FOREVER, str(path), TASK, "1000000")
        assert child.stdout is not None
        seen = [child.stdout.readline() for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate(timeout=30)
        reported = [int(line) for line in [*seen, *rest.splitlines()] if line.endswith("\n") or line in rest.split()]
        with Database(path) as database:
            stored = [e.event.capability for e in Journal(database).events(TASK) if isinstance(e.event, Routed)]
            with database.reading() as connection:
                assert db.check(connection) == "ok"
        assert stored == [str(number) for number in range(len(stored))]
        assert len(stored) >= max(reported)

    def test_two_processes_append_at_once(self, path: Path) -> None:
        children = [run(APPEND_FOREVER, str(path), task, "150") for task in (TASK, OTHER)]
        for child in children:
            _, complaints = child.communicate(timeout=50)
            assert (child.returncode, complaints) == (0, "")
        with Database(path) as database:
            journal = Journal(database)
            assert [len(journal.events(task)) for task in (TASK, OTHER)] == [151, 151]

    @pytest.mark.skipif(os.name == "nt", reason="limits are not Windows' way")
    def test_a_full_disk_is_a_sentence_and_what_was_written_stays(self, path: Path) -> None:
        program = """
            import resource, sys
            from pathlib import Path
            from models.types import Label, Tier
            from runtime.db import Database
            from runtime.errors import JournalError
            from runtime.events import TaskSubmitted
            from runtime.journal import Journal, digest
            from runtime.task import TaskId
            journal = Journal(Database(Path(sys.argv[1])))
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
            for number in range(10_000):
                task = TaskId(f"{number:032x}")
                try:
                    journal.append(task, TaskSubmitted(digest("x"), Label.PERSONAL, Tier.DEVICE))
                except JournalError as error:
                    print(number, len(journal.tasks(20_000)), error)
                    break
        """
        child = run(program, str(path))
        said, complaints = child.communicate(timeout=50)
        assert complaints == ""
        written, readable, *sentence = said.split()
        assert written == readable and int(written) > 0
        assert " ".join(sentence).endswith(("then try again.", "run the command again."))
        with Database(path) as database:
            assert len(Journal(database).tasks(20_000)) == int(written)

    def test_a_lock_that_is_held_too_long_is_a_sentence(
        self, journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(db, "BUSY_TIMEOUT_S", 0.05)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with Database(path) as database, pytest.raises(JournalBusy, match="Try again"):
            Journal(database).append(TASK, SUBMITTED)
        holder.close()

    async def _many(self, journal: Journal) -> None:
        async with DatabaseThread() as thread, asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(thread.run(journal.append, TASK, SUBMITTED))

    def test_many_tasks_of_one_loop_share_the_thread(self, journal: Journal) -> None:
        asyncio.run(self._many(journal))
        assert len(journal.events(TASK)) == 50


class TestFile:
    @pytest.mark.skipif(os.name == "nt", reason="modes are not Windows' way")
    def test_files_are_for_their_owner_only(self, journal: Journal, path: Path) -> None:
        journal.append(TASK, SUBMITTED)
        found = list(path.parent.glob(path.name + "*"))
        assert len(found) == 3
        assert {stat.S_IMODE(one.stat().st_mode) for one in found} == {0o600}

    @pytest.mark.parametrize(
        "damage", [b"this is no database at all, only text. " * 40, b"SQLite format 3\x00" + b"\xff" * 5000]
    )
    def test_a_damaged_file_is_a_sentence(self, path: Path, damage: bytes) -> None:
        path.write_bytes(damage)
        with pytest.raises(JournalCorrupt, match=r"is damaged\. Move it away \(mv "):
            Database(path)
        assert path.read_bytes() == damage, "it is left for the owner to look at"

    def test_a_page_damaged_later_is_a_sentence(self, path: Path) -> None:
        with Database(path) as database:
            for _ in range(50):
                Journal(database).append(TASK, *EVERY_EVENT)
        data = bytearray(path.read_bytes())
        data[8192:] = b"\x5a" * (len(data) - 8192)
        path.write_bytes(data)
        with pytest.raises(JournalCorrupt), Database(path) as database:
            Journal(database).events(TASK)

    def test_a_newer_file_is_left_alone(self, path: Path) -> None:
        with Database(path, (*db.MIGRATIONS, lambda connection: None)):
            pass
        with pytest.raises(JournalTooNew, match="Update Covey"):
            Database(path)

    def test_a_file_of_version_1_still_loads(self, path: Path) -> None:
        shutil.copy(ROOT / "tests" / "data" / "journal-v1.sqlite3", path)
        with Database(path) as database:
            journal = Journal(database, clock_ns=lambda: 1_760_000_000_000_000_000)
            (task,) = journal.tasks()
            state = journal.state(task)
            assert state.status is Status.COMPLETED
            assert journal.content(state.request) == "When does the library open?"
            assert journal.content(state.output) == "At nine."
            with database.reading() as connection:
                assert db.version(connection) == len(db.MIGRATIONS)
                assert connection.execute("SELECT COUNT(*) FROM span").fetchone() == (0,)

    def test_a_migration_that_fails_changes_nothing(self, path: Path) -> None:
        def breaks(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE half (a)")
            raise ZeroDivisionError

        with Database(path):
            pass
        with pytest.raises(ZeroDivisionError):
            Database(path, (*db.MIGRATIONS, breaks))
        with Database(path) as database, database.reading() as connection:
            assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchone() is None

    def test_a_missing_folder_is_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(HomeNotWritable, match="COVEY_HOME"):
            Database(tmp_path / "none" / "journal.sqlite3")

    def test_a_closed_journal_is_an_error_not_a_crash(self, path: Path) -> None:
        with Database(path) as database:
            journal = Journal(database)
        with pytest.raises(JournalError):
            journal.append(TASK, SUBMITTED)
