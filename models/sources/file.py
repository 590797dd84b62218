"""Fetches an artifact from a file on this device or a mounted disk."""

from __future__ import annotations

from pathlib import Path

from models.errors import SourceError, SourceUnreachable
from models.manifest import FileSource
from models.sources.transfer import MAX_FILE_BYTES, FileProgress, copy


def fetch(source: FileSource, target: Path, progress: FileProgress, *, size_bytes: int | None = None) -> None:
    """Copy the source's file to `target`. Raises SourceUnreachable, SourceError."""
    origin = Path(source.path).expanduser()
    try:
        reader = origin.open("rb")
    except FileNotFoundError as error:
        raise SourceUnreachable(f"there is no file {origin}") from error
    except OSError as error:
        raise SourceError(f"{origin} can't be read ({error.strerror})") from error
    with reader, target.open("wb") as writer:
        copy(reader, writer, progress, done=0, total=size_bytes, most=size_bytes or MAX_FILE_BYTES)
