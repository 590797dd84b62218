"""Vectors of many texts, kept in a file so that a second fit does not embed them again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backend import Encoder

SAVE_EVERY = 2000
"""Texts between two saves: at most about ten seconds of work is lost when a fit is stopped."""


async def embed(encoder: Encoder, texts: Sequence[str], cache: Path) -> NDArray[np.float32]:
    """Return unit vectors of the texts; those already in the cache are not computed again."""
    known = _read(cache)
    missing = list(dict.fromkeys(text for text in texts if _key(text) not in known))
    for start in range(0, len(missing), SAVE_EVERY):
        part = missing[start : start + SAVE_EVERY]
        known.update(zip(map(_key, part), await encoder.encode(part), strict=True))
        _write(cache, known)
    return np.array([known[_key(text)] for text in texts], dtype=np.float32)


def cache_file(encoder: Encoder) -> Path:
    """Return where the vectors of this very encoder are kept, in the machine's folder for temporary files."""
    folder = Path(tempfile.gettempdir()) / "covey-vectors"
    folder.mkdir(exist_ok=True)
    return folder / f"{encoder.artifacts[0][:16]}.npz"


def _key(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:24]


def _read(cache: Path) -> dict[str, NDArray[np.float32]]:
    if not cache.exists():
        return {}
    with np.load(cache, allow_pickle=False) as stored:
        return dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))


def _write(cache: Path, known: dict[str, NDArray[np.float32]]) -> None:
    unfinished = cache.with_suffix(f".{os.getpid()}.part.npz")  # two fits may run at once
    np.savez(unfinished, keys=np.array(list(known)), vectors=np.array(list(known.values()), dtype=np.float32))
    unfinished.replace(cache)
