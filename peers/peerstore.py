"""The book of paired devices in its file: replaced whole, under a lock, seen at once by every process of this node."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from peers.book import FORMAT, Book
from peers.errors import PeerBookError
from peers.private_files import alone, cure, write_whole

MAX_FILE_BYTES = 16 * 2**20
"""A thousand devices take less than 2 MB; a larger file is some other file."""

_ADAPTER: TypeAdapter[Book] = TypeAdapter(Book)


class PeerStore:
    """Keeps the book. Calls block for the disk, a few milliseconds at most. Every call raises PeerBookError."""

    def __init__(self, folder: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.path = folder / "peers.json"
        self._clock_ns = clock_ns
        self._seen: tuple[int, int, int] | None = None
        self._book = Book()

    def book(self) -> Book:
        """Return the book as it is now; the file is read again only when somebody has changed it."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return Book()
        except OSError as error:
            raise self._unusable(error) from error
        mark = (found.st_ino, found.st_mtime_ns, found.st_size)
        if mark != self._seen:
            self._book, self._seen = self._load(), mark
        return self._book

    def now_ns(self) -> int:
        """Return the time: the clock's, or the latest that was seen, when the clock was set back."""
        return max(self._clock_ns(), self.book().latest_ns)

    def change(self, edit: Callable[[Book], Book], *, synced: bool = True) -> Book:
        """Replace the book by what `edit` makes of it. Without `synced` (for mere figures) a power cut may undo it."""
        try:
            with alone(self.path):
                before = self.book()
                after = replace(edit(before), latest_ns=max(self._clock_ns(), before.latest_ns))
                write_whole(self.path, _ADAPTER.dump_json(after, indent=1), synced=synced)
                return after
        except TimeoutError as error:
            raise PeerBookError(f"Another program holds {self.path}. Try again in a moment.") from error
        except OSError as error:
            raise self._unusable(error) from error

    def _load(self) -> Book:
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES)
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
