"""A fitted head as a subject, and the fit itself, which happens only when asked for."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.heads import head as heads
from models.heads.head import Head
from models.types import Digest, Refusal, RefusalCode, Request, Result, Signals
from runtime.evals.errors import SuiteSkipped
from runtime.evals.fingerprint import code_digest
from runtime.evals.subject import Subject
from runtime.evals.vectors import Vectors, embed

INVERSE_PENALTY = 30.0
"""Scikit-learn's C; on vectors of unit length weak regularisation is best (chosen on training rows)."""
SHOWN_SCORES = 10
"""Most labels whose probability is told."""
HELD_OUT = 0.1
"""Share of the training rows on which temperature and reject are chosen."""
REJECT_COST = 0.02
"""Share of right answers that may be refused in order to notice requests that are out of scope."""


class HeadSubject:
    """Answers `classify` requests with a head over the vectors of whatever embeds."""

    def __init__(self, inner: Subject, head: Head, none: str = "") -> None:
        self._inner = inner
        self._head = head
        self._none = none

    async def run(self, request: Request) -> Result:
        started = time.perf_counter()
        vectors, embedded = await embed(self._inner, [str(request.input["text"])])
        require(self._head, embedded.artifacts)
        chances = self._head.probabilities(vectors)[0]
        best = int(chances.argmax())
        label, chance = self._head.labels[best], float(chances[best])
        usage = replace(embedded.usage, seconds=time.perf_counter() - started)
        first = np.argsort(-chances)[:SHOWN_SCORES]
        scores = {self._head.labels[int(at)]: float(chances[at]) for at in first}
        result = replace(embedded, confidence=chance, usage=usage, signals=Signals(scores=scores))
        if label == self._none or chance < self._head.reject:
            code = RefusalCode.NOT_SURE
            refusal = Refusal(code, "The request is unlike all that the head was fitted on; put it another way.", label)
            return replace(result, output=None, text="", refusal=refusal)
        return replace(result, output=label, text=label)

    def fingerprint(self, capability: str) -> str:
        digest = hashlib.sha256(self._inner.fingerprint("embed").encode())
        digest.update(code_digest([__name__]).encode())
        digest.update(self._head.weights.tobytes() + self._head.bias.tobytes())
        digest.update(f"{self._head.labels}{self._head.temperature}{self._head.reject}{self._none}".encode())
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


def fit(name: str, vectors: Vectors, labels: Sequence[str], encoder: Digest, *, none: str = "") -> Head:
    """Return a multinomial logistic regression, its temperature and reject chosen on a held-out tenth.

    Blocks for up to a minute. Raises SuiteSkipped where scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression  # optional: only fitting needs it
    except ImportError as error:
        raise SuiteSkipped("Fitting needs scikit-learn. Install it with `pip install 'covey[fit]'`.") from error
    names = sorted(set(labels))
    targets = np.array([names.index(label) for label in labels])
    held = np.random.default_rng(0).random(len(targets)) < HELD_OUT
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=300)
    trial = _head(name, names, model.fit(vectors[~held], targets[~held]), encoder)
    logits = vectors[held] @ trial.weights + trial.bias
    temperature = best_temperature(logits, targets[held])
    reject = lowest_kept(heads.softmax(logits / temperature), targets[held]) if none else 0.0
    final = _head(name, names, model.fit(vectors, targets), encoder)
    return replace(final, temperature=temperature, reject=reject)


def best_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the temperature under which the held-out labels are likeliest."""

    def surprise(temperature: float) -> float:
        chances = heads.softmax(logits / temperature)[np.arange(len(targets)), targets]
        return float(-np.log(np.maximum(chances, 1e-12)).mean())

    return min((float(t) for t in np.geomspace(0.2, 5, 60)), key=surprise)


def lowest_kept(chances: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the best probability below which only REJECT_COST of the rightly labelled rows fall."""
    right = chances[chances.argmax(axis=1) == targets].max(axis=1)
    return float(np.quantile(right, REJECT_COST)) if len(right) else 0.0


def _head(name: str, names: list[str], model: Any, encoder: Digest) -> Head:
    """Scikit-learn keeps one row of weights where there are two labels."""
    weights, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(names) == 2:
        weights, bias = np.vstack([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return Head(name, tuple(names), weights.T.astype(np.float32), bias.astype(np.float32), 1.0, 0.0, encoder)
