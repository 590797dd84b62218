"""The journal: what was written reads back, what was forgotten is gone, a secret was never there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.types import Label, Tier
from runtime.db import Database
from runtime.errors import NotFound
from runtime.events import (
    NO_DIGEST,
    InputRequired,
    Routed,
    StepFailed,
    StepFinished,
    StepStarted,
    TaskFailed,
    TaskSubmitted,
)
from runtime.journal import DAY_NS, KINDS, MAX_CONTENT_BYTES, Forgotten, Journal, digest
from tests.runtime.every_event import EVERY_EVENT, OTHER, S1, SUBMITTED, TASK


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


def test_nothing_to_expire_waits_for_no_writer(journal: Journal, path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert journal.expire() == Forgotten(0, 0)
    holder.close()
