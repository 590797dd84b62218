"""Holds a stream of bytes to a rate, so that one copy does not take the whole network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Shared by all who send; without a rate nobody waits."""

    def __init__(
        self,
        bytes_per_s: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = bytes_per_s
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    async def take(self, size_bytes: int) -> None:
        """Wait until so many bytes more are within the rate."""
        if self._rate is None:
            return
        now = self._clock()
        wait_s = self._free_at - now
        self._free_at = max(now, self._free_at) + size_bytes / self._rate
        if wait_s > 0:
            await self._sleep(wait_s)
