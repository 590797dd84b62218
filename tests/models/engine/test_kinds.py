"""Models whose state is of another kind: no answer depends on who else came and went. Tiny ones of random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.backend import Sampling
from models.engine import breaking_off
from models.engine.answering import Answer, Scoring
from models.engine.batch import Batch, BatchSettings
from models.engine.library import ContextSettings, Library
from models.engine.seats import Job
from models.engine.text import TextStream
from models.errors import ModelsError
from tests.models import tiny_model
from tests.models.engine.scripted_library import END, Words

KV = 248
ROWS = 64


class Bench:
    """A batch on a tiny model that llama.cpp computes."""

    def __init__(self, model: Path) -> None:
        settings = ContextSettings(kv_tokens=KV, sequences=6, threads=1, batch_rows=ROWS)
        self.library = Library(str(model), settings)
        self.gone: set[int] = set()
        self.done: dict[int, tuple[Job, list[float]]] = {}
        self.failed: dict[int, ModelsError] = {}
        shares = self.library.shares_prefixes
        self.batch = Batch(
            self.library,
            BatchSettings(KV, KV, 4, 2, ROWS, shelf_tokens=KV, shares_prefixes=shares),
            progressed=lambda answer: None,
            done=lambda job, usage, weights: self.done.__setitem__(job.id, (job, weights)),
            failed=lambda job, error: self.failed.__setitem__(job.id, error),
            cancelled=self.gone.__contains__,
        )

    def ask(self, number: int, prompt: list[int], most: int, **more: Any) -> Answer:
        answer = Answer(number, prompt, most, Sampling(), Words(), TextStream(), **more)
        answer.begin(())
        self.batch.submit(answer)
        return answer

    def weigh(self, number: int, prompt: list[int], labels: list[list[int]]) -> None:
        scoring = Scoring(number, prompt, labels, END)
        scoring.begin()
        self.batch.submit(scoring)

    def run(self, until: Callable[[], bool] = bool) -> None:
        while self.batch.busy and not until():
            self.batch.step()

    def answer(self, number: int) -> list[int]:
        job = self.done[number][0]
        assert isinstance(job, Answer)
        return job.tokens


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.windowed(tmp_path_factory.mktemp("models") / "windowed.gguf", window=32)


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.recurrent(tmp_path_factory.mktemp("models") / "recurrent.gguf")


def words(count: int, step: int) -> list[int]:
    return [(i * i * step + i) % 50 for i in range(count)]


def alone(model: Path, prompt: list[int], most: int) -> list[int]:
    bench = Bench(model)
    bench.ask(1, prompt, most)
    bench.run()
    return bench.answer(1)


def partly_overwritten(bench: Bench) -> list[int]:
    """Let a long request run until others have the place of what it looks back to no more. Return its prompt."""
    long = words(120, 3)
    running = bench.ask(1, long, 60)
    bench.run(until=lambda: bool(running.tokens))
    (sequence,) = (seat.sequence for seat in bench.batch._seats if seat.job is running)
    for number in range(100, 120):
        bench.ask(number, words(70, number), 1)
        while number not in bench.done:
            bench.batch.step()
        if not bench.library.goes_on(sequence, 60):
            return long
    raise AssertionError("nothing was overwritten")


def test_prefix_that_a_running_request_does_not_hold_any_more_is_computed_again(windowed: Path) -> None:
    bench = Bench(windowed)
    follower = [*partly_overwritten(bench)[:60], 1, 2, 3]
    bench.ask(4, follower, 6)
    bench.run()
    assert not bench.failed and bench.answer(4) == alone(windowed, follower, 6)


def test_prefix_inside_the_window_is_taken_over(windowed: Path) -> None:
    bench = Bench(windowed)
    long = words(120, 3)
    bench.ask(1, long, 6)
    bench.run()
    bench.ask(2, [*long[:110], 5], 6)
    bench.run()
    assert bench.done[2][0].cached == 110 and bench.answer(2) == alone(windowed, [*long[:110], 5], 6)


def test_request_goes_on_when_another_leaves_while_a_recurrent_model_reads(
    recurrent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state can't be cut to where a step began, so no step that somebody wants is broken off."""
    monkeypatch.setattr(breaking_off, "SOON_S", -60.0)  # as if each step took a minute
    bench = Bench(recurrent)
    bench.ask(1, words(100, 3), 6)
    bench.ask(2, words(100, 7), 6)
    while len(bench.batch._states.tokens(1)) < ROWS:
        bench.batch.step()
    bench.gone.add(1)
    bench.batch.step()
    bench.batch.cancel(1)
    bench.gone.clear()
    bench.run()
    assert not bench.failed and bench.answer(2) == alone(recurrent, words(100, 7), 6)


def test_place_of_a_request_that_left_a_recurrent_model_serves_the_next(
    recurrent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaking_off, "SOON_S", -60.0)
    bench = Bench(recurrent)
    bench.ask(1, words(200, 3), 6)
    bench.batch.step()
    bench.gone.add(1)
    bench.batch.step()
    bench.batch.cancel(1)
    for number in range(2, 6):  # one for each place
        bench.ask(number, words(50, number), 3)
    bench.run()
    assert not bench.failed
    assert [bench.answer(n) for n in range(2, 6)] == [alone(recurrent, words(50, n), 3) for n in range(2, 6)]


@pytest.mark.parametrize("asker", ["", "guest"])
def test_nothing_that_was_said_stays_in_a_recurrent_model_that_is_told_to_forget(recurrent: Path, asker: str) -> None:
    """Its state can't be cut down to what is the specialist's own."""
    bench = Bench(recurrent)
    bench.ask(1, words(90, 3), 4, own=60, asker=asker)
    bench.run()
    if not asker:
        bench.batch.forget()
    empty = Library(str(recurrent), bench.library.settings)
    assert len(bench.library.state(0)) == len(empty.state(0))


@pytest.mark.parametrize("kind", ["windowed", "recurrent"])
def test_labels_are_weighed_in_company_as_alone(kind: str, request: pytest.FixtureRequest) -> None:
    model: Path = request.getfixturevalue(kind)
    prompt, labels = words(90, 5), [[1, 2, 3], [1, 2, 4], [1, 9], [7], [7, 8, 8, 8]]
    weights = []
    for company in (0, 2):
        bench = Bench(model)
        for number in range(company):
            bench.ask(10 + number, words(30, 20 + number), 8)
        bench.weigh(1, prompt, labels)
        bench.run()
        assert not bench.failed
        weights.append(bench.done[1][1])
    assert sum(weights[0]) == pytest.approx(1) and weights[1] == pytest.approx(weights[0], abs=0.01)
