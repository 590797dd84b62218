"""Does something once a day for as long as a node stays up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

DAY_S = 86_400.0

logger = logging.getLogger(__name__)


@asynccontextmanager
async def daily(act: Callable[[], Awaitable[object]], *, period_s: float = DAY_S) -> AsyncIterator[None]:
    """Await `act` now, where an error is raised, and then once a period while the block lasts."""
    await act()
    again = asyncio.create_task(_again(act, period_s))
    try:
        yield
    finally:
        again.cancel()
        with suppress(asyncio.CancelledError):
            await again


async def _again(act: Callable[[], Awaitable[object]], period_s: float) -> None:
    while True:
        await asyncio.sleep(period_s)
        try:
            await act()
        except Exception:  # top of the task: the next day tries again, and the node goes on
            logger.exception("what is done once a day failed")
