"""Finds names in a text, for those who must hide them: where each stands, and of what kind it is."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from models.backend import TokenEncoder
from models.errors import BackendError
from models.heads import names, tagger
from models.specialist import Pool, SpecialistSpec
from models.specialists.runner import Runner
from models.specialists.turn import text_in
from models.types import Chunk, Json, Request, Result, Usage


class Names(Runner):
    """Input `{"text": str}`, output `[{"type", "start", "end", "text", "score"}]`, in the order of the text.

    `type` is `person`, `place`, `address`, `organization` or `nationality`.
    """

    def __init__(self, spec: SpecialistSpec, pool: Pool) -> None:
        super().__init__(spec, pool)
        self._tagger: tagger.Tagger | None = None

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        text = text_in(request, "text")
        started = time.perf_counter()
        self._tagger = self._tagger or tagger.load(self._spec.head)
        async with self._pool.encoder(self._spec.models) as encoder:
            if not isinstance(encoder, TokenEncoder):
                raise BackendError(f"{encoder.id} tells nothing about single words; install bge-small-en.")
            begun = time.perf_counter()
            found = await names.find(text, encoder, self._tagger)
            ended = time.perf_counter()
            spans: list[Json] = [
                {
                    "type": span.kind,
                    "start": span.start,
                    "end": span.end,
                    "text": text[span.start : span.end],
                    "score": round(span.probability, 4),
                }
                for span in found
            ]
            yield Result(
                output=spans,
                text="\n".join(f"{span.kind:<12}  {text[span.start : span.end]}" for span in found),
                confidence=min((span.probability for span in found), default=1.0),
                usage=Usage(seconds=time.perf_counter() - started, model_seconds=ended - begun),
                specialist=self.name,
                model=encoder.id,
                artifacts=encoder.artifacts,
            )
