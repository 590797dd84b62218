"""What runs is waited for until it ends, its time is over, or somebody is in a hurry."""

from __future__ import annotations

import asyncio

import pytest

from peers.patience import ended


@pytest.mark.parametrize("how", ["ends", "late", "hurried", "cancelled"])
async def test_whatever_ends_the_wait_nothing_of_it_stays(how: str) -> None:
    hurry, ends, before = asyncio.Event(), asyncio.Event(), asyncio.all_tasks()
    waiting = asyncio.create_task(ended(ends.wait(), 0.05 if how == "late" else 60.0, hurry))
    await asyncio.sleep(0)
    match how:
        case "ends":
            ends.set()
        case "hurried":
            hurry.set()
        case "cancelled":
            waiting.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({waiting})
    assert (asyncio.all_tasks(), waiting.cancelled()) == (before, how == "cancelled")
