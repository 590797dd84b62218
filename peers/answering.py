"""Does a peer's work once and tells everybody who asked for it: accepted, deltas, a beat every second, the end.

A request that is sent again while it still runs (its asker lost the connection) joins what runs. The
work ends early only when nobody listens any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

from models.errors import BackendError, DeadlineExceeded, ModelsError
from models.types import Chunk, Request, Result
from peers.conversions import delta_of, done_of, request_of
from peers.errors import PeersError
from peers.messages import Accepted, Done, Failed, Progress, Streamed, Subtask
from peers.replays import Key
from peers.wire_errors import failed_of

BEAT_S = 1.0
"""A running task speaks this often; after three silent beats the asker looks elsewhere."""
MAX_DEADLINE_S = 600.0
"""For a request that names none or a longer one: work nobody waits for must end."""
AHEAD = 64
"""Pieces that the fastest listener may be behind; then the specialist waits for the network, and memory stays flat."""

logger = logging.getLogger(__name__)

Say = Callable[[Streamed], Awaitable[None]]
Handler = Callable[[Request], AsyncGenerator[Chunk | Result, None]]
"""Runs a request that was let in. Raises ModelsError."""
Piece = Chunk | Done | Failed


class Work:
    """One piece of work and all that it has said so far. It runs from `begin` until it ends or is ended."""

    def __init__(self, subtask: Subtask, handler: Handler) -> None:
        self.listeners = 0
        self._subtask = subtask
        self._handler = handler
        self._said: list[Piece] = []
        self._furthest = 0
        """Pieces that the fastest listener has taken."""
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Cancel what still runs and wait for it."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def tell(self, say: Say, queue: int = 0) -> Done | None:
        """Say all there is to say, from the beginning; return how it ended, None when it failed.

        `queue`: tasks before this one.
        """
        await say(Accepted(queue=queue))
        tokens, place = len(self._subtask.resume_tokens), 0
        while True:
            try:
                async with asyncio.timeout(BEAT_S), self._changed:
                    await self._changed.wait_for(lambda: len(self._said) > place)  # noqa: B023
            except TimeoutError:
                await say(Progress(tokens=tokens))
                continue
            piece, place = self._said[place], place + 1
            await self._taken(place)
            if isinstance(piece, Chunk):
                tokens += len(piece.token_ids)
                await say(delta_of(piece))
                continue
            await say(piece)
            return piece if isinstance(piece, Done) else None

    async def _taken(self, place: int) -> None:
        async with self._changed:
            self._furthest = max(self._furthest, place)
            self._changed.notify_all()

    async def _put(self, piece: Piece) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._said) - self._furthest < AHEAD)
            self._said.append(piece)
            self._changed.notify_all()

    async def _run(self) -> None:
        """Run the specialist to its end; whatever goes wrong becomes a message."""
        limit_s = min(self._subtask.deadline_s or MAX_DEADLINE_S, MAX_DEADLINE_S)
        try:
            async with asyncio.timeout(limit_s), aclosing(self._handler(request_of(self._subtask))) as stream:
                async for piece in stream:
                    await self._put(piece if isinstance(piece, Chunk) else done_of(piece))
        except TimeoutError:
            late = DeadlineExceeded(f"The work was not done within {limit_s:g} s. Give it more time, or ask for less.")
            await self._put(failed_of(late)[1])
        except (ModelsError, PeersError) as error:
            await self._put(failed_of(error)[1])
        except Exception:  # top of the task: the asker reads one sentence, the log has the rest
            logger.exception("the work for another device failed")
            await self._put(failed_of(BackendError("The work failed in a way that it should not; ask again."))[1])


class Works:
    """The work under way, so that a repeat finds what it repeats."""

    def __init__(self) -> None:
        self._open: dict[Key, Work] = {}

    @asynccontextmanager
    async def joined(self, key: Key | None, subtask: Subtask, handler: Handler) -> AsyncIterator[Work]:
        """Give the work with this key, begun now unless it runs already. Without a key it is always new."""
        work = self._open.get(key) if key else None
        if work is None:
            work = Work(subtask, handler)
            work.begin()
            if key:
                self._open[key] = work
        work.listeners += 1
        try:
            yield work
        finally:
            work.listeners -= 1
            if not work.listeners:
                if key and self._open.get(key) is work:
                    del self._open[key]
                await work.end()
