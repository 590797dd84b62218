"""The bytes of one answer that came over a link and are not taken yet: bounded, ended or failed."""

from __future__ import annotations

import asyncio
from collections import deque

from peers.arrivals import MAX_BODY_BYTES
from peers.errors import PeerLost


class Inbox:
    """The bytes of one answer that are not taken yet."""

    def __init__(self) -> None:
        self.ended = False
        """Whether the other side has said all."""
        self._parts: deque[bytes] = deque()
        self._bytes = 0
        self._error: PeerLost | None = None
        self._changed = asyncio.Event()

    def put(self, data: bytes, *, ended: bool) -> None:
        self._bytes += len(data)
        self.ended = self.ended or ended
        if data:
            self._parts.append(data)
        if self._bytes > MAX_BODY_BYTES:  # who reads so slowly, or writes so much, does not get to fill the memory
            self._parts.clear()
            self.fail(PeerLost("More came over the link than could be read. Ask again."))
        self._changed.set()

    def fail(self, error: PeerLost) -> None:
        self._error = self._error or error
        self._changed.set()

    async def get(self) -> bytes | None:
        """Return the next bytes; None at the end. Raises PeerLost."""
        while not self._parts:
            if self.ended:
                return None
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        data = self._parts.popleft()
        self._bytes -= len(data)
        return data
