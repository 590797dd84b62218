"""Marking as a subject: how hard each request looks to the head that decides what may be handed over."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from models.heads import hard
from models.heads.head import Head
from models.types import Request, Result, Signals
from runtime.evals.fingerprint import code_digest
from runtime.evals.heads import find_head, require
from runtime.evals.metrics.share import HARD, LENGTH
from runtime.evals.prepare import Place
from runtime.evals.subject import Subject
from runtime.evals.vectors import embed
from runtime.hardness import MAX_CHARS


class SharingSubject:
    """Answers `{"text": str}` with how hard it looks, 0..1, and beside it how many words it has."""

    def __init__(self, inner: Subject, head: Head) -> None:
        self._inner = inner
        self._head = head

    async def run(self, request: Request) -> Result:
        text = str(request.input["text"])[:MAX_CHARS]
        vectors, embedded = await embed(self._inner, [text])
        require(self._head, embedded.artifacts)
        chances = self._head.probabilities(hard.inputs([text], vectors))[0]
        looks = float(chances[self._head.labels.index(hard.HARD)])
        scores = {HARD: looks, LENGTH: float(len(text.split()))}
        return replace(embedded, output=looks, text=f"{looks:.3f}", signals=Signals(scores=scores))

    def fingerprint(self, capability: str) -> str:
        digest = hashlib.sha256(self._inner.fingerprint("embed").encode())
        digest.update(code_digest([__name__, "models.heads.hard", "runtime.hardness"]).encode())
        digest.update(self._head.weights.tobytes() + self._head.bias.tobytes())
        return digest.hexdigest()


def sharing(subject: Subject, place: Place) -> Subject:
    """Return marking over the subject's vectors. Raises SuiteSkipped, BadArtifact."""
    return SharingSubject(subject, find_head(hard.HEAD, place.heads))
