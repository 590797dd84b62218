"""A folder in a store's `partial` in which one run at a time makes weights."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.lock import exclusive
from models.store import Store

FULL_BYTES = 4 * 1024 * 1024
"""Free bytes below which a file that could not be made was not made for want of room."""


@contextmanager
def workplace(store: Store, kind: str, waiting: Callable[[], None], *, lock: str = "pull") -> Iterator[Path]:
    """Give a folder that is gone at the end, and clear away what a run of that `kind` that was killed has left.

    `lock` and `waiting` are those of `models.lock.exclusive`. Raises StoreError, StoreFull.
    """
    with store.guard():
        store.partial.mkdir(parents=True, exist_ok=True)
        with exclusive(store.root, waiting, name=lock):
            for left in store.partial.glob(f"{kind}-*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=f"{kind}-", dir=store.partial) as folder:
                yield Path(folder)


def is_full(store: Store) -> bool:
    """Say whether the store's disk is full; libraries only say that they could not write."""
    return store.free_bytes() < FULL_BYTES
