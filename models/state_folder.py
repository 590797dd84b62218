"""A folder of files of kept state: each there whole or not at all, all together below a bound.

A writer that was killed leaves a file that nobody will finish: it goes with the next one that is written.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".new-"
"""What the name of a file begins with while it is written."""
UNFINISHED_S = 3600.0
"""Seconds after which nobody writes a file any more; the largest take less than one."""


def put(path: Path, *parts: bytes, most_bytes: int) -> None:
    """Write a file, readable by the owner only; those used longest ago make room for it. Raises OSError.

    One that is beyond the bound alone is not written: it would drive out all others, each time anew.
    """
    size = sum(map(len, parts))
    if size > most_bytes:
        return
    _make_room(path.parent, size, most_bytes)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{UNFINISHED}{path.stem}-")  # mode 0600
    try:
        with open(handle, "wb") as file:
            file.writelines(parts)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def remove(folder: Path, name: str = "*") -> int:
    """Remove the files of that name, unfinished ones too; return how many finished ones there were."""
    for path in list(folder.glob(f"{UNFINISHED}{name}-*")):
        path.unlink(missing_ok=True)
    found = list(folder.glob(f"{name}.state"))
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def expire(folder: Path, older_than_s: float) -> int:
    """Remove the files that nobody has used for so long; return how many."""
    _sweep(folder)
    gone = 0
    for modified, _, path in list(_by_age(folder)):
        if modified < time.time() - older_than_s:
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def _make_room(folder: Path, size: int, most_bytes: int) -> None:
    _sweep(folder)
    kept = list(_by_age(folder))
    total = sum(one[1] for one in kept)
    for _, freed, path in kept:
        if total + size <= most_bytes:
            return
        path.unlink(missing_ok=True)
        total -= freed


def _by_age(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield time of use, size and path of each file, the one used longest ago first."""
    found = []
    for path in folder.glob("*.state"):
        with contextlib.suppress(FileNotFoundError):
            about = path.stat()
            found.append((about.st_mtime, about.st_size, path))
    yield from sorted(found)


def _sweep(folder: Path) -> None:
    """Remove what was begun and never finished."""
    for path in list(folder.glob(f"{UNFINISHED}*")):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - UNFINISHED_S:
                path.unlink()
