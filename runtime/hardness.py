"""How likely a request is hard, by a head that was fitted on requests which small models got right or wrong."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelsError
from models.specialist import Pool

if TYPE_CHECKING:  # numpy costs 0.12 s, and most requests never get here
    from models.heads.head import Head

HEAD = "hard"
LABEL = "hard"
ENCODERS = ("bge-small-en",)
MAX_CHARS = 2000
"""Of a request; the encoder reads no more."""

logger = logging.getLogger(__name__)


class Hardness:
    """Says it where it can; None everywhere else."""

    def __init__(self, pool: Pool, folder: Path | None = None) -> None:
        self._pool = pool
        self._folder = folder
        self._head: Head | None = None

    async def of(self, text: str) -> float | None:
        """Return the probability that a request is hard; None without the head or its encoder."""
        heads = import_module("models.heads.head")
        folder: Path = self._folder or heads.FOLDER
        if not text.strip() or not (folder / f"{HEAD}.npz").is_file() or not self._pool.installed(ENCODERS):
            return None
        try:
            if self._head is None:
                self._head = heads.load(HEAD, folder)
            async with self._pool.encoder(ENCODERS) as encoder:
                self._head.require(encoder)
                vectors = await encoder.encode([text[:MAX_CHARS]])
            shares = self._head.probabilities(vectors[:, : self._head.weights.shape[0]])[0]
            return float(shares[self._head.labels.index(LABEL)])
        except (ModelsError, ValueError) as error:  # a mark is never worth an answer
            logger.warning("whether a request is hard could not be told: %s", error)
            return None
