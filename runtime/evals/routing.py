"""The router as a subject: which capability it chooses for a request, or `none`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property

from models.heads import head as heads
from models.types import Digest, Json, Request, Result, Signals, Usage
from runtime.asking import Ask, Source
from runtime.evals.fingerprint import code_digest
from runtime.evals.subject import Subject
from runtime.router import Routing
from runtime.stages import similar

NONE = "none"
"""No stage was sure, or one was sure that nothing here can do it."""

Route = Callable[[Ask], Awaitable[Routing]]


class RoutingSubject:
    """Answers `{"text", "documents"?, "functions"?}` with the chosen capability. Runs no specialist."""

    def __init__(self, route: Route, embeds: Subject) -> None:
        """`embeds` is what the router compares requests with; its weights are part of the fingerprint."""
        self._route = route
        self._embeds = embeds

    @cached_property
    def _encoder(self) -> Digest:
        return heads.load(similar.HEAD).encoder

    async def run(self, request: Request) -> Result:
        started = time.perf_counter()
        routing = await self._route(ask_of(request.input))
        claim = routing.claim
        stages = {f"stage.{said.stage}": said.score for said in routing.claims}
        compared = "stage.similar" in stages
        return Result(
            output=routing.capability or NONE,
            text=routing.reason,
            confidence=claim.score if claim else 1 - max(stages.values(), default=0.0),
            signals=Signals(scores=stages),
            usage=Usage(seconds=time.perf_counter() - started),
            model=similar.ENCODERS[0] if compared else "",
            artifacts=(self._encoder,) if compared else (),
        )

    def fingerprint(self, capability: str) -> str:
        modules = ["runtime.prepare", "runtime.router", "runtime.stages.rules", "runtime.stages.similar", __name__]
        router = code_digest(modules)
        digest = hashlib.sha256(f"{router}/{self._embeds.fingerprint('embed')}".encode())
        for fitted in (heads.FOLDER / f"{similar.HEAD}.npz", similar.KEPT, similar.REQUESTS):
            digest.update(fitted.read_bytes())
        return digest.hexdigest()


def ask_of(given: Mapping[str, Json]) -> Ask:
    """Return what a caller would have asked."""
    documents, functions = given.get("documents"), given.get("functions")
    return Ask(
        str(given["text"]),
        sources=tuple(
            Source(str(one["name"]), str(one["text"]))
            for one in (documents if isinstance(documents, list) else [])
            if isinstance(one, dict)
        ),
        functions=tuple(one for one in (functions if isinstance(functions, list) else []) if isinstance(one, dict)),
    )
