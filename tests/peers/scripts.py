"""What the nodes of a test are asked, how their specialists go about it, and a wait for what comes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

from models.types import Chunk, Request, Result, Tier
from tests.peers.swarm import Script

REQUEST = Request("generate", {"prompt": "Count to five, but do not tell anybody."}, ceiling=Tier.HOME)
WORDS = "one two three four five"


def ending_in(error: Exception) -> Script:
    async def script(request: Request) -> AsyncGenerator[Chunk | Result, None]:
        yield Chunk(0, "one", (100,))
        raise error

    return script


async def slowly(request: Request) -> AsyncGenerator[Chunk | Result, None]:
    yield Chunk(0, "one", (100,))
    await asyncio.sleep(30)
    yield Result(output="never")


async def until(condition: Callable[[], object], limit_s: float = 3.0) -> float:
    """Wait until a condition holds and return the seconds that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < limit_s, "it did not come true in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - start


def waiting_for(go: asyncio.Event) -> Script:
    async def script(request: Request) -> AsyncGenerator[Chunk | Result, None]:
        yield Chunk(0, "one", (100,))
        await go.wait()
        yield Result(output="one", text="one", confidence=0.9)

    return script
