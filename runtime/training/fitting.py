"""Fits a head on vectors and labels with numpy alone: multinomial logistic regression by L-BFGS.

It finds what scikit-learn finds on the same rows (docs/specialists.md has the figures), so that an owner
need not install it. Pure: the same rows give the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.heads.head import Head, softmax
from models.types import Digest

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Loss = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]

INVERSE_PENALTY = 30.0
"""On vectors of unit length weak regularisation is best; the shipped heads of the same kind have it too."""
MAX_STEPS = 80
GOOD_ENOUGH = 3e-5
"""Largest slope left: more steps hardly change a probability."""
KEPT_STEPS = 8
"""Earlier steps from which the curvature is guessed."""
SUFFICIENT, MAX_HALVINGS = 1e-4, 20
"""Share of the promised gain that a step must bring, and how often it is halved until it does."""
TEMPERATURES = tuple(float(t) for t in np.geomspace(0.3, 4, 40))


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights for some labels, by their places."""

    weights: Floats
    """Shape (dimensions, labels)."""
    bias: Floats

    def logits(self, vectors: Floats) -> Floats:
        found: Floats = vectors @ self.weights + self.bias
        return found

    def head(self, name: str, labels: Sequence[str], encoder: Digest, *, temperature: float, reject: float) -> Head:
        return Head(name, tuple(labels), self.weights, self.bias, temperature, reject, encoder)


def fit(vectors: Floats, places: Places, labels: int) -> Fitted:
    """Return what was fitted; `places` are the rows' labels as numbers below `labels`."""
    middle = vectors.mean(axis=0)
    centred = vectors - middle  # what all texts share tells nothing, and would slow the search down
    rows, width = centred.shape
    targets = np.eye(labels, dtype=np.float32)[places]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        matrix = flat.reshape(width + 1, labels)
        weights, bias = matrix[:-1].astype(np.float32), matrix[-1].astype(np.float32)
        shares = softmax(centred @ weights + bias)
        errors = (shares - targets) / np.float32(rows)
        slopes = np.vstack([centred.T @ errors + weights / (INVERSE_PENALTY * rows), errors.sum(axis=0)])
        surprise = -np.log(shares[np.arange(rows), places] + 1e-12).mean(dtype=np.float64)
        penalty = float((matrix[:-1] ** 2).sum()) / (2 * INVERSE_PENALTY * rows)
        return float(surprise) + penalty, slopes.astype(np.float64).ravel()

    found = _lowest(loss, np.zeros((width + 1) * labels)).reshape(width + 1, labels)
    weights = found[:-1].astype(np.float32)
    return Fitted(weights, (found[-1] - middle @ found[:-1]).astype(np.float32))


def best_temperature(held_out: Floats, places: Places) -> float:
    """Return what to divide held-out logits by, so that probabilities match how often they are right.

    As in Platt's scaling the right labels are taken for a little less than certain, the more so the fewer
    the rows: a few rows without a mistake do not show that there are none.
    """
    rows = np.arange(len(places))
    doubt = 1 / (len(places) + 2)

    def surprise(temperature: float) -> float:
        logs = np.log(softmax(held_out / np.float32(temperature)) + 1e-9)
        return -float((1 - doubt) * logs[rows, places].mean() + doubt * logs.mean())

    return min(TEMPERATURES, key=surprise)


def _lowest(loss: Loss, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where a smooth convex loss is lowest: L-BFGS (Nocedal and Wright, algorithm 7.5)."""
    at, (value, slope) = start, loss(start)
    steps: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for _ in range(MAX_STEPS):
        if float(np.abs(slope).max()) < GOOD_ENOUGH:
            break
        direction = _direction(slope, steps)
        promised = float(slope @ direction)
        length = 1.0 if steps else min(1.0, 1.0 / float(np.abs(slope).sum()))
        for _ in range(MAX_HALVINGS):
            following = at + length * direction
            reached, steepness = loss(following)
            if reached <= value + SUFFICIENT * length * promised:
                break
            length /= 2
        else:
            break  # rounding errors are all that is left
        moved, turned = following - at, steepness - slope
        if float(moved @ turned) > 0:
            steps = [*steps, (moved, turned)][-KEPT_STEPS:]
        at, value, slope = following, reached, steepness
    return at


def _direction(
    slope: NDArray[np.float64], steps: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> NDArray[np.float64]:
    """Return where to go: downhill, corrected by the curvature that the last steps met."""
    way = -slope
    factors: list[float] = []
    for moved, turned in reversed(steps):
        factors.append(float(moved @ way) / float(moved @ turned))
        way = way - factors[-1] * turned
    if steps:
        moved, turned = steps[-1]
        way = way * (float(moved @ turned) / float(turned @ turned))
    for (moved, turned), factor in zip(steps, reversed(factors), strict=True):
        way = way + moved * (factor - float(turned @ way) / float(moved @ turned))
    return way
