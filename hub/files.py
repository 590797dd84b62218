"""The small files of the hubs in Covey's folder: for the owner alone, replaced whole, under a lock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from hub.errors import HubBookError
from peers.private_files import alone, cure, make_folder, write_whole

FOLDER = "hubs"
MAX_FILE_BYTES = 2**20
"""A household's hubs and rules take a page; a larger file is some other file."""

T = TypeVar("T")


class Kept(Generic[T]):
    """One value in one file. Calls block for the disk and raise HubBookError."""

    def __init__(self, path: Path, kind: type[T], empty: Callable[[], T]) -> None:
        self.path = path
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._empty = empty

    def read(self) -> T:
        """Return the value; the empty one where there is no file."""
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                raise ValueError("it is too large")
            return self._adapter.validate_json(data)
        except FileNotFoundError:
            return self._empty()
        except OSError as error:
            raise self._unusable(error) from error
        except (ValidationError, ValueError) as error:
            raise HubBookError(
                f"{self.path} is damaged. Put back a copy, or move it away and set it up anew."
            ) from error

    def change(self, edit: Callable[[T], T]) -> T:
        """Replace the value by what `edit` makes of it and return the new one."""
        try:
            make_folder(self.path.parent)
            with alone(self.path):
                after = edit(self.read())
                write_whole(self.path, self._adapter.dump_json(after, indent=1))
                return after
        except TimeoutError as error:
            raise HubBookError(f"Another program holds {self.path}. Try again in a moment.") from error
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> HubBookError:
        return HubBookError(
            f"{self.path} can't be used ({error.strerror}). {cure(error, 'Make it readable and writable.')}"
        )
