"""A file that comes in chunks, in any order: the bytes so far in `.part`, and which chunks are whole in `.journal`.

A chunk is in the journal only when it was verified and its bytes are on the disk, so a power cut loses
at most the chunks that were under way.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from pathlib import Path

from models.errors import StoreError, StoreFull
from peers.chunks import Chunks, chunks_of

SPARE_BYTES = 64 * 2**20
"""Room that is left on the disk, so that the journal of the node can still be written."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Part:
    """One file under way. Calls block for the disk and raise StoreFull, StoreError."""

    def __init__(self, target: Path, chunks: Chunks) -> None:
        """Go on with what is there of the file: each chunk that the row confirms."""
        self.target = target
        self.chunks = chunks
        self._part = target.with_name(target.name + ".part")
        self._journal = target.with_name(target.name + ".journal")
        self._key = hashlib.sha256("".join(chunks.digests).encode()).hexdigest()
        self._lock = threading.Lock()
        self._finished = False
        self.done: set[int] = set()
        """Chunks that are verified and on the disk."""
        try:
            self.done = self._found()
        except OSError as error:
            raise _disk_error(target.parent, error) from error

    @property
    def missing(self) -> list[int]:
        """Return the chunks that are still to come, in order."""
        return [number for number in range(len(self.chunks.digests)) if number not in self.done]

    @property
    def bytes_done(self) -> int:
        return sum(self.chunks.span(number)[1] for number in self.done)

    def check_room(self, free_bytes: int) -> None:
        """Raise StoreFull when what is still to come does not fit on the disk."""
        needed = self.chunks.size_bytes - self.bytes_done + SPARE_BYTES
        if needed > free_bytes:
            raise StoreFull(
                f"The disk of {self.target.parent} has {free_bytes // 10**6:,} MB free and {needed // 10**6:,} MB are "
                "needed; free some space and run the command again."
            )

    def write(self, number: int, data: bytes) -> None:
        """Put a chunk, which was verified, in its place."""
        start, _ = self.chunks.span(number)
        try:
            with self._part.open("r+b") as file:
                file.seek(start)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with self._lock:
                if not self._finished:  # a slower device's copy of the last chunk comes too late to matter
                    self._note(number)
        except OSError as error:
            raise _disk_error(self.target.parent, error) from error

    def finish(self, sha256: str) -> bool:
        """Give the whole file its name and return True; return False when its bytes are not the promised ones.

        Then the chunks that the row does not confirm are missing again; if there is none, the row itself is a lie.
        """
        assert not self.missing
        try:
            with self._part.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    self.done = self._confirmed()
                    self._write_journal()
                    return False
            with self._lock:
                self._finished = True
                self._part.replace(self.target)
                self._journal.unlink(missing_ok=True)
        except OSError as error:
            raise _disk_error(self.target.parent, error) from error
        return True

    def _found(self) -> set[int]:
        """Return the chunks that are here: as the journal says, or, when it is of another row, as the bytes say."""
        if not self._part.is_file():
            self._write_journal()
            os.close(os.open(self._part, os.O_WRONLY | os.O_CREAT, 0o600))
            return set()
        try:
            lines = self._journal.read_text(encoding="ascii", errors="replace").splitlines()
            noted = json.loads(lines[0]) if lines else None
        except (OSError, ValueError):
            lines, noted = [], None
        if noted == self._key:
            wanted = {str(number): number for number in range(len(self.chunks.digests))}
            return {wanted[line] for line in lines[1:] if line in wanted}
        self.done = self._confirmed()
        self._write_journal()
        return self.done

    def _confirmed(self) -> set[int]:
        """Return the chunks whose bytes are those that the row says."""
        with self._part.open("r+b") as file:
            file.truncate(self.chunks.size_bytes)
        here = chunks_of(self._part).digests
        return {number for number, digest in enumerate(here) if digest == self.chunks.digests[number]}

    def _note(self, number: int) -> None:
        if number in self.done:
            return
        self.done.add(number)
        with self._journal.open("a", encoding="ascii") as file:
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())

    def _write_journal(self) -> None:
        lines = [json.dumps(self._key), *(str(number) for number in sorted(self.done))]
        with self._journal.open("w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _disk_error(folder: Path, error: OSError) -> StoreError:
    if error.errno in _FULL:
        return StoreFull(f"The disk of {folder} is full; free some space and run the command again: it goes on.")
    return StoreError(f"{folder} could not be written ({error.strerror}); check the disk and try again.")
