"""Marks the parts of a text that a labelling model knows: names, places, mistakes, whatever it was made for."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from models.specialists.runner import Runner
from models.specialists.turn import text_in
from models.types import Chunk, Json, Request, Result, Usage

NOTHING = "Nothing in the text is of a kind that this model knows."
UNSURE = 0.5
"""Confidence where nothing was found: the model says nothing about what it leaves out."""


class TagWords(Runner):
    """Input `{"text"}`, output `[{"text", "label", "start", "end", "score"}]` in the order of the text."""

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        text = text_in(request, "text")
        started = time.perf_counter()
        async with self._pool.tagger(self._spec.models) as model:
            begun = time.perf_counter()
            tags = [tag for tag in await model.tags(text) if tag.score >= self._spec.floor]
            ended = time.perf_counter()
            rows: list[Json] = [
                {
                    "text": text[tag.start : tag.end],
                    "label": tag.label,
                    "start": tag.start,
                    "end": tag.end,
                    "score": round(tag.score, 4),
                }
                for tag in tags
            ]
            least = min((tag.score for tag in tags), default=UNSURE)
            yield Result(
                output=rows,
                text="\n".join(f"{text[tag.start : tag.end]}: {tag.label}" for tag in tags) or NOTHING,
                confidence=least,
                usage=Usage(seconds=time.perf_counter() - started, model_seconds=ended - begun),
                specialist=self.name,
                model=model.id,
                artifacts=model.artifacts,
            )
