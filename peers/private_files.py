"""Files that only their owner can read: written whole or not at all, on the disk before the call returns."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

FILE_MODE = 0o600
FOLDER_MODE = 0o700
LOCK_LOOK_S = 0.002
"""How often a lock that another one holds is tried: a write takes a few of these."""
NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""The disk is full, or the owner's share of it."""
LOCK_TIMEOUT_S = 10.0
"""Longer than any write here takes; past it, something else holds the file."""


def write_whole(path: Path, data: bytes, *, synced: bool = True, folder_synced: bool = True) -> None:
    """Replace the file. A reader sees the old or the new one; with `synced` so does one after a power cut.

    With `folder_synced` the new one is sure to be seen then. Raises OSError.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            if synced:
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:  # whatever it is, no part of a file stays behind
        part.unlink(missing_ok=True)
        raise
    if synced and folder_synced:
        sync_folder(path.parent)


def append_synced(path: Path, data: bytes, at: int) -> None:
    """Write behind the first `at` bytes and drop what stood there (an unfinished line). Raises OSError."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE), "r+b") as file:
        file.seek(at)
        file.truncate()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path) -> None:
    """Create a folder, and those above it, that only the owner can enter. Raises OSError."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def sync_file(path: Path) -> None:
    """Make what was written to a file outlive a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Make a rename in this folder outlive a power cut, where the system can."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def cure(error: OSError, otherwise: str) -> str:
    """Return what to do about a file that can't be used; where the disk is full no permission helps.

    >>> cure(OSError(errno.ENOSPC, "No space left on device"), "Make it writable.")
    'Free some space on that disk, and try again.'
    """
    return "Free some space on that disk, and try again." if error.errno in NO_ROOM else otherwise


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock beside a file, against other threads and processes. Raises TimeoutError."""
    lock = FileLock(
        path.with_name(f".{path.name}.lock"), timeout=LOCK_TIMEOUT_S, mode=FILE_MODE, poll_interval=LOCK_LOOK_S
    )
    try:
        lock.acquire()
    except Timeout as error:
        raise TimeoutError(str(path)) from error
    try:
        yield
    finally:
        lock.release()
