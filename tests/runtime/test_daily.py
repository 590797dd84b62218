"""What a node that stays does once a day."""

from __future__ import annotations

import asyncio

import pytest

from runtime.daily import daily


async def test_it_is_done_at_the_start_and_again_each_period() -> None:
    times = asyncio.Semaphore(0)

    async def act() -> None:
        times.release()

    async with daily(act, period_s=0.001), asyncio.timeout(5):
        for _ in range(3):
            await times.acquire()


async def test_the_first_failure_is_raised() -> None:
    async def act() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        async with daily(act):
            pass


async def test_a_later_failure_stops_neither_the_node_nor_the_next_day(caplog: pytest.LogCaptureFixture) -> None:
    called = 0
    third = asyncio.Event()

    async def act() -> None:
        nonlocal called
        called += 1
        if called == 2:
            raise OSError("disk full")
        if called == 3:
            third.set()

    async with daily(act, period_s=0.001), asyncio.timeout(5):
        await third.wait()
    assert "once a day failed" in caplog.text
