"""Kept traces: they load as they were, say nothing of a secret, and forget with the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.types import Digest, Label, Tier
from runtime.db import Database
from runtime.errors import NotFound, UsageError
from runtime.events import TaskCompleted, TaskSubmitted
from runtime.journal import Journal, digest
from runtime.task import TaskId
from runtime.trace.spans import TASK, Attribute, Span, Tracer
from runtime.trace.store import TraceStore

ID = TaskId("a1b2c3d4" * 4)
ATTRIBUTES: dict[str, Attribute] = {
    "covey.specialist": "answer",
    "covey.answer": "The zebra sleeps",
    "covey.near": ["where is the zebra", "who is it"],
    "covey.artifacts": ["ee" * 32],
    "covey.confidence": 0.5,
    "covey.abstained": False,
    "covey.attempt": 2,
    "covey.figures": [0.5, 2.0],
    "covey.signal.mean_logprob": float("-inf"),
    "covey.something.new": "zebra by surprise",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Database(path) as database:
        yield Journal(database)


@pytest.fixture
def store(journal: Journal) -> TraceStore:
    return TraceStore(journal)


def one_task(journal: Journal, store: TraceStore, label: Label, task_id: TaskId = ID) -> list[Span]:
    request = journal.put_content(task_id, "Where is the zebra?", label)
    journal.append(task_id, TaskSubmitted(request, label, Tier.DEVICE), TaskCompleted(Digest("")))
    tracer = Tracer(task_id)
    with tracer.span(TASK, ATTRIBUTES), tracer.span("covey.step", {"covey.step.id": "s1"}):
        pass
    store.save(task_id, tracer.finished, label)
    return tracer.finished


def on_disk(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in path.parent.glob(path.name + "*") if not one.name.endswith("-shm"))


def test_a_trace_loads_as_it_was_saved(journal: Journal, store: TraceStore) -> None:
    saved = one_task(journal, store, Label.PERSONAL)
    loaded = store.load(ID)
    assert [span.name for span in loaded] == [TASK, "covey.step"]
    root = next(span for span in saved if span.name == TASK)
    assert loaded[0].attributes | {"covey.signal.mean_logprob": 0} == root.attributes | {"covey.signal.mean_logprob": 0}
    assert loaded[1].parent_id == loaded[0].span_id


def test_forget_takes_every_text_even_of_an_unknown_attribute(journal: Journal, store: TraceStore, path: Path) -> None:
    one_task(journal, store, Label.PERSONAL)
    assert b"zebra" in on_disk(path)
    journal.forget(ID)
    assert b"zebra" not in on_disk(path)
    root = store.load(ID)[0]
    assert root.attributes["covey.answer.digest"] == digest("The zebra sleeps")
    assert "covey.answer" not in root.attributes
    assert root.attributes["covey.specialist"] == "answer", "names and figures stay"


def test_a_secret_trace_holds_only_names_and_figures(journal: Journal, store: TraceStore, path: Path) -> None:
    one_task(journal, store, Label.SECRET)
    assert b"zebra" not in on_disk(path)
    assert digest("The zebra sleeps").encode() not in on_disk(path)
    attributes = store.load(ID)[0].attributes
    assert attributes["covey.confidence"] == 0.5
    assert not any(key.startswith("covey.answer") for key in attributes)


def test_saving_twice_is_saving_once(journal: Journal, store: TraceStore) -> None:
    saved = one_task(journal, store, Label.PERSONAL)
    store.save(ID, saved, Label.PERSONAL)
    assert len(store.load(ID)) == len(saved)


class TestFind:
    def test_last_is_the_newest(self, journal: Journal, store: TraceStore) -> None:
        one_task(journal, store, Label.PERSONAL)
        other = TaskId("ffff" * 8)
        one_task(journal, store, Label.PERSONAL, other)
        assert store.find("last") == other

    @pytest.mark.parametrize("given", ["a1b2", "A1B2C3", ID])
    def test_a_unique_beginning_is_enough(self, journal: Journal, store: TraceStore, given: str) -> None:
        one_task(journal, store, Label.PERSONAL)
        assert store.find(given) == ID

    def test_an_ambiguous_beginning_asks_for_more(self, journal: Journal, store: TraceStore) -> None:
        for end in "01":
            one_task(journal, store, Label.PERSONAL, TaskId(ID[:-1] + end))
        with pytest.raises(UsageError, match="Give more digits"):
            store.find("a1b2c3")

    @pytest.mark.parametrize("given", ["", "a1b", "zzzz", "*", "a1b2*", "a1b2c3d4' OR 1=1"])
    def test_what_is_no_id_is_wrong_use(self, store: TraceStore, given: str) -> None:
        with pytest.raises(UsageError, match="not a trace id"):
            store.find(given)

    @pytest.mark.parametrize("given", ["last", "abcd"])
    def test_what_is_not_there_is_a_sentence(self, store: TraceStore, given: str) -> None:
        with pytest.raises(NotFound, match="covey"):
            store.find(given)


def test_a_task_that_was_killed_half_way_is_listed(journal: Journal, store: TraceStore) -> None:
    journal.append(ID, TaskSubmitted(Digest("aa"), Label.PERSONAL, Tier.DEVICE))
    (summary,) = store.summaries()
    assert (summary.trace_id, summary.status, summary.request) == (ID, "submitted", "")
