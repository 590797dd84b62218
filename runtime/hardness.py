"""How likely a request is hard, by a head that was fitted on requests which small models got right or wrong."""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from models.errors import ModelsError
from models.specialist import Pool

if TYPE_CHECKING:  # numpy costs 0.12 s, and most requests never get here
    from models.heads.head import Head

CLUES = "models.heads.hard"
"""What the head reads beside the vector; imported with numpy, when a step may go up."""
ENCODERS = ("bge-small-en",)
MAX_CHARS = 4000
"""Of a request; the encoder reads less, the clues no more."""

logger = logging.getLogger(__name__)


class Hardness:
    """Says it where it can; None everywhere else."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._head: Head | None = None

    async def of(self, text: str) -> float | None:
        """Return how hard a request looks, 0..1; None without the head or its encoder."""
        given = text[:MAX_CHARS]
        if not given.strip() or not self._pool.installed(ENCODERS) or find_spec(CLUES) is None:
            return None
        try:
            clues, heads = import_module(CLUES), import_module("models.heads.head")
            self._head = self._head or heads.load(clues.HEAD)
            async with self._pool.encoder(ENCODERS) as encoder:
                self._head.require(encoder)
                inputs = clues.inputs([given], await encoder.encode([given]))
            return float(self._head.probabilities(inputs)[0][self._head.labels.index(clues.HARD)])
        except (ModelsError, ValueError) as error:  # a mark is never worth an answer
            logger.warning("whether a request is hard could not be told: %s", error)
            return None
