"""Turns texts into vectors, so that others can compare them by meaning."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence

from models.errors import InputError
from models.specialists.runner import Runner
from models.types import Chunk, Json, Request, Result, Usage

MAX_TEXTS = 2048
"""Most texts a request: about ten seconds of work on two cores, and 16 MB of JSON."""


class Embed(Runner):
    """Input `{"texts": [str]}`, output one unit vector for each text."""

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        texts = texts_in(request, "texts", most=MAX_TEXTS)
        started = time.perf_counter()
        async with self._pool.encoder(self._spec.models) as encoder:
            begun = time.perf_counter()
            vectors = await encoder.encode(texts)
            ended = time.perf_counter()
            rows: list[Json] = [[round(float(x), 6) for x in vector] for vector in vectors]
            yield Result(
                output=rows,
                text=f"{len(rows)} vectors of {encoder.dimensions} numbers",
                confidence=1.0,
                usage=Usage(seconds=time.perf_counter() - started, model_seconds=ended - begun),
                specialist=self.name,
                model=encoder.id,
                artifacts=encoder.artifacts,
            )


def texts_in(request: Request, field: str, *, most: int) -> Sequence[str]:
    """Return a list of texts from the input. Raises InputError naming the field."""
    given = request.input.get(field)
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise InputError(f"{request.capability} needs `{field}`, a list of texts; give it one.")
    if len(given) > most:
        raise InputError(f"{request.capability} takes at most {most} {field} at once, not {len(given)}; send fewer.")
    return [str(text) for text in given]
