"""Sorts passages by how well they answer a query."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from models.errors import InputError
from models.specialists.embed import texts_in
from models.specialists.runner import Runner
from models.types import Chunk, Json, Request, Result, Signals, Usage

MAX_PASSAGES = 512
"""Most passages a request: about ten seconds of work on two cores at 100 tokens each."""


class Rerank(Runner):
    """Input `{"query": str, "passages": [str]}`, output `[{"index", "score"}]`, best first."""

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        query = request.input.get("query")
        if not isinstance(query, str) or not query.strip():
            raise InputError(f"{request.capability} needs `query`, a text; give it one.")
        passages = texts_in(request, "passages", most=MAX_PASSAGES)
        started = time.perf_counter()
        async with self._pool.reranker(self._spec.models) as reranker:
            begun = time.perf_counter()
            scores = [round(float(score), 6) for score in await reranker.scores(query, passages)]
            ended = time.perf_counter()
            order = sorted(range(len(scores)), key=lambda index: -scores[index])
            ranked: list[Json] = [{"index": index, "score": scores[index]} for index in order]
            best = scores[order[0]] if order else 0.0
            yield Result(
                output=ranked,
                text="\n".join(f"{scores[index]:.3f}  {passages[index]}" for index in order),
                confidence=best,
                signals=Signals(scores={"best": best}),
                usage=Usage(seconds=time.perf_counter() - started, model_seconds=ended - begun),
                specialist=self.name,
                model=reranker.id,
                artifacts=reranker.artifacts,
            )
