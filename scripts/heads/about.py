"""Writes a head and the `.json` beside it: what it is, what it was fitted on, how good it was, how to build it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path

from models.heads import head
from models.heads.head import Head
from models.types import Digest
from scripts.heads.sources import Sources

_elsewhere: ContextVar[Path | None] = ContextVar("elsewhere", default=None)


@contextmanager
def into(folder: Path) -> Iterator[None]:
    """Have everything that builders write go into this folder, so that it can be compared with what ships."""
    token = _elsewhere.set(folder)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def place_of(folder: Path) -> Path:
    """Return where a file for this folder is to be written."""
    return _elsewhere.get() or folder


def write(
    known: Head,
    *,
    summary: str,
    sources: Sources,
    measured: Mapping[str, object],
    notes: str = "",
) -> None:
    """Write `<name>.npz` and `<name>.json`. Neither holds any text of the data."""
    describe(
        head.save(known, place_of(head.FOLDER)),
        summary=summary,
        labels=len(known.labels),
        encoder=known.encoder,
        sources=sources,
        measured=measured,
        notes=notes,
    )


def describe(
    path: Path,
    *,
    summary: str,
    labels: int,
    encoder: Digest,
    sources: Sources,
    measured: Mapping[str, object],
    notes: str = "",
) -> None:
    """Write the `.json` beside a fitted file."""
    about = {
        "name": path.stem,
        "summary": summary,
        "labels": labels,
        "encoder": encoder,
        "sha256": sha256(path.read_bytes()).hexdigest(),
        "data": sources.described(),
        "measured": measured,
        "notes": notes,
        "command": f"scripts/build_heads {path.stem}",
    }
    path.with_suffix(".json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
