"""A step of prompts that nobody wants any more ends on the way; one that somebody wants runs through."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.backend import GenerateCall, Message, whole
from models.backends.llama import LlamaModel
from models.backends.llama_settings import LlamaSettings
from models.engine.breaking_off import BreakingOff
from models.engine.library import ContextSettings, Interrupted, Library, Row
from models.engine.seats import Seat, Take
from models.errors import DeadlineExceeded
from models.store import Store
from models.types import ModelId
from tests.models.engine.scripted_library import Bench, expected

REAL = [pytest.mark.real, pytest.mark.timeout(120)]
LONG = [n % 60 for n in range(1800)]


def test_prompt_that_is_cancelled_is_computed_no_further_and_the_next_request_has_the_place() -> None:
    cancelled: set[int] = set()
    bench = Bench(kv=2000, slots=1, rows=512, cancelled=cancelled)
    bench.ask(1, LONG, 20)
    bench.ask(2, [3, 4, 5], 4)
    cancelled.add(1)
    bench.batch.step()
    assert bench.library.rows == bench.library.asks_at
    bench.batch.cancel(1)
    bench.run()
    assert bench.answer(2) == expected([3, 4, 5], 4)
    assert bench.library.rows == bench.library.asks_at + 3 + 3


def test_prompt_whose_deadline_passes_inside_a_step_is_computed_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(kv=2000, slots=1, rows=512)
    job = bench.ask(1, LONG, 20, deadline=math.inf)
    decode = bench.library.decode

    def slow(rows: list[Row], given_up: Callable[[], bool] | None = None) -> list[NDArray[np.float32]]:
        job.deadline = time.monotonic() - 1
        return decode(rows, given_up)

    monkeypatch.setattr(bench.library, "decode", slow)
    bench.batch.step()
    assert bench.library.rows == bench.library.asks_at
    bench.batch.step()
    assert isinstance(bench.failed[1], DeadlineExceeded) and not bench.batch.busy


def test_what_was_broken_off_left_no_state_behind() -> None:
    cancelled = {1}
    bench = Bench(kv=2000, slots=1, rows=512, cancelled=cancelled)
    bench.ask(1, LONG[:100], 5)
    bench.batch.step()
    cancelled.clear()  # as if it had been a mistake: it goes on as though nothing had been
    bench.run()
    assert bench.answer(1) == expected(LONG[:100], 5)


@pytest.mark.parametrize("gone", [1, 2])
def test_step_of_several_is_broken_off_for_one_that_is_given_up_and_is_in_it_or_waits_for_its_turn(gone: int) -> None:
    cancelled: set[int] = set()
    bench = Bench(kv=2000, slots=4, rows=512, cancelled=cancelled)
    bench.ask(1, [1] * 300, 4)
    bench.ask(2, [2] * 300, 4)
    cancelled.add(gone)
    bench.batch.step()
    assert bench.library.rows == bench.library.asks_at
    bench.batch.cancel(gone)
    bench.run()
    assert bench.answer(3 - gone) == expected([3 - gone] * 300, 4)


def test_who_asks_and_leaves_again_and_again_takes_every_second_step_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the one who stays, three steps read the prompt and three more write the answer's last tokens."""
    cancelled: set[int] = set()
    bench = Bench(kv=2000, slots=2, rows=512, cancelled=cancelled)
    monkeypatch.setattr(bench.batch._pace, "reading", lambda rows: None)  # else these steps would be known as short
    bench.ask(0, [0] * 900, 4)
    steps = 0
    while 0 not in bench.done and steps < 40:
        steps += 1
        bench.ask(steps, [steps] * 200, 4)
        cancelled.add(steps)
        bench.batch.step()
        bench.batch.cancel(steps)
    assert steps == 2 * 3 + 3


@pytest.mark.parametrize(
    ("gone", "after_s", "broken_off"),
    [
        ({1}, 0.9, True),
        ({1}, 0.95, False),
        ({1, 2}, 0.99, True),
        ({3}, 0.9, True),
        ({3}, 0.95, False),
        (set(), 0.1, False),
    ],
)
def test_a_step_that_ends_soon_by_itself_is_broken_off_only_when_nobody_wants_it(
    gone: set[int], after_s: float, broken_off: bool
) -> None:
    now = [0.0]
    breaking_off = BreakingOff(lambda job: job.id in gone, now=lambda: now[0])
    bench = Bench(kv=2000)
    seats = [Seat(number, bench.ask(number, [number] * 50, 4)) for number in range(1, 4)]
    asked = breaking_off.asks([Take(seat, 50) for seat in seats[:2]], seats, seconds=1.0)
    now[0] = after_s
    assert asked is not None and asked() == broken_off


def test_prompt_that_others_wait_for_is_computed_although_its_asker_has_left() -> None:
    cancelled: set[int] = set()
    bench = Bench(kv=2000, slots=4, rows=512, cancelled=cancelled)
    bench.ask(1, [*LONG[:200], 1], 4)
    bench.ask(2, [*LONG[:200], 2], 4)
    cancelled.add(1)
    bench.batch.step()
    assert bench.library.rows == 201
    bench.batch.cancel(1)
    bench.run()
    assert bench.answer(2) == expected([*LONG[:200], 2], 4)
    assert bench.library.rows < 220


class TestReal:
    pytestmark = REAL

    def test_broken_off_step_changes_nothing_of_what_is_computed_afterwards(self, models_home: Path) -> None:
        library = Library(weights(models_home), ContextSettings(kv_tokens=512, sequences=1, threads=1, batch_rows=128))
        rows = [Row(token, place, 0, place == 99) for place, token in enumerate(range(100, 200))]
        plain = library.decode(rows)[0].copy()
        library.cut(0, 0)
        asked = []
        with pytest.raises(Interrupted):
            library.decode(rows, lambda: len(asked.append(None) or asked) == 20)
        assert len(asked) == 20
        library.cut(0, 0)
        assert (library.decode(rows, lambda: False)[0] == plain).all()
        library.close()

    async def test_of_a_prompt_that_is_given_up_no_step_is_finished(self, models_home: Path) -> None:
        """A step of 512 rows takes a second on two cores; what it had computed would serve the next request."""
        settings = LlamaSettings(slots=1, scratch=1)
        model = await LlamaModel.load(ModelId("smollm2-135m"), Path(weights(models_home)), (), settings)
        prompt = GenerateCall((Message("user", "Here are some notes about plants. " * 90),), 1)
        waiting = asyncio.create_task(whole(model.generate(prompt)))
        await asyncio.sleep(0.05)
        waiting.cancel()
        after = await whole(model.generate(prompt))
        assert after.usage.cached_tokens == 0 < 512 < after.usage.prompt_tokens
        await model.close()


def weights(models_home: Path) -> str:
    store = Store(models_home / "models")
    return str(store.path(store.get("smollm2-135m"), "model"))
