"""Redaction as a subject: what would be hidden of a text before it leaves, and whether it comes back as it was."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from hub import names
from hub.redact import redact
from hub.spans import Span
from models.types import Json, Request, Result, Signals
from runtime.evals.fingerprint import code_digest
from runtime.evals.subject import Subject

FINDER = "names"
"""The capability that finds names."""


class RedactionSubject:
    """Answers `{"text": str}` with `{"text", "spans"}`; names are found by the specialist for them."""

    def __init__(self, inner: Subject) -> None:
        self._inner = inner

    async def run(self, request: Request) -> Result:
        text = str(request.input["text"])
        found = await self._inner.run(Request(FINDER, {"text": text}))
        if found.refusal is not None:
            return found
        redaction = redact(text, names=names.told(text, found.output))
        spans: list[Json] = [{"type": s.kind.value, "start": s.start, "end": s.end} for s in redaction.spans]
        scores = {**words(text, redaction.spans), "sendable": float(redaction.sendable)}
        if redaction.sendable:
            scores["restored"] = float(redaction.vault.restore(redaction.text) == text)
        output: Json = {"text": redaction.text, "spans": spans}
        return replace(found, output=output, text=redaction.text, signals=Signals(scores=scores))

    def fingerprint(self, capability: str) -> str:
        digest = hashlib.sha256(self._inner.fingerprint(FINDER).encode())
        digest.update(code_digest([__name__, "hub.redact", "hub.names"]).encode())
        return digest.hexdigest()


def words(text: str, spans: Sequence[Span]) -> dict[str, float]:
    """Return how many words the text has, and how many a span touches."""
    places = [found.span() for found in re.finditer(r"\S+", text)]
    hidden = sum(any(span.start < end and span.end > start for span in spans) for start, end in places)
    return {"words": float(len(places)), "hidden": float(hidden)}
