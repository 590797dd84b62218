"""Several ways to the same thing, tried one after the other, each with a head start; the first that works counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Attempt = Callable[[], Coroutine[Any, Any, T | None]]
"""Returns None when this way leads nowhere; then the next begins at once."""


async def first_of(
    attempts: Sequence[Attempt[T]], head_start_s: float, *, discard: Callable[[T], Awaitable[None]]
) -> T | None:
    """Return what the first successful attempt returns, None without one. What a slower one returns is discarded."""
    waiting, running = list(attempts), set[asyncio.Task[T | None]]()
    won: T | None = None
    try:
        while won is None and (waiting or running):
            if waiting:
                running.add(asyncio.create_task(waiting.pop(0)()))
            done, running = await asyncio.wait(
                running, timeout=head_start_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for result in (task.result() for task in done):
                if result is not None and won is None:
                    won = result
                elif result is not None:
                    await discard(result)
    finally:
        for task in running:
            task.cancel()
        for late in await asyncio.gather(*running, return_exceptions=True):
            if late is not None and not isinstance(late, BaseException):
                await discard(late)
    return won
