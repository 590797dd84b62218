"""Does one piece of work for a peer and says how it goes: accepted, deltas, a beat every second, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from models.errors import DeadlineExceeded, ModelsError
from models.types import Chunk, Request, Result
from peers.conversions import delta_of, done_of, request_of
from peers.errors import PeersError
from peers.messages import Accepted, Done, Failed, Progress, Streamed, Subtask
from peers.wire_errors import failed_of

BEAT_S = 1.0
"""A running task speaks this often; after three silent beats the asker looks elsewhere."""
MAX_DEADLINE_S = 600.0
"""For a request that names none or a longer one: work nobody waits for must end."""
QUEUE = 64
"""Pieces that wait for a slow network; then the specialist waits, and memory stays flat."""

Say = Callable[[Streamed], Awaitable[None]]
Handler = Callable[[Request], AsyncIterator[Chunk | Result]]
"""Runs a request that was let in. Raises ModelsError."""


async def answer(subtask: Subtask, handler: Handler, say: Say) -> Done | None:
    """Run the work and say all there is to say about it; return how it ended, None when it failed."""
    await say(Accepted())
    queue: asyncio.Queue[Chunk | Done | Failed] = asyncio.Queue(QUEUE)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(_work(subtask, handler, queue))
        tokens = len(subtask.resume_tokens)
        try:
            while True:
                try:
                    async with asyncio.timeout(BEAT_S):
                        piece = await queue.get()
                except TimeoutError:
                    await say(Progress(tokens=tokens))
                    continue
                if isinstance(piece, Chunk):
                    tokens += len(piece.token_ids)
                    await say(delta_of(piece))
                    continue
                await say(piece)
                return piece if isinstance(piece, Done) else None
        finally:
            work.cancel()


async def _work(subtask: Subtask, handler: Handler, queue: asyncio.Queue[Chunk | Done | Failed]) -> None:
    """Run the specialist to its end; whatever goes wrong becomes a message."""
    limit_s = min(subtask.deadline_s or MAX_DEADLINE_S, MAX_DEADLINE_S)
    try:
        async with asyncio.timeout(limit_s):
            stream = handler(request_of(subtask))
            try:
                async for piece in stream:
                    await queue.put(piece if isinstance(piece, Chunk) else done_of(piece))
            finally:
                close = getattr(stream, "aclose", None)
                if close is not None:
                    await close()
    except TimeoutError:
        late = DeadlineExceeded(f"The work was not done within {limit_s:g} s. Give it more time, or ask for less.")
        await queue.put(failed_of(late)[1])
    except (ModelsError, PeersError) as error:
        await queue.put(failed_of(error)[1])
