"""Several ways to the same thing, tried one after the other, each with a head start; the first that works counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any, TypeVar

T = TypeVar("T")
Attempt = Callable[[], Coroutine[Any, Any, T | None]]
"""Returns None when this way leads nowhere; then the next begins at once."""


More = Callable[[], Coroutine[Any, Any, Sequence[Attempt[T]]]]
"""Waits for further ways that turn up meanwhile."""


async def first_of(
    attempts: Sequence[Attempt[T]],
    head_start_s: float,
    *,
    discard: Callable[[T], Awaitable[None]],
    more: More[T] | None = None,
) -> T | None:
    """Return what the first successful attempt returns, None without one. What a slower one returns is discarded.

    What `more` brings begins at once, and takes turns with those that still wait: neither can keep the other out.
    """
    waiting, running = list(attempts), set[asyncio.Task[T | None]]()
    hearing = asyncio.create_task(more()) if more is not None else None
    won: T | None = None
    try:
        while won is None and (waiting or running):
            if waiting:
                running.add(asyncio.create_task(waiting.pop(0)()))
            await asyncio.wait(
                [*running, *([hearing] if hearing else [])],
                timeout=head_start_s if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if more is not None and hearing is not None and hearing.done():
                waiting = list(_in_turn(hearing.result(), waiting))
                hearing = asyncio.create_task(more())
            done = {task for task in running if task.done()}
            running -= done
            for result in (task.result() for task in done):
                if result is not None and won is None:
                    won = result
                elif result is not None:
                    await discard(result)
    finally:
        for task in running:
            task.cancel()
        if hearing is not None:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
        for late in await asyncio.gather(*running, return_exceptions=True):
            if late is not None and not isinstance(late, BaseException):
                await discard(late)
    return won


def _in_turn(first: Sequence[Attempt[T]], second: Sequence[Attempt[T]]) -> Iterator[Attempt[T]]:
    pairs = zip_longest(first, second)
    return (one for one in chain.from_iterable(pairs) if one is not None)
