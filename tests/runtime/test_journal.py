"""The journal: what was committed is never lost, what was forgotten is gone, a secret was never there."""

from __future__ import annotations

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

from models.types import Digest, Effect, Label, Signals, Tier, Usage
from runtime import db
from runtime.db import Database, DatabaseThread
from runtime.errors import HomeNotWritable, JournalBusy, JournalCorrupt, JournalError, JournalTooNew, NotFound
from runtime.events import (
    NO_DIGEST,
    EffectIntended,
    EffectSettled,
    Event,
    InputGiven,
    InputRequired,
    Planned,
    Routed,
    StepFailed,
    StepFinished,
    StepStarted,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRejected,
    TaskSubmitted,
    apply,
    fold,
)
from runtime.journal import DAY_NS, KINDS, MAX_CONTENT_BYTES, Forgotten, Journal, digest
from runtime.plan import StepId
from runtime.task import Status, TaskId

ROOT = Path(__file__).parents[2]
TASK = TaskId("a1" * 16)
OTHER = TaskId("b2" * 16)
S1 = StepId("s1")
SUBMITTED = TaskSubmitted(Digest("aa"), Label.PERSONAL, Tier.DEVICE)
EVERY_EVENT: tuple[Event, ...] = (
    TaskSubmitted(Digest("aa"), Label.SENSITIVE, Tier.HOME, "answer", "00-x", (Digest("d1"), Digest("d2"))),
    Routed("rules", "when", 0.9, 0.5, {"rules": 0.9, "similar": float("-inf")}, "every slot resolved"),
    Planned("seq(answer, when)", Digest("bb"), (S1, StepId("s2"))),
    StepStarted(S1, "answer", "answer", Digest("cc"), 2, 7, Tier.HOME, "kitchen"),
    StepFinished(
        S1,
        Digest("dd"),
        "not_sure",
        "too vague",
        "smollm2-135m",
        "Q8_0",
        (Digest("ee"),),
        Digest("ff"),
        Digest("00"),
        7,
        Signals(-0.5, 0.1, float("inf"), None, 12, {"yes": 0.5}),
        {"floor": 0.5},
        {"schema": True, "sum": False},
        0.4,
        False,
        Usage(1, 2, 3, 0.5, 0.25, None),
        Tier.HOME,
        12,
    ),
    StepFailed(S1, "worker_died", "it ended"),
    EffectIntended(S1, Effect.ACT, "key-1"),
    EffectSettled(S1, "key-1", "not_done"),
    InputRequired("Which one?", S1),
    InputGiven(Digest("11")),
    TaskCompleted(Digest("22"), 0.8, True, False, Tier.HOME, 34, Usage(1)),
    TaskFailed("disk_full", "no room"),
    TaskCanceled("the caller left"),
    TaskRejected("too_costly", "over budget"),
)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * DAY_NS

    def __call__(self) -> int:
        self.now_ns += 1000
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def journal(path: Path, clock: Clock) -> Iterator[Journal]:
    with Database(path) as database:
        yield Journal(database, clock_ns=clock)


def on_disk(path: Path) -> bytes:
    """Return every byte that the journal has on disk, log included."""
    return b"".join(
        one.read_bytes() for one in sorted(path.parent.glob(path.name + "*")) if one.suffix != ".sqlite3-shm"
    )


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


class TestEvents:
    def test_every_event_reads_back_as_it_was_written(self, journal: Journal) -> None:
        assert {type(event).__name__ for event in EVERY_EVENT} == KINDS.keys()
        for event in EVERY_EVENT:
            journal.append(TASK, event)
        assert tuple(entry.event for entry in journal.events(TASK)) == EVERY_EVENT

    def test_ids_and_times_grow(self, journal: Journal) -> None:
        last = journal.append(TASK, SUBMITTED, Routed("rules", "when", 1.0, 0.5))
        entries = journal.events(TASK)
        assert [entry.id for entry in entries] == [last - 1, last]
        assert entries[0].time_ns < entries[1].time_ns

    def test_a_group_is_written_whole_or_not_at_all(self, journal: Journal) -> None:
        class Unknown:
            pass

        with pytest.raises(KeyError):
            journal.append(TASK, SUBMITTED, Unknown())  # type: ignore[arg-type]
        assert journal.events(TASK) == []

    def test_newest_tasks_come_first(self, journal: Journal) -> None:
        journal.append(TASK, SUBMITTED)
        journal.append(OTHER, SUBMITTED)
        assert journal.tasks() == [OTHER, TASK]
        assert journal.tasks(limit=1) == [OTHER]

    def test_an_unknown_task_is_a_sentence(self, journal: Journal) -> None:
        with pytest.raises(NotFound, match="covey traces list"):
            journal.state(TASK)


class TestState:
    def test_a_task_that_has_ended_stays_as_it_ended(self) -> None:
        ended = fold([SUBMITTED, TaskCompleted(Digest("22"), 0.8)])
        for event in EVERY_EVENT:
            assert apply(ended, event) == ended

    @pytest.mark.parametrize(
        ("event", "status"),
        [
            (Routed("rules", "when", 1, 0.5), Status.WORKING),
            (InputRequired("Which?"), Status.INPUT_REQUIRED),
            (TaskFailed("x"), Status.FAILED),
            (TaskCanceled(), Status.CANCELED),
            (TaskRejected("x"), Status.REJECTED),
            (TaskCompleted(NO_DIGEST), Status.COMPLETED),
        ],
    )
    def test_status_follows_the_last_event(self, event: Event, status: Status) -> None:
        assert fold([SUBMITTED, event]).status is status

    def test_resume_reruns_exactly_the_steps_without_a_finish(self) -> None:
        steps = (S1, StepId("s2"), StepId("s3"))
        state = fold(
            [
                SUBMITTED,
                Planned("seq", Digest("p"), steps),
                StepStarted(S1, "answer", "answer", Digest("i")),
                StepFinished(S1, Digest("o")),
                StepStarted(steps[1], "when", "when", Digest("i")),
            ]
        )
        assert state.unfinished == steps[1:]
        assert state.steps[S1].output == "o"

    def test_a_second_attempt_is_counted(self) -> None:
        started = StepStarted(S1, "answer", "answer", Digest("i"))
        state = fold([SUBMITTED, started, StepFailed(S1, "worker_died"), started])
        assert (state.steps[S1].attempts, state.steps[S1].status) == (2, "started")

    def test_an_intent_without_outcome_stays_open(self) -> None:
        state = fold([SUBMITTED, EffectIntended(S1, Effect.ACT, "a"), EffectIntended(S1, Effect.ACT, "b")])
        state = apply(state, EffectSettled(S1, "b", "done"))
        assert (state.open_effects, state.settled_effects) == ({"a"}, {"b"})

    def test_unfinished_tasks_are_resumable_when_idle(self, journal: Journal, clock: Clock) -> None:
        journal.append(TASK, SUBMITTED)
        journal.append(OTHER, SUBMITTED, TaskFailed("x"))
        assert journal.resumable() == [TASK]
        assert journal.resumable(idle_s=60) == []
        clock.now_ns += 61 * 10**9
        assert journal.resumable(idle_s=60) == [TASK]


class TestContent:
    def test_a_text_is_found_by_its_digest(self, journal: Journal) -> None:
        made = journal.put_content(TASK, "a question", Label.PERSONAL)
        assert made == digest("a question")
        assert journal.content(made) == "a question"

    def test_forget_removes_texts_and_keeps_digests(self, journal: Journal, path: Path) -> None:
        request = journal.put_content(TASK, "the zebra crossing", Label.PERSONAL)
        submitted = TaskSubmitted(request, Label.PERSONAL, Tier.DEVICE)
        journal.append(TASK, submitted, Routed("rules", "when", 1, 0.5, {}, "saw the word zebra"))
        assert b"zebra" in on_disk(path)
        assert journal.forget(TASK) == Forgotten(tasks=1, texts=2)
        assert journal.content(request) is None
        assert b"zebra" not in on_disk(path), "the bytes must be gone from the disk"
        first, second = (entry.event for entry in journal.events(TASK))
        assert first == submitted
        assert digest("the zebra crossing") == request
        assert isinstance(second, Routed) and second.reason == ""

    def test_forgetting_one_task_leaves_the_other_its_copy(self, journal: Journal) -> None:
        made = journal.put_content(TASK, "same words", Label.PERSONAL)
        journal.put_content(OTHER, "same words", Label.PERSONAL)
        journal.forget(TASK)
        assert journal.content(made, TASK) is None
        assert journal.content(made, OTHER) == "same words"

    def test_forget_before_a_time(self, journal: Journal, clock: Clock) -> None:
        for task in (TASK, OTHER):
            clock.now_ns += DAY_NS
            journal.append(task, SUBMITTED)
            journal.put_content(task, f"words of {task}", Label.PERSONAL)
        assert journal.forget(before_ns=clock.now_ns - DAY_NS // 2) == Forgotten(1, 1)
        assert journal.forget() == Forgotten(1, 1)

    def test_texts_expire(self, journal: Journal, clock: Clock, path: Path) -> None:
        made = journal.put_content(TASK, "a zebra", Label.PERSONAL)
        clock.now_ns += 30 * DAY_NS
        assert journal.content(made) is None, "even before it is removed"
        assert journal.expire() == Forgotten(1, 1)
        assert b"zebra" not in on_disk(path)

    def test_opening_the_journal_removes_what_has_expired(self, journal: Journal, clock: Clock, path: Path) -> None:
        journal.put_content(TASK, "a zebra", Label.PERSONAL)
        clock.now_ns += 31 * DAY_NS
        with Database(path) as database:
            Journal(database, clock_ns=clock)
        journal.forget(OTHER)  # empties the log, now that the other connection has gone
        assert b"zebra" not in on_disk(path)

    def test_zero_days_keep_no_text(self, path: Path) -> None:
        with Database(path) as database:
            made = Journal(database, content_days=0).put_content(TASK, "a zebra", Label.PUBLIC)
            assert made == digest("a zebra")
            assert b"zebra" not in on_disk(path)

    def test_a_whole_document_is_known_by_its_digest_only(self, journal: Journal) -> None:
        text = "x" * (MAX_CONTENT_BYTES + 1)
        assert journal.put_content(TASK, text, Label.PERSONAL) == digest(text)
        assert journal.content(digest(text)) is None

    def test_half_letters_do_not_stop_the_journal(self, journal: Journal) -> None:
        assert journal.content(journal.put_content(TASK, "half \ud83d", Label.PERSONAL)) == "half ?"


class TestSecret:
    def test_a_secret_leaves_no_text_and_no_digest(self, journal: Journal, path: Path) -> None:
        pin = digest("4711")
        assert journal.put_content(TASK, "4711", Label.SECRET) == NO_DIGEST
        journal.append(
            TASK,
            TaskSubmitted(pin, Label.SECRET, Tier.DEVICE, documents=(pin,)),
            Routed("rules", "answer", 1, 0.5, {}, "it says 4711"),
            StepStarted(S1, "answer", "answer", pin),
            StepFinished(S1, pin, reason="4711?", confidence=0.5),
            InputRequired("is it 4711?"),
            TaskFailed("x", "4711 is short"),
        )
        stored = on_disk(path)
        assert b"4711" not in stored
        assert pin.encode() not in stored
        finished = journal.events(TASK)[3].event
        assert isinstance(finished, StepFinished) and finished.confidence == 0.5, "figures are kept"

    def test_a_task_that_turns_out_secret_loses_what_was_kept(self, journal: Journal, path: Path) -> None:
        journal.append(TASK, SUBMITTED)
        journal.put_content(TASK, "my zebra", Label.PERSONAL)
        journal.append(TASK, StepFailed(S1, "x", "about the zebra"), label=Label.SECRET)
        journal.forget(TASK)
        assert b"zebra" not in on_disk(path)


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
        import asyncio

        async with DatabaseThread() as thread, asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(thread.run(journal.append, TASK, SUBMITTED))

    def test_many_tasks_of_one_loop_share_the_thread(self, journal: Journal) -> None:
        import asyncio

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


def test_nothing_to_expire_waits_for_no_writer(journal: Journal, path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert journal.expire() == Forgotten(0, 0)
    holder.close()
