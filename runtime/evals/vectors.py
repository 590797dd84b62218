"""Vectors of many texts from whatever embeds under test, in batches."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.types import Digest, Request, Result
from runtime.evals.errors import SuiteSkipped
from runtime.evals.run import Progress
from runtime.evals.subject import Subject

BATCH_TEXTS = 64
"""Texts a request: under a second of work, so that an interrupt is noticed."""
SLICE_TEXTS = 1024
"""Texts a kept file: a stopped run loses at most some seconds of work."""

Vectors = NDArray[np.float32]


async def embed(subject: Subject, texts: Sequence[str]) -> tuple[Vectors, Result]:
    """Return one row a text, and the result they came in (its last batch). Raises SuiteSkipped, ModelsError."""
    parts: list[Vectors] = []
    result = Result()
    for start in range(0, len(texts), BATCH_TEXTS):
        result = await subject.run(Request("embed", {"texts": list(texts[start : start + BATCH_TEXTS])}))
        if result.refusal is not None:
            raise SuiteSkipped(f"The texts can't be turned into vectors: {result.refusal.reason}")
        parts.append(np.array(result.output, dtype=np.float32))
    return np.concatenate(parts), result


async def kept_vectors(
    subject: Subject, texts: Sequence[str], folder: Path, progress: Progress = lambda done, total: None
) -> tuple[Vectors, tuple[Digest, ...]]:
    """Return the vectors of texts and the digests of the encoder, from a file where they were computed before.

    Finished slices are kept, so that a stopped run goes on where it was.
    """
    parts: list[Vectors] = []
    artifacts: tuple[Digest, ...] = ()
    for start in range(0, len(texts), SLICE_TEXTS):
        part, artifacts = await _slice(subject, texts[start : start + SLICE_TEXTS], folder)
        parts.append(part)
        progress(min(start + SLICE_TEXTS, len(texts)), len(texts))
    return np.concatenate(parts), artifacts


async def _slice(subject: Subject, texts: Sequence[str], folder: Path) -> tuple[Vectors, tuple[Digest, ...]]:
    key = hashlib.sha256(json.dumps([subject.fingerprint("embed"), *texts]).encode()).hexdigest()
    path = folder / f"{key}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            return stored["vectors"], tuple(Digest(str(digest)) for digest in stored["artifacts"])
    vectors, result = await embed(subject, texts)
    await asyncio.to_thread(_keep, path, vectors, result)
    return vectors, result.artifacts


def _keep(path: Path, vectors: Vectors, result: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.part.npz")
    np.savez(unfinished, vectors=vectors, artifacts=np.array(result.artifacts))
    unfinished.replace(path)
