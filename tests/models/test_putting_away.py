"""A model that is put away is waited for: it may still write, and its memory is still taken."""

from __future__ import annotations

import asyncio
from pathlib import Path

from models.pool import ModelPool
from tests.models.pool_bench import MB, Bench, Weight, made, until


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


def narrow(bench: Bench, gate: asyncio.Event) -> ModelPool:
    """Return a pool with room for one model, that ends when `gate` opens."""
    return ModelPool(
        bench.store,
        budget_bytes=150 * MB,
        threads=1,
        openers={"scripted": lambda manifest, *_: made(Forgetful(manifest.id, bench.log, gate))},
    )


async def use(pool: ModelPool, name: str, log: list[str]) -> None:
    async with pool.text([name]):
        log.append(f"+{name}")


async def test_forgetting_waits_for_a_model_that_is_being_put_away(tmp_path: Path) -> None:
    """It may just be writing what is to be forgotten."""
    bench, gate = Bench(tmp_path, 150), asyncio.Event()
    pool = narrow(bench, gate)
    await use(pool, "one", bench.log)
    using = asyncio.create_task(use(pool, "two", bench.log))
    await until(lambda: not pool.loaded())
    forgetting = asyncio.create_task(pool.forget())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not forgetting.done()
    gate.set()
    await asyncio.gather(using, forgetting)
    assert bench.log[:2] == ["+one", "-one"]
    await pool.close()


async def test_who_leaves_while_a_model_is_put_away_for_them_does_not_stop_it(tmp_path: Path) -> None:
    """Until its process has ended, its memory is taken and it may write what is to be forgotten."""
    bench, gate = Bench(tmp_path, 150), asyncio.Event()
    pool = narrow(bench, gate)
    await use(pool, "one", bench.log)
    leaving = asyncio.create_task(use(pool, "two", bench.log))
    await until(lambda: not pool.loaded())
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()
    forgetting = asyncio.create_task(pool.forget())
    others = [forgetting, *(asyncio.create_task(use(pool, name, bench.log)) for name in ("three", "one"))]
    for _ in range(5):
        await asyncio.sleep(0)
    assert bench.log == ["+one"] and not any(task.done() for task in others)
    gate.set()
    await asyncio.gather(*others)
    assert bench.log[:2] == ["+one", "-one"] and {"+one", "+three"} <= set(bench.log[2:])
    await pool.close()
