"""Speeds are learned from real runs, kept over a restart, and believe nobody's word."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool, ScriptedText
from models.types import Chunk, Request, Result, Usage, last
from runtime.db import Database, DatabaseThread
from runtime.registry import Entry, Registry
from runtime.skills import own_seat
from runtime.speeds import HERE, Run, Speed, Speeds, learn
from runtime.workload import Workload
from tests.runtime.scripted import Scripted, spec


@pytest.mark.parametrize(
    ("before", "run", "after"),
    [
        (Speed(), Run(3.0, 100, 41, 1.0), Speed(100.0, 20.0, None, 1)),
        (Speed(100.0, 20.0, None, 1), Run(3.0, 200, 81, 1.0), Speed(130.0, 26.0, None, 2)),
        (Speed(), Run(3.0, 100, 3, 1.0), Speed(100.0, None, None, 1)),
        (Speed(), Run(3.0, 10, 41, 1.0), Speed(None, 20.0, None, 1)),
        (Speed(100.0, 20.0), Run(6.0, 100, 41, 4.0, cold=True), Speed(100.0, 20.0, 3.0, 1)),
        (Speed(), Run(2.0, 80, 30), Speed(160.0, 20.0, None, 1)),
        (Speed(), Run(2.0, 0, 0), Speed(None, None, None, 1)),
    ],
)
def test_what_a_run_teaches(before: Speed, run: Run, after: Speed) -> None:
    assert learn(before, run) == after


def test_what_was_learned_is_known_after_a_restart(tmp_path: Path) -> None:
    with Database(tmp_path / "journal.sqlite3") as database:
        Speeds(database).observe("K", "small", Run(3.0, 100, 41, 1.0))
    with Database(tmp_path / "journal.sqlite3") as database:
        assert Speeds(database).known() == {("K", "small"): Speed(100.0, 20.0, None, 1)}


class Time:
    """A clock that goes on by so much at each look."""

    def __init__(self, step_s: float) -> None:
        self._now, self._step_s = 0.0, step_s

    def __call__(self) -> float:
        self._now += self._step_s
        return self._now


async def test_a_device_that_says_it_wrote_a_million_tokens_is_measured_by_what_came(tmp_path: Path) -> None:
    boast = Result(output="yes", text="yes", model="small", usage=Usage(10**6, 0, 10**6, 0.001, 0.001))
    liar = Scripted(spec("generate"), [boast])
    with Database(tmp_path / "journal.sqlite3") as database:
        async with DatabaseThread() as thread:
            workload = Workload(Speeds(database), thread, clock=Time(1.0))
            await last(workload.watched(liar, node="K", model="small").run(Request("generate", {"prompt": "x"})))
            speed = (await workload.known())["K", "small"]
            assert workload.running("K") == 0
    assert speed.decode_tps is not None
    assert speed.decode_tps < 600


async def test_work_counts_while_it_runs_and_not_after_it_broke(tmp_path: Path) -> None:
    writer = Scripted(spec("generate"), [Chunk(0, "a", (1,)), RuntimeError("broke")])
    with Database(tmp_path / "journal.sqlite3") as database:
        async with DatabaseThread() as thread:
            workload = Workload(Speeds(database), thread)
            stream = workload.watched(writer).run(Request("generate", {"prompt": "x"}))
            await anext(stream)
            assert workload.running() == 1
            with pytest.raises(RuntimeError):
                await anext(stream)
            assert workload.running() == 0


def test_this_devices_seat_has_what_it_can_serve_and_how_fast() -> None:
    entries = [
        Entry(spec("generate", models=("small",)), "built-in", ""),
        Entry(spec("calculate", "calculate", models=()), "built-in", ""),
        Entry(spec("code", "code", models=("absent",)), "built-in", ""),
    ]
    pool = ScriptedPool({"small": ScriptedText([], name="small")})
    known = {(HERE, "small"): Speed(100.0, 20.0, 1.0, 3)}
    seat = own_seat(
        "here",
        Registry(entries),
        pool,
        known,
        capabilities=["generate", "calculate", "code"],
        ahead=2,
        warm=frozenset(),
    )
    assert seat.ahead == 2
    written, computed = seat.skills
    assert (written.model, written.decode_tps, written.measured) == ("small", 20.0, True)
    assert written.load_s is None
    assert (computed.capability, computed.model) == ("calculate", "")


async def test_another_devices_word_that_it_is_calibrated_or_computed_does_not_count(tmp_path: Path) -> None:
    """Else a device could get past the risk that the owner accepts."""
    boast = Scripted(spec("generate"), [Result(output="yes", text="yes", confidence=1.0, calibrated=True)])
    with Database(tmp_path / "journal.sqlite3") as database:
        async with DatabaseThread() as thread:
            workload, request = Workload(Speeds(database), thread), Request("generate", {"prompt": "x"})
            there = await last(workload.watched(boast, node="K", model="small").run(request))
            here = await last(workload.watched(boast).run(request))
    assert (there.calibrated, there.model) == (False, "small")
    assert (here.calibrated, here.model) == (True, "")
