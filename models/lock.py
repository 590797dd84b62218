"""One writer at a time in a store's `partial` folder, across processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

POLL_S = 0.5
"""Seconds between looks whether the other process has finished."""
WAITING = "waiting until another program has fetched or converted its models"


@contextmanager
def exclusive(root: Path, waiting: Callable[[], None], *, name: str = "pull") -> Iterator[None]:
    """Hold a lock of the store; while another process has it, call `waiting` at every look.

    `waiting` may raise to give up. The system frees the lock of a process that died.
    """
    lock = FileLock(root / f"{name}.lock")
    while True:
        try:
            lock.acquire(timeout=POLL_S)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()


def once(say: Callable[[], None]) -> Callable[[], None]:
    """Return a `waiting` for `exclusive` that speaks at the first look only."""
    left = [say]
    return lambda: left.pop()() if left else None
