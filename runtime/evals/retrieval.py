"""Retrieval as a subject: a query against a pool of passages, by vectors, then reranked if the suite says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.types import Request, Result
from runtime.evals.subject import Subject
from runtime.evals.vectors import Vectors, embed


class RetrievalSubject:
    """Answers `{"query": str}` with the places of the nearest passages in the pool, best first."""

    def __init__(
        self, inner: Subject, passages: Sequence[str], vectors: Vectors, *, prefix: str, rerank: int, depth: int
    ) -> None:
        self._inner = inner
        self._passages = passages
        self._vectors = vectors
        self._prefix = prefix
        self._rerank = rerank
        self._depth = depth
        self._pool = hashlib.sha256(json.dumps(list(passages)).encode()).hexdigest()

    async def run(self, request: Request) -> Result:
        query = str(request.input["query"])
        (vector,), embedded = await embed(self._inner, [self._prefix + query])
        scores = self._vectors @ vector
        order = [int(place) for place in np.argsort(-scores, kind="stable")[: self._depth]]
        if not self._rerank:
            return replace(embedded, output=list(order), confidence=float(scores[order[0]]))
        ranked = await self._reranked(query, order)
        both = tuple(dict.fromkeys((*embedded.artifacts, *ranked.artifacts)))
        return replace(ranked, model=f"{embedded.model}+{ranked.model}", artifacts=both)

    async def _reranked(self, query: str, order: list[int]) -> Result:
        head, tail = order[: self._rerank], order[self._rerank :]
        passages = [self._passages[place] for place in head]
        result = await self._inner.run(Request("rerank", {"query": query, "passages": list(passages)}))
        if result.refusal is not None or not isinstance(result.output, list):
            return result
        ranked = [item for item in result.output if isinstance(item, Mapping)]
        places = [head[int(str(item["index"]))] for item in ranked]
        return replace(result, output=[*places, *(p for p in head if p not in places), *tail])

    def fingerprint(self, capability: str) -> str:
        parts = [self._pool, self._prefix, str(self._rerank), str(self._depth), self._inner.fingerprint("embed")]
        if self._rerank:
            parts.append(self._inner.fingerprint("rerank"))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()
