"""How good a head would be on texts it has not seen: stratified cross-validation, weak points, a learning curve.

Pure: rows go in as vectors and label numbers, and the same rows give the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.heads.head import softmax
from runtime.evals.metrics.intervals import Figure, figure_of
from runtime.evals.metrics.outcome import Rows
from runtime.training.fitting import Floats, Places, best_temperature, fit

Flags = NDArray[np.bool_]

FOLDS = 5
SEED = 0
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the training rows, for the learning curve."""
REFUSED_RIGHT = 0.02
"""Share of the right answers that may be refused in order to notice texts that fit no label."""
MAX_REJECT = 0.9
"""A head that is always very sure must not refuse what is merely sure."""
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Weak:
    """A label that is often missed or often given wrongly."""

    label: str
    f1: float
    found: int
    """Rows of the label that got it."""
    rows: int


@dataclass(frozen=True, slots=True)
class Confused:
    """How often a row of one label was given another."""

    label: str
    given: str
    count: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of a head, each from rows that were held out when it was fitted."""

    accuracy: Figure
    macro_f1: Figure
    answered: Figure
    """Share of the rows whose best probability reaches the reject threshold."""
    accuracy_answered: Figure
    weakest: tuple[Weak, ...]
    """Worst first; labels without a mistake are not here."""
    confused: tuple[Confused, ...]
    """Most frequent first."""
    curve: tuple[tuple[int, float], ...]
    """Rows fitted on, and the accuracy reached."""
    doubling_gain: float
    """Accuracy that twice as many rows would add, extrapolated from the curve."""
    temperature: float
    reject: float
    right: Flags
    """Of each row, in their order."""


def measure(vectors: Floats, places: Places, labels: Sequence[str]) -> Measured:
    """Return the figures; blocks for a second to a minute, by the number of rows and labels."""
    folds = folds_of(places)
    held, curve = _held_out(vectors, places, len(labels), folds)
    temperature = best_temperature(held, places)
    shares = softmax(held / np.float32(temperature))
    best, given = shares.max(axis=1), shares.argmax(axis=1)
    right = given == places
    reject = min(MAX_REJECT, float(np.quantile(best[right], REFUSED_RIGHT))) if right.any() else 0.0
    sure = best >= reject
    return Measured(
        share_of(right),
        figure_of(np.stack([places, given], axis=1).astype(float), macro_f1),
        share_of(sure),
        share_of(right[sure]),
        _weakest(places, given, labels),
        _confused(places, given, labels),
        curve,
        doubling_gain(curve),
        temperature,
        reject,
        right,
    )


def share_of(flags: Flags) -> Figure:
    """Return how many of the flags are set, with its interval."""
    return figure_of(flags[:, None].astype(np.float64), lambda rows: float(rows.mean()))


def right_without(vectors: Floats, places: Places, labels: int, taken: Flags) -> Flags:
    """Return which of the taken rows are answered rightly by a fit on the other taken ones, in the folds of all rows.

    The rows that are not taken are False.
    """
    folds, right = folds_of(places), np.zeros(len(places), dtype=np.bool_)
    for fold in range(FOLDS):
        out, rest = np.flatnonzero(taken & (folds == fold)), np.flatnonzero(taken & (folds != fold))
        if len(out) and len(rest):
            given = fit(vectors[rest], places[rest], labels).logits(vectors[out]).argmax(axis=1)
            right[out] = given == places[out]
    return right


def folds_of(places: Places, seed: int = SEED) -> Places:
    """Return the fold of each row, every label spread over them as evenly as its rows allow."""
    random = np.random.default_rng(seed)
    folds = np.empty(len(places), dtype=np.int64)
    dealt = 0
    for place in np.unique(places):
        rows = random.permutation(np.flatnonzero(places == place))
        folds[rows] = (dealt + np.arange(len(rows))) % FOLDS
        dealt += len(rows)
    return folds


def _held_out(
    vectors: Floats, places: Places, labels: int, folds: Places
) -> tuple[Floats, tuple[tuple[int, float], ...]]:
    """Return the logits of each row from a fit without its fold, and the learning curve."""
    held = np.zeros((len(places), labels), dtype=np.float32)
    right = dict.fromkeys(SHARES, 0)
    fitted_on = dict.fromkeys(SHARES, 0)
    for fold in range(FOLDS):
        out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not len(out):
            continue
        for share in SHARES:
            part = rest[_first(places[rest], share)]
            logits = fit(vectors[part], places[part], labels).logits(vectors[out])
            right[share] += int((logits.argmax(axis=1) == places[out]).sum())
            fitted_on[share] += len(part)
        held[out] = logits  # of the last share: all the rest
    return held, tuple((round(fitted_on[share] / FOLDS), right[share] / len(places)) for share in SHARES)


def _first(places: Places, share: float) -> Places:
    """Return the rows of a stratified part: of each label the given share, one row at the least."""
    random = np.random.default_rng(SEED)
    parts = []
    for place in np.unique(places):
        rows = random.permutation(np.flatnonzero(places == place))
        parts.append(rows[: max(1, round(share * len(rows)))])
    return np.sort(np.concatenate(parts))


def macro_f1(rows: Rows) -> float:
    """Return the mean F1 over the labels that occur; each line has the right label's number and the given one's."""
    pairs = rows.astype(np.int64)
    size = int(pairs.max()) + 1
    real, given = np.bincount(pairs[:, 0], minlength=size), np.bincount(pairs[:, 1], minlength=size)
    hit = np.bincount(pairs[pairs[:, 0] == pairs[:, 1], 0], minlength=size)
    occurs = (real + given) > 0
    return float((2 * hit[occurs] / (real + given)[occurs]).mean())


def _weakest(places: Places, given: Places, labels: Sequence[str]) -> tuple[Weak, ...]:
    found = []
    for place, label in enumerate(labels):
        rows, answers = int((places == place).sum()), int((given == place).sum())
        hits = int(((places == place) & (given == place)).sum())
        if hits < max(rows, answers):
            found.append(Weak(label, 2 * hits / (rows + answers), hits, rows))
    return tuple(sorted(found, key=lambda weak: weak.f1)[:SHOWN])


def _confused(places: Places, given: Places, labels: Sequence[str]) -> tuple[Confused, ...]:
    pairs, counts = np.unique(np.stack([places, given])[:, places != given], axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:SHOWN]
    return tuple(Confused(labels[pairs[0, at]], labels[pairs[1, at]], int(counts[at])) for at in order)


def doubling_gain(curve: Sequence[tuple[int, float]]) -> float:
    """Return what twice as many rows would add to the accuracy, if mistakes go on to fall as a power of the rows."""
    last = 1 - curve[-1][1]
    points = [(math.log(rows), math.log(1 - accuracy)) for rows, accuracy in curve if accuracy < 1]
    if last <= 0 or len({rows for rows, _ in points}) < 2:
        return 0.0
    x, y = np.array(points).T
    power = float(np.polyfit(x, y, 1)[0])
    return last * (1 - 2 ** min(0.0, power))
