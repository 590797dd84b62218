"""Models come into memory when asked for and leave when the budget needs the room."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from models import pool as pools
from models.errors import BadArtifact, ManifestError, NotInstalled, OutOfMemory, UnknownModel
from models.pool import ModelPool
from tests.models.pool_bench import MB, Bench, Weight, made, until


async def test_model_that_can_not_be_started_again_is_opened_anew(tmp_path: Path) -> None:
    """Its weights were those of a tuning that was undone while a node was up; the ones as shipped are here."""
    bench = Bench(tmp_path, 300)
    async with bench.pool.text(("one",)) as model:
        vars(model)["lost"] = True
        assert await bench.use("one") == "one"  # who holds it keeps it
    assert bench.log == ["+one"]
    assert await bench.use("one") == "one" and await bench.use("one") == "one"
    assert bench.log == ["+one", "-one", "+one"]


async def test_model_of_another_kind_is_not_said_to_be_missing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 300)
    with pytest.raises(ManifestError, match="one is a model of kind 'text', and kind 'encoder' is needed"):
        async with bench.pool.encoder(("one",)):
            pass


async def test_a_model_is_loaded_once_for_all_who_ask(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    await asyncio.gather(*(bench.use("one") for _ in range(5)))
    await bench.use("one")
    assert bench.log == ["+one"]
    await bench.pool.close()
    assert bench.log == ["+one", "-one"]


async def test_the_one_used_longest_ago_makes_room(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    for name in ("one", "two", "one", "three"):
        await bench.use(name)
    assert bench.log == ["+one", "+two", "-two", "+three"]
    assert set(bench.pool.loaded()) == {"one", "three"}


async def test_a_model_in_use_is_never_put_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 150)
    async with bench.pool.text(["one"]):
        waiting = asyncio.create_task(bench.use("two"))
        await until(lambda: bench.pool.waiting() == 1)
        assert bench.log == ["+one"]
    assert await waiting == "two"
    assert bench.log == ["+one", "-one", "+two"]


async def test_who_holds_one_model_and_waits_for_another_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "WAIT_S", 0.05)
    bench = Bench(tmp_path, 150)
    async with bench.pool.text(["one"]):
        with pytest.raises(OutOfMemory, match="beside those in use"):
            await bench.use("two")


async def test_the_first_that_is_installed_is_taken(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    assert await bench.use("smollm2-135m", "two", "one") == "two"
    assert bench.pool.installed(["smollm2-135m", "two"]) == ["two"]


async def test_a_damaged_model_is_passed_over_for_the_next(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    bench.broken = {"one"}
    assert await bench.use("one", "two") == "two"
    with pytest.raises(BadArtifact):
        await bench.use("one")


async def test_a_model_beyond_the_budget_says_how_much_it_needs(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match=r"about 100 MB.*budget is 50 MB"):
        await Bench(tmp_path, 50).use("one")


async def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    with pytest.raises(NotInstalled, match="covey models pull smollm2-135m"):
        await bench.use("smollm2-135m")
    with pytest.raises(UnknownModel):
        await bench.use("nonesuch")


async def test_a_lease_ends_with_its_holder(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 150)

    held = asyncio.Event()

    async def hold() -> None:
        async with bench.pool.text(["one"]):
            held.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    await held.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await bench.use("two") == "two"


async def test_a_slow_load_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    await bench.use("two")
    bench.gates["one"] = asyncio.Event()
    slow = asyncio.create_task(bench.use("one"))
    await until(lambda: bench.at_gate)
    assert await asyncio.wait_for(bench.use("two"), 1) == "two"
    assert bench.log == ["+two"]
    bench.gates["one"].set()
    assert await slow == "one"
    assert bench.log == ["+two", "+one"]


async def test_another_model_loads_beside_a_slow_load(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    bench.gates["one"] = asyncio.Event()
    slow = asyncio.create_task(bench.use("one"))
    await until(lambda: bench.at_gate)
    assert await asyncio.wait_for(bench.use("two"), 1) == "two"
    bench.gates["one"].set()
    assert await slow == "one"


async def test_memory_of_a_model_that_is_still_loading_is_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 150)
    bench.gates["one"] = asyncio.Event()
    slow = asyncio.create_task(bench.use("one"))
    await until(lambda: bench.at_gate)
    other = asyncio.create_task(bench.use("two"))
    await until(lambda: bench.pool.waiting() == 2)
    assert not other.done() and bench.log == []
    bench.gates["one"].set()
    assert (await slow, await other) == ("one", "two")
    assert bench.log == ["+one", "-one", "+two"]


async def test_who_waits_for_a_load_that_is_cancelled_loads_it_instead(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    bench.gates["one"] = asyncio.Event()
    first = asyncio.create_task(bench.use("one"))
    await until(lambda: bench.at_gate)
    second = asyncio.create_task(bench.use("one"))
    await until(lambda: bench.pool.waiting() == 2)
    first.cancel()
    bench.gates["one"].set()
    assert await asyncio.wait_for(second, 1) == "one"
    assert bench.log == ["+one"]
    with contextlib.suppress(asyncio.CancelledError):
        await first


async def test_closing_waits_for_a_load_and_puts_it_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    bench.gates["one"] = asyncio.Event()
    slow = asyncio.create_task(bench.use("one"))
    await until(lambda: bench.at_gate)
    closing = asyncio.create_task(bench.pool.close())
    await asyncio.sleep(0)
    bench.gates["one"].set()
    await asyncio.gather(slow, closing)
    assert bench.log == ["+one", "-one"] and bench.pool.loaded() == {}


class Narrow(Weight):
    """A model that serves one request at once."""

    places = 1


async def test_those_who_wait_for_a_model_or_a_place_in_it_are_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 250)
    gate = bench.gates["one"] = asyncio.Event()
    assert bench.pool.waiting() == 0
    using = [asyncio.create_task(bench.use("one")) for _ in range(2)]
    await until(lambda: bench.pool.waiting() == 2)
    gate.set()
    await asyncio.gather(*using)
    assert bench.pool.waiting() == 0
    bench.log.clear()
    pool = ModelPool(
        bench.store, budget_bytes=250 * MB, threads=1, openers={"scripted": lambda *_: made(Narrow("two", bench.log))}
    )
    async with pool.text(["two"]), pool.text(["two"]), pool.text(["two"]):
        assert pool.waiting() == 2
    assert pool.waiting() == 0
    cancelled = asyncio.create_task(bench.use("nobody"))
    with pytest.raises((NotInstalled, UnknownModel)):
        await cancelled
    assert bench.pool.waiting() == 0


async def test_who_waits_for_room_is_told_however_often_the_others_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "WAIT_S", 0.05)
    bench = Bench(tmp_path, 150)
    async with contextlib.AsyncExitStack() as leases:
        await leases.enter_async_context(bench.pool.text(["one"]))
        waiting = asyncio.create_task(bench.use("two"))
        async with asyncio.timeout(5):
            while not waiting.done():
                await bench.use("one")
                await asyncio.sleep(0)
        assert isinstance(waiting.exception(), OutOfMemory)


async def test_who_waits_for_room_has_a_turn_between_requests_that_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "TURN_SHARE", 0.0005)
    bench, leave = Bench(tmp_path, 150), asyncio.Event()
    served: list[str] = []

    async def use(name: str, left: asyncio.Event) -> None:
        async with bench.pool.text([name]):
            served.append(name)
            await left.wait()

    first = asyncio.create_task(use("one", leave))
    await until(lambda: served)
    other = asyncio.create_task(use("two", leave))
    await until(lambda: bench.pool._state.overdue)
    later = asyncio.create_task(use("one", leave))
    for _ in range(5):
        await asyncio.sleep(0)
    assert served == ["one"]
    leave.set()
    await asyncio.gather(first, other, later)
    assert served == ["one", "two", "one"]


async def test_a_long_answer_does_not_keep_others_waiting_for_another_models_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "TURN_SHARE", 0.0005)
    monkeypatch.setattr(pools, "HOLD_SHARE", 0.001)
    bench = Bench(tmp_path, 150)
    async with bench.pool.text(["one"]):
        waiting = asyncio.create_task(bench.use("two"))
        await until(lambda: bench.pool._state.overdue)
        assert await bench.use("one") == "one"
        assert not waiting.done()
    assert await waiting == "two"
