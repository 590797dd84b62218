"""Keeps a task going that must not end while the node is up: when it fails, that is said, and it begins again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

PAUSE_S = 0.5
"""Before the first new beginning; each next one waits twice as long."""
MAX_PAUSE_S = 30.0
LASTED_S = 60.0
"""What has gone on for so long begins again as quickly as the first time."""

logger = logging.getLogger(__name__)


async def kept_up(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work again and again until cancelled. `what`: its name in the log."""
    loop, pause_s = asyncio.get_running_loop(), PAUSE_S
    while True:
        began_s = loop.time()
        try:
            await work()
        except Exception:  # top of the task: nobody else would ever see that it has ended
            logger.exception("%s failed, and begins again in %g s; report it: this is a defect", what, pause_s)
        if loop.time() - began_s >= LASTED_S:
            pause_s = PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, MAX_PAUSE_S)
