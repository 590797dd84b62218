"""How many requests may be inside at once. More are turned away at the door, not queued without end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from peers.patience import ended
from runtime.api.errors import BROKEN, TOO_MUCH, Fault, Refused

MAX_INSIDE = 64
"""Requests, running and waiting. The engine runs 8 at a time; the 56 behind them wait some seconds each.
More would only wait longer than a client's patience, and a runaway script would fill the memory."""
RETRY_AFTER_S = 2


class Gate:
    """Counts who is inside; closes when the node stops."""

    def __init__(self, limit: int = MAX_INSIDE) -> None:
        self.inside = 0
        self._limit = limit
        self._open = True
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be inside for the length of the block. Raises Refused: 429 when full, 503 when the node is stopping."""
        if not self._open:
            message = "This node is stopping. Start it again with `covey up`, then repeat the request."
            raise Refused(Fault(503, BROKEN, "stopping", message, retry_after_s=RETRY_AFTER_S))
        if self.inside >= self._limit:
            message = f"{self._limit} requests are being answered already. Try again in {RETRY_AFTER_S} seconds."
            raise Refused(Fault(429, TOO_MUCH, "rate_limit_exceeded", message, retry_after_s=RETRY_AFTER_S))
        self.inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.inside -= 1
            if not self.inside:
                self._empty.set()

    def close(self) -> None:
        """Let nobody in any more."""
        self._open = False

    async def empty(self) -> None:
        """Wait until the last one has left."""
        await self._empty.wait()

    async def drain(self, timeout_s: float, hurry: asyncio.Event) -> bool:
        """Let nobody in any more, and wait for those inside: so long, or until told to hurry.

        Returns whether all had left.
        """
        self.close()
        await ended(self.empty(), timeout_s, hurry)
        return not self.inside
