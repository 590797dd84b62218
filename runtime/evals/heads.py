"""A fitted head as a subject, and the fit itself, which happens only when asked for."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.heads import head as heads
from models.heads.head import Head
from models.types import Digest, Refusal, RefusalCode, Request, Result, Signals
from runtime.evals.errors import SuiteSkipped
from runtime.evals.fingerprint import code_digest
from runtime.evals.subject import Subject
from runtime.evals.suite import Head as HeadOfSuite
from runtime.evals.vectors import Vectors, embed

INVERSE_PENALTY = 30.0
"""On vectors of unit length weak regularisation is best (chosen on training rows)."""
SHOWN_SCORES = 10
"""Most labels whose probability is told."""
HELD_OUT = 0.1
"""Share of the training rows on which temperature and reject are chosen."""
REFUSED_RIGHT = 0.003
"""Share of right answers that may be refused in order to notice requests that are out of scope."""


class HeadSubject:
    """Answers `classify` requests with a head over the vectors of whatever embeds."""

    def __init__(self, inner: Subject, head: Head, none: str = "") -> None:
        self._inner = inner
        self._head = head
        self._none = none

    async def run(self, request: Request) -> Result:
        started = time.perf_counter()
        text = str(request.input["text"])
        vectors, embedded = await embed(self._inner, [text])
        require(self._head, embedded.artifacts)
        inputs = self._head.inputs(vectors, [text])
        chances = self._head.probabilities(inputs)[0]
        best = int(chances.argmax())
        label, chance = self._head.labels[best], float(chances[best])
        usage = replace(embedded.usage, seconds=time.perf_counter() - started)
        first = np.argsort(-chances)[:SHOWN_SCORES]
        scores = {self._head.labels[int(at)]: float(chances[at]) for at in first}
        result = replace(embedded, confidence=chance, usage=usage, signals=Signals(scores=scores))
        if label == self._none or chance < self._head.reject or not self._head.knows(inputs)[0]:
            code = RefusalCode.NOT_SURE
            refusal = Refusal(code, "The request is unlike all that the head was fitted on; put it another way.", label)
            return replace(result, output=None, text="", refusal=refusal)
        return replace(result, output=label, text=label)

    def fingerprint(self, capability: str) -> str:
        digest = hashlib.sha256(self._inner.fingerprint("embed").encode())
        digest.update(code_digest([__name__]).encode())
        digest.update(self._head.weights.tobytes() + self._head.bias.tobytes())
        head = self._head
        parts = (head.labels, head.temperature, head.reject, self._none, head.words, head.word_weight, head.least)
        digest.update(repr(parts).encode())
        return digest.hexdigest()


def require(head: Head, artifacts: Sequence[Digest]) -> None:
    """Raises SuiteSkipped when the head was fitted on another encoder than the one that answered."""
    if head.encoder not in artifacts:
        raise SuiteSkipped(
            f"The head {head.name} was fitted on another encoder than the installed one. Run the suite with --fit."
        )


def find_head(name: str, own: Path) -> Head:
    """Return a head that was fitted here with --fit, else the shipped one. Raises SuiteSkipped, BadArtifact."""
    for folder in (own, heads.FOLDER):
        if (folder / f"{name}.npz").is_file():
            return heads.load(name, folder)
    raise SuiteSkipped(f"No head {name!r} is fitted. Run the suite once with --fit (needs scikit-learn).")


def fit(vectors: Vectors, texts: Sequence[str], labels: Sequence[str], encoder: Digest, wanted: HeadOfSuite) -> Head:
    """Return a fitted head, its temperature and reject chosen on a held-out tenth of the rows.

    Blocks for up to a few minutes. Raises SuiteSkipped where scipy is not installed.
    """
    try:
        from runtime.evals import fitting  # optional: only fitting needs scipy
    except ImportError as error:
        raise SuiteSkipped("Fitting needs scipy. Install it with `pip install 'covey[fit]'`.") from error
    held = np.random.default_rng(0).random(len(labels)) < HELD_OUT

    def fitted(rows: Sequence[int]) -> Head:
        return fitting.fit(
            wanted.name,
            vectors[rows],
            [texts[row] for row in rows],
            [labels[row] for row in rows],
            encoder,
            c=INVERSE_PENALTY,
            places=wanted.words,
            word_weight=wanted.word_weight,
        )

    trial, final = fitted(np.flatnonzero(~held).tolist()), fitted(range(len(labels)))
    known = [int(row) for row in np.flatnonzero(held & np.isin(labels, trial.labels))]
    logits = trial.logits(trial.inputs(vectors[known], [texts[row] for row in known]))
    targets = np.array([trial.labels.index(labels[row]) for row in known], dtype=np.int64)
    temperature = best_temperature(logits, targets) if known else 1.0
    least = lowest_kept(logits, targets) if wanted.none else -math.inf
    return replace(final, temperature=temperature, least=least)


def best_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the temperature under which the held-out labels are likeliest."""

    def surprise(temperature: float) -> float:
        chances = heads.softmax(logits / temperature)[np.arange(len(targets)), targets]
        return float(-np.log(np.maximum(chances, 1e-12)).mean())

    return min((float(t) for t in np.geomspace(0.2, 5, 60)), key=surprise)


def lowest_kept(logits: NDArray[np.float32], targets: NDArray[np.int64], cost: float = REFUSED_RIGHT) -> float:
    """Return the best logit below which only that share of the rightly labelled rows fall."""
    right = logits[logits.argmax(axis=1) == targets].max(axis=1)
    return float(np.quantile(right, cost)) if len(right) else -math.inf
