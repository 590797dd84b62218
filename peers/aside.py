"""Does what takes long with many bytes in a thread, one after the other, so that the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

LARGE_BYTES = 256 * 1024
"""What is read at once: a few milliseconds. More would make links late with their beats."""

T = TypeVar("T")


class Aside:
    """See above. One at a time, as what is unpacked takes many times the room of its bytes."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def __call__(self, size_bytes: int, work: Callable[[], T]) -> T:
        """Return what the work comes to; `size_bytes` are what it reads."""
        if size_bytes <= LARGE_BYTES:
            return work()
        await self._one.acquire()
        working = asyncio.ensure_future(asyncio.to_thread(work))
        working.add_done_callback(self._done)  # not before: a thread goes on when nobody waits for it any more
        return await asyncio.shield(working)

    def _done(self, working: asyncio.Future[T]) -> None:
        self._one.release()
        if not working.cancelled():
            working.exception()  # who waits for it is told; that nobody does is no news
