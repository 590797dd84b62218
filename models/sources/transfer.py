"""What the sources share: how they report progress, and copying bytes under a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Protocol

from models.errors import SourceError

FileProgress = Callable[[int, int | None], None]
"""Called with (bytes done, bytes in all or None). It may raise to stop the transfer."""

CHUNK_BYTES = 64 * 1024
"""Most that is taken at once."""
MAX_FILE_BYTES = 64 * 1024**3
"""64 GiB: no model for a household's machine is larger; stops a source that never ends."""


class Reader(Protocol):
    """Anything that gives what has come, without waiting for as much as it is asked for."""

    def read1(self, size: int, /) -> bytes: ...


def copy(reader: Reader, writer: BinaryIO, progress: FileProgress, *, done: int, total: int | None, most: int) -> int:
    """Copy to the end of `reader` and return the bytes that `writer` then has, `done` of them from before.

    Raises SourceError when there are more than `most`.
    """
    while chunk := reader.read1(CHUNK_BYTES):
        done += len(chunk)
        if done > most:
            raise SourceError(f"it sent more than the {most:,} bytes expected")
        writer.write(chunk)
        progress(done, total)
    return done
