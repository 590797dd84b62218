"""Models come into memory when asked for and leave when the budget needs the room."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from models import manifest as manifests
from models import pool as pools
from models.errors import BadArtifact, ManifestError, NotInstalled, OutOfMemory, UnknownModel
from models.manifest import Manifest
from models.pool import ModelPool
from models.store import Store
from models.types import Digest, ModelId

MB = 2**20


class Weight:
    """A loaded model that only counts."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.id = ModelId(name)
        self.artifacts: tuple[Digest, ...] = ()
        self.memory_bytes = 0
        self._log = log

    async def close(self) -> None:
        self._log.append(f"-{self.id}")


class Bench:
    """A store with three models of 100 MB each, and a log of loads (+) and unloads (-)."""

    def __init__(self, folder: Path, budget_mb: int) -> None:
        self.log: list[str] = []
        self.broken: set[str] = set()
        self.gates: dict[str, asyncio.Event] = {}
        """A model with a gate loads only once that is open."""
        self.at_gate: list[str] = []
        self.store = Store(folder)
        for name in ("one", "two", "three"):
            digest = self.store.add_blob(_file(folder, name))
            self.store.install(
                manifests.parse(
                    {
                        "id": name,
                        "summary": name,
                        "kind": "text",
                        "backend": "scripted",
                        "licence": "MIT",
                        "memory_bytes": 100 * MB,
                        "artifacts": [{"role": "model", "file": "m.gguf", "sha256": digest}],
                    },
                    "test",
                )
            )
        self.pool = ModelPool(self.store, budget_bytes=budget_mb * MB, threads=1, openers={"scripted": self._open})

    async def _open(self, manifest: Manifest, store: Store, threads: int) -> Weight:
        await asyncio.sleep(0)
        if manifest.id in self.gates:
            self.at_gate.append(manifest.id)
            await self.gates[manifest.id].wait()
        if manifest.id in self.broken:
            raise BadArtifact(f"{manifest.id} is damaged")
        self.log.append(f"+{manifest.id}")
        return Weight(manifest.id, self.log)

    async def use(self, *names: str) -> str:
        async with self.pool.text(names) as model:
            return model.id


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


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0)


def _file(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.bin"
    path.write_text(name)
    return path


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
        bench.store, budget_bytes=250 * MB, threads=1, openers={"scripted": lambda *_: _made(Narrow("two", bench.log))}
    )
    async with pool.text(["two"]), pool.text(["two"]), pool.text(["two"]):
        assert pool.waiting() == 2
    assert pool.waiting() == 0
    cancelled = asyncio.create_task(bench.use("nobody"))
    with pytest.raises((NotInstalled, UnknownModel)):
        await cancelled
    assert bench.pool.waiting() == 0


async def _made(model: Weight) -> Weight:
    return model


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


class Forgetful(Weight):
    """A model that still writes when it is put away, until `gate` opens."""

    def __init__(self, name: str, log: list[str], gate: asyncio.Event) -> None:
        super().__init__(name, log)
        self._gate = gate

    async def forget(self, conversation: Path | None = None) -> None:
        self._log.append("forgot")

    async def close(self) -> None:
        await self._gate.wait()
        await super().close()


async def test_forgetting_waits_for_a_model_that_is_being_put_away(tmp_path: Path) -> None:
    """It may just be writing what is to be forgotten."""
    bench, gate = Bench(tmp_path, 150), asyncio.Event()
    pool = ModelPool(
        bench.store,
        budget_bytes=150 * MB,
        threads=1,
        openers={"scripted": lambda manifest, *_: _made(Forgetful(manifest.id, bench.log, gate))},
    )
    async with pool.text(["one"]):
        pass

    async def use_another() -> None:
        async with pool.text(["two"]):
            pass

    using = asyncio.create_task(use_another())
    await until(lambda: not pool.loaded())
    forgetting = asyncio.create_task(pool.forget())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not forgetting.done()
    gate.set()
    await asyncio.gather(using, forgetting)
    assert bench.log[0] == "-one"
    await pool.close()


async def test_who_leaves_while_a_model_is_put_away_for_them_does_not_stop_it(tmp_path: Path) -> None:
    """Until its process has ended, its memory is taken and it may write what is to be forgotten."""
    bench, gate = Bench(tmp_path, 150), asyncio.Event()
    pool = ModelPool(
        bench.store,
        budget_bytes=150 * MB,
        threads=1,
        openers={"scripted": lambda manifest, *_: _made(Forgetful(manifest.id, bench.log, gate))},
    )

    async def use(name: str) -> None:
        async with pool.text([name]):
            bench.log.append(f"+{name}")

    await use("one")
    leaving = asyncio.create_task(use("two"))
    await until(lambda: not pool.loaded())
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()
    others = [asyncio.create_task(use("three")), asyncio.create_task(pool.forget()), asyncio.create_task(use("one"))]
    for _ in range(5):
        await asyncio.sleep(0)
    assert bench.log == ["+one"] and not any(task.done() for task in others)
    gate.set()
    await asyncio.gather(*others)
    assert bench.log[:2] == ["+one", "-one"] and {"+one", "+three"} <= set(bench.log[2:])
    await pool.close()
