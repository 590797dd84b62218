"""Runs a command's coroutine: Ctrl-C and a polite kill cancel it, so that models end and the journal is closed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
TERMINATED = 128 + signal.SIGTERM
"""Exit code of a command that was asked to end, as shells count it."""
_POLITE = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def cleared_away() -> Iterator[None]:
    """End the block at a polite kill or a closed terminal as at Ctrl-C, so that it clears away what it has begun.

    For blocks that run no event loop. A signal that is ignored (`nohup`) stays so. Raises SystemExit.
    """

    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in _POLITE}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns. Raises KeyboardInterrupt after Ctrl-C, SystemExit after SIGTERM."""
    with asyncio.Runner() as runner:
        return run_in(runner, main)


def run_in(runner: asyncio.Runner, main: Coroutine[Any, Any, T]) -> T:
    """Do what `run` does on a loop that stays open; the runner itself turns Ctrl-C into a cancellation."""
    asked_to_end = False

    async def guarded() -> T:
        nonlocal asked_to_end
        task = asyncio.current_task()
        assert task is not None

        def end() -> None:
            nonlocal asked_to_end
            asked_to_end = True
            task.cancel()

        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGTERM, end)
        except (NotImplementedError, RuntimeError):  # Windows, or not the main thread
            return await main
        try:
            return await main
        finally:
            loop.remove_signal_handler(signal.SIGTERM)

    try:
        return runner.run(guarded())
    except asyncio.CancelledError as error:
        if asked_to_end:
            raise SystemExit(TERMINATED) from error
        raise
