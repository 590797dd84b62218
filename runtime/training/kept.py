"""Where a trained specialist is kept: beside its spec, the head, what is known of it, and the rows' vectors.

Every version has files of its own, and the spec names the version in use. So writing the spec, which
is one rename, is the moment at which a new version counts; before it nothing is changed. The version
before it stays, for one step back. No text of the examples is written, only vectors and digests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from models.errors import BadArtifact
from models.heads import head as heads
from models.heads.head import Head
from models.specialist import SpecialistSpec, read_spec
from models.types import Digest, Json
from runtime.errors import NotFound, UsageError
from runtime.training.examples import DIGEST_BYTES
from runtime.training.fitting import Floats

MAX_ROWS_BYTES = 200_000_000
"""Unpacked; 100,000 rows of 768 dimensions. Stops a small file that unpacks to fill the memory."""
FILE_MODE = 0o600
PARTS = ("npz", "json", "rows.npz")

_HEAD = re.compile(r"^head\s*=.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a version was fitted on."""

    vectors: Floats
    """Shape (rows, dimensions), unit length."""
    labels: tuple[str, ...]
    digests: tuple[bytes, ...]
    """Of the texts."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a trained specialist."""

    name: str
    number: int
    head: Head
    rows: Rows
    about: Mapping[str, Json]
    """Its `.json`."""


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Hold the folder, so that two commands do not write one specialist. Raises UsageError."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".training.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError("Another command is making a specialist just now. Wait for it and try again.") from error
    try:
        yield
    finally:
        lock.release()


def save(spec: SpecialistSpec, head: Head, rows: Rows, about: Mapping[str, Json], folder: Path, *, number: int) -> None:
    """Write a version and make it the one in use; of the others only the one before it stays."""
    stem = stem_of(spec.name, number)
    partial = folder / f".{stem}.partial"
    partial.mkdir(exist_ok=True)
    heads.save(replace(head, name=stem), partial)
    _write_rows(rows, partial / f"{stem}.rows.npz")
    described = {
        **about,
        "name": spec.name,
        "version": number,
        "encoder": head.encoder,
        "sha256": {part: _digest(partial / f"{stem}.{part}") for part in ("npz", "rows.npz")},
    }
    (partial / f"{stem}.json").write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for part in PARTS:
        _publish(partial / f"{stem}.{part}", folder / f"{stem}.{part}")
    partial.rmdir()
    _write_spec(spec, stem, folder)
    _drop(spec.name, folder, keep={number, number - 1})


def load(name: str, folder: Path) -> Version:
    """Return the version in use. Raises NotFound, ManifestError, BadArtifact."""
    number = _current(name, folder)
    stem = stem_of(name, number)
    try:
        about = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(folder / f"{stem}.json") from error
    return Version(name, number, heads.load(stem, folder), _read_rows(folder / f"{stem}.rows.npz"), about)


def undo(name: str, folder: Path) -> int:
    """Go back to the version before the one in use and return its number. Raises NotFound, UsageError."""
    number = _current(name, folder)
    before = stem_of(name, number - 1)
    if not all((folder / f"{before}.{part}").is_file() for part in PARTS):
        raise UsageError(f"{name} has no earlier version: only the last update can be undone, once.")
    heads.load(before, folder)
    _write_spec(read_spec(folder / f"{name}.toml"), before, folder)
    _drop(name, folder, keep={number - 1})
    return number - 1


def forget(name: str, folder: Path) -> None:
    """Delete all versions of a specialist whose spec is gone, and what an interrupted command left."""
    _drop(name, folder, keep=set())
    unfinished = re.compile(r"\." + re.escape(name) + r"\.\d{1,6}\.partial")
    for left in folder.iterdir() if folder.is_dir() else ():
        if unfinished.fullmatch(left.name):
            shutil.rmtree(left, ignore_errors=True)


def stem_of(name: str, number: int) -> str:
    """Return how the files of a version begin: `triage.2`."""
    return f"{name}.{number}"


def _current(name: str, folder: Path) -> int:
    file = folder / f"{name}.toml"
    if not file.is_file():
        raise NotFound(f"{name!r} is not one of your own specialists. Run `covey specialists list` to see which are.")
    number = re.fullmatch(re.escape(name) + r"\.(\d{1,6})", read_spec(file).head)
    if number is None:
        raise UsageError(f"{name} was not made from examples. Change {file.name} and add it again to update it.")
    return int(number[1])


def _write_spec(spec: SpecialistSpec, stem: str, folder: Path) -> None:
    """Make a version the one in use. What the owner changed in an existing spec stays."""
    place = folder / f"{spec.name}.toml"
    text = _HEAD.sub(f"head = {json.dumps(stem)}", place.read_text(encoding="utf-8")) if place.is_file() else ""
    fresh = folder / f".{spec.name}.toml.new"
    fresh.write_text(text or _spec_text(spec, stem), encoding="utf-8")
    _publish(fresh, place)


def _spec_text(spec: SpecialistSpec, stem: str) -> str:
    lines = [
        "# Made from examples; `summary`, `floor` and `requests` may be changed.",
        f"name = {_toml(spec.name)}",
        f"runner = {_toml(spec.runner)}",
        f"summary = {_toml(spec.summary)}",
        f"models = [{', '.join(map(_toml, spec.models))}]",
        f"head = {_toml(stem)}",
        "requests = [",
        *(f"    {_toml(request)}," for request in spec.requests),
        "]",
    ]
    return "\n".join(lines) + "\n"


def _toml(text: str) -> str:
    """Return a basic string; JSON's escapes are valid there."""
    return json.dumps(text)


def _publish(fresh: Path, place: Path) -> None:
    """Put a finished file in its place, on the disk and whole."""
    fresh.chmod(FILE_MODE)
    with fresh.open("rb+") as stream:
        os.fsync(stream.fileno())
    fresh.replace(place)


def _drop(name: str, folder: Path, *, keep: set[int]) -> None:
    ours = re.compile(re.escape(name) + r"\.(\d{1,6})\.(?:npz|json|rows\.npz)")
    for file in folder.iterdir() if folder.is_dir() else ():
        match = ours.fullmatch(file.name)
        if match and int(match[1]) not in keep:
            file.unlink(missing_ok=True)


def _write_rows(rows: Rows, path: Path) -> None:
    names = sorted(set(rows.labels))
    digests = np.frombuffer(b"".join(rows.digests), dtype=np.uint8).reshape(-1, DIGEST_BYTES)
    places = np.array([names.index(label) for label in rows.labels], dtype=np.int32)
    np.savez(path, vectors=rows.vectors.astype(np.float16), names=np.array(names), places=places, digests=digests)


def _read_rows(path: Path) -> Rows:
    arrays = heads.read_arrays(path, MAX_ROWS_BYTES)
    try:
        names = [str(name) for name in arrays["names"]]
        labels = tuple(names[int(place)] for place in arrays["places"])
        vectors = arrays["vectors"].astype(np.float32)
        digests = tuple(row.tobytes() for row in arrays["digests"])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise _damaged(path) from error
    if not (vectors.ndim == 2 and len(vectors) == len(labels) == len(digests) and np.isfinite(vectors).all()):
        raise _damaged(path)
    return Rows(vectors, labels, digests)


def _damaged(path: Path) -> BadArtifact:
    name = path.name.partition(".")[0]
    return BadArtifact(
        f"{path.name} is damaged. Run `covey specialists remove {name}` and add it again from your examples."
    )


def _digest(path: Path) -> Digest:
    return Digest(sha256(path.read_bytes()).hexdigest())
