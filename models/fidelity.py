"""Says how faithful a quantized model is to the one it was made from. Pure: arrays in, figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.checkpoint import Kind

Matrix = NDArray[np.float32]

FAITHFUL = 0.95
"""Share of equal decisions below which an owner is warned: less than one in twenty differs in the models at hand."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The model as it came against the quantized one."""

    rows: int
    """Texts, or tokens of a tagger."""
    agreement: float
    """Share of rows for which both decide alike: the same label, or the same nearest neighbour of a vector, or the same
    order of a passage and the next."""
    accuracy_before: float | None = None
    """Share of right decisions where the right ones are known: the label, or of a vector its nearest neighbour's."""
    accuracy_after: float | None = None

    @property
    def faithful(self) -> bool:
        return self.agreement >= FAITHFUL


def compare(kind: Kind, before: Matrix, after: Matrix, answers: Sequence[int] = ()) -> Fidelity:
    """Return the figures for the outputs before and after, one row a text (or token).

    `answers` are the right labels: of a classifier as places in its output, of an encoder as any numbers.
    """
    first, second = decisions(kind, before), decisions(kind, after)
    agreement = float((first == second).mean()) if len(first) else 1.0
    if not answers or kind not in ("classifier", "encoder"):
        return Fidelity(len(before), agreement)
    truth = np.asarray(answers)
    if kind == "encoder":
        first, second = truth[first], truth[second]
    return Fidelity(len(before), agreement, float((first == truth).mean()), float((second == truth).mean()))


def decisions(kind: Kind, outputs: Matrix) -> NDArray[np.int64]:
    """Return what is decided from each row."""
    match kind:
        case "classifier" | "tagger":
            return np.asarray(outputs.argmax(axis=1), dtype=np.int64)
        case "encoder":
            likeness = outputs @ outputs.T
            np.fill_diagonal(likeness, -np.inf)
            return np.asarray(likeness.argmax(axis=1), dtype=np.int64)
        case "reranker":
            scores = outputs[:, 0]
            return np.asarray(scores > np.roll(scores, -1), dtype=np.int64)
