"""A large file as a row of chunks of one size, each with a digest of its own, so that parts can come from anybody."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

CHUNK_BYTES: Final = 8388608
"""8 MiB: a tenth of a second on a wired network, and little to fetch again when one is wrong."""
MAX_CHUNKS = 8192
"""64 GiB: no model for a household's machine is larger."""
READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Chunks:
    """The row of one file. Whoever says it may lie: the digest of the whole file decides."""

    size_bytes: int
    digests: tuple[str, ...]
    """SHA-256 of each chunk, 64 lower-case hexadecimal digits."""

    @property
    def is_whole(self) -> bool:
        """Return whether there are as many digests as the size asks for."""
        return len(self.digests) == count_of(self.size_bytes)

    def span(self, number: int) -> tuple[int, int]:
        """Return where a chunk begins and how long it is, in bytes."""
        start = number * CHUNK_BYTES
        return start, min(CHUNK_BYTES, self.size_bytes - start)

    def holds(self, number: int, data: bytes) -> bool:
        """Return whether these bytes are that chunk."""
        return len(data) == self.span(number)[1] and hashlib.sha256(data).hexdigest() == self.digests[number]


def count_of(size_bytes: int) -> int:
    """Return of how many chunks a file of this size consists."""
    return -(-size_bytes // CHUNK_BYTES)


def chunks_of(path: Path) -> Chunks:
    """Read a file and return its row. Blocks, about a second a gigabyte. Raises OSError."""
    with path.open("rb") as file:
        digests: list[str] = []
        size = 0
        while length := _digest(file, digests):
            size += length
    return Chunks(size, tuple(digests))


def _digest(file: BinaryIO, digests: list[str]) -> int:
    """Read one chunk, put its digest behind the others, and return its length; 0 at the end."""
    digest, length = hashlib.sha256(), 0
    while length < CHUNK_BYTES and (data := file.read(min(READ_BYTES, CHUNK_BYTES - length))):
        digest.update(data)
        length += len(data)
    if length:
        digests.append(digest.hexdigest())
    return length
