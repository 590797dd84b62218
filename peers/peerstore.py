"""The book of paired devices in its file: replaced whole, under a lock, seen at once by every process of this node.

It also has the time that counts for a guest's stay: the clock's, but never less than the latest that was seen and
what has passed since, so that a clock set back lengthens no stay, and one that was ahead once makes none endless.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from peers.book import FORMAT, Book
from peers.errors import PeerBookError
from peers.later import Later
from peers.private_files import alone, cure, write_whole

MAX_FILE_BYTES = 16 * 2**20
"""A thousand devices take less than 2 MB; a larger file is some other file."""

KEPT_NS = 600 * 10**9
"""While the clock is behind, the time is written down so often: a restart of the device loses no more of it."""

_ADAPTER: TypeAdapter[Book] = TypeAdapter(Book)


def since_start_ns() -> int:
    """Return the nanoseconds since this device started; where the system can't count what it slept, without that."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)


class PeerStore:
    """Keeps the book. Calls block for the disk, a few milliseconds at most. Every call raises PeerBookError."""

    def __init__(
        self,
        folder: Path,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        since_start_ns: Callable[[], int] = since_start_ns,
    ) -> None:
        self.path = folder / "peers.json"
        self._clock_ns = clock_ns
        self._since_start_ns = since_start_ns
        self._seen: tuple[tuple[int, int, int] | None, Book] = (None, Book())
        """One value for both, as several threads replace it: a book is never taken for a later one."""
        self._later = Later()
        self._kept_ns = -KEPT_NS

    def book(self) -> Book:
        """Return the book as it is now; the file is read again only when somebody has changed it."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return Book()
        except OSError as error:
            raise self._unusable(error) from error
        mark = (found.st_ino, found.st_mtime_ns, found.st_size)
        seen, book = self._seen
        if mark != seen:
            book = self._load()
            self._seen = mark, book
        return book

    def now_ns(self) -> int:
        """Return the time: the clock's, or what it must be at least, when the clock was set back."""
        book, since_start = self.book(), self._since_start_ns()
        clock, least = self._clock_ns(), _least_ns(book, since_start)
        last = book.latest_since_start_ns
        if clock < least and not last <= since_start < last + KEPT_NS and abs(since_start - self._kept_ns) >= KEPT_NS:
            self._kept_ns = since_start
            self._later.do(self._keep_time)
        return max(clock, least)

    def _keep_time(self) -> None:
        self.change(lambda known: known, synced=False)

    def settle(self) -> None:
        """Wait until all is written that was to follow soon."""
        self._later.settle()

    def change(self, edit: Callable[[Book], Book], *, synced: bool = True) -> Book:
        """Replace the book by what `edit` makes of it. Without `synced` (for mere figures) a power cut may undo it."""
        try:
            with alone(self.path):
                before = self.book()
                since_start = self._since_start_ns()
                now = max(self._clock_ns(), _least_ns(before, since_start))
                after = replace(edit(before), latest_ns=now, latest_since_start_ns=since_start)
                write_whole(self.path, _ADAPTER.dump_json(after, indent=1), synced=synced)
                return after
        except TimeoutError as error:
            raise PeerBookError(f"Another program holds {self.path}. Try again in a moment.") from error
        except OSError as error:
            raise self._unusable(error) from error

    def _load(self) -> Book:
        try:
            with self.path.open("rb") as file:
                size_bytes = os.fstat(file.fileno()).st_size
                data = file.read(min(size_bytes, MAX_FILE_BYTES))  # room is made for as many as are asked for
            book = _ADAPTER.validate_json(data)
        except OSError as error:
            raise self._unusable(error) from error
        except ValidationError as error:
            raise PeerBookError(
                f"The list of paired devices {self.path} is damaged. Put back a copy, or move it away and pair again."
            ) from error
        if book.format > FORMAT:
            raise PeerBookError(f"A newer Covey wrote {self.path}. Update Covey on this device.")
        return book

    def _unusable(self, error: OSError) -> PeerBookError:
        return PeerBookError(
            f"{self.path} can't be used ({error.strerror}). {cure(error, 'Make it readable and writable.')}"
        )


def _least_ns(book: Book, since_start_ns: int) -> int:
    """Return what the time is at least: the latest seen, and what has passed since.

    When the device started anew meanwhile, that is too little by some hours, and never too much.
    """
    passed = since_start_ns - book.latest_since_start_ns if book.latest_since_start_ns else 0
    return book.latest_ns + max(0, passed)
