"""Many bytes are read beside the event loop, one after the other, whoever still waits for it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from peers.aside import LARGE_BYTES, Aside
from tests.peers.scripts import until


async def test_while_one_is_being_read_the_next_waits_also_when_nobody_wants_the_first_any_more() -> None:
    """Else a device that asks and gives up has many read at once, each of which takes many times its bytes."""
    aside, go, begun = Aside(), threading.Event(), []

    def work() -> int:
        begun.append(1)
        assert go.wait(5)
        return len(begun)

    first = asyncio.create_task(aside(LARGE_BYTES + 1, work))
    await until(lambda: begun)
    first.cancel()
    second = asyncio.create_task(aside(LARGE_BYTES + 1, work))
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.sleep(0.1)
    assert begun == [1]
    go.set()
    assert await second == 2


async def test_what_goes_wrong_is_told_and_the_next_one_has_its_turn() -> None:
    aside = Aside()
    with pytest.raises(ValueError, match="no"):
        await aside(LARGE_BYTES + 1, lambda: int("no"))
    assert await aside(LARGE_BYTES + 1, lambda: 1) == 1
